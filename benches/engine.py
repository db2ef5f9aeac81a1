"""A container engine that has no containers: it says that every user's runs on loopback.

It speaks as much of Docker's API 1.41 as Vestibule asks for to find and follow what runs, and
refuses the rest. Lines on standard input: `events N` sends N events a second from then on.

As root it makes a real control group for each container, as an engine of the same host has them,
so that their CPU is read from the kernel. A process that runs in each would be too much: this one
is in the group of whichever container was inspected last. Otherwise the engine itself is asked
for their CPU.

usage: engine.py SOCKET INSTANCE COUNT
"""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import sys
import urllib.parse

STARTED = "2026-01-01T00:00:00.000000000Z"


def users(count):
    """`alice`, and as many others as make `count`."""
    return ["alice", *(f"user{number:05}" for number in range(1, count))]


class Groups:
    """The control groups of containers (cgroups(7)): of cgroup v1's `cpuacct`, or of v2."""

    def __init__(self, ids):
        self.mount = mount()
        self.root = self.mount / f"vestibule-bench-{os.getpid()}"
        try:
            self.root.mkdir()
            for id in ids:
                (self.root / id).mkdir()
        except OSError:
            self.remove()

    def pid_in(self, id):
        """A process in a container's group: us. 0 if there are no groups."""
        if not self.root.exists():
            return 0
        (self.root / id / "cgroup.procs").write_text("0")
        return os.getpid()

    def remove(self):
        if self.root.exists():
            (self.mount / "cgroup.procs").write_text("0")
            for group in self.root.iterdir():
                if group.is_dir():
                    group.rmdir()
            self.root.rmdir()


def mount():
    """Where groups that account for CPU are mounted."""
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    mounts = [line.split()[1:4] for line in mounts]
    v1 = [at for at, kind, options in mounts if kind == "cgroup" and "cpuacct" in options.split(",")]
    v2 = [at for at, kind, _ in mounts if kind == "cgroup2"]
    return pathlib.Path([*v1, *v2, "/none"][0])


class Engine:
    """What it claims to run."""

    def __init__(self, instance, count):
        self.instance = instance
        self.containers = {f"{number:064x}": user for number, user in enumerate(users(count), 1)}
        self.ids = {f"user-{user}": id for id, user in self.containers.items()}
        self.groups = Groups(self.containers)
        self.rate = 0

    def container(self, name):
        id = self.ids.get(name, name)
        user = self.containers.get(id)
        if user is None:
            return None
        pid = self.groups.pid_in(id)
        return {
            "Id": id,
            "Name": f"/user-{user}",
            "State": {"Status": "running", "Running": True, "Pid": pid, "StartedAt": STARTED},
            "Config": {"Labels": self.labels(user)},
            "NetworkSettings": {"Networks": {"vestibule": {"IPAddress": "127.0.0.1"}}},
        }

    def labels(self, user):
        return {"vestibule.user": user, "vestibule.instance": self.instance}

    def answer(self, path, query):
        """Status and JSON."""
        path = re.sub(r"^/v[\d.]+", "", path)
        if path == "/version":
            return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}
        if path.startswith("/images/"):
            return 200, {"Id": "sha256:" + "0" * 64}
        if path.startswith("/networks/"):
            options = {"com.docker.network.bridge.enable_icc": "false"}
            return 200, {"Name": "vestibule", "Id": "0" * 64, "Options": options}
        if path == "/containers/json":
            wanted = json.loads(query.get("filters", "{}")).get("label", [])
            ours = wanted == [f"vestibule.instance={self.instance}"]
            if not ours:
                return 200, []
            return 200, [{"Id": id, "Labels": self.labels(user)} for id, user in self.containers.items()]
        if match := re.fullmatch(r"/containers/([^/]+)/json", path):
            found = self.container(match[1])
            return (200, found) if found else (404, {"message": "No such container"})
        if re.fullmatch(r"/containers/[^/]+/stats", path):
            return 200, {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}
        return 501, {"message": f"this engine is a fake and knows no {path}"}

    async def send_events(self, writer):
        """Ends with the connection: then `drain` fails."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for id in itertools.cycle(self.containers):
            await writer.drain()
            while not self.rate:
                await asyncio.sleep(0.05)
            event = {"Type": "container", "Action": "start", "Actor": {"ID": id, "Attributes": {}}}
            line = json.dumps(event).encode() + b"\n"
            writer.write(b"%x\r\n%b\r\n" % (len(line), line))
            await asyncio.sleep(1 / self.rate)

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, target, _ = head.split(b"\r\n", 1)[0].decode().split()
                url = urllib.parse.urlsplit(target)
                query = dict(urllib.parse.parse_qsl(url.query))
                if url.path.endswith("/events"):
                    await self.send_events(writer)
                status, value = self.answer(url.path, query)
                body = json.dumps(value).encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (status, len(body), body)
                )
                await writer.drain()
        writer.close()

    def obey(self):
        line = sys.stdin.readline().split()
        if line:
            self.rate = float(line[1])
        else:
            asyncio.get_running_loop().remove_reader(sys.stdin)


async def main():
    path, instance, count = sys.argv[1:]
    loop = asyncio.get_running_loop()
    # As Ctrl-C does.
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    engine = Engine(instance, int(count))
    try:
        await asyncio.start_unix_server(engine.serve, path, backlog=1024)
        loop.add_reader(sys.stdin, engine.obey)
        await asyncio.Event().wait()
    finally:
        engine.groups.remove()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(main())
