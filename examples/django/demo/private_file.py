"""Secrets that live in a file only their owner can read, made at the first use."""

import os
import tempfile
from pathlib import Path


def read_or_make(path, make):
    """Returns what the file says; if there is none, makes it, with mode 0600, of `make()`.

    Whoever comes first wins, whole: of two processes that start at once (runserver and its
    reloader) both get the same secret and neither sees half of one.
    """
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft:  # has mode 0600
            draft.write(make() + "\n")
            draft.flush()
            try:
                os.link(draft.name, path)
            except FileExistsError:
                pass
    return path.read_text().strip()
