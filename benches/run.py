"""Measures Vestibule beside other proxies; benches/README.md says how and what."""

import argparse
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import count
import kernel
import report
from measure import ROWS, Run
from peers import PEERS, VERSIONS
from stage import ROOT, BenchError, Stage

ROUNDS = 5
QUICK = {"peers": ["nginx"], "rows": ["h1", "h2", "down", "up", "echo", "idle"], "rounds": 3}


def several(known):
    """Reads a list of known names."""

    def read(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: not one of {', '.join(known)}")
        return names

    return read


def arguments():
    parser = argparse.ArgumentParser(prog="benches/run.py", description=__doc__)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/vestibule")
    parser.add_argument("--peers", type=several(PEERS), metavar="NAMES", help=", ".join(PEERS))
    parser.add_argument(
        "--only", type=several(ROWS), metavar="ROWS", dest="rows", help=", ".join(ROWS)
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"instead of {ROUNDS}")
    parser.add_argument(
        "--quick", action="store_true", help="nginx alone, the rows with a goal, 3 rounds"
    )
    options = parser.parse_args()
    # Only a whole run is fit to be told of in docs/.
    options.whole = not (options.quick or options.peers or options.rows or options.rounds)
    usual = QUICK if options.quick else {"peers": list(PEERS), "rows": list(ROWS)}
    for name, value in ({"rounds": ROUNDS} | usual).items():
        if not getattr(options, name):
            setattr(options, name, value)
    options.binary = options.binary.resolve()
    if not options.binary.exists():
        parser.error(f"there is no {options.binary}; `cargo build --release` makes it")
    return options


def output(argv):
    """What a command says, on either stream."""
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return (done.stdout + done.stderr).strip()


def version(argv, before):
    """The version in what a command says."""
    found = re.search(re.escape(before) + r"(\d[\w.+-]*)", output(argv))
    return found[1] if found else "?"


def about(stage, options):
    """What the figures are of."""
    commit = output(["git", "describe", "--always", "--dirty"])
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": kernel.machine(),
        "vestibule": f"{output([options.binary, '--version'])}, commit {commit}",
        "versions": {
            name: version(*how)
            for name, how in VERSIONS.items()
            if name in options.peers or name not in PEERS
        },
        "profile": count.state(),
        "rounds": options.rounds,
        "files": stage.files,
        "most_sockets": stage.most_sockets,
    }


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-bench-"))
    stage = Stage(folder)
    try:
        run = Run(stage, options)
        results = {"about": about(stage, options)} | run.all()
    except (BenchError, OSError) as error:
        sys.exit(f"bench: {error}")
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(results, indent=1) + "\n"
    out = ROOT / "target/bench/results.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    for title, body in report.sections(results):
        print(f"\n{title}\n\n{body}")
    print(f"\nEvery value: {out.relative_to(ROOT)}")
    if options.whole and not run.failed:
        (ROOT / "docs/benchmarks.md").write_text(report.page(results))
        (ROOT / "docs/benchmarks.json").write_text(text)
        print("Written: docs/benchmarks.md, docs/benchmarks.json")
    if run.failed:
        sys.exit("not everything could be measured:\n" + "\n".join(run.failed))


if __name__ == "__main__":
    main()
