"""Load on a target, bounded in count and time, and what it cost the target."""

import json
import re
import subprocess

import kernel
from stage import BenchError

LONGEST = 300


def requests(stage, target, path, count, *, h2=False, clients=32, streams=1, data=None, cpus=None):
    """`count` requests by h2load on `cpus`; all must be answered 2xx. Returns requests a second."""
    argv = ["h2load", "-n", count, "-c", clients, "-m", streams]
    argv += [] if h2 else ["--h1"]
    argv += ["-d", data] if data else []
    # All the same cipher, whatever a server would prefer.
    argv += ["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]
    for name, value in target.headers:
        argv += ["-H", f"{name}: {value}"]
    text = run(stage, [*argv, f"https://127.0.0.1:{target.port}{path}"], cpus)
    good = re.search(r"status codes: (\d+) 2xx", text)
    if not good or int(good[1]) != count:
        lines = [line for line in text.splitlines() if "codes" in line or "requests:" in line]
        raise BenchError(f"{target.name} {path}: " + "; ".join(lines or [text[-200:]]))
    return float(re.search(r"([\d.]+) req/s", text)[1])


def run(stage, argv, cpus=None):
    """Runs a load generator to its end and returns what it said."""
    child = stage.spawn("load", argv, cpus=cpus, stdout=subprocess.PIPE)
    try:
        text, _ = child.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{argv[0]} took longer than {LONGEST} s") from late
    finally:
        stage.end(child)
    if child.returncode:
        raise BenchError(f"{argv[0]} failed: {text[-200:]} {stage.log_tail('load')}")
    return text


class Sockets:
    """`sockets.py` at work on a target; used with `with`."""

    def __init__(self, stage, target, path, **task):
        place = {"port": target.port, "path": path, "headers": target.headers}
        self.stage, self.name = stage, target.name
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.child = stage.python("load", "sockets.py", json.dumps(task | place), **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.stage.end(self.child)

    def next(self):
        """What it says next."""
        line = self.child.stdout.readline()
        if not line:
            raise BenchError(f"{self.name}: {self.stage.log_tail('load')}")
        return json.loads(line)

    def go_on(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()


class Cost:
    """CPU seconds of a target's processes from `with` to its end."""

    def __init__(self, target):
        self.pid = target.pid

    def __enter__(self):
        self.before = kernel.cpu_seconds(self.pid)
        return self

    def __exit__(self, *_):
        self.seconds = kernel.cpu_seconds(self.pid) - self.before

    def each(self, count, unit):
        """The cost of one of `count`, in `unit` parts of a second."""
        return self.seconds / count * unit
