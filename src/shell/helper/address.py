# Which addresses a stream may lead to.

def plain(host):
    """An address; IPv4 that is written as IPv6 is IPv4, as it is for the system."""
    import ipaddress  # Not sooner: few ever need it.
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.version == 6 and address.ipv4_mapped or address


def translated(address):
    """Where a gateway leads it that translates to IPv4 (RFC 6052, RFC 3056)."""
    import ipaddress
    if address.version == 6 and address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.ip_address(int(address) & 0xffffffff)
    return address.version == 6 and address.sixtofour or address


def is_loopback(host):
    return plain(host).is_loopback


def is_host(host, networks):
    """Whether an address is the proxy's machine as we see it: whatever is on our own networks
    (there are no other workspaces for us on them), a gateway, and link-local addresses, where
    a cloud's metadata are as well."""
    address = translated(plain(host))
    return address.is_link_local or str(address) == "fd00:ec2::254" or \
        any(address.version == network.version and address in network for network in networks)


def networks(four, six):
    """Our own networks and gateways, from the tables of routes of proc(5)."""
    import ipaddress
    def four_of(text):
        return int.from_bytes(bytes.fromhex(text)[::-1], "big")
    found = []
    for fields in map(str.split, four[1:]):
        subnet, gateway, mask = (four_of(fields[column]) for column in (1, 2, 7))
        found.append((ipaddress.IPv4Address(gateway or subnet), 32 if gateway else bin(mask).count("1")))
    for fields in map(str.split, six):
        subnet, gateway = (int(fields[column], 16) for column in (0, 4))
        found.append((ipaddress.IPv6Address(gateway or subnet), 128 if gateway else int(fields[1], 16)))
    # Without a gateway and a length it is a way to everywhere, not a network.
    return [ipaddress.ip_network("%s/%d" % (address, length), strict=False)
            for address, length in found if length]


def own_networks():
    def lines(path):
        try:
            with open(path) as file:
                return list(file)
        except FileNotFoundError:  # No IPv6 here.
            return []
    return networks(lines("/proc/net/route"), lines("/proc/net/ipv6_route"))
