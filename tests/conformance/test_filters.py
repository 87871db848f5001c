"""A program's own filter (SO_ATTACH_FILTER), in classic BPF: the same verdicts on ours as on Linux's."""

import ctypes
import struct

import fastudp
import pytest
from packets import HOST, PEER, datagram
from test_agrees_with_linux import outcome
from test_validation import received

SOL, SO_ATTACH, SO_DETACH, SO_LOCK, SO_RXQ_OVFL, SO_RCVBUF = 1, 26, 27, 44, 40, 8
LOAD_BYTE, LOAD_WORD, LENGTH, JUMP_EQUAL, RETURN, RETURN_A, SUBTRACT = 0x30, 0x20, 0x80, 0x15, 0x06, 0x16, 0x14
NETWORK, ANCILLARY, LINK = 0xFFF00000, 0xFFFFF000, 0xFFE00000
PACKET_TYPE, CPU = 4, 36


def attached(opened, *steps, option=SO_ATTACH):
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps), 8 * len(steps))
    return outcome(opened.set_option, SOL, option, struct.pack("@HP", len(steps), ctypes.addressof(code)))


def step(code, value=0, true=0, false=0):
    return code, true, false, value


def test_a_filter_sees_the_udp_header_and_chooses(either):
    opened = either.bound()
    assert attached(opened, step(LOAD_BYTE, 8), step(JUMP_EQUAL, ord("y"), 0, 1), step(RETURN, 100), step(RETURN, 0)) is None
    either.inject(*(datagram(text) for text in (b"yes", b"no", b"", b"y")))
    assert received(opened) == [b"yes", b"y"]


@pytest.mark.parametrize("kept, seen", [(1, b""), (8, b""), (9, b"h"), (12, b"hell"), (100, b"hello")])
def test_what_is_returned_is_the_length_that_is_kept(either, kept, seen):
    opened = either.bound()
    attached(opened, step(RETURN, kept))
    either.inject(datagram(b"hello"))
    assert received(opened) == [seen]


def test_the_ip_header_is_in_reach(either):
    opened = either.bound()
    attached(opened, step(LOAD_WORD, NETWORK + 12), step(JUMP_EQUAL, 0x0A000002, 0, 1), step(RETURN, 100), step(RETURN, 0))
    either.inject(datagram(b"from the peer"), datagram(b"from a stranger", source="10.0.0.3"))
    assert received(opened) == [b"from the peer"]


def test_broadcasts_are_told_apart(either):
    opened = either.socket()
    opened.bind(("0.0.0.0", 1000))
    attached(opened, step(LOAD_WORD, ANCILLARY + PACKET_TYPE), step(JUMP_EQUAL, 1, 0, 1), step(RETURN, 100), step(RETURN, 0))
    either.inject(datagram(b"to one"), datagram(b"to all", destination="10.0.0.255", via="ff:ff:ff:ff:ff:ff"))
    assert received(opened) == [b"to all"]


def test_what_is_refused_is_a_loss_that_is_told(either):
    opened = either.bound()
    opened.set_option(SOL, SO_RXQ_OVFL, 1)
    attached(opened, step(LENGTH), step(SUBTRACT, 9), step(RETURN_A))
    either.inject(datagram(b"x"), datagram(b"x"), datagram(b"0123456789abcdef"))
    message = opened.recvmsg(100, 100)
    assert (message.data, message.control) == (b"0123456", [(SOL, SO_RXQ_OVFL, struct.pack("=I", 2))])


def test_what_is_cut_off_counts_on(either):
    """The buffer is charged for the memory, which is the same."""
    opened = either.bound()
    opened.set_option(SOL, SO_RCVBUF, 5000)
    attached(opened, step(RETURN, 9))
    either.inject(*[datagram(bytes(1200))] * 20)
    assert 0 < len(received(opened)) < 10


def test_what_lies_in_the_queue_stays(either):
    opened = either.bound()
    either.inject(datagram(b"before"))
    attached(opened, step(RETURN, 0))
    either.inject(datagram(b"after"))
    assert received(opened) == [b"before"]
    opened.set_option(SOL, SO_DETACH, 0)
    either.inject(datagram(b"without"))
    assert received(opened) == [b"without"]


def test_errors(either):
    opened = either.bound()
    assert outcome(opened.set_option, SOL, SO_DETACH, 0) == "ENOENT"
    assert attached(opened) == "EINVAL"
    assert attached(opened, step(LENGTH)) == "EINVAL"
    assert attached(opened, step(RETURN, 5)) is None
    assert opened.get_option(SOL, SO_LOCK) == 0
    opened.set_option(SOL, SO_LOCK, 1)
    assert opened.get_option(SOL, SO_LOCK) == 1
    assert attached(opened, step(RETURN, 6)) == "EPERM"
    assert outcome(opened.set_option, SOL, SO_DETACH, 0) == "EPERM"
    assert outcome(opened.set_option, SOL, SO_LOCK, 0) == "EPERM"


def test_what_only_the_kernel_knows_is_refused_where_there_is_none(net):
    opened = net.bound()
    assert attached(opened, step(LOAD_WORD, ANCILLARY + CPU), step(RETURN, 5)) == "ENOTSUP"
    assert attached(opened, step(LOAD_WORD, LINK), step(RETURN, 5)) == "ENOTSUP"
    net.inject(datagram(b"x"))
    assert received(opened) == [b"x"]


def test_the_drop_is_counted(net):
    opened = net.bound()
    attached(opened, step(RETURN, 0))
    net.inject(datagram(b"x"))
    assert net.drops() == {"socket_filter": 1}
    assert net.all_frames_are_back()


# ---- Programs that choose among sockets that share a port

SO_REUSEPORT, SO_ATTACH_CHOOSER, SO_DETACH_CHOOSER = 15, 51, 68


def member(net, *program):
    opened = net.socket()
    opened.set_option(SOL, SO_REUSEPORT, 1)
    if program:
        assert attached(opened, *program, option=SO_ATTACH_CHOOSER) is None
    opened.bind((HOST, 1000))
    return opened


def chosen(net, members, payload):
    net.inject(datagram(payload))
    (place,) = [place for place, each in enumerate(members) if received(each)]
    return place


FIRST_BYTE = (step(LOAD_BYTE, 0), step(RETURN_A))


def test_a_program_chooses_among_sockets_by_the_payload(either):
    members = [member(either) for _ in range(4)]
    assert attached(members[2], *FIRST_BYTE, option=SO_ATTACH_CHOOSER) is None
    assert [chosen(either, members, bytes([value])) for value in range(4)] == [0, 1, 2, 3]
    assert attached(members[0], step(LENGTH), step(RETURN_A), option=SO_ATTACH_CHOOSER) is None
    assert [chosen(either, members, bytes(value)) for value in range(4)] == [0, 1, 2, 3]
    assert chosen(either, members, bytes(9)) in range(4)  # the hash decides


def test_the_last_takes_the_place_of_one_that_leaves(either):
    members = [member(either, *FIRST_BYTE), *(member(either) for _ in range(3))]
    members.pop(1).close()
    assert [chosen(either, members, bytes([value])) for value in range(3)] == [0, 2, 1]
    members.append(member(either))
    assert [chosen(either, members, bytes([value])) for value in range(4)] == [0, 2, 1, 3]


def test_who_may_have_a_chooser(either):
    alone = either.socket()
    assert attached(alone, *FIRST_BYTE, option=SO_ATTACH_CHOOSER) == "EINVAL"
    assert outcome(alone.set_option, SOL, SO_DETACH_CHOOSER, 0) == "EINVAL"
    first = member(either)
    assert outcome(first.set_option, SOL, SO_DETACH_CHOOSER, 0) == "ENOENT"
    assert attached(first, option=SO_ATTACH_CHOOSER) == "EINVAL"
    assert attached(first, *FIRST_BYTE, option=SO_ATTACH_CHOOSER) is None
    assert outcome(first.set_option, SOL, SO_DETACH_CHOOSER, 0) is None
    late = either.socket()
    late.set_option(SOL, SO_REUSEPORT, 1)
    assert outcome(late.set_option, SOL, SO_DETACH_CHOOSER, 0) == "ENOENT"
    attached(late, *FIRST_BYTE, option=SO_ATTACH_CHOOSER)
    assert outcome(late.bind, (HOST, 1000)) == "EADDRINUSE"
