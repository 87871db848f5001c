"""Which way a datagram goes (RFC 1122 3.3.1) and which address it comes from (3.3.4)."""

import errno
import socket

import pytest
from packets import GATEWAY, HOST, MACS, PEER, STRANGER, datagram, sent
from test_sockets import errno_of
from test_validation import received


def way_to(net, destination):
    """(MAC that the frame goes to, source, destination) of a datagram to there."""
    opened = net.socket()
    opened.sendto(b"hello", (destination, 2000))
    (frame,) = net.captured()
    return frame[:6].hex(":"), ".".join(map(str, frame[26:30])), ".".join(map(str, frame[30:34]))


@pytest.mark.parametrize("destination", ["192.0.2.1", "8.8.8.8", "10.0.1.1"])
def test_datagram_off_the_link_goes_to_the_gateways_mac_with_its_destination_unchanged(either, destination):
    assert way_to(either, destination) == (MACS[GATEWAY], HOST, destination)


@pytest.mark.parametrize("address", ["0.0.0.1", "0.1.2.3", "0.255.255.255"])
def test_network_0_is_a_network_like_others_but_for_the_any_address(either, address):
    assert way_to(either, address) == (MACS[GATEWAY], HOST, address)
    receiver = either.bound()
    either.inject(datagram(b"hello", source=address))
    assert receiver.recvfrom() == (b"hello", (address, 2000))
    receiver.connect((address, 7))
    assert receiver.getpeername() == (address, 7)


def test_datagram_on_the_link_goes_to_its_host(either):
    assert way_to(either, PEER) == (MACS[PEER], HOST, PEER)


def test_longest_prefix_wins_over_default_whatever_the_order(either):
    either.add_route("192.0.2.128/25", PEER)
    either.add_route("192.0.0.0/16", STRANGER)
    either.add_route("192.0.2.129/32", STRANGER)
    assert way_to(either, "192.1.0.1")[0] == MACS[GATEWAY]
    assert way_to(either, "192.0.2.1")[0] == MACS[STRANGER]
    assert way_to(either, "192.0.2.128")[0] == MACS[PEER]
    assert way_to(either, "192.0.2.130")[0] == MACS[PEER]
    assert way_to(either, "192.0.2.129")[0] == MACS[STRANGER]


def test_route_without_a_gateway_is_on_the_link(either):
    either.add_route("192.0.2.0/24")
    either.add_neighbour("192.0.2.7", "02:00:00:00:00:07")
    assert way_to(either, "192.0.2.7") == ("02:00:00:00:00:07", HOST, "192.0.2.7")


def test_route_more_special_than_the_connected_one_beats_it(either):
    either.add_route("10.0.0.64/26", GATEWAY)
    assert way_to(either, "10.0.0.65")[0] == MACS[GATEWAY]


def test_without_a_route_sending_and_connecting_are_enetunreach_and_nothing_is_sent(make_either):
    net = make_either(gateway=None)
    assert errno_of(net.bound().sendto, b"x", ("192.0.2.1", 7)) == errno.ENETUNREACH
    assert errno_of(net.socket().connect, ("192.0.2.1", 7)) == errno.ENETUNREACH
    assert net.captured() == []


@pytest.mark.parametrize("destination", [PEER, "239.1.2.3", "255.255.255.255"])
def test_host_without_an_address_sends_nothing_from_the_any_address(make_either, destination):
    net = make_either(address=None, gateway=None)
    sender = net.socket()
    sender.set_option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    assert errno_of(sender.sendto, b"x", (destination, 7)) == errno.ENETUNREACH
    assert net.captured() == []


def test_route_that_is_removed_no_longer_counts_even_for_connected_sockets(net):
    net.stack.add_route("192.0.2.0/24", PEER)
    opened = net.socket()
    opened.connect(("192.0.2.1", 7))
    opened.send(b"one")
    net.stack.remove_route("192.0.2.0/24")
    opened.send(b"two")
    assert [frame[:6].hex(":") for frame in net.captured()] == [MACS[PEER], MACS[GATEWAY]]
    assert errno_of(net.stack.remove_route, "192.0.2.0/24") == errno.ESRCH


def test_route_that_is_added_counts_at_once_for_connected_sockets(net):
    opened = net.socket()
    opened.connect(("192.0.2.1", 7))
    opened.send(b"one")
    net.stack.add_route("192.0.2.0/24", PEER)
    opened.send(b"two")
    assert [frame[:6].hex(":") for frame in net.captured()] == [MACS[GATEWAY], MACS[PEER]]


def test_routes_that_make_no_sense_are_refused(net):
    add = net.stack.add_route
    assert errno_of(add, "192.0.2.0/24", "172.16.0.1") == errno.ENETUNREACH
    assert errno_of(add, "192.0.2.1/24", PEER) == errno.EINVAL
    assert errno_of(add, "0.0.0.0/0", PEER) == errno.EEXIST
    add("192.0.2.0/24", PEER)
    assert errno_of(add, "192.0.2.0/24", GATEWAY) == errno.EEXIST
    assert errno_of(net.stack.remove_route, "192.0.2.0/25") == errno.ESRCH


def test_source_is_the_address_of_the_network_that_the_next_hop_is_on(either):
    either.add_address("10.0.7.1/24")
    either.add_neighbour("10.0.7.2", MACS[STRANGER])
    assert way_to(either, "10.0.7.2") == (MACS[STRANGER], "10.0.7.1", "10.0.7.2")
    assert way_to(either, PEER) == (MACS[PEER], HOST, PEER)
    assert way_to(either, "192.0.2.1") == (MACS[GATEWAY], HOST, "192.0.2.1")


def test_source_is_the_address_that_the_socket_is_bound_to(either):
    either.add_address("10.0.7.1/24")
    opened = either.bound(1000, "10.0.7.1")
    opened.sendto(b"hello", (PEER, 2000))
    assert either.captured() == [sent(b"hello", source="10.0.7.1", via=PEER).replace(
        bytes.fromhex("0200000000fe"), bytes.fromhex("020000000001"))]


def test_address_that_is_removed_receives_and_sends_nothing_more(net):
    net.stack.add_address("10.0.7.1/24")
    opened = net.bound(1000, "10.0.7.1")
    net.stack.remove_address("10.0.7.1")
    net.inject(datagram(b"hello", destination="10.0.7.1", via=HOST))
    assert received(opened) == []
    assert errno_of(net.bound, 1001, "10.0.7.1") == errno.EADDRNOTAVAIL
    assert errno_of(net.stack.remove_address, "10.0.7.1") == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("address", ["224.0.0.1/24", "255.255.255.255/32", "0.0.0.0/0", "127.0.0.1/8", "10.0.5.255/24",
                                     "10.0.5.0/24"])
def test_address_that_no_host_may_have_is_einval(net, address):
    assert errno_of(net.stack.add_address, address) == errno.EINVAL


def test_address_that_is_there_already_is_eexist_and_there_is_room_for_64(net):
    assert errno_of(net.stack.add_address, f"{HOST}/24") == errno.EEXIST
    for number in range(2, 65):
        net.stack.add_address(f"10.1.{number}.1/24")
    assert errno_of(net.stack.add_address, "10.1.99.1/24") == errno.ENOSPC


def test_point_to_point_and_host_prefixes_have_no_broadcast_address(net):
    net.stack.add_address("10.9.0.0/31")
    net.stack.add_neighbour("10.9.0.1", MACS[PEER])
    assert way_to(net, "10.9.0.1") == (MACS[PEER], "10.9.0.0", "10.9.0.1")


def test_many_routes_are_told_apart(net):
    for number in range(500):
        net.stack.add_route(f"172.{16 + number // 256}.{number % 256}.0/24", (PEER, STRANGER)[number % 2])
    for number in range(0, 500, 7):
        assert way_to(net, f"172.{16 + number // 256}.{number % 256}.9")[0] == MACS[(PEER, STRANGER)[number % 2]]
