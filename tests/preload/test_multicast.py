"""Unmodified programs that join groups and send to them: on an interface that the kernel keeps groups are the kernel's, on
an address of our own they are the stack's, and switches are told."""

import json
import socket

import pytest
from net import FASTUDP, HOST6, PEER6, TAPS, Namespace, need, until
from private_network import run
from test_programs import PYTHON

WAYS = pytest.mark.parametrize("under", ["kernel", "host", "packet", "packet-filter", "packet-own", "xdp", "xdp-own", *TAPS], indirect=True)
GROUP, GROUP6 = "239.7.7.7", "ff15::7:7:7"
COUNT = 200

# Joins as it is told, says what it hears of one sender, until that says "end".
MEMBER = """
import socket, struct, sys
group, source, interface = sys.argv[1:4]
member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
member.bind(("", 7000))
pack = socket.inet_aton
if source == "any":
    member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, pack(group) + pack(interface))
else:
    member.setsockopt(socket.IPPROTO_IP, 39, pack(group) + pack(interface) + pack(source))  # IP_ADD_SOURCE_MEMBERSHIP
print("ready", flush=True)
member.settimeout(20)
heard = 0
while (got := member.recvfrom(2000))[0] != b"end":
    heard += 1
print("heard", heard, got[1][0], flush=True)
"""

# With the first socket there is a link, and on tap: a peer.
WAIT = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
print("ready", flush=True)
input()
"""

SENDER = """
import socket, sys
group, interface, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
for i in range(count):
    sender.sendto(b"%d" % i, (group, 7000))
sender.sendto(b"end", (group, 7000))
"""


def is_ours(under):
    return under.name in ("packet-own", "xdp-own", *TAPS)


@WAYS
@pytest.mark.parametrize("source", ["any", "specific"])
def test_a_member_hears_its_group(under, source):
    peer = under.peer_address
    with under.start(PYTHON, "-c", MEMBER, GROUP, "any" if source == "any" else peer, under.address) as member:
        under.ready()
        member.says("ready")
        run(*under.peers(PYTHON, "-c", SENDER, GROUP, peer, str(COUNT)))
        member.says(f"heard {COUNT} {peer}")
        member.stop()
    if under.uri is not None:
        stats = under.stats()
        assert stats["rx"] == ({"fast": COUNT + 1, "kernel": 0} if is_ours(under) else {"fast": 0, "kernel": COUNT + 1})


@WAYS
def test_a_member_by_source_does_not_hear_others(under):
    with under.start(PYTHON, "-c", MEMBER, GROUP, "192.0.2.9", under.address) as member:
        under.ready()
        member.says("ready")
        run(*under.peers(PYTHON, "-c", SENDER, GROUP, under.peer_address, "10"))
        # What is sent to its own address says that all before has come.
        run(*under.peers(PYTHON, "-c", "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                         "s.sendto(b'end', (sys.argv[1], 7000))", under.address))
        member.says("heard 0")
        member.stop()


@WAYS
def test_who_sends_to_a_group_is_heard_by_the_peer(under):
    with under.start(PYTHON, "-c", WAIT + SENDER, GROUP, under.address, str(COUNT), stdin=-1) as sender:
        sender.says("ready")
        under.ready()
        with under.net.start(under.peers(PYTHON, "-c", MEMBER, GROUP, "any", under.peer_address)) as member:
            member.says("ready")
            sender.process.communicate(b"go\n", timeout=30)
            member.says(f"heard {COUNT} {under.address}")
    if under.uri is not None:
        stats = under.stats()
        assert stats["tx"] == ({"fast": COUNT + 1, "kernel": 0} if is_ours(under) else {"fast": 0, "kernel": COUNT + 1})


FEW = 50  # of both sides, what fits into a receive buffer

# The same over IPv6, by the options of both families; it sends as well, so that each side hears the other's and its own.
BOTH_WAYS = f"""
import socket, struct, sys
interface, source = socket.if_nametoindex(sys.argv[1]), sys.argv[2]
both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
both.bind(("::", 7000))
both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
storage = lambda address: struct.pack("=HHI16s104x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address))
if source == "any":
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                    socket.inet_pton(socket.AF_INET6, {GROUP6!r}) + struct.pack("=I", interface))
else:
    both.setsockopt(socket.IPPROTO_IPV6, 46, struct.pack("=I4x", interface) + storage({GROUP6!r}) + storage(source))
print("ready", flush=True)
input()
both.settimeout(20)
for i in range({FEW}):
    both.sendto(b"%d" % i, ({GROUP6!r}, 7000))
heard = set()
while len(heard) < ({FEW} if source != "any" else 2 * {FEW}):
    data, peer = both.recvfrom(100)
    assert (data, peer[0]) not in heard
    heard.add((data, peer[0]))
print("heard", len(heard), *sorted({{peer for _, peer in heard}}), flush=True)
input()
"""


@pytest.mark.parametrize("under, ours", [("packet", HOST6), ("packet-own", "fd00:77::9"), ("xdp", HOST6), ("xdp-own", "fd00:77::9")], indirect=["under"])
@pytest.mark.parametrize("source", ["any", "specific"])
def test_groups_over_ipv6_in_both_directions(under, ours, source):
    if is_ours(under):
        under.uri += f",{ours}/64"
    with under.start(PYTHON, "-c", WAIT + BOTH_WAYS, "near", "any" if source == "any" else PEER6, stdin=-1) as one:
        one.says("ready")
        one.process.stdin.write(b"go\n")
        one.process.stdin.flush()
        until(lambda: one.output().count("ready") == 2, "the first's membership")
        with under.net.start(under.peers(PYTHON, "-c", BOTH_WAYS, "far", "any" if source == "any" else ours), stdin=-1) as other:
            other.says("ready")
            for each in (one, other):
                each.process.stdin.write(b"go\n")
                each.process.stdin.flush()
            heard = sorted([ours, PEER6])
            one.says(f"heard {2 * FEW} {heard[0]} {heard[1]}" if source == "any" else f"heard {FEW} {PEER6}")
            other.says(f"heard {2 * FEW} {heard[0]} {heard[1]}" if source == "any" else f"heard {FEW} {ours}")
            for each in (other, one):
                each.process.communicate(b"bye\n", timeout=30)
    heard, way = FEW * (2 if source == "any" else 1), "fast" if is_ours(under) else "kernel"
    stats = under.stats()
    assert stats["rx"][way] == heard and stats["tx"][way] == FEW


@pytest.mark.parametrize("under", ["packet", "packet-own", "xdp-own"], indirect=True)
def test_socat_in_both_roles(under):
    need("socat")
    receive = f"UDP4-RECV:7000,ip-add-membership={GROUP}:"
    with under.start("socat", "-u", receive + under.address, "STDOUT") as member:
        until(lambda: f"{GROUP_HEX}" in open("/proc/net/igmp").read() or is_ours(under), "the membership")
        until(lambda: run(*under.peers("sh", "-c", f"echo hello | socat -u STDIN UDP4-DATAGRAM:{GROUP}:7000,ip-multicast-if="
                                       f"{under.peer_address}")) == "" and "hello" in member.output(), "hello")
        member.stop()
    with under.net.start(under.peers("socat", "-u", receive + under.peer_address, "STDOUT")) as member:
        until(lambda: run(*under.command("sh", "-c", f"echo hello | socat -u STDIN UDP4-DATAGRAM:{GROUP}:7000,ip-multicast-if="
                                         f"{under.address}")) == "" and "hello" in member.output(), "hello")
        member.stop()


GROUP_HEX = "".join(f"{b:02X}" for b in reversed(socket.inet_aton(GROUP)))

# Joins one group of either IP and leaves it when it is told to.
COMER_AND_GOER = f"""
import socket, struct, sys
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
groups = [(four, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP,
           socket.inet_aton({GROUP!r}) + bytes(4)),
          (six, socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP,
           socket.inet_pton(socket.AF_INET6, {GROUP6!r}) + bytes(4))]
for s, level, join, _, value in groups:
    s.setsockopt(level, join, value)
print("joined", flush=True)
input()
for s, level, _, leave, value in groups:
    s.setsockopt(level, leave, value)
print("left", flush=True)
input()
"""


@pytest.fixture
def switch():
    """A bridge that looks at reports and asks for them, with one port here: `side`."""
    with_bridge = Namespace()
    try:
        run("ip", "link", "add", "side", "type", "veth", "peer", "name", "port", "netns", str(with_bridge.pid))
        with_bridge.run("sh", "-c", "ip link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 20"
                        " mcast_last_member_interval 10 && ip link set port master br0 && ip address add 10.79.0.1/24 dev br0"
                        " && ip address add fd00:79::1/64 dev br0 nodad && ip link set port up && ip link set br0 up")
        run("ip", "link", "set", "side", "up")
        yield with_bridge
    finally:
        with_bridge.close()
        until(lambda: "side" not in run("ip", "-br", "link"), "the end of the cable")


@pytest.mark.parametrize("versions", ["mcast_igmp_version 3 mcast_mld_version 2", "mcast_igmp_version 2 mcast_mld_version 1"])
def test_a_snooping_bridge_lets_the_group_through_until_it_is_left(net, switch, versions):
    need("bridge")
    switch.run("sh", "-c", f"ip link set br0 type bridge {versions}")

    def let_through():
        shown = json.loads(switch.run("bridge", "-j", "mdb", "show", "dev", "br0"))
        return {each["grp"] for part in shown for each in part.get("mdb", []) if each.get("port") == "port"}

    command = [FASTUDP, "run", "--link", "packet:side?address=10.79.0.9/24,fd00:79::9/64", "--", PYTHON, "-c", COMER_AND_GOER]
    with net.start(command, stdin=-1) as member:
        member.says("joined")
        until(lambda: {GROUP, GROUP6} <= let_through(), "both groups")
        member.process.stdin.write(b"\n")
        member.process.stdin.flush()
        member.says("left")
        until(lambda: not {GROUP, GROUP6} & let_through(), "neither group")
        member.stop()
