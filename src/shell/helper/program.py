# A program: its start, what passes through it, and its end.

SIGNALS = {name[3:]: number for name, number in signal.__dict__.items()
           if name.startswith("SIG") and not name.startswith("SIG_")}
NAMES = {int(number): name for name, number in SIGNALS.items()}

# RFC 4254 8: opcodes of terminal modes.
CHARACTERS = {1: "VINTR", 2: "VQUIT", 3: "VERASE", 4: "VKILL", 5: "VEOF", 6: "VEOL", 7: "VEOL2",
              8: "VSTART", 9: "VSTOP", 10: "VSUSP", 12: "VREPRINT", 13: "VWERASE", 14: "VLNEXT",
              18: "VDISCARD"}
FLAGS = {30: (0, "IGNPAR"), 31: (0, "PARMRK"), 32: (0, "INPCK"), 33: (0, "ISTRIP"),
         34: (0, "INLCR"), 35: (0, "IGNCR"), 36: (0, "ICRNL"), 37: (0, "IUCLC"), 38: (0, "IXON"),
         39: (0, "IXANY"), 40: (0, "IXOFF"), 41: (0, "IMAXBEL"), 42: (0, "IUTF8"),
         50: (3, "ISIG"), 51: (3, "ICANON"), 52: (3, "XCASE"), 53: (3, "ECHO"), 54: (3, "ECHOE"),
         55: (3, "ECHOK"), 56: (3, "ECHONL"), 57: (3, "NOFLSH"), 58: (3, "TOSTOP"),
         59: (3, "IEXTEN"), 60: (3, "ECHOCTL"), 61: (3, "ECHOKE"), 62: (3, "PENDIN"),
         70: (1, "OPOST"), 71: (1, "OLCUC"), 72: (1, "ONLCR"), 73: (1, "OCRNL"),
         74: (1, "ONOCR"), 75: (1, "ONLRET"), 90: (2, "CS7"), 91: (2, "CS8"),
         92: (2, "PARENB"), 93: (2, "PARODD")}


class Program:
    """A program, its terminal or pipes, and the connection that it belongs to."""

    def __init__(self, helper, link, asked):
        self.helper, self.loop, self.link = helper, helper.loop, link
        self.out, self.over, self.status, self.gone = [], False, None, False
        pty = asked.get("pty")
        env = dict(os.environ, **asked.get("env", {}))
        argv = [a2b_base64(word) for word in asked["argv"]]
        if pty:
            self.start_on_terminal(argv, env, pty)
        else:
            self.start_on_pipes(argv, env)
        self.loop.children[self.pid] = self.child_ended
        link.read_by(None)
        self.stdin = Pump(link, self.inward, self.input_ended)
        self.sources = [Pump(end, None, lambda end=end: self.output_ended(end),
                             lambda data, kind=kind: self.send(kind, data))
                        for kind, end in self.outward.items()]
        self.open = set(self.outward.values())
        # Reset by the other side: our client has gone. Its mere end of sending is no hang-up.
        link.on_hangup = self.hang_up
        link.watch()

    def start_on_terminal(self, argv, env, pty):
        master, slave = os.openpty()
        name = os.ttyname(slave)
        size(master, pty)
        modes(slave, pty.get("modes", []))
        self.marks = {name}
        if "SSH_CONNECTION" in env:
            env["SSH_TTY"] = name
        self.pid = self.fork(argv, env, (slave, slave, slave), True)
        os.close(slave)
        end = End(self.loop, master)
        # A descriptor is watched once: reading and writing wait on the same.
        self.inward, self.outward, self.master = end, {1: end}, master

    def start_on_pipes(self, argv, env):
        (stdin, inward), (outward, stdout), (errors, stderr) = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
        self.marks = {os.readlink("/proc/self/fd/%d" % fd) for fd in (stdin, stdout, stderr)}
        self.pid = self.fork(argv, env, (stdin, stdout, stderr), False)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        self.inward = End(self.loop, inward)
        self.outward = {1: End(self.loop, outward), 2: End(self.loop, errors)}
        self.master = None

    def fork(self, argv, env, fds, terminal):
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            if terminal:
                fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
            # Above the three first, so that none is overwritten before it was copied.
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in fds]
            for number, fd in enumerate(high):
                os.dup2(fd, number)
            os.closerange(3, 4096)
            signal.set_wakeup_fd(-1)
            for number in range(1, signal.NSIG):
                try:
                    signal.signal(number, signal.SIG_DFL)
                except (OSError, ValueError):
                    pass
            os.chdir(env["HOME"])
            os.execvpe(argv[0], argv[1:], env)
        except BaseException as error:
            os.write(2, ("vestibule: %s: %s\n" % (os.fsdecode(argv[0]), error)).encode())
        finally:
            os._exit(127)

    # -- outward: frames, as fast as the connection takes them

    def send(self, kind, data):
        self.out += [struct.pack(">BI", kind, len(data)), data]
        self.flush()

    def flush(self):
        while self.out:
            try:
                sent = os.writev(self.link.fd, self.out)
            except BlockingIOError:
                break
            except OSError:
                self.hang_up()
                return
            while self.out and sent >= len(self.out[0]):
                sent -= len(self.out.pop(0))
            if sent:
                self.out[0] = memoryview(self.out[0])[sent:]
        waiting = bool(self.out)
        self.link.write_by(self.flush if waiting else None)
        for pump in self.sources:
            if pump.source in self.open:
                pump.source.read_by(None if waiting else pump.read)
        if not waiting and self.over:
            self.link.close()

    def output_ended(self, end):
        self.open.discard(end)
        self.finish()

    def child_ended(self, status):
        self.status = status
        if self.master is not None and not self.gone:
            # What it wrote is there already; whoever else has the terminal is hung up on.
            self.drain()
            self.open.clear()
        self.finish()

    def drain(self):
        end = self.outward[1]
        end.read_by(None)
        # Bounded: others may go on writing to the terminal.
        for _ in range(64):
            try:
                data = os.read(end.fd, CHUNK)
            except OSError:
                return
            if not data:
                return
            self.out += [struct.pack(">BI", 1, len(data)), data]

    def finish(self):
        if self.gone or self.over or self.status is None or self.open:
            return
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            end = {"signal": NAMES.get(number, "KILL"), "core": os.WCOREDUMP(self.status)}
        else:
            end = {"code": os.WEXITSTATUS(self.status)}
        self.over = True
        if self.master is not None:
            self.end_members()
        self.close_program()
        self.send(3, json.dumps(end).encode())

    # -- inward

    def input_ended(self):
        if self.master is None:
            self.inward.close()
        elif self.inward.fd >= 0 and self.canonical():
            try:
                os.write(self.master, termios.tcgetattr(self.master)[6][termios.VEOF])
            except OSError:
                pass

    def canonical(self):
        try:
            return bool(termios.tcgetattr(self.master)[3] & termios.ICANON)
        except termios.error:
            return False

    # -- the end

    def hang_up(self):
        """The connection has gone: ends whatever still holds on to it."""
        if self.gone:
            return
        self.gone = True
        self.link.close()
        self.end_members()
        self.close_program()

    def close_program(self):
        self.inward.close()
        for end in self.outward.values():
            end.close()

    def end_members(self):
        """What detached itself lives on: it has left the session, or let go of its ends."""
        for pid in self.members():
            for number in (signal.SIGHUP, signal.SIGCONT):
                kill(pid, number)
        left = self.members()
        if left:
            self.loop.later(PATIENCE, lambda: [kill(pid, signal.SIGKILL) for pid in left
                                               if pid in self.members() and not ignores_hangup(pid)])

    def members(self):
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry) as stat:
                    fields = stat.read().rpartition(")")[2].split()
                if int(fields[3]) != self.pid or fields[0] == "Z":
                    continue
                holds = {os.readlink("/proc/%s/fd/%d" % (entry, fd)) for fd in range(3)
                         if os.path.lexists("/proc/%s/fd/%d" % (entry, fd))}
                if any(mark in held for mark in self.marks for held in holds):
                    found.append(int(entry))
            except OSError:
                continue
        return found


def kill(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass


def ignores_hangup(pid):
    try:
        with open("/proc/%d/status" % pid) as status:
            for line in status:
                if line.startswith("SigIgn:"):
                    return bool(int(line.split()[1], 16) & 1)
    except OSError:
        pass
    return False


def size(fd, pty):
    words = [min(int(pty.get(key, 0)), 65535) for key in ("rows", "cols", "width", "height")]
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *words))


def modes(fd, asked):
    state = termios.tcgetattr(fd)
    for opcode, value in asked:
        if opcode in CHARACTERS and hasattr(termios, CHARACTERS[opcode]):
            character = b"\0" if value == 255 else bytes([value & 255])
            state[6][getattr(termios, CHARACTERS[opcode])] = character
        elif opcode in FLAGS:
            word, name = FLAGS[opcode]
            flag = getattr(termios, name, 0x4000 if name == "IUTF8" else 0)
            state[word] = state[word] | flag if value else state[word] & ~flag
    termios.tcsetattr(fd, termios.TCSANOW, state)
