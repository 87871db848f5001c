"""What socket calls return, as on Linux: udp(7), ip(7), socket(7)."""

import errno
import resource
import select
import socket
import time

import fastudp
import pytest
from nets import IP_MTU, IP_MTU_DISCOVER, IP_RECVERR
from packets import HOST, MACS, PEER, STRANGER, datagram, ether_type, ARP
from test_validation import received

SOL, IP = socket.SOL_SOCKET, socket.IPPROTO_IP


def errno_of(call, *args):
    with pytest.raises(OSError) as refused:
        call(*args)
    return refused.value.errno


def test_zero_length_datagram_is_received_as_length_zero_and_not_as_a_timeout(either):
    receiver = either.bound()
    either.inject(datagram(b""))
    assert receiver.poll() & fastudp.READABLE
    assert receiver.recvfrom() == (b"", (PEER, 2000))
    with pytest.raises(BlockingIOError):
        receiver.recvfrom()


def test_shorter_buffer_truncates_and_flags_and_the_next_receive_gives_the_next_datagram(either):
    receiver = either.bound()
    either.inject(datagram(b"0123456789"), datagram(b"next"))
    message = receiver.recvmsg(4)
    assert (message.data, message.flags, message.peer) == (b"0123", fastudp.TRUNC, (PEER, 2000))
    message = receiver.recvmsg(4)
    assert (message.data, message.flags) == (b"next", 0)


def test_full_length_of_a_truncated_datagram_is_told(net):
    receiver = net.bound()
    net.inject(datagram(b"0123456789"), datagram(b"0123456789"))
    assert receiver.recvmsg(4).length == 10
    assert receiver.recv_into(bytearray(4), fastudp.TRUNC) == 10


def test_trunc_flag_returns_the_full_length_and_peek_leaves_the_datagram(either):
    receiver = either.bound()
    either.inject(datagram(b"0123456789"))
    room = bytearray(4)
    assert receiver.recv_into(room, flags=fastudp.PEEK | fastudp.TRUNC) == 10
    assert receiver.recv_into(room, flags=fastudp.PEEK) == 4
    assert room == b"0123"
    assert receiver.recv() == b"0123456789"
    with pytest.raises(BlockingIOError):
        receiver.recv()


def test_receiving_into_no_room_takes_the_datagram(either):
    receiver = either.bound()
    either.inject(datagram(b"gone"), datagram(b"next"))
    assert receiver.recvfrom(0) == (b"", (PEER, 2000))
    assert receiver.recv() == b"next"


def test_send_on_an_unconnected_socket_is_edestaddrreq(either):
    assert errno_of(either.bound().send, b"x") == errno.EDESTADDRREQ
    assert errno_of(either.socket().send, b"x") == errno.EDESTADDRREQ


def test_getpeername_of_an_unconnected_socket_is_enotconn(either):
    opened = either.connected()
    assert opened.getpeername() == (PEER, 2000)
    opened.disconnect()
    assert errno_of(opened.getpeername) == errno.ENOTCONN
    assert errno_of(either.socket().getpeername) == errno.ENOTCONN


def test_empty_receive_that_may_not_block_returns_at_once(either):
    with pytest.raises(BlockingIOError):
        either.bound().recv(100, fastudp.DONTWAIT)


def test_send_to_an_unresolved_neighbour_returns_at_once(make_either):
    net = make_either(resolved=False)
    assert net.bound().sendto(b"hello", (PEER, 2000), fastudp.DONTWAIT) == 5
    assert [ether_type(frame) for frame in net.captured()] == [ARP]


@pytest.mark.parametrize("name", [socket.SO_RCVTIMEO, socket.SO_SNDTIMEO])
def test_timeouts_are_read_back_in_steps_of_20_ms_that_every_kernel_can_tell_apart(both, name):
    def read_back(net, value):
        opened = net.socket()
        opened.set_option(SOL, name, value)
        return opened.get_option(SOL, name, 16)

    for seconds, microseconds in [(0, 0), (1, 0), (0, 500_000), (3, 240_000)]:
        value = seconds.to_bytes(8, "little") + microseconds.to_bytes(8, "little")
        assert read_back(both[0], value) == read_back(both[1], value) == value
    for bad in (b"\0" * 8, (1).to_bytes(8, "little") + (1_000_000).to_bytes(8, "little")):
        assert errno_of(read_back, both[0], bad) == errno_of(read_back, both[1], bad)


@pytest.mark.parametrize("timeout", [0.01, 0.15])
def test_receive_timeout_is_eagain_at_the_deadline_and_not_before(timeout):
    with fastudp.Stack("mem:timeout?address=10.0.0.1/24&announce=off") as stack:
        receiver = stack.socket()
        receiver.bind((HOST, 1000))
        receiver.settimeout(timeout)
        assert receiver.gettimeout() == timeout
        start = time.monotonic()
        with pytest.raises(TimeoutError) as timed_out:
            receiver.recv()
        assert time.monotonic() - start >= timeout
        assert timed_out.value.errno == errno.EAGAIN


@pytest.mark.parametrize("wait", ["recv", "wait"])
def test_who_waits_sleeps_until_something_comes_and_does_not_look_again_and_again(wait):
    """A loop that sleeps for 100 microseconds would be switched away from thousands of times, and be late each time."""
    with fastudp.Stack("mem:idle?address=10.0.0.1/24&announce=off") as stack:
        receiver = stack.socket()
        receiver.bind((HOST, 1000))
        receiver.settimeout(0.5)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        if wait == "wait":
            assert not receiver.wait(timeout=0.5)
        else:
            with pytest.raises(TimeoutError):
                receiver.recv()
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before <= 20


def test_timeout_of_zero_never_blocks():
    with fastudp.Stack("mem:timeout?address=10.0.0.1/24&announce=off") as stack:
        receiver = stack.socket()
        receiver.bind((HOST, 1000))
        receiver.settimeout(0)
        with pytest.raises(BlockingIOError):
            receiver.recv()
        with pytest.raises(BlockingIOError):
            receiver.borrow(1)


def test_port_0_gives_each_of_the_28232_ephemeral_ports_once_and_then_eaddrinuse(net):
    sockets = [net.bound(0, "") for _ in range(28232)]
    ports = [each.getsockname()[1] for each in sockets]
    assert sorted(ports) == list(range(32768, 61000))
    assert ports[:100] != sorted(ports[:100])
    assert errno_of(net.socket().bind, (HOST, 0)) == errno.EADDRINUSE
    unbound = net.socket()
    assert errno_of(unbound.sendto, b"x", (PEER, 2000)) == errno.EAGAIN
    assert errno_of(unbound.connect, (PEER, 2000)) == errno.EAGAIN


def test_sending_and_connecting_bind_an_unbound_socket_to_an_ephemeral_port(either):
    sender, connected = either.socket(), either.socket()
    assert sender.getsockname() == ("0.0.0.0", 0)
    sender.sendto(b"x", (PEER, 2000))
    assert sender.getsockname()[0] == "0.0.0.0" and 32768 <= sender.getsockname()[1] < 61000
    connected.connect((PEER, 2000))
    assert connected.getsockname()[0] == HOST and 32768 <= connected.getsockname()[1] < 61000


def test_receive_queue_is_bounded_and_draining_makes_room(net):
    receiver = net.bound()
    net.inject(*[datagram(b"x" * 1400)] * 1000)
    kept = len(received(receiver))
    assert 0 < kept < 1000
    assert net.drops() == {"queue_full": 1000 - kept}
    net.inject(*[datagram(b"x" * 1400)] * 10)
    assert len(received(receiver)) == 10


def test_full_receive_queue_keeps_what_came_first_and_takes_on_when_it_is_drained(either):
    receiver, numbers = either.bound(), range(1000)
    either.inject(*(datagram(b"%4d" % number * 250) for number in numbers))
    kept = received(receiver)
    assert 0 < len(kept) < 1000 and kept == [b"%4d" % number * 250 for number in numbers[:len(kept)]]
    either.inject(datagram(b"one"), datagram(b"two"))
    assert received(receiver) == [b"one", b"two"]


@pytest.mark.parametrize("size", [0, 1, 100, 500, 1472])
def test_receive_queue_is_bounded_as_linux_bounds_it(both, size):
    def kept(net):
        receiver = net.bound()
        net.inject(*[datagram(b"x" * size)] * 1500)
        return len(received(receiver))

    ours, linux = (kept(net) for net in both)
    assert linux / 2 <= ours <= linux * 2, (ours, linux)


def test_many_tiny_datagrams_are_bounded_too(net):
    receiver = net.bound()
    net.inject(*[datagram(b"")] * 5000)
    assert 0 < len(received(receiver)) < 2500
    assert net.stack.info().frames_free > 0


def test_larger_so_rcvbuf_keeps_more_and_a_smaller_one_keeps_less(either):
    def kept(size):
        receiver = either.bound()
        receiver.set_option(SOL, socket.SO_RCVBUF, size)
        either.inject(*[datagram(b"x" * 1000)] * 400)
        number = len(received(receiver))
        receiver.close()
        return number

    small, medium, large = kept(2304), kept(50_000), kept(200_000)
    assert 1 <= small < medium < large < 400


def test_slow_readers_do_not_starve_the_stack_of_frames(net):
    sockets = [net.bound(port) for port in range(1000, 1064)]
    for _ in range(60):
        net.inject(*(datagram(b"x" * 1400, dport=port) for port in range(1000, 1064)))
    assert all(received(each) == [b"x" * 1400] * 60 for each in sockets)
    assert net.drops() == {}
    assert net.all_frames_are_back()


def test_shutdown_for_reading_returns_what_is_queued_and_sending_goes_on(either):
    receiver = either.connected()
    either.inject(datagram(b"queued"))
    receiver.shutdown(socket.SHUT_RD)
    assert receiver.poll() & fastudp.READABLE
    assert receiver.recv() == b"queued"
    assert receiver.poll() & fastudp.READABLE
    with pytest.raises(BlockingIOError):
        receiver.recv(100, fastudp.DONTWAIT)
    assert receiver.send(b"still") == 5


def test_blocking_receive_after_shutdown_for_reading_returns_nothing_at_once():
    with fastudp.Stack("mem:shutdown?address=10.0.0.1/24&announce=off") as stack:
        receiver = stack.socket()
        receiver.connect((PEER, 2000))
        receiver.shutdown(socket.SHUT_RD)
        assert receiver.recvfrom() == (b"", None)
        assert receiver.recv_burst(4) == []


def test_shutdown_for_writing_is_epipe(either):
    opened = either.connected()
    opened.shutdown(socket.SHUT_WR)
    assert errno_of(opened.send, b"x") == errno.EPIPE
    either.inject(datagram(b"in"))
    assert opened.recv() == b"in"


def test_shutdown_of_an_unconnected_socket_is_enotconn(either):
    assert errno_of(either.bound().shutdown, socket.SHUT_RDWR) == errno.ENOTCONN
    assert errno_of(either.connected(1001).shutdown, 3) == errno.EINVAL


def test_connect_chooses_the_source_address_and_disconnect_forgets_it(either):
    opened = either.bound(1000, "")
    opened.connect((PEER, 2000))
    assert opened.getsockname() == (HOST, 1000)
    opened.disconnect()
    assert opened.getsockname() == ("0.0.0.0", 1000)
    opened.connect((STRANGER, 7))
    assert (opened.getsockname(), opened.getpeername()) == ((HOST, 1000), (STRANGER, 7))


def test_sendto_another_address_on_a_connected_socket_goes_there(either):
    opened = either.connected()
    opened.sendto(b"x", (STRANGER, 7))
    (frame,) = either.captured()
    assert frame[:6].hex(":") == MACS[STRANGER]
    assert opened.getpeername() == (PEER, 2000)


@pytest.mark.parametrize("size", [0, 5, 1472])
def test_poll_says_readable_while_something_is_queued_and_writable_always(either, size):
    opened = either.bound()
    assert opened.poll() == fastudp.WRITABLE
    either.inject(datagram(b"x" * size), datagram(b"y"))
    assert opened.poll() == fastudp.READABLE | fastudp.WRITABLE
    opened.recv()
    assert opened.poll() == fastudp.READABLE | fastudp.WRITABLE
    opened.recv()
    assert opened.poll() == fastudp.WRITABLE


def test_descriptor_of_a_socket_is_readable_exactly_while_something_is_queued(net):
    def readable():
        poll = select.poll()
        poll.register(receiver.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    receiver = net.bound()
    assert not readable()
    net.inject(datagram(b"one"), datagram(b"two"))
    assert readable()
    assert receiver.recv() == b"one"
    assert readable()
    assert receiver.recv() == b"two"
    assert not readable()


def test_burst_receive_returns_what_is_there_and_never_waits_for_more(net):
    receiver = net.bound()
    net.inject(*(datagram(b"%d" % i) for i in range(5)))
    assert [m.data for m in receiver.recv_burst(3)] == [b"0", b"1", b"2"]
    assert [(m.data, m.peer, m.length, m.flags) for m in receiver.recv_burst(9)] == [
        (b"3", (PEER, 2000), 1, 0), (b"4", (PEER, 2000), 1, 0)]
    with pytest.raises(BlockingIOError):
        receiver.recv_burst(3)


def test_borrowed_frames_are_the_payload_in_place_and_come_back(net):
    receiver = net.bound()
    net.inject(datagram(b"one"), datagram(b""), datagram(b"three"))
    frames = receiver.borrow(8)
    assert [bytes(frame) for frame in frames] == [b"one", b"", b"three"]
    assert [frame.peer for frame in frames] == [(PEER, 2000)] * 3
    assert errno_of(receiver.close) == errno.EBUSY
    for frame in frames:
        frame.release()
    assert net.all_frames_are_back()
    receiver.close()


def test_failed_send_in_a_burst_is_reported_by_the_next_call(net):
    sender = net.bound()
    sender.set_option(IP, IP_MTU_DISCOVER, 2)
    burst = [(b"x", (PEER, 2000)), (b"x" * 1473, (PEER, 2000)), (b"y", (PEER, 2000))]
    assert sender.send_burst(burst) == 1
    assert errno_of(sender.send_burst, burst[1:]) == errno.EMSGSIZE
    assert len(net.captured()) == 1


INTEGER_OPTIONS = [
    (SOL, socket.SO_REUSEADDR, 0, 1), (SOL, socket.SO_REUSEPORT, 0, 1), (SOL, socket.SO_BROADCAST, 0, 1),
    (SOL, socket.SO_RCVBUF, 212992, 20000), (SOL, socket.SO_SNDBUF, 212992, 20000),
    (IP, socket.IP_TTL, 64, 7), (IP, socket.IP_TOS, 0, 0xB8), (IP, IP_MTU_DISCOVER, 1, 2), (IP, IP_RECVERR, 0, 1),
]


@pytest.mark.parametrize("level, name, default, other", INTEGER_OPTIONS)
def test_every_option_has_its_default_and_is_read_back(either, level, name, default, other):
    opened = either.socket()
    assert opened.get_option(level, name) == default
    opened.set_option(level, name, other)
    doubled = name in (socket.SO_RCVBUF, socket.SO_SNDBUF) and level == SOL
    assert opened.get_option(level, name) == other * (2 if doubled else 1)


def test_type_protocol_and_domain_are_told(either):
    opened = either.socket()
    assert opened.get_option(SOL, socket.SO_TYPE) == socket.SOCK_DGRAM
    assert opened.get_option(SOL, socket.SO_PROTOCOL) == socket.IPPROTO_UDP
    assert opened.get_option(SOL, socket.SO_DOMAIN) == socket.AF_INET


def test_unknown_option_is_enoprotoopt(either):
    assert errno_of(either.socket().set_option, SOL, 9999, 1) == errno.ENOPROTOOPT
    assert errno_of(either.socket().get_option, SOL, 9999) == errno.ENOPROTOOPT
    assert errno_of(either.socket().get_option, IP, 9999) == errno.ENOPROTOOPT


def test_ip_mtu_is_of_the_connected_path_and_enotconn_without_one(make_either):
    net = make_either(mtu=1400)
    opened = net.socket()
    assert errno_of(opened.get_option, IP, IP_MTU) == errno.ENOTCONN
    opened.connect((PEER, 2000))
    assert opened.get_option(IP, IP_MTU) == 1400


def test_refused_call_says_why_in_one_line(net):
    opened = net.bound()
    with pytest.raises(PermissionError) as refused:
        opened.sendto(b"x", ("10.0.0.255", 9))
    assert "SO_BROADCAST" in refused.value.strerror
    with pytest.raises(OSError) as refused:
        net.bound()
    assert refused.value.errno == errno.EADDRINUSE and "1000" in refused.value.strerror
    assert "\n" not in refused.value.strerror


@pytest.mark.parametrize("destination", ["0.0.0.0", "127.0.0.1", HOST])
def test_datagram_to_this_host_itself_arrives_and_never_leaves(either, destination):
    receiver, sender = either.bound(1000, ""), either.bound(1001, "")
    sender.sendto(b"hello", (destination, 1000))
    own = HOST if destination == HOST else "127.0.0.1"
    assert receiver.recvfrom() == (b"hello", (own, 1001))
    assert either.captured() == []


@pytest.mark.parametrize("destination", ["0.0.0.0", "127.0.0.1"])
def test_datagram_to_loopback_is_not_for_a_socket_bound_to_another_address(either, destination):
    receiver, sender = either.bound(), either.bound(1001, "")
    sender.sendto(b"hello", (destination, 1000))
    assert received(receiver) == []
