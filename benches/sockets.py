"""Load by single connections: WebSockets that echo or are held open, and new TLS connections.

Run as a process of its own, told what to do by one JSON object; says JSON, one object a line.
  {"do": "echo", "sockets": 16, "messages": 600, "size": 128, ...}
  {"do": "hold", "steps": [1000, 5000], "size": 8192, "rate": 500, ...}   a line in: the next step
  {"do": "connect", "times": 200, "resume": true, ...}
  {"do": "pace", "times": 1600, "rate": 400, "direct": PORT, ...}   median and 99th of both ways
each with "port", "path" and "headers".
"""

import json
import select
import statistics
import sys
import time

import kernel
from wire import Wire, answer, frame, tls_context


def echo(task):
    """Every socket always has one message under way; the next goes when it came back."""
    size, left = task["size"], {}
    message, awaited = frame(size), len(answer(size))
    poll = select.epoll()
    for _ in range(task["sockets"]):
        wire = opened(task)
        wire.got = 0
        left[wire.socket.fileno()] = [wire, task["messages"]]
        poll.register(wire.socket.fileno(), select.EPOLLIN)
    say("open")
    for wire, _ in left.values():
        wire.socket.sendall(message)
    while left:
        for number, _ in poll.poll():
            state = left[number]
            wire = state[0]
            wire.got += len(wire.socket.recv(65_536))
            while wire.socket.pending():
                wire.got += len(wire.socket.recv(65_536))
            if wire.got < awaited:
                continue
            wire.got -= awaited
            state[1] -= 1
            if state[1]:
                wire.socket.sendall(message)
            else:
                poll.unregister(number)
                del left[number]
    say("done")


def hold(task):
    """Opens sockets at a bounded rate, each echoing once, and stops at each step."""
    wires, pause = [], 1 / task["rate"]
    for step in task["steps"]:
        due = time.monotonic()
        while len(wires) < step:
            wire = opened(task)
            wire.echo(task["size"])
            wires.append(wire)
            due += pause
            time.sleep(max(0, due - time.monotonic()))
        say(step)
        sys.stdin.readline()


def connect(task):
    """New connections one after another, each for one small GET; with or without the ticket of
    the one before it."""
    context, session, resumed = tls_context(), None, 0
    for _ in range(task["times"]):
        wire = Wire(task["port"], context, session)
        status, _ = wire.ask(task["path"], task["headers"])
        if status != 200:
            raise OSError(f"the answer was {status}")
        resumed += wire.socket.session_reused
        session = wire.socket.session if task["resume"] else None
        wire.close()
    say(resumed)


def pace(task):
    """Small GETs at a fixed rate, in turn through the proxy and straight to the upstream, each
    way over one kept connection; says what the way through takes longer, in microseconds."""
    ways = [Wire(task["port"], CONTEXT), Wire(task["direct"])]
    times, due = ([], []), time.monotonic()
    for number in range(task["times"] + 20):
        for wire, spent in zip(ways, times, strict=True):
            due += 1 / task["rate"]
            time.sleep(max(0, due - time.monotonic()))
            began = time.perf_counter()
            status, _ = wire.ask(task["path"], task["headers"])
            if number >= 20:  # the first fill caches
                spent.append((time.perf_counter() - began) * 1e6)
            if status != 200:
                raise OSError(f"the answer was {status}")
    through, direct = (statistics.quantiles(spent, n=100) for spent in times)
    say({"p50": through[49] - direct[49], "p99": through[98] - direct[98]})


def opened(task):
    wire = Wire(task["port"], CONTEXT)
    wire.upgrade(task["path"], task["headers"])
    return wire


def say(what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    CONTEXT = tls_context()
    kernel.allow_files(65_536)
    chosen = json.loads(sys.argv[1])
    {"echo": echo, "hold": hold, "connect": connect, "pace": pace}[chosen["do"]](chosen)
