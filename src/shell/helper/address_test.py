FOUR = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010012AC 0003 0 0 0 00000000 0 0 0
eth0 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0
eth0 0000000A 0105A8C0 0003 0 0 0 000000FF 0 0 0
""".splitlines()
SIX = """fd000000000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 1 0 00000003 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 00200200 lo
""".splitlines()

own = networks(FOUR, SIX)
for host, expected in [
    # The gateway, and whatever else is on its network.
    ("172.18.0.1", True), ("172.18.255.9", True), ("::ffff:172.18.0.1", True),
    ("64:ff9b::172.18.0.1", True), ("2002:ac12:1::1", True), ("::ffff:ac12:1", True),
    ("fd00:0:0:1::1", True), ("fd00:0:0:1:ff::", True),
    # Gateways that are on none of our networks.
    ("192.168.5.1", True), ("2001:db8::1", True),
    # Link-local addresses.
    ("169.254.169.254", True), ("::ffff:169.254.169.254", True), ("fe80::1", True), ("fe80::1%eth0", True),
    ("febf::1", True), ("fd00:ec2::254", True),
    # Beyond.
    ("172.19.0.1", False), ("10.1.2.3", False), ("192.168.5.2", False), ("::ffff:10.1.2.3", False),
    ("2001:db8::2", False), ("fd00:0:0:2::1", False), ("64:ff9b::10.1.2.3", False),
]:
    assert is_host(host, own) == expected, host
for host, expected in [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
                       ("64:ff9b::127.0.0.1", False), ("2002:7f00:1::1", False), ("128.0.0.1", False), ("::ffff:128.0.0.1", False), ("::2", False)]:
    assert is_loopback(host) == expected, host
