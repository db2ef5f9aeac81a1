"""What is measured of each proxy: every task gives one or more figures (see `figures.py`).

The counts give each task about a second of work; a first small load fills pools and caches.
"""

import time

import kernel
from load import Cost, Sockets, requests
from peers import BIG, ECHO, SINK, SMALL
from stage import BenchError
from wire import first_answer, tls_context

MICRO, MILLI = 1e6, 1e3
GETS = 20_000
WARM = 500
BULKS = 6
HANDSHAKES = 200
# How many messages of which size, over how many sockets.
ECHOES = {"echo": (128, 16, 600), "echo-16k": (16_384, 16, 150)}
IDLE_ECHO = 8_192
IDLE_RATE = 500
# A modest fixed rate: requests a second, and how many go through the proxy.
PACE, PACED = 400, 600


def get(stage, target, upstream, part=1.0):
    """CPU time of a small GET over 32 kept connections."""
    requests(stage, target, SMALL, WARM)
    count = int(GETS * part)
    with Cost(target) as cost:
        requests(stage, target, SMALL, count)
    return {"h1": cost.each(count, MICRO)}


def get_h2(stage, target, upstream, part=1.0):
    """The same over HTTP/2, 4 connections of 8 streams."""
    if not target.has_h2:
        return {}
    shape = {"h2": True, "clients": 4, "streams": 8}
    requests(stage, target, SMALL, WARM, **shape)
    count = int(GETS * part)
    with Cost(target) as cost:
        requests(stage, target, SMALL, count, **shape)
    return {"h2": cost.each(count, MICRO)}


def handshakes(stage, target, upstream, part=1.0):
    """CPU time of a new TLS connection and one small GET on it."""
    found, count = {}, int(HANDSHAKES * part)
    for figure, resume in (("tls-new", False), ("tls-resumed", True)):
        with Cost(target) as cost:
            with Sockets(stage, target, SMALL, do="connect", times=count, resume=resume) as sockets:
                resumed = sockets.next()
        wanted = count - 1 if resume else 0
        if resumed == wanted:
            found[figure] = cost.each(count, MICRO)
        elif not resume:
            raise BenchError(f"{target.name}: {resumed} handshakes were resumed unasked")
    return found


def down(stage, target, upstream, part=1.0):
    """CPU time of a download of 64 MiB, two at a time."""
    count = max(2, int(BULKS * part))
    with Cost(target) as cost:
        requests(stage, target, BIG, count, clients=2)
    return {"down": cost.each(count, MILLI)}


def up(stage, target, upstream, part=1.0):
    """CPU time of an upload of 64 MiB, two at a time."""
    count = max(2, int(BULKS * part))
    with Cost(target) as cost:
        requests(stage, target, SINK, count, clients=2, data=stage.www / "big")
    return {"up": cost.each(count, MILLI)}


def echo(stage, target, upstream, part=1.0):
    """CPU time of a WebSocket message there and back."""
    found = {}
    for figure, (size, sockets, messages) in ECHOES.items():
        messages = int(messages * part)
        task = {"do": "echo", "size": size, "sockets": sockets, "messages": messages}
        with Sockets(stage, target, ECHO, **task) as load:
            load.next()
            with Cost(target) as cost:
                load.next()
        found[figure] = cost.each(sockets * messages, MICRO)
    return found


def latency(stage, target, upstream, part=1.0):
    """Time added to a small GET at a modest rate, against going direct in turn."""
    task = {"do": "pace", "times": int(PACED * part), "rate": PACE, "direct": upstream.files}
    with Sockets(stage, target, SMALL, **task) as load:
        return load.next()


def saturation(stage, target, upstream, part=1.0):
    """Requests a second while the proxy has one CPU for itself, and how much of it it used."""
    count = int(2 * GETS * part)
    kernel.pin(target.pid, stage.first_cpu)
    began = time.monotonic()
    with Cost(target) as cost:
        rate = requests(stage, target, SMALL, count, clients=64, cpus=stage.other_cpus)
    kernel.pin(target.pid, stage.cpus)
    return {"rps": rate, "rps-share": cost.seconds / (time.monotonic() - began) * 100}


def idle(stage, target, upstream, steps):
    """Memory of an idle WebSocket through which some data went, in a fresh process; KiB. `steps`
    are the figures, and how many sockets are open for each."""
    found, before = {}, kernel.memory_bytes(target.pid)
    task = {"do": "hold", "steps": list(steps.values()), "size": IDLE_ECHO, "rate": IDLE_RATE}
    with Sockets(stage, target, ECHO, **task) as load:
        for figure, step in steps.items():
            if load.next() != step:
                raise BenchError(f"{target.name}: not all of {step} sockets opened")
            time.sleep(1)  # for what is freed a moment later
            found[figure] = (kernel.memory_bytes(target.pid) - before) / step / 1024
            load.go_on()
    return found


def start(stage, target):
    """Time from the start of a process to its first good answer, and its memory then."""
    stage.end(target.child)
    began = time.monotonic()
    target.child = target.child.again()
    answered = first_answer(target.port, SMALL, target.headers, tls_context())
    time.sleep(0.5)
    memory = kernel.memory_bytes(target.pid) / 2**20
    return {"start": (answered - began) * MILLI, "memory": memory}


# Tasks that run in every round, on processes that live through all of them.
ROUNDS = {
    "h1": get,
    "h2": get_h2,
    "tls": handshakes,
    "down": down,
    "up": up,
    "echo": echo,
    "latency": latency,
    "rps": saturation,
}
