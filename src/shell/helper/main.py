# The door: who asks for what.

class Helper:
    def __init__(self, key, address):
        self.key, self.loop = key, Loop()
        self.programs, self.listeners, self.taken, self.number = {}, set(), {}, 0
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.door = socket.socket(family)
        self.door.bind((address, 0))
        self.door.listen(256)
        End(self.loop, self.door.fileno(), self.door).read_by(self.accept)
        End(self.loop, 0).read_by(self.lifeline)
        os.write(1, b"%d\n" % self.door.getsockname()[1])
        self.alive = True

    def lifeline(self):
        try:
            if os.read(0, 4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.loop.ends[0].read_by(None)
        for program in list(self.programs.values()):
            program.hang_up()
        for listener in list(self.listeners):
            listener.close()
        # Without anybody who was told to end there is nothing to wait for.
        self.loop.later(PATIENCE + 0.5 if self.loop.timers else 0, self.leave)

    def leave(self):
        self.alive = False

    def accept(self):
        try:
            sock, _ = self.door.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link, read = End(self.loop, sock.fileno(), sock), bytearray()

        def more():
            want = 4 - len(read) if len(read) < 4 else 4 + int.from_bytes(read[:4], "big") - len(read)
            try:
                data = sock.recv(min(want, CHUNK))
            except BlockingIOError:
                return
            except OSError:
                data = b""
            read.extend(data)
            if not data or len(read) >= 4 and int.from_bytes(read[:4], "big") > 4 << 20:
                link.close()
            elif len(read) >= 4 and len(read) == 4 + int.from_bytes(read[:4], "big"):
                link.read_by(None)
                self.asked(link, bytes(read[4:]))

        link.read_by(more)

    def asked(self, link, text):
        try:
            asked = json.loads(text)
            if asked["key"] != self.key:
                raise ValueError("another key")
            getattr(self, "do_" + asked["do"])(link, asked)
        except Exception as error:
            self.refuse(link, error)

    def refuse(self, link, error):
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        # Ours alone: the system says no of its own with EACCES here.
        denied = isinstance(error, OSError) and error.errno == errno.EPERM
        self.answer(link, {"error": why, "denied": denied})
        link.close()

    def answer(self, link, answer):
        try:
            link.sock.send(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass

    def do_run(self, link, asked):
        program = Program(self, link, asked)
        self.programs = {name: other for name, other in self.programs.items()
                         if not (other.gone or other.over)}
        self.programs[asked["name"]] = program

    def do_resize(self, link, asked):
        link.close()
        program = self.programs.get(asked["name"])
        if program and program.inward.fd >= 0 and program.master is not None:
            size(program.master, asked)

    def do_signal(self, link, asked):
        link.close()
        program = self.programs.get(asked["name"])
        number = SIGNALS.get(asked["signal"])
        if program and number and program.status is None:
            group = program.pid
            if program.master is not None:
                group = struct.unpack("i", fcntl.ioctl(program.master, termios.TIOCGPGRP, b"\0" * 4))[0]
            os.killpg(group, number)

    def do_connect(self, link, asked):
        if "path" in asked:
            self.connect(link, [(socket.AF_UNIX, asked["path"])], None)
            return
        host, port, local = asked["host"].strip("[]"), asked["port"], asked["localhost"]
        if host == "localhost":
            hosts = [(socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))]
            self.connect(link, hosts, None)
        elif numeric(host) or not local:
            self.resolve(link, host, port, local)
        else:
            raise PermissionError(errno.EPERM, "only localhost of the workspace may be reached")

    def resolve(self, link, host, port, local):
        """Looks a name up beside the loop: a name server may take its time."""
        import threading
        found, (done, wake) = [], os.pipe2(os.O_CLOEXEC)

        def look():
            try:
                found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except OSError as error:
                found.append(error)
            os.close(wake)

        def looked():
            end.close()
            if isinstance(found[0], OSError):
                self.connect(link, [], found[0])
                return
            own = [] if local else own_networks()
            # What is judged is what is connected to: no name is looked up again.
            allowed = [(family, address) for family, _, _, _, address in found
                       if is_loopback(address[0]) or not local and not is_host(address[0], own)]
            self.connect(link, allowed, PermissionError(errno.EPERM, "this address may not be reached"))

        if numeric(host):
            look()
            end = End(self.loop, done)
            looked()
        else:
            end = End(self.loop, done)
            end.read_by(looked)
            threading.Thread(target=look, daemon=True).start()

    def connect(self, link, targets, error):
        if not targets:
            self.refuse(link, error)
            return
        (family, address), rest = targets[0], targets[1:]
        sock = socket.socket(family, socket.SOCK_STREAM)
        end = End(self.loop, sock.fileno(), sock)

        def done():
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            end.write_by(None)
            if failed:
                end.close()
                self.connect(link, rest, OSError(failed, os.strerror(failed)))
            else:
                self.tie(link, end)

        failed = sock.connect_ex(address)
        if failed in (0, errno.EINPROGRESS):
            end.write_by(done)
        else:
            end.close()
            self.connect(link, rest, OSError(failed, os.strerror(failed)))

    def tie(self, link, end):
        if end.sock.family != socket.AF_UNIX:
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer(link, {})
        Stream(link, end)

    def do_listen(self, link, asked):
        self.listeners.add(Listener(self, link, asked))

    def keep(self, sock):
        self.number += 1
        number = self.number
        self.taken[number] = sock

        def forget():
            old = self.taken.pop(number, None)
            if old:
                old.close()

        self.loop.later(30, forget)
        return number

    def do_take(self, link, asked):
        sock = self.taken.pop(asked["id"])
        self.tie(link, End(self.loop, sock.fileno(), sock))


def numeric(host):
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
        return True
    except OSError:
        return False


def main(key, address):
    home = pwd.getpwuid(os.getuid())
    os.environ.update(HOME=home.pw_dir, USER=home.pw_name, LOGNAME=home.pw_name, SHELL="/bin/bash")
    for name in ("LINES", "COLUMNS", "TERM"):
        os.environ.pop(name, None)
    helper = Helper(key, address)
    while helper.alive:
        helper.loop.turn()


line = b""
while not line.endswith(b"\n"):
    line += os.read(0, 1) or sys.exit()
main(*line.decode().split())
