import asyncio, sys
import asyncssh

port, user, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SHELLS = 32
SIGNALS = 3000

def connect():
    return asyncssh.connect("127.0.0.1", port, username=user, client_keys=[key], known_hosts=None)

async def works(to):
    # One that has just left may be on its way out of the workspace still.
    while (await to.run("true")).exit_status:
        await asyncio.sleep(0.1)

async def main():
    # As many connections have a helper in the workspace as may have one; the next is told.
    open_ones = [await connect() for _ in range(SHELLS)]
    await asyncio.gather(*(works(to) for to in open_ones))
    late = await connect()
    done = await late.run("true")
    assert done.exit_status == 255 and "as many as may be" in done.stderr, done
    for to in open_ones:
        to.close()
    await works(late)

    # A helper that was stopped takes no signals.
    process = await late.create_process("echo $PPID; sleep 1000")
    helper = await process.stdout.readline()
    other = await connect()
    await other.run("kill -STOP " + helper, check=True)
    for _ in range(SIGNALS):
        process.send_signal("INT")
    # Answered after them.
    await late.create_process("true")
    print("sent", flush=True)
    sys.stdin.read()

asyncio.run(main())
