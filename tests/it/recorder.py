"""A server that says what it was sent, and misbehaves when asked to. Standard library only.

Arguments: port, then three texts that it repeats in `/args`. It reads and writes raw bytes, so
that nothing is lost or put right on the way. Every byte of every head goes to ~/received.log,
which a test reads on the host: what never stood there never arrived.
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import urllib.parse

LOG = os.open(os.path.expanduser("~/received.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
RELEASED = {}
LOCK = threading.Lock()
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def gate(name):
    with LOCK:
        return RELEASED.setdefault(name, threading.Event())


class Connection:
    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.file = sock, sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def head(self):
        """Reads one head; empty at the end of the connection."""
        lines = []
        while line := self.file.readline():
            os.write(LOG, line)
            lines.append(line)
            if line == b"\r\n" and len(lines) > 1:
                break
        self.raw = b"".join(lines).decode("latin-1")
        rows = self.raw.split("\r\n")
        self.fields = [tuple(row.split(": ", 1)) for row in rows[1:] if ": " in row]
        if not rows[0]:
            return False
        self.method, target, _ = rows[0].split(" ", 2)
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        return True

    def field(self, name, default=""):
        return ", ".join(v for n, v in self.fields if n.lower() == name) or default

    def body(self):
        """The body's pieces as they come; `self.trailers` is there when they are over."""
        self.trailers = []
        if self.field("transfer-encoding") == "chunked":
            while size := int(self.file.readline().split(b";")[0], 16):
                yield self.file.read(size)
                self.file.readline()
            while (line := self.file.readline().strip()):
                self.trailers.append(line.decode("latin-1").split(": ", 1))
        else:
            left = int(self.field("content-length", "0"))
            while left > 0 and (piece := self.file.read1(min(left, 1 << 20))):
                left -= len(piece)
                yield piece

    def answer(self, body=b"", status="200 OK", fields=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        rows = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.send("\r\n".join(rows) + "\r\n\r\n")
        if self.method != "HEAD":
            self.send(body)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def chunked(self, *fields):
        self.send("\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields, "", ""]))

    def accept(self, *fields):
        """Agrees to a WebSocket, as a server should."""
        key = self.field("sec-websocket-key").encode()
        proof = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest()).decode()
        rows = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {proof}"]
        self.send("\r\n".join(["HTTP/1.1 101 Switching Protocols", *rows, *fields, "", ""]))

    def run(self):
        try:
            while self.head():
                name = "on_" + self.path.rsplit("/", 1)[1].replace("-", "_")
                if self.field("expect") == "100-continue" and name != "on_early":
                    self.send("HTTP/1.1 100 Continue\r\n\r\n")
                if getattr(self, name, self.on_)() == "close":
                    break
        except (ConnectionError, ValueError):
            pass
        finally:
            self.sock.close()

    # What it can do, by the last segment of the path.

    def on_(self):
        """Says what it was sent."""
        pieces = list(self.body())
        self.answer(
            {
                "head": self.raw,
                "fields": self.fields,
                "body": b"".join(pieces).decode("latin-1"),
                "trailers": self.trailers,
                "peer": self.sock.getpeername()[0],
            },
            fields=["Content-Type: application/json"],
        )

    def on_ready(self):
        self.answer(b"ready")

    def on_args(self):
        self.answer(sys.argv[1:])

    def on_echo(self):
        """Sends each piece back as it comes, then the trailers."""
        self.chunked("Trailer: x-sum", "Content-Type: application/octet-stream")
        for piece in self.body():
            self.chunk(piece)
        rows = [": ".join(pair) + "\r\n" for pair in self.trailers]
        self.send("0\r\n" + "".join(rows) + "\r\n")

    def on_count(self):
        self.answer({"bytes": sum(map(len, self.body()))})

    def on_zeros(self):
        left = int(self.query["bytes"])
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n")
        piece = bytes(1 << 20)
        while left > 0:
            self.send(piece[:left])
            left -= min(left, len(piece))

    def on_events(self):
        """One event at once, the next when somebody asks for `/release` with the same name."""
        self.chunked("Content-Type: text/event-stream")
        self.chunk(b"data: first\n\n")
        gate(self.query["name"]).wait(30)
        self.chunk(b"data: second\n\n")
        self.send("0\r\n\r\n")

    def on_release(self):
        gate(self.query["name"]).set()
        self.answer()

    def on_half(self):
        """Answers unless the connection is half closed meanwhile, as Node.js does."""
        self.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        self.sock.settimeout(0.3)
        try:
            if not self.sock.recv(1):
                return "close"
        except TimeoutError:
            self.sock.settimeout(None)
            self.send(b"whole")

    def on_sink(self):
        """Answers before the body has come, and takes all of it."""
        self.answer()
        for piece in self.body():
            os.write(LOG, piece)

    def on_early(self):
        """Answers before the body has come, and wants no more of it."""
        self.answer(b"too much", "413 Content Too Large", ["Connection: close"])
        self.sock.shutdown(socket.SHUT_WR)
        while self.file.read1(1 << 16):
            pass
        return "close"

    def on_range(self):
        whole = bytes(range(256)) * 4
        if not (wanted := self.field("range")):
            return self.answer(whole, fields=["Accept-Ranges: bytes", 'ETag: "whole"'])
        first, last = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        fields = [f"Content-Range: bytes {first}-{last}/{len(whole)}", 'ETag: "whole"']
        return self.answer(whole[first : last + 1], "206 Partial Content", fields)

    def on_head(self):
        self.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-Seen: " + self.method + "\r\n\r\n")

    def on_status(self):
        self.answer(b"", self.query["line"], [f"X-Method: {self.method}"])

    def on_cookies(self):
        own, prefix = self.query["own"], self.query["prefix"]
        cookies = [
            f"{own}=forged; Path=/",
            f"{own}=forged; Path={prefix}",
            "wide=1; Domain=localhost; Path=/",
            f"good=1; Path={prefix}; HttpOnly",
            "bare=1",
        ]
        self.answer(b"", fields=[f"Set-Cookie: {cookie}" for cookie in cookies])

    def on_headers(self):
        fields = [
            "Service-Worker-Allowed: /",
            'Clear-Site-Data: "*"',
            "Strict-Transport-Security: max-age=1",
            'Alt-Svc: h3=":1"',
            'Report-To: {"group":"a","max_age":1,"endpoints":[{"url":"https://x.test/"}]}',
            'NEL: {"report_to":"a","max_age":1}',
            "Connection: X-Hop",
            "X-Hop: 1",
            "X-Kept: 1",
        ]
        self.answer(b"", fields=fields)

    def on_redirect(self):
        self.answer(b"", "302 Found", [f"Location: {self.query['to']}"])

    def on_ws(self):
        """Echoes frames, payloads as they are."""
        fields = []
        offered = [name.strip() for name in self.field("sec-websocket-protocol").split(",")]
        if "v1.echo" in offered:
            fields.append("Sec-WebSocket-Protocol: v1.echo")
        if "deflate" in self.query:
            fields.append("Sec-WebSocket-Extensions: permessage-deflate")
        self.accept(*fields)
        if "head" in self.query:
            self.frame(1, json.dumps(self.fields).encode())
        self.echo()
        return "close"

    def echo(self):
        while start := self.file.read(2):
            size = start[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.file.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.file.read(8))
            mask = self.file.read(4)
            if size >= 1 << 16:
                self.large(start[0], size, mask)
                continue
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(self.file.read(size)))
            if start[0] & 0x0F == 9:
                start = b"\x8a"
            self.frame(start[0], payload, raw=True)
            if start[0] & 0x0F == 8:
                os.write(LOG, b"closed %d\r\n" % int.from_bytes(payload[:2], "big"))
                return

    def large(self, first, size, mask):
        """A frame too large to hold: unmasked and sent back piece by piece."""
        self.send(struct.pack("!BBQ", first, 127, size))
        pattern = int.from_bytes(mask * (1 << 18), "big")
        while size > 0:
            piece = self.file.read(min(size, 1 << 20))
            whole = int.from_bytes(piece.ljust(1 << 20, b"\0"), "big") ^ pattern
            self.send(whole.to_bytes(1 << 20, "big")[: len(piece)])
            size -= len(piece)

    def frame(self, first, payload, raw=False):
        first = first if raw else 0x80 | first
        size = len(payload)
        head = struct.pack("!BB", first, size) if size < 126 else struct.pack("!BBH", first, 126, size)
        if size > 0xFFFF:
            head = struct.pack("!BBQ", first, 127, size)
        self.send(head + payload)

    def on_ws_refused(self):
        self.answer(b"no socket here")

    def on_ws_wrong_accept(self):
        rows = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: " + "A" * 27 + "="]
        self.send("\r\n".join(["HTTP/1.1 101 Switching Protocols", *rows, "", ""]))
        return "close"

    def on_ws_protocol(self):
        self.accept("Sec-WebSocket-Protocol: unasked")
        return "close"

    def on_ws_extension(self):
        self.accept("Sec-WebSocket-Extensions: unasked")
        return "close"

    def on_unasked_101(self):
        self.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw")
        return "close"

    def on_many_1xx(self):
        self.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10_000)
        self.answer(b"at last")


def main():
    server = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=256)
    while True:
        sock, _ = server.accept()
        threading.Thread(target=Connection(sock).run, daemon=True).start()


main()
