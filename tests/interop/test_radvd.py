"""Addresses and routes from radvd, Linux's router advertisement daemon: on a TAP interface whose other end is the kernel's,
and by packet: or xdp: on one end of a veth cable."""

import contextlib
import errno
import ipaddress
import shutil
import socket
import subprocess

import fastudp
import private_network
import pytest
from private_network import run

PREFIX, KERNEL, FAR = "2001:db8:77::", "2001:db8:77::1", "2001:db8:ffff::1"
NETWORK = ipaddress.ip_network(PREFIX + "/64")
LINK_MTU = 1400
IPV6_MTU = 24

CONFIGURATION = """
interface %s {
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 4;
  AdvLinkMTU %d;
  AdvCurHopLimit 33;
  prefix %s/64 { AdvOnLink on; AdvAutonomous on; };
};
"""


class Router:
    """The kernel as a router on `device`, with radvd beside it, and our stack on the other end of the cable."""

    def __init__(self, uri, device, folder):
        self.stack = fastudp.Stack(uri)
        self.watched = self.stack.socket(socket.AF_INET6)
        self.watched.fileno()  # from now on a thread works
        private_network.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
        private_network.ip(f"link set {device} up", f"address add {KERNEL}/64 dev {device} nodad", f"address add {FAR}/128 dev lo nodad")
        file = folder / "radvd.conf"
        file.write_text(CONFIGURATION % (device, LINK_MTU, PREFIX))
        self.daemon = subprocess.Popen(["radvd", "-n", "-m", "stderr", "-C", file, "-p", folder / "radvd.pid"])

    def close(self):
        self.stop()
        self.stack.close()
        private_network.ip(f"address del {FAR}/128 dev lo")

    def stop(self):
        self.daemon.terminate()
        self.daemon.wait(20)

    def source(self, to=FAR):
        """The address that we would send from, or the errno where there is no way."""
        with self.stack.socket(socket.AF_INET6) as opened:
            try:
                opened.connect((to, 9))
                return ipaddress.ip_address(opened.getsockname()[0])
            except OSError as error:
                return error.errno

    def until(self, is_so):
        """Waits for what a message will bring: that there is nothing to receive is only how it waits."""
        for _ in range(400):
            found = is_so()
            if found:
                return found
            self.watched.wait(timeout=0.05)
        raise AssertionError(f"never came: the source is {self.source()}")

    def address(self):
        def found():
            source = self.source()
            return source if isinstance(source, ipaddress.IPv6Address) and source in NETWORK else None
        return self.until(found)


@contextlib.contextmanager
def over_tap(folder):
    with contextlib.closing(Router("tap:fura?address=10.78.0.2/24,auto", "fura", folder)) as router:
        yield router


@contextlib.contextmanager
def over_packet(folder, scheme="packet"):
    private_network.ip("link add outer type veth peer name inner", "link set outer up", "link set inner up")
    private_network.sysctl("net/ipv6/conf/outer/disable_ipv6", 1)
    try:
        with contextlib.closing(Router(f"{scheme}:outer?address=auto", "inner", folder)) as router:
            yield router
    finally:
        private_network.ip("link delete outer")


def over_xdp(folder):
    return over_packet(folder, "xdp")


@pytest.fixture(params=[over_tap, over_packet, over_xdp], ids=["tap", "packet", "xdp"])
def router(request, tmp_path):
    private_network.enter()
    if not shutil.which("radvd"):
        pytest.skip("radvd isn't installed")
    private_network.sysctl("net/ipv6/conf/all/forwarding", 1)
    with request.param(tmp_path) as made:
        yield made


def test_radvd_gives_an_address_and_a_way_out_and_takes_the_way_back(router):
    ours = router.address()
    assert " 3 received" in run("ping", "-6", "-c", "3", "-i", "0.02", "-W", "5", str(ours))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as far, router.stack.socket(socket.AF_INET6) as client:
        far.settimeout(20)
        far.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        far.bind((FAR, 9))
        client.connect((FAR, 9))
        assert client.get_option(socket.IPPROTO_IPV6, IPV6_MTU) == LINK_MTU
        client.send(b"hello")
        data, control, _, peer = far.recvmsg(100, 100)
        assert (data, peer[0]) == (b"hello", str(ours))
        assert int.from_bytes(control[0][2], "little") == 33
        far.sendto(b"back", peer)
        assert client.wait(timeout=20) and client.recv() == b"back"
        router.stop()
        router.until(lambda: router.source() == errno.ENETUNREACH)
        with pytest.raises(OSError) as caught:
            client.send(b"gone")
        assert caught.value.errno == errno.ENETUNREACH
    assert router.source(KERNEL) == ours, "the prefix stays"
