"""What the kernel knows of a process and all that it started: CPU time, memory. And pinning.

A proxy's cost is read here, so neither the load generator nor the upstream counts, and how fast
they are does not matter.
"""

import os
import pathlib
import resource

PROC = pathlib.Path("/proc")


def tree(pid):
    """`pid` and its living descendants (proc(5), `children`)."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        for thread in threads(pid):
            try:
                children = (PROC / f"{pid}/task/{thread}/children").read_text()
            except OSError:  # ended meanwhile
                continue
            todo += map(int, children.split())
    return found


def threads(pid):
    try:
        return os.listdir(PROC / f"{pid}/task")
    except OSError:
        return []


def cpu_seconds(pid):
    """CPU time of every thread of the tree, in seconds (`schedstat`: nanoseconds on a CPU)."""
    total = 0
    for process in tree(pid):
        for thread in threads(process):
            try:
                total += int((PROC / f"{process}/task/{thread}/schedstat").read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def memory_bytes(pid):
    """Resident memory of the tree; a page that several share counts once (`Pss`)."""
    total = 0
    for process in tree(pid):
        try:
            lines = (PROC / f"{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def cpus():
    """All CPUs, the first of them, and the rest; a single one is all of these."""
    every = sorted(os.sched_getaffinity(0))
    return set(every), {every[0]}, set(every[1:]) or {every[0]}


def pin(pid, cpus):
    """Has every thread of the tree run on `cpus` alone."""
    for process in tree(pid):
        for thread in threads(process):
            try:
                os.sched_setaffinity(int(thread), cpus)
            except OSError:  # ended meanwhile
                continue


def allow_files(wanted):
    """Raises the limit of open files for us and our children, and returns what was reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            pass
    reached = min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, hard))
    return reached


def machine():
    """The machine in a line."""
    models = [
        line.split(":", 1)[1].strip()
        for line in (PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    total = int((PROC / "meminfo").read_text().split()[1]) // 2**20
    name = models[0] if models else os.uname().machine
    return f"{name}, {os.cpu_count()} CPUs, {total} GiB, Linux {os.uname().release}"
