"""Counts what a running proxy does, into the profile that release code is compiled with.

The work is that of the benchmark's rounds, without peers: `.cargo/rustc` says how it is used.
"""

import hashlib
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
# What it was counted of: functions are known by names that change with any of it.
OF = ROOT / "benches/release.profdata.of"
TARGET = ROOT / "target/profile"
# Rows whose work is a user's. Twice, so that what is done once for all weighs less.
ROWS = ("h1", "h2", "tls", "down", "up", "echo", "latency")
TIMES = 2


def about():
    """What the names of functions depend on: the compiler, and which crates there are."""
    rustc = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    files = (ROOT / name for name in ("Cargo.lock", "Cargo.toml"))
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"{rustc.rstrip()}\nCargo.lock and Cargo.toml: {sources}\n"


def state():
    """Whether a release build of these sources, from nothing, makes use of the profile."""
    if not (PROFILE.exists() and OF.exists()) or OF.read_text() != about():
        return "of another rustc, Cargo.lock or Cargo.toml; `make profile` makes a new one"
    return "of this rustc and these crates"


def build(counts):
    """Compiles a proxy that counts what it does, into a file in `counts` when it ends."""
    print("==> compiling a proxy that counts (five minutes or more)", flush=True)
    env = dict(os.environ, VESTIBULE_COUNT_INTO=str(counts), CARGO_TARGET_DIR=str(TARGET))
    # It would take the place of ours.
    env.pop("RUSTC_WRAPPER", None)
    subprocess.run(["cargo", "build", "--release", "--locked"], env=env, cwd=ROOT, check=True)
    return TARGET / "release/vestibule"


def work(binary):
    """Has it do what proxies do, and ends it."""
    # It would have the counts written elsewhere.
    os.environ.pop("LLVM_PROFILE_FILE", None)
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
    tool = "llvm-profdata-" + re.search(r"LLVM version: (\d+)", about())[1]
    files = sorted(counts.glob("*.profraw"))
    if not files:
        raise BenchError(f"the proxy left no counts in {counts}")
    subprocess.run([tool, "merge", "--sparse", "--output", PROFILE, *files], check=True)
    OF.write_text(about())
    print(f"==> {PROFILE.relative_to(ROOT)}: {PROFILE.stat().st_size >> 10} KiB")


def main():
    counts = TARGET / "counts"
    try:
        binary = build(counts)
        # Those of an earlier run.
        shutil.rmtree(counts, ignore_errors=True)
        work(binary)
        merge(counts)
    except (BenchError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"profile: {error}")


if __name__ == "__main__":
    main()
