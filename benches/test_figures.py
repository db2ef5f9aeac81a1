"""Medians, ratios, verdicts and tables. Run by tests/run.sh."""

import unittest

import engine
import figures
import report
import wire
from figures import Summary, Verdict


def proxies(ours, theirs):
    return {"nginx": {"h1": theirs}, "vestibule": {"h1": ours}}


class Figures(unittest.TestCase):
    def test_a_summary_is_the_median_and_both_ends(self):
        summary = Summary.of([3.0, 1.0, 10.0])
        self.assertEqual((summary.median, summary.least, summary.most), (3.0, 1.0, 10.0))
        self.assertEqual(summary.text(1), "3.0 (1.0-10.0)")
        self.assertEqual(Summary.of([12345.6]).text(0), "12,346")

    def test_a_ratio_is_of_the_same_round(self):
        # A machine twice as slow in the second round changes nothing.
        self.assertEqual(figures.ratios([8, 16], [10, 20]), [0.8, 0.8])

    def test_a_goal_is_met_up_to_its_very_value(self):
        for ours, met in [([85.0], True), ([86.0], False), ([10.0, 85.0, 990.0], True)]:
            (verdict,) = figures.of_proxies(proxies(ours, [100.0] * len(ours)))
            self.assertEqual(verdict.met, met, ours)

    def test_without_nginx_only_goals_of_their_own_unit_are_judged(self):
        verdicts = figures.of_proxies({"vestibule": {"h1": [1.0], "idle-5000": [12.0]}})
        self.assertEqual(
            [(v.title, v.met) for v in verdicts], [(figures.FIGURES["idle-5000"].title, False)]
        )

    def test_growth_is_judged_against_the_least(self):
        growth = {
            "h1": {1: [20.0], 100: [21.0], 10_000: [23.0]},
            "memory": {1: [8.0], 100: [8.0], 10_000: [8.1]},
            "reaper": [0.2],
            "events": [1.5],
        }
        met = [verdict.met for verdict in figures.of_growth(growth)]
        self.assertEqual(met, [True, False, True, True, True, False])

    def test_an_attach_is_judged_by_what_it_adds(self):
        hits = {key: {"ours": [1.0], "script": [1.0]} for key in figures.HITS}
        for ours, met in [(1.4, True), (1.6, False)]:
            hits["attach"] = {"ours": [ours], "script": [0.5]}
            self.assertEqual(figures.of_hits(hits)[-1].met, met, ours)


class Report(unittest.TestCase):
    def test_a_table_is_aligned(self):
        self.assertEqual(
            report.table(["a", "long head"], [["long cell", "1"]]),
            "| a         | long head |\n| --------- | --------- |\n| long cell | 1         |",
        )

    def test_what_a_proxy_can_not_do_is_a_dash(self):
        text = report.proxies({"nginx": {"h2": [1.0]}, "chp": {}})
        self.assertRegex(text, r"HTTP/2.*\| 1\.0 +\| - +\|")

    def test_goals_say_what_is_over(self):
        verdicts = [Verdict("x", Summary.of([0.9]), 0.85, "x nginx")]
        self.assertRegex(report.goals(verdicts), r"\| x +\| 0\.90 +\| 0\.85 x nginx \| over \|")

    def test_a_page_has_a_section_for_each_part_that_was_measured(self):
        about = {
            "date": "d",
            "machine": "m",
            "vestibule": "v",
            "versions": {"nginx": "1"},
            "profile": "p",
            "rounds": 1,
            "files": 20_000,
            "most_sockets": 9_500,
        }
        results = {"about": about, "proxies": proxies([1.0], [2.0]), "growth": None, "hits": None}
        titles = [line for line in report.page(results).splitlines() if line.startswith("## ")]
        self.assertEqual(titles, ["## Goals", "## Beside others", "## As ratios to nginx"])


class Parts(unittest.TestCase):
    def test_frames_have_the_length_rfc_6455_gives_them(self):
        for size, head in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)]:
            self.assertEqual(len(wire.answer(size)), head + size)
            self.assertEqual(len(wire.frame(size)), head + 4 + size)

    def test_the_fake_engine_knows_each_user_by_name_and_by_id(self):
        fake = engine.Engine("bench", 3)
        _, listed = fake.answer(
            "/v1.41/containers/json", {"filters": '{"label": ["vestibule.instance=bench"]}'}
        )
        self.assertEqual(len(listed), 3)
        _, by_id = fake.answer(f"/v1.41/containers/{listed[0]['Id']}/json", {})
        self.assertEqual(fake.answer("/v1.41/containers/user-alice/json", {}), (200, by_id))
        self.assertEqual(fake.answer("/v1.41/containers/user-bob/json", {})[0], 404)


if __name__ == "__main__":
    unittest.main()
