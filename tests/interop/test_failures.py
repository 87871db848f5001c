"""What can't be opened says in one line what is wrong and what to do; and what was opened is gone afterwards."""

import ctypes
import errno
import json
import os
import struct

import fastudp
import pytest
from conftest import KERNEL, OURS, interface
from private_network import run

import private_network


def refused(uri):
    with pytest.raises(OSError) as caught:
        fastudp.Stack(uri)
    return caught.value.errno, caught.value.strerror


def is_one_useful_line(text):
    return 20 < len(text) < 256 and "\n" not in text


WRONG = [
    ("tap", errno.EINVAL, "tap:"), ("tap:", errno.EINVAL, "name"), ("tap:fu0", errno.EINVAL, "address"),
    ("tap:fu0?address=10.0.0.1/24&color=red", errno.EINVAL, "color"),
    ("tap:fu0?address=banana", errno.EINVAL, "banana"), ("tap:fu0?address=10.0.0.1", errno.EINVAL, "length"),
    ("tap:fu0?address=10.0.0.1/24&mtu=12", errno.EINVAL, "mtu"),
    ("tap:a-name-that-is-too-long?address=10.0.0.1/24", errno.EINVAL, "15"),
    ("tap:fu/0?address=10.0.0.1/24", errno.EINVAL, "fu/0"),
    ("tap:lo?address=10.0.0.1/24", errno.EINVAL, "lo"),
    ("tap:fu0?address=10.0.0.1/24&mac=01:00:5e:00:00:01", errno.EINVAL, "mac"),
    ("tap:fu0?address=10.0.0.1/24&gateway=192.0.2.1", errno.EINVAL, "gateway"),
    ("wifi:fu0?address=10.0.0.1/24", errno.EINVAL, "wifi"),
]


@pytest.mark.parametrize("uri, number, word", WRONG)
def test_wrong_uri_says_what_is_wrong(make_cable, uri, number, word):
    code, why = refused(uri)
    assert code == number and word in why and is_one_useful_line(why), why


@pytest.mark.parametrize("make_cable", ["tap"], indirect=True)
def test_interface_that_is_in_use_is_ebusy(cable):
    code, why = refused(f"tap:{cable.device}?address=10.0.0.1/24")
    assert code == errno.EBUSY and cable.device in why and is_one_useful_line(why)


def test_mac_of_the_kernels_end_is_refused(cable):
    private_network.ip("tuntap add name fupersist mode tap")
    try:
        mac = interface("fupersist")["address"]
        code, why = refused(f"tap:fupersist?address=10.0.0.1/24&mac={mac}")
        assert code == errno.EINVAL and mac in why
    finally:
        private_network.ip("link delete fupersist")


def give_up_all_rights():
    """Another user if there is one here, no capabilities in any case."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except OSError:
        header, none = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6)
        assert libc.capset(header, none) == 0


def in_a_child(function):
    """What a function returns that is run in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        out = pipe.read()
    os.waitpid(child, 0)
    return json.loads(out)


def test_without_permission_it_is_eperm_and_says_what_to_run(make_cable):
    def attempt():
        give_up_all_rights()
        try:
            fastudp.Stack("tap:fuforbidden?address=10.0.0.1/24")
        except OSError as error:
            return error.errno, error.strerror
        return 0, "it was permitted"

    code, why = in_a_child(attempt)
    assert code == errno.EPERM and "root" in why and is_one_useful_line(why), why


def test_busy_port_is_eaddrinuse_and_says_which(cable):
    first = cable.bound(7)
    with pytest.raises(OSError) as caught:
        cable.bound(7)
    assert caught.value.errno == errno.EADDRINUSE
    assert first.getsockname() == (OURS, 7)
    assert "7" in caught.value.strerror and is_one_useful_line(caught.value.strerror)


def test_address_of_the_kernel_is_not_ours_to_bind(cable):
    with pytest.raises(OSError) as caught:
        cable.stack.socket().bind((KERNEL, 7))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert KERNEL in caught.value.strerror and is_one_useful_line(caught.value.strerror)


def test_interface_is_gone_when_the_stack_is_closed(cable):
    assert interface(cable.device) is not None
    cable.close()
    assert interface(cable.device) is None


def test_interface_that_was_there_before_is_there_afterwards(make_cable):
    private_network.ip("tuntap add name fupersist mode tap")
    try:
        with fastudp.Stack(f"tap:fupersist?address={OURS}/24&announce=off") as stack:
            private_network.ip(f"address add {KERNEL}/24 dev fupersist")
            stack.socket().fileno()
            assert "1 received" in run("ping", "-n", "-c", "1", OURS)
        assert interface("fupersist") is not None
        with fastudp.Stack(f"tap:fupersist?address={OURS}/24&announce=off") as stack:
            stack.socket().fileno()
            assert "1 received" in run("ping", "-n", "-c", "1", OURS)
    finally:
        private_network.ip("link delete fupersist")


def test_interface_that_is_deleted_under_us_is_an_error_and_no_crash(cable):
    sender = cable.bound(7)
    private_network.ip(f"link delete {cable.device}")
    for _ in range(10):
        try:
            sender.sendto(b"x", (KERNEL, 7))
        except OSError:
            pass
    with pytest.raises(BlockingIOError):
        sender.recv(100, fastudp.DONTWAIT)
    assert cable.stack.drops()["link_error"] >= 1


def test_bare_link_sees_and_sends_whole_frames(make_cable):
    with fastudp.Link("tap:fubare") as link:
        private_network.ip(f"address add {KERNEL}/24 dev fubare")
        mac = interface("fubare")["address"].replace(":", "")
        request = bytes.fromhex("ffffffffffff 020000000077 0806 0001 0800 06 04 0001 020000000077 0a4d0002"
                                "000000000000 0a4d0001")
        link.send(request)
        while True:
            assert link.wait(20)
            frame = link.recv()
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2":
                break
        assert frame[:42] == bytes.fromhex(f"020000000077 {mac} 0806 0001 0800 06 04 0002 {mac} 0a4d0001"
                                           "020000000077 0a4d0002")
