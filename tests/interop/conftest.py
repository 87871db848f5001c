"""A cable between our stack and this machine's kernel, in a network namespace that is gone with this process."""

import contextlib
import itertools
import json
import socket
import subprocess
import threading

import fastudp
import pytest
from own_address import Host, link

import private_network
from private_network import run

OURS, KERNEL = "10.77.0.2", "10.77.0.1"
_serial = itertools.count()


class Cable:
    """A TAP interface: our stack on one end, the kernel with an address of its own on the other."""

    ours, kernel = OURS, KERNEL

    def __init__(self, keys="announce=off", address=f"{OURS}/24", kind="tap"):
        self.device = f"fu{next(_serial)}"
        try:
            self.stack = fastudp.Stack(f"{link(kind, self.device)}?address={address}&{keys}")
        except FileNotFoundError as error:
            pytest.skip(str(error))
        private_network.ip(f"address add {KERNEL}/24 broadcast + dev {self.device}")
        self.stack.socket().fileno()  # from now on a thread answers ping and ARP

    def close(self):
        self.stack.close()

    def kernel_mac(self):
        return interface(self.device)["address"]

    def bound(self, port):
        """A socket of our stack, with room for bursts."""
        opened = self.stack.socket()
        opened.set_option(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.bind((OURS, port))
        return opened

    @contextlib.contextmanager
    def serve(self, port, answer):
        """Answers each datagram to a port of ours: answer(data, peer) gives what to send back, or None."""
        opened, stopped = self.bound(port), threading.Event()

        def work():
            while not stopped.is_set():
                if not opened.wait(timeout=0.05):
                    continue
                messages = opened.recv_burst(64, 65535, flags=fastudp.DONTWAIT)
                answers = [(answer(m.data, m.peer), m.peer) for m in messages]
                opened.send_burst([each for each in answers if each[0] is not None])

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield opened
        finally:
            stopped.set()
            thread.join()

    def echo(self, port):
        return self.serve(port, lambda data, peer: data)

    @contextlib.contextmanager
    def kernel_socket(self, address=KERNEL, port=0):
        """A kernel socket on the other end, which gives up after a while instead of hanging."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.settimeout(20)
            opened.bind((address, port))
            yield opened

    def neighbour(self):
        """What the kernel says of us: (MAC, state)."""
        words = run("ip", "neighbour", "show", OURS, "dev", self.device).split()
        return (words[words.index("lladdr") + 1] if "lladdr" in words else None), words[-1] if words else None


def interface(name):
    """What ip(8) says of an interface, or None when there is none."""
    done = subprocess.run(["ip", "-json", "link", "show", "dev", name], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)[0] if done.returncode == 0 else None


@pytest.fixture(params=["tap", "dpdk-tap"])
def make_cable(request):
    private_network.enter()
    with contextlib.ExitStack() as stack:
        yield lambda *args: stack.enter_context(contextlib.closing(Cable(*args, kind=request.param)))


@pytest.fixture
def cable(make_cable):
    return make_cable()


@pytest.fixture(params=["packet", "xdp", "tap", "dpdk-packet", "dpdk-xdp", "dpdk-tap"])
def host(request, way):
    """With addresses of its own at the near end of the test's road, `way`."""
    with contextlib.closing(Host(way, request.param)) as made:
        yield made


def pytest_collection_modifyitems(items):
    """What DPDK's drivers can't do."""
    def host_of(item):
        return item.callspec.params.get("host") if hasattr(item, "callspec") else None

    def asks_for_fragments(item):
        is_v4 = "v6" not in item.originalname and item.callspec.params.get("family") != socket.AF_INET6
        return is_v4 and item.callspec.params.get("size", 0) > 1472

    def shares_its_way(item):
        return item._fixtureinfo.name2fixturedefs["way"][-1].scope != "function"

    def is_possible(item):
        if host_of(item) == "dpdk-packet":
            return not asks_for_fragments(item)  # the kernel puts them together, and the driver loses what then is no frame
        if host_of(item) == "dpdk-xdp":
            return not shares_its_way(item)  # a process can open an interface once
        return True

    items[:] = [item for item in items if is_possible(item)]
