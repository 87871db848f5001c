"""What a path takes, with Linux's routers and Linux's tracepath: asked from afar about addresses of our own, and learnt by our
sockets from a router's errors."""

import contextlib
import errno
import re
import select
import socket
import struct

import fastudp
import pytest
from namespaces import need
from own_address import kernel_socket
from road import BEYOND, BEYOND6, FAR, FAR6, Road

V4, V6 = socket.AF_INET, socket.AF_INET6
FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
PMTUDISC_DO = 2


@pytest.fixture
def way():
    with contextlib.closing(Road()) as made:
        yield made


class Family:
    """The same of either: addresses, and the numbers of options."""

    def __init__(self, family, host):
        self.is_v4 = family == V4
        self.own, self.far, self.router = (host.own, FAR, host.gateway) if self.is_v4 else (host.own6, FAR6, host.gateway6)
        self.level = socket.IPPROTO_IP if self.is_v4 else socket.IPPROTO_IPV6
        self.mtu_discover, self.recverr, self.mtu = (10, 11, 14) if self.is_v4 else (23, 25, 24)
        self.headers = 28 if self.is_v4 else 48


# -- Asked from afar ----------------------------------------------------------------------------------------------


def hops(said):
    """What tracepath tells, without times and padding."""
    return [" ".join(re.sub(r"\d+\.\d+ms", "", line).split()) for line in said.splitlines()]


def tracepath(namespace, address):
    need("tracepath")
    return hops(namespace.run("tracepath", "-6" if ":" in address else "-4", "-n", address))


@pytest.mark.parametrize("family, mtu", [(V4, 576), (V4, 1280), (V4, 1400), (V4, 1500), (V6, 1280), (V6, 1400), (V6, 1500)])
def test_tracepath_reaches_us_from_beyond_a_router(way, host, family, mtu):
    way.narrow(mtu)
    own, router = (host.own, BEYOND) if family == V4 else (host.own6, BEYOND6)
    said = tracepath(way.far, own)
    assert said[0] == f"1?: [LOCALHOST] pmtu {mtu}"
    assert {line.split(": ")[1] for line in said[1:-2]} == {router}
    assert said[-2:] == [f"2: {own} reached", f"Resume: pmtu {mtu} hops 2 back 2"]


@FAMILIES
def test_tracepath_reaches_us_from_the_router(way, host, family):
    own = host.own if family == V4 else host.own6
    assert tracepath(way.router, own) == ["1?: [LOCALHOST] pmtu 1500", f"1: {own} reached", f"1: {own} reached",
                                          "Resume: pmtu 1500 hops 1 back 1"]


@pytest.mark.parametrize("mtu", [576, 1000])
def test_tracepath_over_a_way_that_is_narrow_near_us(way, host, mtu):
    """The router's interface towards us is the narrow one, so the kernel beyond it learns of it from the router."""
    way.router.run("ip", "link", "set", host.side, "mtu", str(mtu))
    said = tracepath(way.far, host.own)
    assert said[-1] == f"Resume: pmtu {mtu} hops 2 back 2" and f"2: {host.own} reached" in said, said
    assert any(line.endswith(f"{BEYOND} pmtu {mtu}") for line in said), said


# -- Learnt by our sockets ----------------------------------------------------------------------------------------


def mtu_of(client, of):
    return client.get_option(of.level, of.mtu)


def learn(client, of, size):
    """Sends what doesn't get through, and takes the error that comes back."""
    client.send(b"x" * size)
    assert client.wait(select.POLLERR, timeout=20)
    with pytest.raises(OSError) as refused:
        client.recv(flags=fastudp.DONTWAIT)
    assert refused.value.errno == errno.EMSGSIZE


def connected(host, family, of, mode=None):
    client = host.socket(family)
    if mode is not None:
        client.set_option(of.level, of.mtu_discover, mode)
    client.connect((of.far, 7))
    return client


@pytest.mark.parametrize("family, mtu", [(V4, 576), (V4, 1280), (V4, 1400), (V6, 1280), (V6, 1400)])
def test_later_datagrams_fit_or_arrive_in_fragments(way, host, family, mtu):
    way.narrow(mtu)
    of = Family(family, host)
    client = connected(host, family, of)
    assert mtu_of(client, of) == 1500
    with kernel_socket(way.far, family, of.far) as far:
        learn(client, of, 1500 - of.headers)
        assert mtu_of(client, of) == mtu
        for size in (mtu - of.headers, mtu - of.headers + 1, 1500 - of.headers, 9000, 65507):
            data = bytes(i * 7 % 251 for i in range(size))
            client.send(data)
            assert far.recv(70_000) == data
    assert put_together(way.far, family) == 4


def put_together(namespace, family):
    """How many datagrams came to the kernel there in fragments."""
    if family == V6:
        lines = dict(line.split() for line in namespace.run("cat", "/proc/net/snmp6").splitlines())
        return int(lines["Ip6ReasmOKs"])
    names, values = [line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
    return int(values[names.index("ReasmOKs")])


@FAMILIES
def test_who_forbids_fragments_is_told(way, host, family):
    way.narrow(1280)
    of = Family(family, host)
    client = connected(host, family, of, PMTUDISC_DO)
    with kernel_socket(way.far, family, of.far) as far:
        learn(client, of, 1500 - of.headers)
        assert mtu_of(client, of) == 1280
        with pytest.raises(OSError) as refused:
            client.send(b"x" * (1281 - of.headers))
        assert refused.value.errno == errno.EMSGSIZE
        client.send(b"y" * (1280 - of.headers))
        assert far.recv(2000) == b"y" * (1280 - of.headers)
    assert put_together(way.far, family) == 0


@FAMILIES
def test_the_error_queue_names_the_mtu_and_the_router(way, host, family):
    way.narrow(1280)
    of = Family(family, host)
    client = host.socket(family)
    client.set_option(of.level, of.recverr, 1)
    client.sendto(b"x" * (1500 - of.headers), (of.far, 7))
    assert client.wait(select.POLLERR, timeout=20)
    message = client.recvmsg(2000, 200, fastudp.ERRQUEUE)
    level, kind, value = message.control[-1]
    code, origin, info = struct.unpack_from("=IB3xI", value)
    assert (level, kind, code, info) == (of.level, of.recverr, errno.EMSGSIZE, 1280)
    offender = value[20:24] if of.is_v4 else value[24:40]
    assert offender == socket.inet_pton(family, of.router) and message.peer[:2] == (of.far, 7)
    assert origin == (2 if of.is_v4 else 3)


def refused(send, receive_error, size):
    with pytest.raises(OSError) as outcome:
        send(b"x" * size)
    try:
        peer, control = receive_error()
    except BlockingIOError:
        return size, outcome.value.errno, None
    level, kind, value = control[0]
    return size, outcome.value.errno, peer, level, kind, struct.unpack_from("=IBBBxI", value)


@FAMILIES
@pytest.mark.parametrize("connected", [False, True])
def test_what_is_too_long_at_once_is_told_as_the_kernel_tells_it(way, host, family, connected):
    """Too long for the interface, or for any datagram; to another port than the peer's."""
    of = Family(family, host)
    ours = host.socket(family)
    with socket.socket(family, socket.SOCK_DGRAM) as kernels:
        for each in (ours.set_option, kernels.setsockopt):
            each(of.level, of.recverr, 1)
            each(of.level, of.mtu_discover, PMTUDISC_DO)
        if connected:
            ours.connect((of.far, 7))
            kernels.connect((of.far, 7))

        def kernels_error():
            _, control, _, peer = kernels.recvmsg(100, 200, socket.MSG_ERRQUEUE)
            return peer, control

        def our_error():
            message = ours.recvmsg(100, 200, fastudp.ERRQUEUE | fastudp.DONTWAIT)
            return message.peer, message.control

        for size in (1473, 65507, 65508, 65527, 65528, 65535, 65536, 127952):
            mine = refused(lambda data: ours.sendto(data, (of.far, 9)), our_error, size)
            assert mine == refused(lambda data: kernels.sendto(data, (of.far, 9)), kernels_error, size)


@FAMILIES
def test_what_is_learnt_is_of_that_path_alone(way, host, family):
    way.narrow(1280)
    of = Family(family, host)
    client = connected(host, family, of)
    learn(client, of, 1500 - of.headers)
    near = host.socket(family)
    near.connect((of.router, 7))
    assert (mtu_of(client, of), mtu_of(near, of)) == (1280, 1500)
