"""The results as tables, on the terminal and in docs/benchmarks.md. Pure."""

import figures
from figures import BASE, FIGURES, Summary, ratios

# Ratios of these say nothing, or are not of the same moment.
NO_RATIO = ("p50", "p99", "rps-share", "start")


def table(head, rows):
    """A Markdown table that reads well unrendered too."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    rule = ["-" * max(width, 3) for width in widths]

    def line(cells):
        padded = [cell.ljust(max(width, 3)) for cell, width in zip(cells, widths, strict=True)]
        return "| " + " | ".join(padded) + " |"

    return "\n".join(line(row) for row in [head, rule, *rows])


def proxies(found):
    """Every figure of every proxy."""
    rows = []
    for key, figure in FIGURES.items():
        values = [found[name].get(key) for name in found]
        if any(values):
            cells = [Summary.of(v).text(figure.digits) if v else "-" for v in values]
            rows.append([f"{figure.title}, {figure.unit}", *cells])
    return table(["", *found], rows)


def against_nginx(found):
    """Every figure of every other proxy as a ratio to nginx in the same round."""
    base = found.get(BASE, {})
    names = [name for name in found if name != BASE]
    rows = []
    for key, figure in FIGURES.items():
        values = [found[name].get(key) for name in names]
        if key in base and key not in NO_RATIO and any(values):
            cells = [Summary.of(ratios(v, base[key])).text(2) if v else "-" for v in values]
            rows.append([figure.title, *cells])
    return table(["x nginx", *names], rows)


def goals(verdicts):
    """What was to be reached, and whether it was."""
    rows = [
        [v.title, v.found.text(2), f"{v.most:g} {v.unit}", "met" if v.met else "over"]
        for v in verdicts
    ]
    return table(["goal", "found", "at most", ""], rows)


def growth(found):
    """CPU and memory by the number of workspaces known."""
    sizes = list(found["h1"])
    rows = [
        ["GET 1 KiB, CPU, us", *(Summary.of(found["h1"][size]).text(1) for size in sizes)],
        ["memory after it, MiB", *(Summary.of(found["memory"][size]).text(1) for size in sizes)],
    ]
    return table(["workspaces known", *(f"{size:,}" for size in sizes)], rows)


def hits(found):
    """Seconds of both ways."""
    rows = [
        [title, *(Summary.of(found[key][side]).text(2) for side in ("ours", "script"))]
        for key, title in figures.HITS.items()
    ]
    return table(["seconds", "Vestibule", "by hand"], rows)


def sections(results):
    """Title and text of everything that was measured."""
    found = []
    verdicts = []
    if results["proxies"]:
        verdicts += figures.of_proxies(results["proxies"])
        found.append(("Beside others", proxies(results["proxies"])))
        if BASE in results["proxies"]:
            found.append(("As ratios to nginx", against_nginx(results["proxies"])))
    if results["growth"]:
        verdicts += figures.of_growth(results["growth"])
        found.append(("Growth", growth(results["growth"])))
    if results["hits"]:
        verdicts += figures.of_hits(results["hits"])
        found.append(("First hit", hits(results["hits"])))
    return [("Goals", goals(verdicts)), *found] if verdicts else found


HEAD = """# Benchmarks

Written by `make bench`; how it measures stands in [benches/README.md](../benches/README.md), the
values of every round in [benchmarks.json](benchmarks.json). Absolute figures differ from machine
to machine; the ratios are of the same rounds of one run.

- Date: {date}
- Machine: {machine}
- Vestibule: {vestibule}
- Its profile (benches/README.md): {profile}
- Peers: {peers}
- Rounds: {rounds}. Each figure is the median, with the least and the most of all rounds.
- `*`: {most_sockets:,} sockets, with {files:,} files allowed to a process.
"""


def page(results):
    """docs/benchmarks.md."""
    about = results["about"]
    peers = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    text = HEAD.format(**about, peers=peers)
    for title, body in sections(results):
        text += f"\n## {title}\n\n{body}\n"
    return text
