"""The figures: their names, units and goals, and how they are summed up and judged. Pure."""

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


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A goal: what was found, the most it may be, and in what both are counted."""

    title: str
    found: Summary
    most: float
    unit: str

    @property
    def met(self):
        return self.found.median <= self.most


def of_proxies(found):
    """The verdicts on `found[proxy][figure]`, the values of all rounds."""
    verdicts = []
    for key, figure in FIGURES.items():
        ours = found.get(OURS, {}).get(key)
        theirs = found.get(BASE, {}).get(key)
        if figure.ratio and ours and theirs:
            summary = Summary.of(ratios(ours, theirs))
            verdicts.append(Verdict(figure.title, summary, figure.ratio, "x nginx"))
        elif figure.most and ours:
            verdicts.append(Verdict(figure.title, Summary.of(ours), figure.most, figure.unit))
    return verdicts


FLAT = 1.10
GROWTH = {
    "h1": "GET 1 KiB, CPU, with {:,} workspaces known",
    "memory": "memory, with {:,} workspaces known",
}
BY_ITSELF = {
    "reaper": "CPU by itself, with {:,} workspaces known",
    "events": "the same, with 10 events of the engine a second",
}


def of_growth(growth):
    """The verdicts on growth: each size against the least."""
    verdicts = []
    for key, title in GROWTH.items():
        least, *others = growth[key]
        for size in others:
            summary = Summary.of(ratios(growth[key][size], growth[key][least]))
            verdicts.append(Verdict(title.format(size), summary, FLAT, f"x that with {least}"))
    largest = max(growth["h1"])
    for key, title in BY_ITSELF.items():
        verdicts.append(Verdict(title.format(largest), Summary.of(growth[key]), 1.0, "%"))
    return verdicts


HITS = {
    "create": "first hit, no container yet",
    "start": "first hit, container stopped",
    "exec": "first hit, container runs, app does not",
    "ten": "the last of ten first hits at once",
}


def of_hits(hits):
    """The verdicts on first hits, each against the script's in turn with it."""
    verdicts = [
        Verdict(title, Summary.of(ratios(hits[key]["ours"], hits[key]["script"])), 1.10, "x script")
        for key, title in HITS.items()
    ]
    ours, direct = (statistics.median(hits["attach"][side]) for side in ("ours", "script"))
    title = "a running app, time added to going direct"
    return [*verdicts, Verdict(title, Summary.of([ours - direct]), 1.0, "ms")]
