"""Vestibule as a site runs it, with everything on, in front of an engine that is a fake.

The fake engine says that each user's container is on loopback, so the apps' ports are those of
the upstream that all proxies share. One serving thread; session, owner and origin are checked,
headers cleaned, activity recorded, and the access log goes to a file.
"""

import subprocess
import urllib.parse

import tokens
from peers import SMALL, Target
from stage import BenchError, is_open, wait_until
from wire import Wire, first_answer, tls_context

INSTANCE = "bench"
LONGEST_START = 300
NAVIGATION = (("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none"))

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
threads = 1
[engine]
socket = "{dir}/engine.sock"
[workspace]
isolation = "warn"
data_root = "{dir}/data"
[limits]
connections = 25000
connections_per_address = 25000
[log]
format = "json"
[apps.codespace]
port = {upstream.files}
ready_path = "/small"
[apps.jupyter]
enabled = false
[apps.echo]
title = "Echo"
command = ["none"]
port = {upstream.sockets}
"""


def start(stage, upstream, binary, name="vestibule", workspaces=1):
    """Starts the fake engine and the proxy, logs in, and waits for the app."""
    port, folder = stage.port(), stage.dir / name
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "instance").write_text(INSTANCE)
    (folder / "shared.key").write_text(tokens.SECRET)
    config = folder / "proxy.toml"
    config.write_text(CONFIG.format(port=port, dir=folder, stage=stage, upstream=upstream))
    socket = folder / "engine.sock"
    socket.unlink(missing_ok=True)  # of an earlier one, which would pass for this one's
    words = (socket, INSTANCE, workspaces)
    engine = stage.python(f"{name}-engine", "engine.py", *words, stdin=subprocess.PIPE)
    wait_until("the fake engine's start", socket.exists, child=engine, stage=stage)
    argv = [binary, "serve", "--config", config]
    child = stage.spawn(name, argv)
    wait_until(f"{name}'s start", lambda: is_open(port), child=child, stage=stage)
    # The port is open before all that runs has been taken over.
    first_answer(port, "/_vestibule/healthz", (), tls_context(), LONGEST_START)
    headers = (("Cookie", log_in(port, "alice")), ("Origin", f"https://127.0.0.1:{port}"))
    first_answer(port, SMALL, headers, tls_context(), LONGEST_START)
    return Target(name, port, child, headers, beside=(engine,))


def log_in(port, user):
    """The way a browser comes in: sent to the login page, and back with a hand-off."""
    wire = Wire(port, tls_context())
    status, fields = wire.ask(f"/codespace/{user}/", NAVIGATION)
    if status != 303:
        raise BenchError(f"a navigation without a session was answered {status}")
    query = urllib.parse.urlsplit(dict(fields)["location"]).query
    asked = dict(urllib.parse.parse_qsl(query))
    token = tokens.sign(tokens.HANDOFF, sub=user, exp=tokens.now() + 30, state=asked["state"])
    back = urllib.parse.urlencode({"token": token, "next": asked["next"]})
    cookie = (("Cookie", cookies(fields)),)
    status, fields = wire.ask(f"/_vestibule/callback?{back}", (*NAVIGATION, *cookie))
    wire.close()
    if status != 303:
        raise BenchError(f"the hand-off was answered {status}")
    return cookies(fields)


def cookies(fields):
    """What a browser would send back."""
    pairs = [value.split(";")[0] for name, value in fields if name == "set-cookie"]
    return "; ".join(pair for pair in pairs if not pair.endswith("="))
