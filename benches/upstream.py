"""The part of the upstream that nginx can't be: echoes WebSocket messages, swallows uploads.

usage: upstream.py PORT
"""

import asyncio
import base64
import hashlib
import sys

from wire import length_field

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


class Connection(asyncio.Protocol):
    """One connection; a WebSocket once it asked for that, else one request after another."""

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray()
        self.body = 0
        self.is_socket = False

    def data_received(self, data):
        if self.body:
            self.body -= len(data)
            if self.body <= 0:
                self.body = 0
                self.answer(b"204 No Content")
            return
        self.buffer += data
        while self.echo_frame() if self.is_socket else self.read_head():
            pass

    def answer(self, status):
        length = b"" if status.startswith(b"204") else b"Content-Length: 0\r\n"
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\n" % (status, length))

    def read_head(self):
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        fields = [line.partition(b":") for line in bytes(head).split(b"\r\n")[1:]]
        fields = {name.lower(): value.strip() for name, _, value in fields}
        self.buffer = bytearray(rest)
        if b"sec-websocket-key" in fields:
            digest = hashlib.sha1(fields[b"sec-websocket-key"] + GUID).digest()
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
                % base64.b64encode(digest)
            )
            self.is_socket = True
            return bool(self.buffer)
        if b"transfer-encoding" in fields:
            self.answer(b"411 Length Required")
            self.transport.close()
            return False
        length = int(fields.get(b"content-length", 0))
        if length > len(rest):
            self.body = length - len(rest)
            self.buffer = bytearray()
            return False
        self.buffer = bytearray(rest[length:])
        self.answer(b"204 No Content" if length else b"200 OK")
        return bool(self.buffer)

    def echo_frame(self):
        """Sends back a whole frame, if there is one (RFC 6455 5.2)."""
        buffer = self.buffer
        if len(buffer) < 2:
            return False
        size, at = buffer[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + 4 + size:
            return False
        mask, payload = buffer[at : at + 4], buffer[at + 4 : at + 4 + size]
        del buffer[: at + 4 + size]
        if any(mask):
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.transport.write(b"\x82" + length_field(size, 0) + payload)
        return True


async def main():
    loop = asyncio.get_running_loop()
    port = int(sys.argv[1])
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
