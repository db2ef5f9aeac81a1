"""The figures: their names, units and goals, and how they are summed up and shown. Pure."""

import dataclasses
import statistics

BASE = "nginx"
OURS = "vestibule"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row of the table. A goal is the most that Vestibule may take: of what nginx takes
    (`ratio`), or in the figure's own unit (`most`)."""

    title: str
    unit: str
    digits: int = 1
    ratio: float | None = None
    most: float | None = None


FIGURES = {
    "h1": Figure("GET 1 KiB, HTTP/1.1 kept alive, CPU", "us", ratio=0.85),
    "h2": Figure("GET 1 KiB, HTTP/2, CPU", "us", ratio=0.80),
    "tls-new": Figure("new TLS connection and one GET, CPU", "us", 0),
    "tls-resumed": Figure("the same, resumed, CPU", "us", 0),
    "down": Figure("64 MiB down, CPU", "ms", ratio=0.50),
    "up": Figure("64 MiB up, CPU", "ms", ratio=0.50),
    "echo": Figure("WebSocket echo of 128 bytes, CPU", "us", ratio=0.85),
    "echo-16k": Figure("WebSocket echo of 16 KiB, CPU", "us"),
    "idle-1000": Figure("memory per idle WebSocket, 1,000 open", "KiB"),
    "idle-5000": Figure("memory per idle WebSocket, 5,000 open", "KiB", most=10),
    "idle-most": Figure("memory per idle WebSocket, 10,000 open *", "KiB", most=10),
    "p50": Figure("added latency, median", "us", 0),
    "p99": Figure("added latency, 99th percentile", "us", 0),
    "rps": Figure("requests a second, one CPU", "1/s", 0),
    "rps-share": Figure("of which CPU it used then", "%", 0),
    "start": Figure("start to first answer", "ms", 0),
    "memory": Figure("memory after the start", "MiB"),
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """Median and extremes of some values."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values):
        return cls(statistics.median(values), min(values), max(values), len(values))

    def text(self, digits):
        """`23.2 (22.9-24.1)`, or the value alone if there is but one."""
        middle = f"{self.median:,.{digits}f}"
        if self.count == 1:
            return middle
        return f"{middle} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


def ratios(ours, theirs):
    """Round by round, so that what slows the machine down for a while slows both."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b > 0]


def judged(found):
    """Each figure that has a goal and was measured: key, what counts, the goal, whether met.

    `found` holds the values of all rounds: `found[proxy][figure]`."""
    verdicts = []
    for key, figure in FIGURES.items():
        ours = found.get(OURS, {}).get(key)
        theirs = found.get(BASE, {}).get(key)
        if figure.ratio and ours and theirs:
            values, goal = ratios(ours, theirs), figure.ratio
        elif figure.most and ours:
            values, goal = ours, figure.most
        else:
            continue
        summary = Summary.of(values)
        verdicts.append((key, summary, goal, summary.median <= goal))
    return verdicts


def table(head, rows):
    """A Markdown table that reads well unrendered too."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    rule = ["-" * width for width in widths]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"

    return "\n".join(line(row) for row in [head, rule, *rows])


def all_proxies(found):
    """Every figure of every proxy, with the ratio of ours to nginx."""
    names = list(found)
    rows = []
    for key, figure in FIGURES.items():
        values = [found[name].get(key) for name in names]
        if not any(values):
            continue
        cells = [Summary.of(v).text(figure.digits) if v else "-" for v in values]
        rows.append([f"{figure.title}, {figure.unit}", *cells])
    return table(["", *names], rows)


def ratio_table(found):
    """Every figure of every proxy as a ratio to nginx in the same round."""
    base = found.get(BASE, {})
    names = [name for name in found if name != BASE]
    rows = []
    for key, figure in FIGURES.items():
        if key not in base or key in ("p50", "p99", "rps-share"):
            continue
        values = [found[name].get(key) for name in names]
        if any(values):
            cells = [Summary.of(ratios(v, base[key])).text(2) if v else "-" for v in values]
            rows.append([figure.title, *cells])
    return table(["", *names], rows)


def goal_table(found):
    """Ours against the goals."""
    rows = []
    for key, summary, goal, met in judged(found):
        figure = FIGURES[key]
        what = "of nginx" if figure.ratio else figure.unit
        rows.append(
            [figure.title, summary.text(2), f"{goal:g} {what}", "met" if met else "over"]
        )
    return table(["", "median (least-most)", "goal: at most", ""], rows)
