"""Growth: what a request costs, and how much memory there is, with more and more workspaces known.

Three Vestibules at once, in front of fake engines with 1, 100 and 10,000 running containers, take
turns at the same requests of one user. The largest then idles, and then hears of events.
"""

import shutil
import time

import kernel
import rows
import vestibule
from load import Cost

SIZES = (1, 100, 10_000)
# A site of 10,000 users: each starts and stops three times in a working day of eight hours, and
# each time the engine tells of about five things, so 10 events a second is plenty.
EVENTS = 10
IDLE_SECONDS = 75  # CPU is measured once in it, the reaper looks five times, and twice at the image


def steps(rounds):
    """How many steps its progress has."""
    return len(SIZES) * (1 + rounds) + 2


def measure(stage, upstream, binary, progress, rounds):
    """`h1` in microseconds, `memory` in MiB by size; `reaper` and `events` in percent of a CPU."""
    targets = {}
    for size in SIZES:
        progress.step(f"growth, {size:,} workspaces are found")
        name = f"vestibule-{size}"
        # A program of its own: of one, each would be counted a third of the pages.
        own = shutil.copy(binary, stage.dir / f"binary-{size}")
        targets[size] = vestibule.start(stage, upstream, own, name, size)
    largest = targets[SIZES[-1]]
    settle(largest)
    found = {"h1": {size: [] for size in SIZES}, "memory": {size: [] for size in SIZES}}
    for number in range(rounds):
        for size, target in list(targets.items())[:: 1 if number % 2 else -1]:
            progress.step(f"growth, round {number + 1} of {rounds}, {size:,} workspaces")
            found["h1"][size].append(rows.get(stage, target, upstream)["h1"])
            found["memory"][size].append(kernel.memory_bytes(target.pid) / 2**20)
    progress.step("growth, the reaper")
    found["reaper"] = [share(largest)]
    progress.step("growth, events")
    engine = largest.beside[0]
    engine.stdin.write(f"events {EVENTS}\n")
    engine.stdin.flush()
    found["events"] = [share(largest)]
    for target in targets.values():
        for child in target.children():
            stage.end(child)
    return found


def share(target):
    """The share of a CPU that it uses by itself, in percent."""
    with Cost(target) as cost:
        time.sleep(IDLE_SECONDS)
    return cost.seconds / IDLE_SECONDS * 100


def settle(target):
    """Waits until all containers have been looked at: it does nothing by itself any more."""
    while True:
        with Cost(target) as cost:
            time.sleep(1)
        if cost.seconds < 0.02:
            return
