import hashlib, io, os, sys, time
import paramiko

port, user, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", port, user, key_filename=key, allow_agent=False, look_for_keys=False)

# A command: input to its end, both outputs, exit code.
stdin, stdout, stderr = client.exec_command("cat; echo wrong >&2; exit 7")
stdin.write(b"words\0\xff")
stdin.channel.shutdown_write()
assert stdout.read() == b"words\0\xff" and stderr.read() == b"wrong\n"
assert stdout.channel.recv_exit_status() == 7

# Files.
blob = os.urandom(3 << 20)
with client.open_sftp() as sftp:
    sftp.putfo(io.BytesIO(blob), "blob")
    back = io.BytesIO()
    sftp.getfo("blob", back)
    assert back.getvalue() == blob
    assert "blob" in sftp.listdir(".")
    sftp.remove("blob")

# A terminal, its size, and its next size.
shell = client.invoke_shell("xterm", 91, 31)
def until(words):
    seen, end = b"", time.time() + 30
    while words not in seen:
        assert time.time() < end, seen
        seen += shell.recv(4096)
shell.send(b"echo $TERM $(stty size)\n")
until(b"xterm 31 91")
shell.resize_pty(80, 24)
shell.send(b"echo size $(stty size)\n")
until(b"size 24 80")
shell.send(b"exit 3\n")
assert shell.recv_exit_status() == 3

# New keys in the middle of a transfer.
channel = client.get_transport().open_session()
channel.exec_command("sha256sum")
for number in range(8):
    channel.sendall(blob)
    if number == 3:
        client.get_transport().renegotiate_keys()
channel.shutdown_write()
assert channel.recv(64).decode() == hashlib.sha256(blob * 8).hexdigest()

# A wrong key is refused, and so is the 9th try of a connection.
stranger = paramiko.Transport(("127.0.0.1", port))
stranger.start_client()
tries = 0
try:
    while tries < 20:
        try:
            stranger.auth_password(user, "guess")
        except paramiko.AuthenticationException:
            tries += 1
            if not stranger.is_active():
                break
except (paramiko.SSHException, EOFError):
    pass
assert tries <= 8, tries
stranger.close()
client.close()
print("all seen")
