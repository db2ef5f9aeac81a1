"""Docker by its API, as a script would use it: what the first hit is compared with."""

import http.client
import json
import socket
import urllib.parse

from stage import BenchError

SOCKET = "/var/run/docker.sock"
MARK = "vestibule.bench"


class Connection(http.client.HTTPConnection):
    """HTTP over the engine's Unix socket."""

    def __init__(self):
        super().__init__("docker", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


class Docker:
    """One kept connection to the engine; a thread has its own."""

    def __init__(self):
        self.connection = Connection()

    def call(self, method, path, body=None, good=(200, 201, 204, 304)):
        """A call's answer; `None` if there is no body."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, "/v1.41" + path, data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in good:
            raise BenchError(f"docker, {method} {path}: {answer.status} {text.decode()}")
        try:
            return json.loads(text)
        except ValueError:  # a start of an exec answers with no body, or with none that is JSON
            return None

    def create(self, name, image, network, home, label):
        """Makes a container as Vestibule makes them (`src/engine/docker.rs`)."""
        memory = 8 << 30
        host = {
            "Memory": memory,
            "MemorySwap": memory,
            "CpuPeriod": 100_000,
            "CpuQuota": 200_000,
            "PidsLimit": 1024,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": network,
            "Mounts": [{"Type": "bind", "Source": str(home), "Target": "/home/user"}],
            "Init": True,
        }
        body = {
            "Image": image,
            "Labels": {MARK: label},
            "Env": [f"USERNAME={name}"],
            "OpenStdin": True,
            "Tty": True,
            "HostConfig": host,
        }
        return self.call("POST", f"/containers/create?name={name}", body)["Id"]

    def start(self, name):
        self.call("POST", f"/containers/{name}/start")

    def stop(self, name):
        """At once, and it does not matter if it is stopped or gone."""
        self.call("POST", f"/containers/{name}/stop?t=0", good=(204, 304, 404))

    def restart(self, name):
        self.call("POST", f"/containers/{name}/restart?t=0")

    def remove(self, name):
        self.call("DELETE", f"/containers/{name}?force=true", good=(204, 404))

    def address(self, name):
        """Its address on its network."""
        networks = self.call("GET", f"/containers/{name}/json")["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def run(self, name, command, env):
        """Runs a command in it, detached."""
        body = {"Cmd": command, "Env": env}
        id = self.call("POST", f"/containers/{name}/exec", body)["Id"]
        self.call("POST", f"/exec/{id}/start", {"Detach": True})

    def labelled(self, label):
        """The names or ids of all containers that bear a label."""
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        return [
            seen["Id"] for seen in self.call("GET", f"/containers/json?all=1&filters={filters}")
        ]

    def remove_network(self, name):
        self.call("DELETE", f"/networks/{name}", good=(204, 404))
