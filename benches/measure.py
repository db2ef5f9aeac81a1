"""The order of a run: rounds in which the proxies take turns, then what needs fresh processes."""

import contextlib
import functools

import figures
import firsthit
import growth
import rows
import vestibule
from peers import PEERS, SMALL, Upstream
from progress import Progress
from stage import BenchError
from wire import first_answer, tls_context

# Rows of single processes, and those of Vestibule alone.
FRESH = ("idle", "start")
OURS_ALONE = ("growth", "first-hit")
ROWS = (*rows.ROUNDS, *FRESH, *OURS_ALONE)
STARTS = 5


class Run:
    """One run; `results` is what it found, with `None` for what was not asked for."""

    def __init__(self, stage, options):
        self.stage, self.options = stage, options
        self.upstream = Upstream.start(stage)
        self.begin = {name: begin for name, begin in PEERS.items() if name in options.peers}
        self.begin[figures.OURS] = functools.partial(vestibule.start, binary=options.binary)
        self.found = {name: {} for name in self.begin}
        self.rounds = [name for name in rows.ROUNDS if name in options.rows]
        self.failed = []
        self.progress = Progress(self._steps())

    def _steps(self):
        wanted = self.options.rows
        steps = len(self.begin) * self.options.rounds * len(self.rounds)
        steps += len(self.begin) * sum(name in wanted for name in FRESH)
        if "growth" in wanted:
            steps += growth.steps(self.options.rounds)
        if "first-hit" in wanted:
            steps += firsthit.STEPS
        return steps

    def all(self):
        """Measures everything that was asked for."""
        results, wanted = {"growth": None, "hits": None}, self.options.rows
        self.take_turns()
        for name in self.begin:
            if "idle" in wanted:
                self.idle(name)
            if "start" in wanted:
                self.starts(name)
        options = (self.options.binary, self.progress)
        if "growth" in wanted:
            results["growth"] = self.tried(
                "growth",
                lambda: growth.measure(self.stage, self.upstream, *options, self.options.rounds),
            )
        if "first-hit" in wanted:
            results["hits"] = self.tried(
                "first hit", lambda: firsthit.measure(self.stage, *options)
            )
        self.progress.end()
        return results | {"proxies": {name: f for name, f in self.found.items() if f}}

    def take_turns(self):
        """The rounds, on processes that live through all of them."""
        if not self.rounds:
            return
        with contextlib.ExitStack() as stack:
            targets = {name: stack.enter_context(self.fresh(name)) for name in self.begin}
            for number in range(self.options.rounds):
                for row in self.rounds:
                    # Back and forth, so that none always runs first.
                    for name, target in list(targets.items())[:: 1 if number % 2 else -1]:
                        self.progress.step(f"{row}, round {number + 1}, {name}")
                        measure = rows.ROUNDS[row]
                        self.keep(name, row, lambda: measure(self.stage, target, self.upstream))

    def idle(self, name):
        """Memory of idle sockets."""
        self.progress.step(f"idle sockets, {name}")
        steps = {"idle-5000": 5_000}
        if not self.options.quick:
            steps = {"idle-1000": 1_000, **steps, "idle-most": self.stage.most_sockets}
        with self.fresh(name) as target:
            self.keep(name, "idle", lambda: rows.idle(self.stage, target, self.upstream, steps))

    def starts(self, name):
        """Time to start."""
        self.progress.step(f"start, {name}")
        with self.fresh(name) as target:
            for _ in range(STARTS):
                self.keep(name, "start", lambda: rows.start(self.stage, target))

    @contextlib.contextmanager
    def fresh(self, name):
        """A new process that answers; it ends with the `with`."""
        target = self.begin[name](self.stage, self.upstream)
        first_answer(target.port, SMALL, target.headers, tls_context())
        yield target
        for child in target.children():
            self.stage.end(child)

    def keep(self, name, row, measure):
        """Adds what was measured to what was found."""
        for figure, value in (self.tried(f"{row}, {name}", measure) or {}).items():
            self.found[name].setdefault(figure, []).append(value)

    def tried(self, what, measure):
        """One that fails is told, and the others go on."""
        try:
            return measure()
        except (BenchError, OSError) as error:
            self.failed.append(f"{what}: {error}")
            self.progress.say(f"!! {self.failed[-1]}")
            return None
