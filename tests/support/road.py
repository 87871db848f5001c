"""A host, a router, and a host far away: this process's namespace with the interface `near`, and two more. The router has
a TAP interface as well, for a stack that is run there. The way beyond the router takes smaller datagrams."""

import contextlib
import subprocess

import private_network
from namespaces import Namespace, until
from private_network import run

HOST, OWN, GATEWAY = "10.77.0.1", "10.77.0.9", "10.77.0.254"
HOST6, OWN6, GATEWAY6 = "fd00:77::1", "fd00:77::9", "fd00:77::fe"
TAP_OWN, TAP_GATEWAY = "10.88.0.2", "10.88.0.1"
TAP_OWN6, TAP_GATEWAY6 = "fd00:88::2", "fd00:88::1"
FAR, BEYOND = "10.99.0.2", "10.99.0.1"
FAR6, BEYOND6 = "fd00:99::2", "fd00:99::1"

# No limits on errors, so that what comes of a probe doesn't depend on how fast the probes follow each other.
_SYSCTLS = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv4/icmp_ratelimit": 0, "ipv6/icmp/ratelimit": 0,
            "ipv4/icmp_msgs_per_sec": 100_000, "ipv4/icmp_msgs_burst": 100_000, "ipv6/conf/default/accept_dad": 0}


def _prepare(namespace):
    namespace.run("sh", "-c", "".join(f"echo {value} > /proc/sys/net/{name}\n" for name, value in _SYSCTLS.items()))


class Road:
    def __init__(self):
        private_network.enter()
        with contextlib.ExitStack() as exits:
            self.router = exits.enter_context(contextlib.closing(Namespace()))
            self.far = exits.enter_context(contextlib.closing(Namespace()))
            exits.callback(subprocess.run, ["ip", "link", "delete", "near"], capture_output=True)
            self._build()
            self._exits = exits.pop_all()

    def _build(self):
        for each in (self.router, self.far):
            _prepare(each)
        private_network.sysctl("net/ipv6/conf/default/accept_dad", 0)
        private_network.ip(f"link add near type veth peer name gate netns {self.router.pid}",
                           f"address add {HOST}/24 broadcast + dev near", f"address add {HOST6}/64 dev near nodad",
                           "link set near up")
        self._ip(self.router, f"link add beyond type veth peer name end netns {self.far.pid}",
                 f"address add {GATEWAY}/24 dev gate", f"address add {GATEWAY6}/64 dev gate nodad",
                 f"address add {BEYOND}/24 dev beyond", f"address add {BEYOND6}/64 dev beyond nodad",
                 *(f"link set {device} up" for device in ("gate", "beyond")))
        self.make_tap()
        self._ip(self.far, f"address add {FAR}/24 dev end", f"address add {FAR6}/64 dev end nodad", "link set end up",
                 f"route add default via {BEYOND}", f"route add default via {BEYOND6}")
        private_network.ip(f"route add default via {GATEWAY}", f"route add default via {GATEWAY6}")
        for there in (FAR, FAR6):
            until(lambda: subprocess.run(["ping", "-n", "-c1", "-W1", there], capture_output=True).returncode == 0, "the road")

    @staticmethod
    def _ip(namespace, *commands):
        namespace.run("ip", "-batch", "-", input="\n".join(commands) + "\n")

    def make_tap(self, flags=""):
        """The router's TAP interface, of the kind that whoever opens it asks for."""
        self._ip(self.router, f"tuntap add dev fast0 mode tap {flags}", f"address add {TAP_GATEWAY}/24 dev fast0",
                 f"address add {TAP_GATEWAY6}/64 dev fast0 nodad", "link set fast0 up")

    def change_tap(self, flags=""):
        self._ip(self.router, "link delete fast0")
        self.make_tap(flags)

    def narrow(self, mtu):
        """The way beyond the router takes no more than this; nobody has learnt of it."""
        self.router.run("ip", "link", "set", "beyond", "mtu", str(mtu))
        self.far.run("ip", "link", "set", "end", "mtu", str(mtu))

    def forget(self):
        """What the kernels have learnt of the paths."""
        for flush in (["ip", "route", "flush", "cache"], ["ip", "-6", "route", "flush", "cache"]):
            run(*flush)
            self.far.run(*flush)

    def close(self):
        self._exits.close()
