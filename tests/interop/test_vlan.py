"""VLANs on real devices: an interface that the kernel keeps, where it takes tags out of the frames and tells of them
beside, and a TAP interface. The other end of the cable is a raw socket."""

import contextlib
import errno
import itertools
import socket

import fastudp
import private_network
import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from tagged_wire import TaggedWire

OURS, PEER, PEER_MAC = "10.66.0.1", "10.66.0.2", "02:00:00:00:66:02"
OURS6, PEER6 = "fd00:66::1", "fd00:66::2"
_serial = itertools.count()


class Line:
    """Our stack on a device, and the wire that this leads to."""

    def __init__(self, kind, keys):
        private_network.enter()
        self.kind = kind
        device, wire = (f"{end}{next(_serial)}" for end in ("near", "far"))
        self._exits = contextlib.ExitStack()
        if kind == "tap":
            wire = device
        else:
            private_network.ip(f"link add {device} type veth peer {wire}", f"link set {device} up", f"link set {wire} up")
            self._exits.callback(private_network.ip, f"link delete {device}")
        uri = f"{kind}:{device}?address={OURS}/24,{OURS6}/64&announce=off&{keys}"
        self.stack = self._exits.enter_context(contextlib.closing(fastudp.Stack(uri)))
        private_network.sysctl(f"net/ipv6/conf/{wire}/disable_ipv6", 1)
        self.wire = self._exits.enter_context(contextlib.closing(TaggedWire(wire)))
        self.mac = self.stack.info().mac
        self.socket = self.stack.socket()
        self.socket.bind((OURS, 7))
        self.socket.fileno()  # from now on a thread answers ping and ARP
        self.stack.add_neighbour(PEER, PEER_MAC)

    def close(self):
        self._exits.close()

    def answers(self, *frames, count=1):
        self.wire.send(*frames)
        return [Ether(f) for f in self.wire.receive_from(self.mac, count)]

    def received(self):
        assert self.socket.wait(timeout=20)
        return self.socket.recv(flags=fastudp.DONTWAIT)


@pytest.fixture(params=["tap", "packet", "packet-plain", "packet-blocks"])
def make_line(request):
    kind, _, ring = request.param.partition("-")
    ring_key = {"": "", "plain": "&ring=off", "blocks": "&ring=v3"}[ring]
    with contextlib.ExitStack() as stack:
        yield lambda keys: stack.enter_context(contextlib.closing(Line(kind, keys + ring_key)))


def to_us(tags, destination=None):
    frame = Ether(src=PEER_MAC, dst=destination)
    for tag in tags:
        frame = frame / tag
    return frame


def udp(payload):
    return IP(src=PEER, dst=OURS) / UDP(sport=2000, dport=7) / Raw(payload)


QUESTION = ARP(op="who-has", psrc=PEER, hwsrc=PEER_MAC, pdst=OURS)
EVERYBODY = "ff:ff:ff:ff:ff:ff"


def tags_of(frame):
    """(type, VID, priority) of each."""
    out = []
    for layer in (Dot1AD, Dot1Q):
        out += [(layer.__name__, frame[layer].vlan, frame[layer].prio)] if layer in frame else []
    return out


def test_tagged_both_ways(make_line):
    line = make_line("vlan=100")
    (answer,) = line.answers(to_us([], EVERYBODY) / QUESTION, to_us([Dot1Q(vlan=200)], EVERYBODY) / QUESTION,
                             to_us([Dot1Q(vlan=0, prio=5)], EVERYBODY) / QUESTION,
                             to_us([Dot1Q(vlan=100, prio=2)], EVERYBODY) / QUESTION)
    assert tags_of(answer) == [("Dot1Q", 100, 0)] and answer[ARP].psrc == OURS
    assert line.stack.drops()["vlan"] == 3
    mine = to_us([Dot1Q(vlan=100)], line.mac)
    (answer,) = line.answers(mine / IP(src=PEER, dst=OURS) / ICMP(id=1, seq=1) / Raw(b"p" * 1472))
    assert tags_of(answer) == [("Dot1Q", 100, 0)] and bytes(answer[Raw]) == b"p" * 1472
    line.wire.send(to_us([], line.mac) / udp(b"no"), to_us([Dot1Q(vlan=300)], line.mac) / udp(b"no"), mine / udp(b"yes"))
    assert line.received() == b"yes"
    line.socket.set_option(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
    line.socket.sendto(b"x" * 1472, (PEER, 2000))
    (frame,) = map(Ether, line.wire.receive_from(line.mac))
    assert tags_of(frame) == [("Dot1Q", 100, 3)] and bytes(frame[Raw]) == b"x" * 1472


def test_fragments_both_ways(make_line):
    line = make_line("vlan=100")
    data = bytes(range(200)) * 20
    line.wire.send(*[to_us([Dot1Q(vlan=100)], line.mac) / piece for piece in fragment(udp(data), 1480)])
    assert line.received() == data
    line.socket.sendto(data, (PEER, 2000))
    frames = [Ether(f) for f in line.wire.receive_from(line.mac, 3)]
    assert [tags_of(f) for f in frames] == [[("Dot1Q", 100, 0)]] * 3
    assert b"".join(bytes(f[IP].payload)[:f[IP].len - 20] for f in frames)[8:] == data


def test_neighbour_discovery_in_the_vlan(make_line):
    line = make_line("vlan=100")
    asked = IPv6(src=PEER6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=OURS6) / ICMPv6NDOptSrcLLAddr(lladdr=PEER_MAC)
    (answer,) = line.answers(to_us([], "33:33:ff:00:00:01") / asked, to_us([Dot1Q(vlan=100)], "33:33:ff:00:00:01") / asked)
    assert tags_of(answer) == [("Dot1Q", 100, 0)] and answer[ICMPv6ND_NA].tgt == OURS6


def test_trunk(make_line):
    line = make_line("vlan=100,200,300&vlan_mode=trunk&vlan_native=100")
    for tags, said in [([Dot1Q(vlan=200)], [("Dot1Q", 200, 0)]), ([], []), ([Dot1Q(vlan=300)], [("Dot1Q", 300, 0)])]:
        (answer,) = line.answers(to_us([Dot1Q(vlan=999)], EVERYBODY) / QUESTION, to_us(tags, EVERYBODY) / QUESTION)
        assert tags_of(answer) == said
    assert line.stack.drops()["vlan"] == 3


def test_access(make_line):
    line = make_line("vlan=100&vlan_mode=access")
    for tags in ([], [Dot1Q(vlan=0, prio=7)], [Dot1Q(vlan=100)]):
        (answer,) = line.answers(to_us([Dot1Q(vlan=200)], EVERYBODY) / QUESTION, to_us(tags, EVERYBODY) / QUESTION)
        assert tags_of(answer) == []
    assert line.stack.drops()["vlan"] == 3


def test_two_tags(make_line):
    line = make_line("vlan=10.100")
    tags = [Dot1AD(vlan=10), Dot1Q(vlan=100)]
    (answer,) = line.answers(to_us([Dot1Q(vlan=100)], EVERYBODY) / QUESTION, to_us([Dot1AD(vlan=10)], EVERYBODY) / QUESTION,
                             to_us([Dot1AD(vlan=10), Dot1Q(vlan=200)], EVERYBODY) / QUESTION, to_us(tags, EVERYBODY) / QUESTION)
    assert tags_of(answer) == [("Dot1AD", 10, 0), ("Dot1Q", 100, 0)]
    assert line.stack.drops()["vlan"] == 3
    line.wire.send(to_us(tags, line.mac) / udp(b"twice"))
    assert line.received() == b"twice"
    # The kernel counts two tags towards what a packet socket may send.
    most = line.stack.info().mtu
    assert most == (1500 if line.kind == "tap" else 1492)
    line.socket.sendto(b"x" * (most - 28), (PEER, 2000))
    line.socket.sendto(b"y" * (most - 27), (PEER, 2000))
    frames = [Ether(f) for f in line.wire.receive_from(line.mac, 3)]
    assert [tags_of(f) for f in frames] == [[("Dot1AD", 10, 0), ("Dot1Q", 100, 0)]] * 3
    assert bytes(frames[0][Raw]) == b"x" * (most - 28)


def test_tag_that_is_a_priority_alone_is_no_vlan(make_line):
    line = make_line("gateway=10.66.0.254")
    (answer,) = line.answers(to_us([Dot1Q(vlan=100)], EVERYBODY) / QUESTION, to_us([Dot1Q(vlan=0, prio=5)], EVERYBODY) / QUESTION)
    assert tags_of(answer) == [] and line.stack.drops()["vlan"] == 1


@pytest.mark.parametrize("link", ["packet:plain", "host:", "loop:"])
def test_the_hosts_addresses_have_no_vlan_of_ours(link):
    private_network.enter()
    private_network.ip("link add plain type veth peer unused")
    try:
        with pytest.raises(OSError, match="vlan= needs .*address=A/LEN") as refused:
            fastudp.Stack(f"{link}?vlan=100")
        assert refused.value.errno == errno.EINVAL
    finally:
        private_network.ip("link delete plain")


def test_the_kernels_sockets_do_not_stand_in_for_a_vlan():
    private_network.enter()
    with pytest.raises(OSError, match="no fast link: no interface has a route") as refused:
        fastudp.Stack(f"auto:?address={OURS}/24&vlan=100")
    assert refused.value.errno == errno.EOPNOTSUPP
