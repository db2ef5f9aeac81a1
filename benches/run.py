"""Measures Vestibule beside its peers; see README.md here."""

import argparse
import functools
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import figures
import kernel
import rows
import vestibule
from peers import PEERS, SMALL, Upstream
from progress import Progress
from stage import ROOT, BenchError, Stage
from wire import first_answer, tls_context

ALONE = ("idle", "start")
STARTS = 5
QUICK = {"peers": "nginx", "only": "h1,h2,down,up,echo,idle", "rounds": 3}


def arguments():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/vestibule")
    parser.add_argument("--peers", help=f"of {','.join(PEERS)}; Vestibule is always there")
    parser.add_argument("--only", help=f"of {','.join([*rows.ROUNDS, *ALONE])}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="nginx alone, few rounds and rows")
    options = parser.parse_args()
    usual = QUICK if options.quick else {}
    options.whole = not (options.quick or options.peers or options.only or options.rounds)
    options.peers = (options.peers or usual.get("peers") or ",".join(PEERS)).split(",")
    tasks = options.only or usual.get("only") or ",".join([*rows.ROUNDS, *ALONE])
    options.only = tasks.split(",")
    options.rounds = options.rounds or usual.get("rounds") or 5
    options.binary = options.binary.resolve()
    for name in options.only:
        if name not in (*rows.ROUNDS, *ALONE):
            parser.error(f"there is no row {name}")
    for name in options.peers:
        if name not in PEERS:
            parser.error(f"there is no peer {name}")
    if not options.binary.exists():
        parser.error(f"{options.binary} is not there; `cargo build --release`")
    return options


def measure(stage, options):
    """All values of all rounds: `found[proxy][figure]`."""
    upstream = Upstream.start(stage)
    begin = {name: PEERS[name] for name in PEERS if name in options.peers}
    begin[figures.OURS] = functools.partial(vestibule.start, binary=options.binary)
    found = {name: {} for name in begin}
    tasks = [name for name in rows.ROUNDS if name in options.only]
    alone = [name for name in ALONE if name in options.only]
    progress = Progress(len(begin) * (options.rounds * len(tasks) + len(alone)))

    def keep(name, task, measured):
        try:
            for figure, value in measured().items():
                found[name].setdefault(figure, []).append(value)
        except (BenchError, OSError) as error:
            progress.say(f"!! {name}, {task}: {error}")

    def fresh(name):
        target = begin[name](stage, upstream)
        kept.append(target)
        first_answer(target.port, SMALL, target.headers, tls_context())
        return target

    def end():
        for target in kept:
            for child in target.children():
                stage.end(child)
        kept.clear()

    kept = []
    if tasks:
        targets = {name: fresh(name) for name in begin}
        for number in range(options.rounds):
            for task in tasks:
                # Turn about, so that none always runs first.
                order = list(targets.items())[:: 1 if number % 2 else -1]
                for name, target in order:
                    progress.step(f"round {number + 1} of {options.rounds}, {task}, {name}")
                    keep(name, task, lambda: rows.ROUNDS[task](stage, target, upstream))
        end()
    for name in begin:
        if "idle" in alone:
            progress.step(f"idle sockets, {name}")
            steps = {"idle-5000": 5_000}
            if not options.quick:
                steps = {"idle-1000": 1_000, **steps, "idle-most": stage.most_sockets}
            keep(name, "idle", lambda: rows.idle(stage, fresh(name), upstream, steps))
            end()
        if "start" in alone:
            progress.step(f"start, {name}")
            target = fresh(name)
            for _ in range(STARTS):
                keep(name, "start", lambda: rows.start(stage, target))
            end()
    progress.end()
    return found


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-bench-"))
    stage = Stage(folder)
    try:
        found = measure(stage, options)
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
    out = ROOT / "target/bench"
    out.mkdir(parents=True, exist_ok=True)
    about = {"date": time.strftime("%Y-%m-%d %H:%M"), "machine": kernel.machine()}
    (out / "results.json").write_text(json.dumps(about | {"values": found}, indent=1) + "\n")
    for text in (figures.all_proxies(found), figures.ratio_table(found), figures.goal_table(found)):
        print(text, end="\n\n")


if __name__ == "__main__":
    main()
