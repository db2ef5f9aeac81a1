"""First hit: from a navigation to the app's answer, with the real engine, image and code-server.

Beside it a script does the same by hand: create and start, exec, poll the ready path every few
milliseconds, ask for the page. Both ways take turns. The script speaks the engine's API over a
kept connection, so it does not pay for starting `docker` three times.
"""

import concurrent.futures
import contextlib
import dataclasses
import http.client
import os
import secrets
import statistics
import time

import tokens
import vestibule
from docker import MARK, Docker
from stage import BenchError, wait_until
from wire import Wire, first_answer, tls_context

IMAGE = "vestibule-workspace:slim"
TIMES, TOGETHER, TOGETHER_TIMES, ATTACHED = 10, 10, 3, 200
STEPS = 3 * TIMES + 1 + TOGETHER_TIMES + 1
POLL = 0.005
PORT = 8080
COMMAND = [
    *("code-server", "--disable-telemetry", "--disable-update-check"),
    *("--disable-workspace-trust", "--disable-getting-started-override", "--disable-proxy"),
    *("--auth", "password", "--bind-addr", f"0.0.0.0:{PORT}", "/home/user"),
]

CONFIG = """
public_url = "https://127.0.0.1:{port}"
login_url = "https://www.example.org/open"
state_dir = "{dir}/state"
[tls]
cert = "{stage.cert}"
key = "{stage.key}"
[session]
keys = [{{ algorithm = "HS256", file = "{dir}/shared.key" }}]
[listen]
https = ["127.0.0.1:{port}"]
[workspace]
image = "{image}"
data_root = "{dir}/data"
network = "{network}"
isolation = "warn"
patience = "20s"
[apps.jupyter]
enabled = false
"""


class Ours:
    """A Vestibule in front of the real engine."""

    def __init__(self, stage, binary, network):
        self.port, folder = stage.port(), stage.dir / "first-hit"
        (folder / "state").mkdir(parents=True, mode=0o700)
        (folder / "shared.key").write_text(tokens.SECRET)
        text = CONFIG.format(port=self.port, dir=folder, stage=stage, image=IMAGE, network=network)
        (folder / "proxy.toml").write_text(text)
        argv = [binary, "serve", "--config", folder / "proxy.toml"]
        self.child = stage.spawn("first-hit", argv)
        first_answer(self.port, "/_vestibule/healthz", (), tls_context())
        self.instance = (folder / "state/instance").read_text().strip()
        self.cookies = {}

    def container(self, user):
        return f"user-{user}"

    def ask(self, user, path="", headers=vestibule.NAVIGATION):
        """The status of one request on a connection of its own."""
        if user not in self.cookies:
            self.cookies[user] = vestibule.log_in(self.port, user)
        wire = Wire(self.port, tls_context())
        with contextlib.closing(wire):
            cookie = ("Cookie", self.cookies[user])
            return wire.ask(f"/codespace/{user}/{path}", (*headers, cookie))[0]

    def open(self, user):
        """Navigates, and returns how long the app's answer took."""
        self.ask(user, "healthz", ())  # the session is there, as a browser's would be
        began = time.monotonic()
        while (status := self.ask(user)) == 202:
            pass  # the starting page goes on by itself; each try waits as long as patience allows
        if status not in (200, 302):
            raise BenchError(f"the navigation was answered {status}")
        return time.monotonic() - began

    def has_noticed(self, user):
        """Whether it knows that nothing runs there (424)."""
        return self.ask(user, "healthz", ()) == 424


@dataclasses.dataclass
class Script:
    """The same by hand."""

    stage: object
    network: str
    label: str

    def container(self, user):
        return f"{self.label}-{user}"

    def open(self, user):
        """Does whatever is missing, and returns how long it took until the page was there."""
        docker, name, secret = Docker(), self.container(user), secrets.token_hex(32)
        home = self.stage.dir / "homes" / user
        if not home.exists():
            home.mkdir(parents=True)
            os.chown(home, 1000, 1000)
        began = time.monotonic()
        state = docker.call("GET", f"/containers/{name}/json", good=(200, 404))
        if "State" not in state:
            docker.create(name, IMAGE, self.network, home, self.label)
        if not state.get("State", {}).get("Running"):
            docker.start(name)
        address = docker.address(name)
        docker.run(name, COMMAND, [f"HASHED_PASSWORD={secret}"])
        wait_until("the app's start", lambda: status(address, "/healthz") == 200, 60, POLL)
        cookie = {"Cookie": f"code-server-session={secret}"}
        if status(address, "/", cookie) not in (200, 302):
            raise BenchError("the page did not come")
        return time.monotonic() - began


def status(address, path, headers=None):
    """What the app answers, if it does."""
    connection = http.client.HTTPConnection(address, PORT, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers=headers or {})
            return connection.getresponse().status
        except OSError:
            return None


def attached(ours, user, address):
    """What a GET takes through the proxy and straight to a running app, in turn; medians, ms."""

    def timed(ask):
        began = time.perf_counter()
        if ask("/healthz") != 200:
            raise BenchError("the app did not answer")
        return (time.perf_counter() - began) * 1e3

    prefix, cookie = f"/codespace/{user}", (("Cookie", ours.cookies[user]),)
    wire, direct = Wire(ours.port, tls_context()), Wire(PORT, host=address)
    through, without = [], []
    for _ in range(ATTACHED):
        through.append(timed(lambda path: wire.ask(prefix + path, cookie)[0]))
        without.append(timed(lambda path: direct.ask(path)[0]))
    wire.close()
    direct.close()
    return {"ours": [statistics.median(through)], "script": [statistics.median(without)]}


def measure(stage, binary, progress):
    """Seconds of both ways: `found[case] = {"ours": [...], "script": [...]}`."""
    label = f"bench{secrets.token_hex(3)}"
    network = f"vestibule-{label}"
    docker, ours = Docker(), None
    try:
        ours = Ours(stage, binary, network)
        return Hits(ours, Script(stage, network, label), docker, label, progress).all()
    finally:
        if ours:
            stage.end(ours.child)
            for id in docker.labelled(f"vestibule.instance={ours.instance}"):
                docker.remove(id)
        for id in docker.labelled(f"{MARK}={label}"):
            docker.remove(id)
        docker.remove_network(network)


@dataclasses.dataclass
class Hits:
    """The cases, one after another."""

    ours: Ours
    script: Script
    docker: Docker
    label: str
    progress: object

    def all(self):
        user = f"one-{self.label}"
        self.ours.open(user)  # warms the image's files, and makes the user's directory
        self.script.open(user)
        found = {
            "create": self.turns(user, "create", self.docker.remove),
            "start": self.turns(user, "start", self.docker.stop),
            "exec": self.turns(user, "exec", self.docker.restart),
        }
        self.progress.step("first hit, attach")
        address = self.docker.address(self.ours.container(user))
        found["attach"] = attached(self.ours, user, address)
        found["ten"] = self.together()
        return found

    def turns(self, user, case, reset):
        """Both ways in turn, from the state that `reset` leaves."""
        ours, script = [], []
        for number in range(TIMES):
            self.progress.step(f"first hit, {case}, {number + 1} of {TIMES}")
            reset(self.ours.container(user))
            wait_until("the engine's event", lambda: self.ours.has_noticed(user))
            time.sleep(0.3)  # for what the reset itself leaves to do
            ours.append(self.ours.open(user))
            reset(self.script.container(user))
            time.sleep(0.3)
            script.append(self.script.open(user))
        return {"ours": ours, "script": script}

    def together(self):
        """Ten users at once, their containers stopped: when the last is served."""
        users = [f"u{number}-{self.label}" for number in range(TOGETHER)]
        found = {"ours": [], "script": []}
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            for number in range(TOGETHER_TIMES + 1):
                self.progress.step(f"first hit, ten at once, {number} of {TOGETHER_TIMES}")
                for side, way in (("ours", self.ours), ("script", self.script)):
                    began = time.monotonic()
                    list(pool.map(way.open, users))
                    if number:  # the first time makes the containers
                        found[side].append(time.monotonic() - began)
                    for user in users:
                        self.docker.stop(way.container(user))
                    if side == "ours":
                        for user in users:
                            wait_until("the engine's event", lambda: self.ours.has_noticed(user))
        return found
