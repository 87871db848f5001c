"""Which socket gets which datagram: Linux's rules for ports, addresses, peers and sharing (RFC 1122 4.1.3.5)."""

import random
import socket

import pytest
from packets import BROADCAST_MAC, HOST, PEER, STRANGER, datagram
from test_validation import received


def shared(net, option=socket.SO_REUSEADDR):
    opened = net.socket()
    opened.set_option(socket.SOL_SOCKET, option, 1)
    return opened


def test_datagram_goes_to_the_socket_of_its_port_and_to_no_other(either):
    here, there = either.bound(1000), either.bound(1001)
    either.inject(datagram(b"there", dport=1001))
    assert received(here) == [] and received(there) == [b"there"]


def test_two_sockets_get_exactly_their_own_of_10000_interleaved_datagrams_in_order(either):
    sockets = {port: either.bound(port) for port in (1000, 1001)}
    wanted, got = {1000: [], 1001: []}, {1000: [], 1001: []}
    source = random.Random(14)
    for number in range(10_000):
        port = source.choice((1000, 1001))
        wanted[port].append(b"%d" % number)
        either.inject(datagram(b"%d" % number, dport=port))
        if number % 100 == 99:
            for port, opened in sockets.items():
                got[port] += received(opened)
    assert got == wanted
    if either.name == "fastudp":
        assert either.drops() == {}


def test_destination_address_decides_between_sockets_of_one_port(either):
    either.add_address("10.0.7.1/24")
    first, second = either.bound(1000, HOST), either.bound(1000, "10.0.7.1")
    either.inject(datagram(b"first"), datagram(b"second", destination="10.0.7.1", via=HOST))
    assert received(first) == [b"first"] and received(second) == [b"second"]


def test_socket_bound_to_an_address_gets_nothing_that_was_sent_to_another(either):
    either.add_address("10.0.7.1/24")
    bound = either.bound(1000, HOST)
    either.inject(datagram(b"other", destination="10.0.7.1", via=HOST))
    assert received(bound) == []


def test_connected_socket_never_returns_a_strangers_datagram(either):
    connected = either.connected()
    either.inject(datagram(b"address", source=STRANGER), datagram(b"port", sport=2001), datagram(b"peer"))
    assert received(connected) == [b"peer"]
    assert connected.poll() & 1 == 0


def test_datagram_queued_before_connect_is_still_delivered(either):
    opened = either.bound()
    either.inject(datagram(b"early", source=STRANGER))
    opened.connect((PEER, 2000))
    either.inject(datagram(b"late", source=STRANGER), datagram(b"peer"))
    assert received(opened) == [b"early", b"peer"]


def test_a_connected_socket_that_refuses_a_datagram_leaves_it_to_a_wildcard_socket(either):
    connected, wildcard = shared(either), shared(either)
    connected.bind((HOST, 1000))
    wildcard.bind(("", 1000))
    connected.connect((PEER, 2000))
    either.inject(datagram(b"stranger", source=STRANGER), datagram(b"peer"))
    assert received(connected) == [b"peer"]
    assert received(wildcard) == [b"stranger"]


def test_disconnected_socket_receives_from_everybody_again(either):
    opened = either.connected()
    opened.disconnect()
    either.inject(datagram(b"stranger", source=STRANGER))
    assert received(opened) == [b"stranger"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_most_specific_socket_gets_the_datagram_whatever_the_order_of_binding(either, order):
    sockets = [shared(either) for _ in range(3)]
    for i in order:
        sockets[i].bind(("" if i == 0 else HOST, 1000))
        if i == 2:
            sockets[i].connect((PEER, 2000))
    wildcard, bound, connected = sockets
    either.add_address("10.0.7.1/24")
    either.inject(datagram(b"peer"), datagram(b"stranger", source=STRANGER),
                  datagram(b"other address", destination="10.0.7.1", via=HOST))
    assert received(connected) == [b"peer"]
    assert received(bound) == [b"stranger"]
    assert received(wildcard) == [b"other address"]


def test_of_two_equal_sockets_with_so_reuseaddr_the_one_bound_last_gets_everything(either):
    first, last = shared(either), shared(either)
    first.bind((HOST, 1000))
    last.bind((HOST, 1000))
    either.inject(*(datagram(b"%d" % i, sport=2000 + i) for i in range(20)))
    assert received(first) == []
    assert received(last) == [b"%d" % i for i in range(20)]
    last.close()
    either.inject(datagram(b"again"))
    assert received(first) == [b"again"]


@pytest.mark.parametrize("destination", ["10.0.0.255", "255.255.255.255"])
def test_broadcast_reaches_every_socket_that_matches(either, destination):
    wildcards = [shared(either), shared(either)]
    for opened in wildcards:
        opened.bind(("", 1000))
    bound = shared(either)
    bound.bind((HOST, 1000))
    connected = shared(either)
    connected.bind(("", 1000))
    connected.connect((STRANGER, 2000))
    either.inject(datagram(b"all", destination=destination, via=BROADCAST_MAC))
    assert [received(s) for s in (*wildcards, bound, connected)] == [[b"all"], [b"all"], [], []]


def test_socket_bound_to_the_broadcast_address_gets_broadcasts_alone(either):
    opened = either.bound(1000, "10.0.0.255")
    either.inject(datagram(b"unicast"), datagram(b"all", destination="10.0.0.255", via=BROADCAST_MAC))
    assert received(opened) == [b"all"]


def test_each_flow_sticks_to_one_socket_of_a_reuseport_group_and_nothing_is_lost(either):
    group = [shared(either, socket.SO_REUSEPORT) for _ in range(4)]
    for opened in group:
        opened.bind((HOST, 1000))
    for _ in range(3):
        either.inject(*(datagram(b"%d" % sport, sport=sport) for sport in range(2000, 2064)))
    got = [received(opened) for opened in group]
    assert sorted(sum(got, [])) == sorted([b"%d" % sport for sport in range(2000, 2064)] * 3)
    for flows in got:
        assert all(flows.count(flow) == 3 for flow in flows)
    assert all(got)


def test_closed_member_of_a_reuseport_group_gets_nothing_more(either):
    group = [shared(either, socket.SO_REUSEPORT) for _ in range(3)]
    for opened in group:
        opened.bind((HOST, 1000))
    group.pop().close()
    either.inject(*(datagram(b"%d" % sport, sport=sport) for sport in range(2000, 2032)))
    assert sorted(sum((received(opened) for opened in group), [])) == sorted(b"%d" % p for p in range(2000, 2032))


def test_closed_socket_frees_its_port(either):
    either.bound().close()
    again = either.bound()
    either.inject(datagram(b"hello"))
    assert received(again) == [b"hello"]


def test_sender_is_reported_with_address_and_port(either):
    receiver = either.bound()
    either.inject(datagram(b"a", sport=7), datagram(b"b", source=STRANGER, sport=65535))
    assert receiver.recvfrom() == (b"a", (PEER, 7))
    assert receiver.recvfrom() == (b"b", (STRANGER, 65535))


def test_datagram_from_port_0_is_delivered(either):
    receiver = either.bound()
    either.inject(datagram(b"no answer wanted", sport=0))
    assert receiver.recvfrom() == (b"no answer wanted", (PEER, 0))


def test_100_sockets_each_get_their_own(either):
    sockets = {port: either.bound(port) for port in range(5000, 5100)}
    order = list(sockets) * 5
    random.Random(1).shuffle(order)
    either.inject(*(datagram(b"%d" % port, dport=port) for port in order))
    assert all(received(opened) == [b"%d" % port] * 5 for port, opened in sockets.items())


def test_what_no_socket_wants_is_counted(net):
    connected = net.connected()
    net.inject(datagram(b"nobody", dport=4000), datagram(b"stranger", source=STRANGER))
    assert received(connected) == []
    assert sum(net.drops().values()) == 2
    assert net.drops()["no_socket"] >= 1
