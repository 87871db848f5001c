"""Our stack with addresses of its own at the near end of a road: on an interface that the kernel keeps, or on a TAP interface
at the router; by links of ours, or by DPDK's drivers for the same."""

import contextlib
import itertools
import os
import pathlib
import socket
import subprocess

import fastudp
import pytest
import road
from namespaces import until

DPDK = pathlib.Path(os.environ.get("FASTUDP_BUILD_DIR", "build/dev")) / "abi" / "fastudp-dpdk.so"
_ports = itertools.count()


def link(kind, device):
    """The URI of a link to an interface: tap, packet, xdp, or one of DPDK's drivers for the same."""
    if not kind.startswith("dpdk-"):
        return f"{kind}:{device}"
    if not DPDK.exists():
        pytest.skip("fastudp-dpdk.so isn't built: it needs libdpdk")
    driver = {"dpdk-tap": "net_tap", "dpdk-packet": "net_af_packet", "dpdk-xdp": "net_af_xdp"}[kind]
    return f"dpdk:{driver}{next(_ports)},iface={device}"


class Host:
    def __init__(self, way, of_kind):
        self.way, self.kind = way, of_kind
        if of_kind == "dpdk-tap":
            way.change_tap("multi_queue pi")
        kind = of_kind.removeprefix("dpdk-")
        self.device, self.own, self.own6, gateways = {
            **dict.fromkeys(("packet", "xdp"), ("near", road.OWN, road.OWN6, (road.GATEWAY, road.GATEWAY6))),
            "tap": ("fast0", road.TAP_OWN, road.TAP_OWN6, (road.TAP_GATEWAY, road.TAP_GATEWAY6)),
        }[kind]
        self.gateway, self.gateway6 = gateways
        self.side = "fast0" if kind == "tap" else "gate"  # the router's interface towards us
        with way.router.entered() if kind == "tap" else contextlib.nullcontext():
            self.stack = fastudp.Stack(f"{link(of_kind, self.device)}?address={self.own}/24,{self.own6}/64&announce=off&"
                                       f"gateway={self.gateway},{self.gateway6}")
        self.stack.socket().fileno()  # from now on a thread answers
        # The kernel drops what it sends to a TAP interface that has just been opened.
        for own in (self.own, self.own6):
            until(lambda: subprocess.run(way.router.command("ping", "-c1", "-W1", own), capture_output=True).returncode == 0, own)

    def close(self):
        self.stack.close()
        if self.kind == "dpdk-tap":
            self.way.change_tap()

    def link_local(self):
        mac = bytes(int(part, 16) for part in self.stack.info().mac.split(":"))
        return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:])

    def socket(self, family):
        opened = self.stack.socket(family)
        opened.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.bind((self.own if family == socket.AF_INET else self.own6, 0))
        return opened


@contextlib.contextmanager
def kernel_socket(namespace, family, address):
    """A socket of the kernel in that namespace, which gives up after a while instead of hanging."""
    with namespace.entered():
        opened = socket.socket(family, socket.SOCK_DGRAM)
    with opened:
        opened.settimeout(20)
        opened.bind((address, 7))
        yield opened
