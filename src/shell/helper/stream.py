# Streams between the proxy and sockets in here, and listeners.

class Stream:
    """Two sockets tied together, each direction ended by itself."""

    def __init__(self, one, other):
        self.ends, self.over = (one, other), 0
        one.on_hangup = self.close
        for source, sink in ((one, other), (other, one)):
            Pump(source, sink, lambda sink=sink: self.ended(sink))

    def ended(self, sink):
        sink.finish_writing()
        self.over += 1
        if self.over == 2:
            self.close()

    def close(self):
        for end in self.ends:
            end.close()


def unlink_stale(path):
    """Removes a socket that nobody listens on: an earlier connection's."""
    probe = socket.socket(socket.AF_UNIX)
    try:
        # A file refuses connections as well.
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        pass
    finally:
        probe.close()


def identity(path):
    there = os.lstat(path)
    return there.st_dev, there.st_ino


class Listener:
    """Listens for the client; each connection is told by a line, and taken by its number."""

    def __init__(self, helper, link, asked):
        self.helper, self.link, self.path, self.folder = helper, link, asked.get("path"), None
        if asked.get("agent"):
            self.folder = "/tmp/ssh-" + os.urandom(8).hex()
            os.mkdir(self.folder, 0o700)
            self.path = os.path.join(self.folder, "agent.%d" % os.getpid())
        if self.path:
            self.sock = socket.socket(socket.AF_UNIX)
            old = os.umask(0o177)
            try:
                unlink_stale(self.path)
                self.sock.bind(self.path)
                self.bound = identity(self.path)
            finally:
                os.umask(old)
            told = {"path": self.path}
        else:
            family = socket.AF_INET6 if ":" in asked["host"] else socket.AF_INET
            self.sock = socket.socket(family)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((asked["host"], asked["port"]))
            told = {"port": self.sock.getsockname()[1]}
        self.sock.listen(128)
        self.end = End(helper.loop, self.sock.fileno(), self.sock)
        self.tell(told)
        self.end.read_by(self.accept)
        # Whatever comes from the other end, even its end, is the end.
        link.read_by(self.close)

    def tell(self, told):
        try:
            self.link.sock.send(json.dumps(told).encode() + b"\n")
        except OSError:
            self.close()

    def accept(self):
        try:
            sock, address = self.sock.accept()
        except OSError:
            return
        number = self.helper.keep(sock)
        told = {"id": number}
        if not self.path:
            told.update(host=address[0], port=address[1])
        self.tell(told)

    def close(self):
        self.helper.listeners.discard(self)
        self.link.close()
        self.end.close()
        if self.path:
            try:
                # Another's may be there by now.
                if identity(self.path) == self.bound:
                    os.unlink(self.path)
                if self.folder:
                    os.rmdir(self.folder)
            except OSError:
                pass
