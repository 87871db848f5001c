"""Links that break under a running program: it goes on by the kernel, comes back to the fast path, and gets nothing twice.
The peer sends numbers, and the program answers each, so that either direction shows."""

import contextlib
import json
import os
import signal
import socket
import struct

import bpf_objects
import pytest
from net import HOST, HOST6, PEER, PEER6, until
from private_network import run
from stream import Stream
from test_programs import BLOCKING_ECHO, PYTHON

STEADY = """
import ctypes, os, socket, struct, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("", 7000))
if "filter" in sys.argv:
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0xffffffff))
    server.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", 1, ctypes.addressof(code)))
if "unprivileged" in sys.argv:
    os.setgid(65534)
    os.setuid(65534)
if "confined" in sys.argv:
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7fff0000))  # allows all
    libc, filter = ctypes.CDLL(None), struct.pack("@HP", 1, ctypes.addressof(code))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0
print("ready", flush=True)
while True:
    try:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)
    except OSError as error:
        print(error, flush=True)
"""

STEERED = ["packet", "xdp", "xdp-generic"]
SHARED = [*STEERED, "packet-filter"]
RINGS = ["packet-plain", "packet-blocks"]  # where it matters how frames are come by


def on(*links):
    return pytest.mark.parametrize("under", links, indirect=True)


def near():
    return socket.if_nametoindex("near")


def programs():
    found = bpf_objects.links_on(near())
    for _, descriptor in found:
        os.close(descriptor)
    return len(found)


def is_off(others):
    return programs() == len(others)


@contextlib.contextmanager
def served(under, *how, address=HOST):
    """A program under a stream from the peer. It has been fast for a while when the test begins, and is again at its end."""
    with under.start(PYTHON, "-c", STEADY, *how) as server:
        server.says("ready")
        with Stream(under.net.peer, address) as stream:
            stream.goes_on(300)
            yield stream
            assert server.process.poll() is None, server.output()
        server.stop()


def came_back(under, stream, least=0.5):
    """Most of all that was answered took the fast path: what came before and after the break, and not the break."""
    if under.uri is None:
        return
    stats = under.stats()
    assert stats["rx"]["fast"] >= least * stream.answers() and stats["tx"]["fast"] >= least * stream.answers(), stats


def raise_cable(under):
    """What the test's network begins with, once more."""
    run("ip", "address", "add", f"{HOST}/24", "broadcast", "+", "dev", "near")
    run("ip", "link", "set", "near", "up")
    under.net.peer.run("ip", "address", "add", f"{PEER}/24", "broadcast", "+", "dev", "far")
    under.net.peer.run("ip", "link", "set", "far", "up")


# ---- The interface, and the peer's


@on("kernel", *SHARED, *RINGS)
@pytest.mark.parametrize("address", [HOST, HOST6], ids=["v4", "v6"])
def test_the_interface_is_down_for_a_while(under, address):
    """Addresses of IPv6 go with it."""
    with served(under, address=address) as stream:
        for _ in range(2):
            run("ip", "link", "set", "near", "down")
            run("ip", "link", "set", "near", "up")
            run("ip", "address", "replace", f"{HOST6}/64", "dev", "near", "nodad")
            stream.goes_on(300)
        assert stream.take_twice() == 0
    came_back(under, stream)
    if under.uri:
        assert under.stats()["kernel_by"]["link_down"] > 0


@on("kernel", *SHARED, *RINGS)
def test_the_peer_is_down_for_a_while(under):
    """Our interface is without a carrier."""
    with served(under) as stream:
        for _ in range(2):
            under.net.peer.run("ip", "link", "set", "far", "down")
            until(lambda: "LOWER_UP" not in run("ip", "link", "show", "near"), "no carrier")
            under.net.peer.run("ip", "link", "set", "far", "up")
            stream.goes_on(300)
        assert stream.take_twice() == 0
    came_back(under, stream)


# ---- Our BPF program


@on(*STEERED, "packet-plain")
@pytest.mark.parametrize("how", ["privileged", "unprivileged"])
def test_our_program_is_taken_off_and_put_back(under, how):
    with served(under, how) as stream:
        ours = programs()  # who gives up his rights at xdp: has one at tc besides, for processes to come
        for _ in range(3):
            assert bpf_objects.detach_all(near()) == ours
            stream.goes_on()
            until(lambda: programs() == ours, "the program")
            stream.goes_on(500)
        assert stream.take_twice() == 0
    came_back(under, stream)
    assert under.stats()["kernel_by"]["link_lost"] >= 3


@on(*STEERED)
def test_while_it_cant_be_put_back_the_kernel_goes_on(under):
    """Others have its place. When they leave, it comes back."""
    with served(under) as stream:
        others = bpf_objects.take_place(near())
        until(lambda: is_off(others), "what can't be put back")
        before = stream.answers()
        stream.goes_on(1000)
        assert stream.take_twice() == 0 and is_off(others)
        after = stream.answers() - before
        for each in others:
            os.close(each)
        until(lambda: programs() == 1, "the program")
        stream.goes_on(2000)
        assert stream.take_twice() == 0
    came_back(under, stream)
    stats = under.stats()
    assert stats["kernel_by"]["link_lost"] >= after and stats["rx"]["kernel"] >= after / 2, stats


@on(*STEERED)
def test_in_a_sandbox_it_isnt_put_back_and_nothing_comes_twice(under):
    """For what a filter may forbid there is no call: the programs that are left see to it."""
    with served(under, "confined") as stream:
        assert bpf_objects.detach_all(near()) == 1
        stream.goes_on(1000)
        assert stream.take_twice() == 0 and programs() == 0


@on(*STEERED)
def test_a_filter_of_the_programs_own_costs_one_datagram_for_each_processor_at_most(under):
    """It stands where we would otherwise know what a tap has."""
    with served(under, "filter") as stream:
        assert bpf_objects.detach_all(near()) == 1
        stream.goes_on(500)
        assert stream.take_twice() <= os.cpu_count()
    came_back(under, stream)


@on("packet")
def test_super_packets_come_once_while_the_program_is_off(under):
    """The tap gets them whole, the socket in the kernel their segments."""
    with served(under) as stream:
        with under.net.peer.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setsockopt(socket.IPPROTO_UDP, 103, 100)  # UDP_SEGMENT
        sender.settimeout(5)
        others = bpf_objects.take_place(near())
        pieces = {bytes([65 + n, i]) + bytes(98) for n in range(20) for i in range(5)}
        for n in range(20):
            sender.sendto(b"".join(sorted(each for each in pieces if each[0] == 65 + n)), (HOST, 7000))
        answers = []
        with contextlib.suppress(TimeoutError):
            while True:
                answers.append(sender.recv(1000))
                sender.settimeout(0.5)
        sender.close()
        assert sorted(answers) == sorted(set(answers)) and len(answers) >= 90, len(answers)
        stream.goes_on()
        assert stream.take_twice() == 0 and is_off(others)
        for each in others:
            os.close(each)


WORKERS = """
import os, signal, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
def serve():
    try: server.recvfrom(0, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError: pass
    os.write(1, b"worker %d\\n" % os.getpid())
    while True:
        data, peer = server.recvfrom(65535)
        server.sendto(data, peer)
for _ in range(4):
    if os.fork() == 0: serve()
signal.pause()
"""


@on("packet")
def test_workers_put_it_back_for_each_other(under):
    """It is gone with the worker that has put it back: then another one does."""
    with contextlib.ExitStack() as exits:
        server = exits.enter_context(under.start(PYTHON, "-c", WORKERS))
        until(lambda: server.output().count("worker") == 4, "the workers")
        streams = [exits.enter_context(Stream(under.net.peer, HOST)) for _ in range(6)]
        assert bpf_objects.detach_all(near()) == 1
        for worker in [int(line.split()[1]) for line in server.output().splitlines()][1:]:
            for stream in streams:
                stream.goes_on(100)
            until(lambda: programs() == 1, "the program")
            os.kill(worker, signal.SIGKILL)
        for stream in streams:
            stream.goes_on(100)
        until(lambda: programs() == 1, "the program")
        assert [stream.take_twice() for stream in streams] == [0] * len(streams)


# ---- The interface is deleted


@on("kernel", *SHARED)
@pytest.mark.parametrize("number", ["another", "same"])
def test_the_interface_is_deleted_and_made_again(under, number):
    """What has its name then is another one, by which the kernel goes on, as it does by all others."""
    with served(under) as stream:
        index = near()
        run("ip", "link", "delete", "near")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as local:
            local.settimeout(20)
            local.sendto(b"loopback", ("127.0.0.1", 7000))
            assert local.recv(100) == b"loopback"
        run("ip", "link", "add", "near", *(["index", str(index)] if number == "same" else []), "type", "veth", "peer", "name", "far",
            "netns", str(under.net.peer.pid))
        raise_cable(under)
        before = stream.answers()
        stream.goes_on(300)
        assert stream.take_twice() == 0
        after = stream.answers() - before
    if under.uri:
        stats = under.stats()
        assert stats["kernel_by"]["link_lost"] >= after and stats["rx"]["kernel"] >= after / 2, stats


# ---- Addresses, routes and neighbours


@on("kernel", *SHARED)
def test_addresses_come_and_go(under):
    with served(under) as stream:
        run("ip", "address", "add", "10.77.0.3/24", "dev", "near")
        stream.goes_on(100)
        stream.address = "10.77.0.3"
        stream.goes_on(300)
        run("ip", "address", "delete", f"{HOST}/24", "dev", "near")  # the other one with it, as of the same network
        run("ip", "address", "replace", "10.77.0.3/24", "dev", "near")
        stream.goes_on(300)
        assert stream.take_twice() == 0
    came_back(under, stream)


@on("kernel", *SHARED)
@pytest.mark.parametrize("addresses", [(HOST, PEER), (HOST6, PEER6)], ids=["v4", "v6"])
def test_the_peer_changes_its_mac(under, addresses):
    ours, theirs = addresses
    with served(under, address=ours) as stream:
        for last in range(3):
            under.net.peer.run("ip", "link", "set", "far", "address", f"02:00:00:00:01:{last:02x}")
            stream.goes_on(100)
        run("ip", "neighbour", "flush", "dev", "near")
        stream.goes_on(300)
        assert stream.take_twice() == 0
    came_back(under, stream)


@on("kernel", *SHARED)
def test_our_interface_changes_its_mac(under):
    with served(under) as stream:
        mac = json.loads(run("ip", "-json", "link", "show", "near"))[0]["address"]
        for now in ("02:00:00:00:03:01", mac):
            run("ip", "link", "set", "near", "address", now)
            run("ping", "-c", "1", "-W", "5", PEER)  # by which the peer hears of it
            stream.goes_on(200)
        assert stream.take_twice() == 0


@on("kernel", *SHARED)
def test_routes_change(under):
    """To the peer by another interface, which there is not, and back; and by a gateway."""
    with served(under) as stream:
        run("ip", "route", "add", "blackhole", f"{PEER}/32")
        run("ip", "route", "delete", "blackhole", f"{PEER}/32")
        stream.goes_on(100)
        run("ip", "route", "add", f"{PEER}/32", "dev", "near", "mtu", "1000")
        stream.goes_on(100)
        run("ip", "route", "delete", f"{PEER}/32", "dev", "near")
        stream.goes_on(300)
        assert stream.take_twice() == 0
    came_back(under, stream)


# ---- A program that only sends, and rarely

SENDS = """
import socket, struct, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(1, 1000000):
    try: sender.sendto(struct.pack("=Q", number), (sys.argv[1], 7001))
    except OSError: pass
    time.sleep(0.1)
"""


@on("kernel", *SHARED)
def test_who_only_sends_hears_of_it_too(under):
    """The peer has another MAC address, so that what is sent by what was known before is lost: some numbers, and no more."""
    with under.net.peer.entered():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, under.start(PYTHON, "-c", SENDS, PEER) as program:
        receiver.bind((PEER, 7001))
        receiver.settimeout(20)
        hear = lambda: struct.unpack("=Q", receiver.recv(100))[0]
        heard = [hear() for _ in range(3)]
        for last in range(3):
            under.net.peer.run("ip", "link", "set", "far", "address", f"02:00:00:00:02:{last:02x}")
            under.net.peer.run("ping", "-c", "1", "-W", "5", HOST)  # by which our kernel hears of it
            heard += [hear() for _ in range(3)]
        assert all(0 < next - last <= 10 for last, next in zip(heard, heard[1:])), heard
        program.stop()


# ---- With an address of our own, where the kernel can't go on

SENDS_AND_SAYS = """
import errno, socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((sys.argv[1], 7000))
said = None
while True:
    try: now = sender.sendto(b"x", (sys.argv[2], 9)) and "sent"
    except OSError as error: now = errno.errorcode[error.errno]
    if now != said: print(now, flush=True)
    said = now
    time.sleep(0.01)
"""


@on("kernel", "packet-own", "xdp-own", "tap")
def test_sends_fail_once_the_device_is_gone(under):
    """Linux has no route by then, and says so; of an address that is ours alone the network is down. What stays here goes on."""
    with under.start(PYTHON, "-c", SENDS_AND_SAYS, under.address, under.peer_address) as program:
        under.ready()
        program.says("sent")
        run("ip", "link", "delete", "fast0" if under.name == "tap" else "near")
        program.says("ENETDOWN" if under.uri else "ENETUNREACH")
        program.stop()
    if under.uri:
        assert under.stats()["kernel_by"]["link_lost"] == 1


@on("xdp-own")
def test_the_program_of_an_address_of_our_own_comes_back_though_nothing_does(under):
    with under.start(PYTHON, "-c", BLOCKING_ECHO) as server:
        server.says("ready")
        for _ in range(3):
            assert bpf_objects.detach_all(near()) == 1
            until(lambda: programs() == 1, "the program")
        with Stream(under.net.peer, under.address) as stream:
            stream.goes_on(100)
            assert bpf_objects.detach_all(near()) == 1
            stream.goes_on(100)
            assert stream.take_twice() == 0
        server.stop()
    assert under.stats()["kernel_by"]["link_lost"] == 4
