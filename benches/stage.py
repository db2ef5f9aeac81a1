"""The stage of a run: a directory, a certificate, files to serve, ports, and child processes.

Promise: whatever was started here ends with the run, also after a mistake or Ctrl-C.
"""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import kernel

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "benches"
TOOLS = ROOT / "target/bench-tools"
BULK = 64 << 20
FILES = 65_536


class BenchError(Exception):
    """A measurement could not be made; the message says why."""


class Stage:
    """Where everything of one run happens."""

    def __init__(self, folder):
        self.dir = folder
        self.www = folder / "www"
        self.www.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # nginx serves as a user without rights
        self.files = kernel.allow_files(FILES)
        # A proxy has two files for each, and the others need some too.
        self.most_sockets = min(10_000, (self.files - 1_000) // 2)
        self.cpus, self.first_cpu, self.other_cpus = kernel.cpus()
        self.children = []
        self.taken = set()
        self.cert, self.key, self.both = (folder / n for n in ("cert.pem", "key.pem", "both.pem"))
        self._make_files()

    def _make_files(self):
        (self.www / "small").write_bytes(b"x" * 1024)
        (self.www / "big").write_bytes(os.urandom(1 << 20) * (BULK >> 20))
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3"
        )
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-keyout", self.key, "-out", self.cert]
        subprocess.run([*command.split(), *files, *names], check=True, capture_output=True)
        self.both.write_bytes(self.cert.read_bytes() + self.key.read_bytes())

    def spawn(self, name, argv, *, cpus=None, env=None, **pipes):
        """Starts a child on `cpus` (by default any); its `again` starts another like it."""
        cpus = cpus or self.cpus
        log = open(self.dir / f"{name}.log", "ab")
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=pipes.get("stdin", subprocess.DEVNULL),
            stdout=pipes.get("stdout", log),
            stderr=log,
            env=dict(os.environ, **(env or {})),
            text=True,
            cwd=self.dir,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        log.close()
        child.name = name
        child.again = lambda: self.spawn(name, argv, cpus=cpus, env=env, **pipes)
        self.children.append(child)
        return child

    def python(self, name, script, *words, **options):
        """Starts one of our own scripts."""
        return self.spawn(name, [sys.executable, HERE / script, *words], **options)

    def end(self, child, how=signal.SIGTERM):
        """Ends one child, by force if it takes longer than ten seconds."""
        child.send_signal(how)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
        self.children.remove(child)

    def close(self):
        """Ends all of them, the last one first."""
        for child in reversed(self.children[:]):
            self.end(child)

    def port(self):
        """A free port outside the range from which connections take theirs."""
        while True:
            port = random.randrange(20_000, 32_000)
            with socket.socket() as probe:
                free = port not in self.taken and probe.connect_ex(("127.0.0.1", port)) != 0
            if free:
                self.taken.add(port)
                return port

    def log_tail(self, name):
        """The last lines of a child's log."""
        text = (self.dir / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-5:])


def wait_until(what, check, seconds=30, pause=0.02, child=None, stage=None):
    """Waits for a condition and returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        if child is not None and child.poll() is not None:
            raise BenchError(f"{child.name} ended: {stage.log_tail(child.name)}")
        time.sleep(pause)
    raise BenchError(f"{what} took longer than {seconds} s")


def is_open(port):
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
