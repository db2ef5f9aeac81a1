"""One line that says how far we are; on a terminal it overwrites itself."""

import sys
import time


class Progress:
    """Counts steps to a known total."""

    def __init__(self, total):
        self.total, self.done, self.began = total, 0, time.monotonic()
        self.last = 0.0

    def step(self, what):
        """Says what begins now."""
        passed = time.monotonic() - self.began
        share = self.done / max(self.total, 1)
        text = f"{share:4.0%}  {passed:4.0f} s  {what}"
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif passed - self.last >= 10 or self.done == 0:
            print(text, file=sys.stderr, flush=True)
            self.last = passed
        self.done += 1

    def say(self, text):
        """A line that stays."""
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{clear}{text}", file=sys.stderr, flush=True)

    def end(self):
        self.say(f"measured in {time.monotonic() - self.began:.0f} s")
