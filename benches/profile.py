"""Counts what a running proxy does, into the profile that release code is compiled with.

The work is that of the benchmark's rounds, without peers: `.cargo/rustc` says how it is used.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import rows
import vestibule
from peers import Upstream
from stage import ROOT, BenchError, Stage

PROFILE = ROOT / "benches/release.profdata"
TARGET = ROOT / "target/profile"
# Rows whose work is a user's. Twice, so that what is done once for all weighs less.
ROWS = ("h1", "h2", "tls", "down", "up", "echo", "latency")
TIMES = 2


def build(counts):
    """Compiles a proxy that counts what it does, into a file in `counts` when it ends."""
    print("==> compiling a proxy that counts (five minutes or more)", flush=True)
    env = dict(os.environ, VESTIBULE_COUNT_INTO=str(counts), CARGO_TARGET_DIR=str(TARGET))
    subprocess.run(["cargo", "build", "--release", "--locked"], env=env, cwd=ROOT, check=True)
    return TARGET / "release/vestibule"


def work(binary):
    """Has it do what proxies do, and ends it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vestibule-profile-"))
    stage = Stage(folder)
    try:
        upstream = Upstream.start(stage)
        target = vestibule.start(stage, upstream, binary)
        for row in ROWS * TIMES:
            print(f"==> {row}", flush=True)
            rows.ROUNDS[row](stage, target, upstream)
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)


def merge(counts):
    """Writes the profile, by the tool of the LLVM that rustc has."""
    about = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    tool = "llvm-profdata-" + re.search(r"LLVM version: (\d+)", about)[1]
    files = sorted(counts.glob("*.profraw"))
    if not files:
        raise BenchError(f"the proxy left no counts in {counts}")
    subprocess.run([tool, "merge", "--sparse", "--output", PROFILE, *files], check=True)
    print(f"==> {PROFILE.relative_to(ROOT)}: {PROFILE.stat().st_size >> 10} KiB")


def main():
    counts = TARGET / "counts"
    shutil.rmtree(counts, ignore_errors=True)
    try:
        binary = build(counts)
        # What build scripts may have counted is none of ours.
        shutil.rmtree(counts, ignore_errors=True)
        work(binary)
        merge(counts)
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"profile: {error}")


if __name__ == "__main__":
    main()
