"""A client's side of TLS, HTTP/1.1 and WebSockets, no larger than the measurements need it."""

import base64
import os
import socket
import ssl
import struct
import time

MASK = b"\0\0\0\0"  # allowed (RFC 6455 5.3), and leaves the payload as it is


class Wire:
    """One connection to a port, on loopback if no other host is named; with TLS or without."""

    def __init__(self, port, context=None, session=None, host="127.0.0.1"):
        raw = socket.create_connection((host, port), timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = f"{host}:{port}"
        self.socket = raw
        if context:
            self.socket = context.wrap_socket(raw, server_hostname="localhost", session=session)
        self.rest = b""

    def ask(self, path, headers=(), method="GET"):
        """Sends a request without a body, reads the answer, and returns status and headers."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *fields = head.decode("latin-1").split("\r\n")
        fields = [tuple(field.split(": ", 1)) for field in fields]
        fields = [(name.lower(), value) for name, value in fields]
        status = int(first.split()[1])
        length = int(dict(fields).get("content-length", 0)) if status >= 200 else 0
        self._read(length)
        return status, fields

    def upgrade(self, path, headers=()):
        """Becomes a WebSocket (RFC 6455 4.1)."""
        key = base64.b64encode(os.urandom(16)).decode()
        ours = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key),
        ]
        status, _ = self.ask(path, [*ours, *headers])
        if status != 101:
            raise OSError(f"the WebSocket was refused: {status}")

    def echo(self, size):
        """Sends one message and reads it back."""
        self.socket.sendall(frame(size))
        self._read(len(answer(size)))

    def _read(self, length):
        while len(self.rest) < length:
            self._more()
        self.rest = self.rest[length:]

    def _more(self):
        data = self.socket.recv(65_536)
        if not data:
            raise OSError("the connection was closed")
        self.rest += data

    def close(self):
        self.socket.close()


def tls_context():
    """TLS 1.3, HTTP/1.1, any certificate: it is the run's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def length_field(size, mask):
    """The second byte of a frame and what follows it (RFC 6455 5.2)."""
    if size < 126:
        return bytes([mask | size])
    if size < 65_536:
        return bytes([mask | 126]) + struct.pack("!H", size)
    return bytes([mask | 127]) + struct.pack("!Q", size)


def frame(size):
    """A binary message from a client."""
    return b"\x82" + length_field(size, 0x80) + MASK + b"a" * size


def answer(size):
    """The same message from the server."""
    return b"\x82" + length_field(size, 0) + b"a" * size


def first_answer(port, path, headers, context, seconds=30):
    """Asks again and again until it is 200, and returns when that was (`time.monotonic`)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            wire = Wire(port, context)
            try:
                status, _ = wire.ask(path, headers)
            finally:
                wire.close()
            if status == 200:
                return time.monotonic()
        except OSError:
            pass
        time.sleep(0.001)
    raise OSError(f"no good answer on port {port} within {seconds} s")
