"""Router discovery and the addresses that come of it (RFC 4861 6.3, 4862 5.5, 7217): what routers say as Scapy builds it,
what the host then says and does."""

import errno
import itertools
import socket
import struct

import fastudp
import pytest
from nets_ipv6 import is_mld
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import checksum

OUR_MAC, ROUTER_MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:fe", "02:00:00:00:00:fd"
NEAR = "fe80::ff:fe00:1"  # of our MAC address
ROUTER, OTHER = "fe80::fe", "fe80::fd"
PREFIX, NEIGHBOUR, FAR = "2001:db8:1::", "2001:db8:1::99", "2001:db8:ffff::1"
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
IPV6_MTU, IP_MTU = 24, 14
_serial = itertools.count()


class Host:
    """A stack with a hand-held clock that listens to routers, and the hub that it is on."""

    def __init__(self, address="auto", extra="announce=off", mac=OUR_MAC):
        hub = f"mem:routers-{next(_serial)}"
        self.stack = fastudp.Stack(f"{hub}?mac={mac}&address={address}&{extra}", hand_clock=True, seed=1)
        self.link = fastudp.Link(hub)
        self.now = 0

    def close(self):
        self.stack.close()
        self.link.close()

    def hear(self, packet, source=ROUTER_MAC, destination=ALL_NODES_MAC):
        """What the host says to this packet."""
        self.said()
        self.link.send(bytes(Ether(src=source, dst=destination, type=0x86DD) / packet))
        return self.said()

    def said(self):
        """All but what is said of groups."""
        while self.stack.poll() > 0:
            pass
        frames = []
        while self.link.wait(0):
            frames.append(Ether(self.link.recv()))
        return [frame for frame in frames if not is_mld(frame)]

    def advance(self, seconds):
        self.now += round(seconds * 1e9)
        self.stack.set_time(self.now)
        return self.said()

    def pass_time(self, seconds, step=0.1):
        """What it says meanwhile, with the time at which it did."""
        begin = self.now
        return [(round((self.now - begin) / 1e9, 1), frame) for _ in range(round(seconds / step)) for frame in self.advance(step)]

    def connected(self, to=FAR):
        opened = self.stack.socket(socket.AF_INET6)
        opened.connect((to, 9))
        return opened

    def source(self, to=FAR):
        """The address that it would send from, or None where no way leads."""
        try:
            with self.connected(to) as opened:
                return opened.getsockname()[0]
        except OSError as error:
            assert error.errno == errno.ENETUNREACH
            return None

    def next_hop(self, to=FAR):
        """The address on the link that a datagram goes to; None: it isn't known."""
        with self.connected(to) as opened:
            opened.send(b"x")
            return next((frame.dst for frame in self.said() if UDP in frame), None)

    def drops(self):
        return {name: count for name, count in self.stack.drops().items() if count}

    def knows_nothing(self):
        return self.source() is None and self.source(NEIGHBOUR) is None and self.stack.get_neighbour(ROUTER) is None


@pytest.fixture
def make_host():
    made = []

    def make(**settings):
        made.append(Host(**settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def host(make_host):
    return make_host()


def prefix(name=PREFIX, valid=7200, preferred=3600, on_link=1, autonomous=1, length=64):
    return ICMPv6NDOptPrefixInfo(prefixlen=length, L=on_link, A=autonomous, validlifetime=valid, preferredlifetime=preferred,
                                 prefix=name)


def advertisement(*options, router=ROUTER, mac=ROUTER_MAC, lifetime=1800, hop_limit=255, hops=0, **icmp):
    told = IPv6(src=router, dst=ALL_NODES, hlim=hop_limit) / ICMPv6ND_RA(chlim=hops, routerlifetime=lifetime, **icmp)
    for option in ([ICMPv6NDOptSrcLLAddr(lladdr=mac)] if mac else []) + list(options):
        told /= option
    return told


def is_in(address, network=PREFIX):
    return address is not None and socket.inet_pton(socket.AF_INET6, address)[:8] == socket.inet_pton(socket.AF_INET6, network)[:8]


# -- Solicitations ----------------------------------------------------------------------------------------------------


def test_a_router_is_asked_for_by_these_bytes(host):
    asked = next(frame for _, frame in host.pass_time(1) if ICMPv6ND_RS in frame)
    expected = (Ether(src=OUR_MAC, dst="33:33:00:00:00:02") / IPv6(src=NEAR, dst="ff02::2", hlim=255) / ICMPv6ND_RS() /
                ICMPv6NDOptSrcLLAddr(lladdr=OUR_MAC))
    assert bytes(asked) == bytes(expected)


def test_three_questions_four_seconds_apart(host):
    times = [when for when, frame in host.pass_time(60) if ICMPv6ND_RS in frame]
    assert len(times) == 3 and times[0] <= 1
    assert [round(later - sooner, 1) for sooner, later in zip(times, times[1:])] == [4, 4]


def test_the_first_question_waits_until_our_address_is_found_to_be_unique(make_host):
    host = make_host(extra="announce=on")
    kinds = [ICMPv6ND_NS, ICMPv6ND_NA, ICMPv6ND_RS]
    said = [(next(kind for kind in kinds if kind in frame), frame) for _, frame in host.pass_time(4)]
    assert [kind for kind, _ in said][:3] in ([ICMPv6ND_NS, ICMPv6ND_NA, ICMPv6ND_RS], [ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6ND_NA])
    assert said[0][1][ICMPv6ND_NS].tgt == NEAR and said[0][1][IPv6].src == "::"


def test_nobody_asks_from_an_address_that_another_has(make_host):
    host = make_host(extra="announce=on")
    said = []
    while not said:
        said = host.advance(0.1)
    assert said[0][ICMPv6ND_NS].tgt == NEAR
    host.hear(IPv6(src=OTHER, dst=ALL_NODES, hlim=255) / ICMPv6ND_NA(tgt=NEAR, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OTHER_MAC))
    assert not [frame for _, frame in host.pass_time(30) if ICMPv6ND_RS in frame]


def test_without_a_link_local_address_nobody_asks(host):
    host.stack.remove_address(NEAR)
    host.hear(advertisement(prefix()))
    assert host.pass_time(2) == []


def test_once_a_router_has_answered_nobody_asks_again(host):
    host.pass_time(1)
    host.hear(advertisement())
    assert host.pass_time(20) == []


# -- What isn't believed ------------------------------------------------------------------------------------------------


GOOD = (prefix(), ICMPv6NDOptMTU(mtu=1400))


@pytest.mark.parametrize("forged, why", [
    (advertisement(*GOOD, hop_limit=64), "icmp_ignored"),
    (advertisement(*GOOD, hop_limit=254), "icmp_ignored"),
    (advertisement(*GOOD, router="2001:db8:1::fe"), "icmp_ignored"),
    (advertisement(*GOOD, router="::"), "icmp_ignored"),
    (advertisement(*GOOD, code=1), "icmp_ignored"),
    (advertisement(*GOOD, cksum=1), "icmp_malformed"),
    (advertisement(*GOOD, Raw(b"\1\0" + bytes(6))), "icmp_malformed"),
    (advertisement(*GOOD, Raw(b"\1\2" + bytes(6))), "icmp_malformed"),
    (advertisement(*GOOD, Raw(b"\1")), "icmp_malformed"),
    (advertisement(Raw(b"\3\0" + bytes(30)), *GOOD), "icmp_malformed"),
], ids=["far away", "one hop away", "global source", "no source", "code", "checksum", "option of length 0", "option beyond the end",
        "half an option", "first option of length 0"])
def test_a_forged_advertisement_changes_nothing(host, forged, why):
    host.pass_time(1)
    assert host.hear(forged) == []
    assert host.knows_nothing()
    assert host.drops() == {why: 1}
    assert [frame for frame in host.advance(4) if ICMPv6ND_RS in frame], "it still looks for a router"


@pytest.mark.parametrize("address", ["2001:db8:1::5/64", "10.0.0.1/24", "fe80::5/64"])
def test_who_did_not_ask_for_it_does_not_listen(make_host, address):
    host = make_host(address=address)
    host.hear(advertisement(prefix("2001:db8:2::"), ICMPv6NDOptMTU(mtu=1400)))
    assert host.source() is None and host.source("2001:db8:2::9") is None
    assert not [frame for _, frame in host.pass_time(20) if ICMPv6ND_RS in frame]


def test_where_the_addresses_are_the_hosts_it_can_not_be_asked_for():
    for link in ("host:", "loop:"):
        with pytest.raises(OSError, match="address=auto"):
            fastudp.Stack(f"{link}?address=auto")


# -- Routers ------------------------------------------------------------------------------------------------------------


def test_an_advertisement_gives_an_address_a_way_out_and_the_routers_place(host):
    host.hear(advertisement(prefix()))
    assert host.stack.get_neighbour(ROUTER) == (ROUTER_MAC, fastudp.STALE)
    assert is_in(host.source())
    assert host.next_hop() == ROUTER_MAC


def test_a_router_with_a_lifetime_of_0_is_none(host):
    host.hear(advertisement(prefix()))
    opened = host.connected()
    host.hear(advertisement(prefix(), lifetime=0))
    with pytest.raises(OSError) as caught:
        opened.send(b"x")
    assert caught.value.errno == errno.ENETUNREACH
    assert host.source() is None and is_in(host.source(NEIGHBOUR))


def test_a_router_is_used_until_its_lifetime_is_over(host):
    host.hear(advertisement(prefix(), lifetime=100))
    host.advance(99.9)
    assert host.source() is not None
    host.advance(0.1)
    assert host.source() is None


def test_the_next_router_takes_over(host):
    host.hear(advertisement(prefix(), lifetime=100))
    host.hear(advertisement(prefix(), router=OTHER, mac=OTHER_MAC), source=OTHER_MAC)
    opened = host.connected()
    for expected in (ROUTER_MAC, OTHER_MAC):
        opened.send(b"x")
        assert host.said()[0].dst == expected
        host.advance(101)


def test_a_router_that_does_not_answer_is_left_for_one_that_may(host):
    host.hear(advertisement(prefix(), mac=None))
    host.hear(advertisement(prefix(), router=OTHER, mac=OTHER_MAC), source=OTHER_MAC)
    opened = host.connected()
    opened.send(b"lost")
    asked = [frame[ICMPv6ND_NS].tgt for frame in host.said() + [each for _, each in host.pass_time(5)] if ICMPv6ND_NS in frame]
    assert asked == [ROUTER] * 3
    opened.get_option(socket.SOL_SOCKET, socket.SO_ERROR)
    opened.send(b"found")
    assert [frame.dst for frame in host.said() if UDP in frame] == [OTHER_MAC]


def test_a_router_that_says_that_it_is_none_is_left(host):
    host.hear(advertisement(prefix()))
    host.hear(IPv6(src=ROUTER, dst=ALL_NODES, hlim=255) / ICMPv6ND_NA(tgt=ROUTER, R=0, O=1) /
              ICMPv6NDOptDstLLAddr(lladdr=ROUTER_MAC))
    assert host.source() is None


@pytest.mark.parametrize("flags", [{"R": 1, "O": 1}, {"R": 0, "O": 0}])
def test_a_router_stays_while_nothing_better_is_known(host, flags):
    host.hear(advertisement(prefix()))
    host.hear(IPv6(src=ROUTER, dst=ALL_NODES, hlim=255) / ICMPv6ND_NA(tgt=ROUTER, **flags) /
              ICMPv6NDOptDstLLAddr(lladdr=ROUTER_MAC if flags["R"] else OTHER_MAC))
    assert host.next_hop() == ROUTER_MAC


def test_a_gateway_that_was_configured_stays(make_host):
    host = make_host(address="2001:db8:1::5/64,auto", extra="announce=off&gateway=2001:db8:1::1")
    host.stack.add_neighbour("2001:db8:1::1", OTHER_MAC)
    host.hear(advertisement(prefix()))
    assert host.next_hop() == OTHER_MAC
    host.hear(advertisement(prefix(), lifetime=0))
    assert host.next_hop() == OTHER_MAC


def test_what_was_configured_outlives_what_is_learnt(make_host):
    host = make_host(address="2001:db8:1::5/64,auto")
    host.hear(advertisement(prefix(valid=100, preferred=100)))
    host.advance(100)
    assert host.source(NEIGHBOUR) == "2001:db8:1::5"


def test_an_address_that_is_taken_away_leaves_the_learnt_one_its_prefix(make_host):
    host = make_host(address="2001:db8:1::5/64,auto")
    host.hear(advertisement(prefix()))
    host.stack.remove_address("2001:db8:1::5")
    host.hear(advertisement(prefix()))
    assert is_in(host.source(NEIGHBOUR))
    host.hear(advertisement(prefix(valid=0, preferred=0), lifetime=0))
    assert host.source(NEIGHBOUR) is None


def test_a_learnt_address_can_be_removed_and_its_prefix_stays(host):
    host.hear(advertisement(prefix(), prefix("2001:db8:2::")))
    ours = host.source(NEIGHBOUR)
    host.stack.remove_address(ours)
    assert is_in(host.source(NEIGHBOUR), "2001:db8:2::")
    host.stack.add_neighbour(NEIGHBOUR, OTHER_MAC)
    assert host.next_hop(NEIGHBOUR) == OTHER_MAC


# -- The link -----------------------------------------------------------------------------------------------------------


def test_neighbours_are_on_the_link_only_if_the_prefix_is_said_to_be(host):
    host.hear(advertisement(prefix(on_link=0)))
    assert host.next_hop(NEIGHBOUR) == ROUTER_MAC
    host.hear(advertisement(prefix()))
    opened = host.connected(NEIGHBOUR)
    opened.send(b"x")
    asked, = host.said()
    assert asked[ICMPv6ND_NS].tgt == NEIGHBOUR and is_in(asked[IPv6].src)


def test_a_prefix_that_is_no_longer_on_the_link_is_the_routers(host):
    host.hear(advertisement(prefix("2001:db8:2::", autonomous=0, valid=100, preferred=100), prefix()))
    host.stack.add_neighbour("2001:db8:2::9", OTHER_MAC)
    assert host.next_hop("2001:db8:2::9") == OTHER_MAC
    host.advance(100)
    assert host.next_hop("2001:db8:2::9") == ROUTER_MAC


@pytest.mark.parametrize("mtu, used", [(1400, 1400), (1280, 1280), (1500, 1500), (1279, 1500), (1501, 1500), (0, 1500)])
def test_the_mtu_is_taken_for_ipv6_alone(make_host, mtu, used):
    host = make_host(address="10.0.0.1/24,auto")
    host.hear(advertisement(prefix(), ICMPv6NDOptMTU(mtu=mtu)))
    assert host.connected().get_option(socket.IPPROTO_IPV6, IPV6_MTU) == used
    four = host.stack.socket()
    four.connect(("10.0.0.2", 9))
    assert four.get_option(socket.IPPROTO_IP, IP_MTU) == 1500


def test_open_sockets_hear_of_the_mtu(host):
    host.hear(advertisement(prefix()))
    opened = host.connected()
    for expected in ([1448], [1400, 104]):
        opened.send(bytes(1400))
        assert [len(frame[IPv6]) for frame in host.said()] == expected
        host.hear(advertisement(ICMPv6NDOptMTU(mtu=1400)))


def test_the_hop_limit_is_the_default_of_all_that_is_sent(host):
    opened = host.stack.socket(socket.AF_INET6)
    host.hear(advertisement(prefix(), hops=33))
    opened.connect((FAR, 9))
    assert opened.get_option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 33
    opened.send(b"x")
    assert host.said()[0][IPv6].hlim == 33
    said, = host.hear(IPv6(src=ROUTER, dst=NEAR) / ICMPv6EchoRequest(), destination=OUR_MAC)
    assert ICMPv6EchoReply in said and said[IPv6].hlim == 33
    host.hear(advertisement(prefix(), hops=0))
    opened.set_option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 7)
    opened.send(b"x")
    assert host.said()[0][IPv6].hlim == 7
    opened.set_option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, -1)
    opened.send(b"x")
    assert host.said()[0][IPv6].hlim == 33


# -- Addresses ----------------------------------------------------------------------------------------------------------


def address_of(host, name=PREFIX):
    host.hear(advertisement(prefix(name)))
    return host.source(NEIGHBOUR if name == PREFIX else f"{name}99")


def low(address):
    return socket.inet_pton(socket.AF_INET6, address)[8:]


def test_one_host_has_one_identifier_in_a_network_and_another_in_the_next(make_host):
    first, again, other = make_host(), make_host(), make_host(mac="02:00:00:00:00:07")
    here = address_of(first)
    assert address_of(again) == here, "the same from run to run"
    assert is_in(address_of(first, "2001:db8:2::"), "2001:db8:2::")
    assert low(address_of(first, "2001:db8:2::")) != low(here)
    assert low(address_of(other)) != low(here)
    assert low(here) != low(NEAR)


def test_datagrams_reach_the_address_and_a_socket_can_be_bound_to_it(host):
    ours = address_of(host)
    opened = host.stack.socket(socket.AF_INET6)
    opened.bind((ours, 1000))
    host.hear(IPv6(src=NEIGHBOUR, dst=ours) / UDP(sport=2000, dport=1000) / Raw(b"hello"), destination=OUR_MAC)
    assert opened.recvfrom() == (b"hello", (NEIGHBOUR, 2000, 0, 0))


def test_a_deprecated_address_is_not_chosen_any_more(host):
    host.hear(advertisement(prefix(valid=7200, preferred=100), prefix("2001:db8:2::")))
    opened = host.connected(NEIGHBOUR)
    assert is_in(opened.getsockname()[0])
    host.advance(100)
    assert is_in(host.source(NEIGHBOUR), "2001:db8:2::")
    opened.send(b"x")
    assert is_in(opened.getsockname()[0]), "what has begun goes on"


def test_a_deprecated_address_is_better_than_none(host):
    host.hear(advertisement(prefix(valid=7200, preferred=0)))
    assert is_in(host.source())


def test_an_address_that_is_no_longer_valid_is_gone(host):
    host.hear(advertisement(prefix(valid=100, preferred=50)))
    ours = host.source()
    host.advance(100)
    with pytest.raises(OSError) as caught:
        host.stack.socket(socket.AF_INET6).bind((ours, 1000))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert host.source() == NEAR, "the router is still there"


@pytest.mark.parametrize("valid", [100, 7200], ids=["gone", "deprecated"])
def test_open_sockets_hear_of_an_address_that_is_not_to_be_used_any_more(host, valid):
    host.hear(advertisement(prefix(on_link=0, valid=valid, preferred=100), prefix("2001:db8:2::", on_link=0)))
    opened = host.stack.socket(socket.AF_INET6)
    for network in (PREFIX, "2001:db8:2::"):
        opened.sendto(b"x", (NEIGHBOUR, 9))
        sent, = host.said()
        assert is_in(sent[IPv6].src, network)
        host.advance(100)


def test_open_sockets_hear_of_an_address_that_comes(host):
    host.hear(advertisement())
    opened = host.stack.socket(socket.AF_INET6)
    for expected in (False, True):
        opened.sendto(b"x", (FAR, 9))
        sent, = host.said()
        assert is_in(sent[IPv6].src) == expected
        host.hear(advertisement(prefix(on_link=0)))


def test_nobody_takes_an_address_away_at_once(host):
    host.hear(advertisement(prefix(valid=86400, preferred=86400), lifetime=9000))
    ours = host.source()
    host.hear(advertisement(prefix(valid=0, preferred=0), lifetime=9000))
    host.advance(7199)
    assert host.source() == ours
    host.hear(advertisement(prefix(valid=0, preferred=0), lifetime=9000))
    host.advance(1)
    assert host.source() == NEAR


# -- Duplicates -----------------------------------------------------------------------------------------------------------


def probed(host, seconds=2.5):
    return [frame[ICMPv6ND_NS].tgt for _, frame in host.pass_time(seconds) if ICMPv6ND_NS in frame and frame[IPv6].src == "::"]


@pytest.fixture
def careful(make_host):
    """A host that knows that its link-local address is unique, and looks for others that have its next ones."""
    host = make_host(extra="announce=on")
    host.pass_time(4)
    host.hear(advertisement(prefix()))
    return host


def test_a_new_address_is_looked_for_before_it_is_used(careful):
    assert careful.source() == NEAR, "not yet"
    said = [frame for _, frame in careful.pass_time(2.5)]
    probe, = [frame for frame in said if ICMPv6ND_NS in frame]
    ours = probe[ICMPv6ND_NS].tgt
    assert is_in(ours)
    assert (probe[IPv6].src, probe[IPv6].hlim, ICMPv6NDOptSrcLLAddr in probe) == ("::", 255, False)
    assert careful.source() == ours
    assert [frame[ICMPv6ND_NA].tgt for frame in said if ICMPv6ND_NA in frame] == [ours]


def defence(target):
    return (IPv6(src=target, dst=ALL_NODES, hlim=255) / ICMPv6ND_NA(tgt=target, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OTHER_MAC))


def rival_probe(target):
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + socket.inet_pton(socket.AF_INET6, target)[13:]
    return IPv6(src="::", dst=socket.inet_ntop(socket.AF_INET6, group), hlim=255) / ICMPv6ND_NS(tgt=target)


def group_mac(target):
    return "33:33:ff:" + ":".join(f"{byte:02x}" for byte in socket.inet_pton(socket.AF_INET6, target)[13:])


@pytest.mark.parametrize("conflict", [defence, rival_probe])
def test_three_identifiers_are_tried(careful, conflict):
    tried = []
    while found := probed(careful, 1.1):
        tried += found
        said = careful.hear(conflict(found[0]), destination=ALL_NODES_MAC if conflict is defence else group_mac(found[0]))
        assert not [frame for frame in said if ICMPv6ND_NA in frame], "what isn't ours isn't defended"
    assert len(tried) == len(set(tried)) == 3 and all(map(is_in, tried))
    careful.hear(advertisement(prefix()))
    assert probed(careful) == [] and careful.source() == NEAR


def test_the_second_identifier_is_used_where_the_first_is_taken(careful):
    first, = probed(careful, 1.1)
    careful.hear(defence(first))
    second, = probed(careful)
    assert careful.source() == second != first


def test_an_address_that_is_over_before_it_was_ours_is_neither_looked_for_nor_announced(careful):
    ours, = probed(careful)
    careful.hear(advertisement(prefix("2001:db8:2::", valid=1, preferred=1)))
    careful.advance(1)
    assert {frame[kind].tgt for _, frame in careful.pass_time(5) for kind in (ICMPv6ND_NS, ICMPv6ND_NA) if kind in frame} <= {ours}


def test_addresses_that_come_and_go_leave_room_for_others(careful):
    for number in range(100):
        too_short = prefix(f"2001:db8:3:{number:x}::", valid=1, preferred=1)
        careful.hear(advertisement(too_short, prefix(f"2001:db8:2:{number:x}::", valid=4, preferred=4), lifetime=9000))
        careful.advance(2), careful.advance(1)
        network = f"2001:db8:2:{number:x}::"
        assert is_in(careful.source(network + "9"), network)
        careful.advance(2)


def test_an_address_that_is_ours_is_defended(careful):
    ours, = probed(careful)
    said, = careful.hear(rival_probe(ours), destination=group_mac(ours))
    assert said[ICMPv6ND_NA].tgt == ours


def test_who_only_asks_for_an_address_that_we_try_is_not_answered(careful):
    wanted, = probed(careful, 1)
    said = careful.hear(IPv6(src=NEIGHBOUR, dst=ALL_NODES, hlim=255) / ICMPv6ND_NS(tgt=wanted) /
                        ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC))
    assert said == []
    careful.pass_time(2)
    assert careful.source() == wanted


# -- Bounds -----------------------------------------------------------------------------------------------------------------


def with_numbers(frame, number):
    """The same from another router and about another prefix."""
    out = bytearray(frame)
    out[36:38] = out[-10:-8] = number.to_bytes(2, "big")  # the end of the source, the fourth word of the prefix
    out[56:58] = bytes(2)
    out[56:58] = checksum(bytes(out[22:54]) + struct.pack("!II", len(out) - 54, 58) + bytes(out[54:])).to_bytes(2, "big")
    return bytes(out)


def test_a_flood_of_prefixes_and_routers_changes_little(host):
    host.hear(advertisement(prefix()))
    ours = host.source(NEIGHBOUR)
    frame = bytes(Ether(src=OTHER_MAC, dst=ALL_NODES_MAC) / advertisement(prefix("2001:db8:0:ffff::"), router=OTHER, mac=OTHER_MAC))
    for number in range(10_000):
        host.link.send(with_numbers(frame, number))
        if number % 64 == 63:
            host.said()
    host.said()
    assert host.drops() == {}, "all of it was well formed"
    assert host.source(NEIGHBOUR) == ours and host.next_hop() == ROUTER_MAC
    networks = [f"2001:db8:0:{number:x}::" for number in range(10_000)]
    assert sum(is_in(host.source(f"{each}9"), each) for each in networks) == 7, "and one is ours"
