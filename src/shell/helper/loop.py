# What runs in a workspace for one SSH connection: starts its programs, and connects and listens
# for it. Vestibule opens a TCP connection to us for each program and each forwarded stream, so
# that the kernel does the flow control; standard input is our lifeline, and its end is ours.
#
# A connection begins with a length (4 bytes) and a request in JSON that bears our key. Then:
#   run      to us: standard input; from us: frames of kind (1 byte), length (4) and payload:
#            1 output, 2 errors, 3 the end as {"code": n} or {"signal": "TERM"}
#   connect  an answer in JSON by line, {} or {"error": ...}; then bytes both ways
#   listen   an answer by line; then a line {"id": n, ...} for each connection taken
#   take     the same as connect, for a connection that was taken
#   resize, signal   no answer
# Everything here runs as the user and is the user's; nothing of it is a secret of the host's.
import errno, fcntl, json, os, pwd, select, signal, socket, stat, struct, sys, termios
from binascii import a2b_base64

CHUNK = 128 * 1024
PATIENCE = 3.0  # Seconds that what was hung up has to end.


class Loop:
    """Calls whoever waits for a descriptor, a moment or a child."""

    def __init__(self):
        self.poll = select.epoll()
        self.ends, self.timers, self.children = {}, [], {}
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.woken = woken
        End(self, woken).read_by(self.reap)

    def reap(self):
        try:
            os.read(self.woken, 4096)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            ended = self.children.pop(pid, None)
            if ended:
                ended(status)

    def later(self, seconds, act):
        self.timers.append((now() + seconds, act))

    def turn(self):
        wait = min((at for at, _ in self.timers), default=None)
        wait = -1 if wait is None else max(0.0, wait - now())
        for fd, events in self.poll.poll(wait):
            end = self.ends.get(fd)
            if end and end.on_hangup and events & select.EPOLLERR:
                end.on_hangup()
                continue
            if end and not (end.on_read or end.on_write):
                # Both sides have ended it in good order; there is nothing more to hear.
                end.unwatch()
            if end and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and end.on_read:
                end.on_read()
            # It may have been closed, and its number given to another.
            if end and self.ends.get(fd) is end and end.on_write and \
                    events & (select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR):
                end.on_write()
        due = [act for at, act in self.timers if at <= now()]
        self.timers = [(at, act) for at, act in self.timers if at > now()]
        for act in due:
            act()


def now():
    return os.times().elapsed


class End:
    """A descriptor, and who waits for it. It is watched only while somebody does."""

    def __init__(self, loop, fd, sock=None):
        self.loop, self.fd, self.sock = loop, fd, sock
        self.on_read = self.on_write = self.on_hangup = None
        self.mask, self.watched = 0, False
        os.set_blocking(fd, False)

    def read_by(self, act):
        self.on_read = act
        self.watch()

    def write_by(self, act):
        self.on_write = act
        self.watch()

    def watch(self):
        if self.fd < 0:
            return
        mask = (select.EPOLLIN if self.on_read else 0) | (select.EPOLLOUT if self.on_write else 0)
        # With an empty mask the kernel still tells of a hang-up.
        if not mask and not self.on_hangup:
            self.unwatch()
        elif not self.watched:
            self.loop.ends[self.fd] = self
            self.loop.poll.register(self.fd, mask)
            self.mask, self.watched = mask, True
        elif mask != self.mask:
            self.loop.poll.modify(self.fd, mask)
            self.mask = mask

    def unwatch(self):
        if self.watched:
            self.loop.poll.unregister(self.fd)
            self.loop.ends.pop(self.fd, None)
            self.mask, self.watched = 0, False

    def finish_writing(self):
        """No more will be written; what was written still arrives."""
        self.on_write = None
        if self.sock:
            self.watch()
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        else:
            self.close()

    def close(self):
        if self.fd >= 0:
            self.on_read = self.on_write = self.on_hangup = None
            self.unwatch()
            if self.sock:
                self.sock.close()
            else:
                os.close(self.fd)
            self.fd = -1


class Pump:
    """Passes bytes on as fast as they are taken; reads no more while some wait."""

    def __init__(self, source, sink, ended, framed=None):
        self.source, self.sink, self.ended, self.framed = source, sink, ended, framed
        self.rest = b""
        source.read_by(self.read)

    def read(self):
        try:
            data = os.read(self.source.fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.source.read_by(None)
            self.ended()
            return
        if self.framed:
            self.framed(data)
            return
        self.rest = data
        self.write()

    def write(self):
        try:
            sent = os.write(self.sink.fd, self.rest)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Nobody takes it: read on, so that the end is seen, and throw it away.
            sent = len(self.rest)
        self.rest = memoryview(self.rest)[sent:]
        if self.rest:
            self.source.read_by(None)
            self.sink.write_by(self.write)
        else:
            self.rest = b""
            self.sink.write_by(None)
            self.source.read_by(self.read)
