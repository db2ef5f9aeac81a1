import asyncio, os, sys
import asyncssh

port, user, key = int(sys.argv[1]), sys.argv[2], os.path.dirname(sys.argv[3]) + "/rsa"

async def gets_in(algorithm):
    options = dict(username=user, client_keys=[key], known_hosts=None, signature_algs=[algorithm])
    try:
        async with asyncssh.connect("127.0.0.1", port, **options) as to:
            return (await to.run("true")).exit_status == 0
    except asyncssh.PermissionDenied:
        return False

assert asyncio.run(gets_in("rsa-sha2-256"))
assert not asyncio.run(gets_in("ssh-rsa"))
print("all seen")
