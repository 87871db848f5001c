"""Unmodified programs over IPv6 on an interface that the kernel keeps."""

import pytest
from net import HOST, HOST6, PEER6, link_local_address, need
from private_network import kernel_counts, run
from test_programs import PYTHON, QUERIES, ask, dnsmasq

FAST = pytest.mark.parametrize("under", ["kernel", "host", "packet", "packet-plain", "packet-filter", "xdp", "xdp-generic"], indirect=True)

# At the any address of IPv6, and so for IPv4 as well; it tells who asked.
SERVER = """
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 7000))
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data + b" " + peer[0].split("%")[0].encode(), peer)
"""

CLIENT = """
import socket, sys
found = socket.getaddrinfo(sys.argv[1], 7000, type=socket.SOCK_DGRAM)[0]
client = socket.socket(found[0], socket.SOCK_DGRAM)
client.settimeout(20)
good = 0
for i in range(int(sys.argv[2])):
    data = (b"%d" % i).ljust(i % 1400 + 4, b"x")
    client.sendto(data, found[4])
    good += client.recvfrom(2000)[0].startswith(data)
print(good)
"""

CONNECTED = """
import socket, sys
client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
client.settimeout(20)
client.connect((sys.argv[1], 7000))
good = 0
for i in range(int(sys.argv[2])):
    client.send(b"%d" % i)
    good += client.recv(2000).split()[0] == b"%d" % i
print(good, client.getsockname()[0], client.getpeername()[:2])
"""


@FAST
def test_a_dual_stack_server(under):
    with under.start(PYTHON, "-c", SERVER) as server:
        server.says("ready")
        for address in (HOST6, HOST, f"{link_local_address()}%far"):
            said = run(*under.net.peer.command(PYTHON, "-c", CLIENT, address, str(QUERIES)))
            assert said == f"{QUERIES}\n", address
        server.stop()
    under.check(3 * QUERIES)


@FAST
def test_a_connected_client(under):
    with under.net.start(under.net.peer.command(PYTHON, "-c", SERVER)) as server:
        server.says("ready")
        said = run(*under.command(PYTHON, "-c", CONNECTED, PEER6, str(QUERIES)))
        assert said == f"{QUERIES} {HOST6} ('{PEER6}', 7000)\n"
    under.check(QUERIES)


@FAST
def test_an_unconnected_client(under):
    with under.net.start(under.net.peer.command(PYTHON, "-c", SERVER)) as server:
        server.says("ready")
        assert run(*under.command(PYTHON, "-c", CLIENT, PEER6, str(QUERIES))) == f"{QUERIES}\n"
    under.check(QUERIES)


@FAST
def test_dnsmasq_answers_dig(under):
    need("dig")
    before = kernel_counts()
    with under.start(*dnsmasq()) as server:
        server.says("started")
        for address in (HOST6, f"{link_local_address()}%far"):
            assert run(*under.net.peer.command(*ask(address, QUERIES))) == "1.2.3.4\n" * QUERIES
        server.stop()
    under.check(2 * QUERIES)
    if under.name.startswith(("packet", "xdp")):
        after = kernel_counts()
        assert after["Udp.InDatagrams"] - before["Udp.InDatagrams"] <= QUERIES * 0.05


@pytest.mark.parametrize("under, fast", [("packet", 0), ("packet-filter", 1), ("xdp", 0), ("xdp-generic", 0)], indirect=["under"])
def test_large_datagrams_come_through_the_kernel(under, fast):
    """Fragments, where BPF chooses, and destinations of the host's own aren't the link's."""
    net = under.net
    with under.start(PYTHON, "-c", SERVER) as server:
        server.says("ready")
        large = ("import socket, sys; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(20); "
                 "s.sendto(b'x' * 60000, (sys.argv[1], 7000)); print(len(s.recv(65535)))")
        assert run(*net.peer.command(PYTHON, "-c", large, HOST6)) == f"{60000 + 1 + len(PEER6)}\n"
        assert run(PYTHON, "-c", large, "::1") == f"{60000 + 1 + len('::1')}\n"
        server.stop()
    assert under.stats()["rx"] == {"fast": fast, "kernel": 2 - fast}


# Answers by packet info as it was told: from the address that was asked, by the interface that it came by.
ANSWERS_AS_ASKED = """
import socket, struct
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
server.bind(("::", 7000))
print("ready", flush=True)
while True:
    data, control, _, peer = server.recvmsg(2000, 200)
    server.sendmsg([data], [each for each in control if each[1] in (8, socket.IPV6_PKTINFO)], 0, peer)
"""


@FAST
def test_answers_leave_by_the_interface_that_was_asked(under):
    with under.start(PYTHON, "-c", ANSWERS_AS_ASKED) as server:
        server.says("ready")
        for address in (HOST6, HOST, f"{link_local_address()}%far"):
            assert run(*under.net.peer.command(PYTHON, "-c", CLIENT, address, "50")) == "50\n", address
        for address in ("::1", HOST6, "127.0.0.1", HOST):
            assert run(PYTHON, "-c", CLIENT, address, "50") == "50\n", address
        server.stop()
    if under.name.startswith(("packet", "xdp")):
        stats = under.stats()
        assert stats["rx"] == {"fast": 150, "kernel": 200} and stats["tx"] == {"fast": 150, "kernel": 200}
