import asyncio, os, sys
import asyncssh

port, user, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SERVER = """
import socketserver
class H(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(b'heard ' + self.rfile.read())
class S(socketserver.ThreadingTCPServer):
    # All that come at once: past its backlog (5 unless told) the kernel resets connections.
    request_queue_size = 64
with S(('127.0.0.1', 7300), H) as s: print('up', flush=True); s.serve_forever()
"""

async def main():
    options = dict(username=user, client_keys=[key], known_hosts=None)
    async with asyncssh.connect("127.0.0.1", port, **options) as to:
        # Many at once, each with its own bytes.
        async def one(number):
            sent = os.urandom(1 << 16)
            done = await to.run("cat; exit %d" % number, input=sent, encoding=None)
            assert (done.stdout, done.exit_status) == (sent, number)
        await asyncio.gather(*(one(number) for number in range(40)))

        # More than may be open are refused, and the rest is none the worse.
        open_ones = []
        try:
            while len(open_ones) < 100:
                open_ones.append(await to.create_process("cat"))
        except asyncssh.ChannelOpenError:
            pass
        assert 60 <= len(open_ones) <= 64, len(open_ones)
        for process in open_ones:
            process.stdin.write_eof()
        await asyncio.gather(*(process.wait() for process in open_ones))

        # An end by a signal, and one that we send.
        done = await to.run("kill -KILL $$")
        assert done.exit_signal[0] == "KILL", done.exit_signal
        process = await to.create_process("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
        await process.stdout.readuntil("ready\n")
        process.send_signal("INT")
        done = await process.wait()
        assert (done.stdout, done.exit_status) == ("caught\n", 9)

        # A request that nobody knows writes no line into the log.
        process = await to.create_process("cat")
        assert not await process.channel._make_request(b"odd\nforged line")
        process.stdin.write_eof()
        await process.wait()

        # Files.
        async with to.start_sftp_client() as sftp:
            async with sftp.open("deep", "wb") as file:
                await file.write(b"x" * 100_000)
            assert (await sftp.stat("deep")).size == 100_000

        # Forwards both ways.
        server = await to.create_process("python3 -c \"%s\"" % SERVER)
        await server.stdout.readuntil("up\n")
        listener = await to.forward_local_port("127.0.0.1", 0, "localhost", 7300)
        async def ask():
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
            writer.write(b"words")
            writer.write_eof()
            assert await reader.read() == b"heard words"
            writer.close()
        await asyncio.gather(*(ask() for _ in range(20)))
        async def near(reader, writer):
            writer.write(b"near")
            writer.close()
        here = await asyncio.start_server(near, "127.0.0.1", 0)
        far = await to.forward_remote_port("", 0, "127.0.0.1", here.sockets[0].getsockname()[1])
        done = await to.run("cat < /dev/tcp/127.0.0.1/%d" % far.get_port())
        assert done.stdout == "near", done
        server.terminate()
    print("all seen")

asyncio.run(main())
