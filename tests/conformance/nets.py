"""One host on a network that the test plays by hand: the host is a fastudp stack, or this machine's kernel.

Both offer the same calls, so that one test can run on either: what Linux does is the specification.
"""

import collections
import ctypes
import errno
import itertools
import os
import select
import socket
import struct

import fastudp
import private_network
from packets import ARP, DF, GATEWAY, HOST, IPV4, MACS, PEER, STRANGER, ether_type, with_identification

IP_RECVERR, IP_MTU_DISCOVER, IP_MTU = 11, 10, 14
PMTUDISC_DONT, PMTUDISC_WANT, PMTUDISC_DO, PMTUDISC_PROBE, PMTUDISC_INTERFACE, PMTUDISC_OMIT = range(6)

_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()

Message = collections.namedtuple("Message", "data peer length flags control")


def _without_meaningless_identification(frame):
    """RFC 6864 4.1: with DF nobody looks at the identification; Linux counts there, we say 0."""
    atomic = ether_type(frame) == IPV4 and struct.unpack_from("!H", frame, 20)[0] == DF
    return with_identification(frame, 0) if atomic else frame


class LinuxSocket(socket.socket):
    """A non-blocking kernel socket with the method names of fastudp.Socket."""

    def __init__(self):
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.setblocking(False)

    def disconnect(self):
        unspec = (ctypes.c_char * 16)()
        if _libc.connect(self.fileno(), unspec, 16) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def set_option(self, level, name, value):
        self.setsockopt(level, name, value)

    def get_option(self, level, name, size=None):
        return self.getsockopt(level, name) if size is None else self.getsockopt(level, name, size)

    def sendto(self, data, address, flags=0):
        return super().sendto(data, flags, address)

    def sendmsg(self, data, control=(), address=None, flags=0):
        return super().sendmsg([data], control, flags, *([address] if address else []))

    def recv(self, size=65535, flags=0):
        return super().recv(size, flags)

    def recvfrom(self, size=65535, flags=0):
        return super().recvfrom(size, flags)

    def recv_into(self, buffer, flags=0):
        return super().recv_into(buffer, 0, flags)

    def recvmsg(self, size=65535, control_size=0, flags=0):
        data, control, shown, peer = super().recvmsg(size, control_size, flags)
        return Message(data, peer, None, shown & (fastudp.TRUNC | fastudp.CTRUNC), control)

    def poll(self):
        poll = select.poll()
        poll.register(self, select.POLLIN | select.POLLOUT | select.POLLERR | select.POLLHUP)
        ready = poll.poll(0)
        return ready[0][1] if ready else 0


class Net:
    """What the two have in common."""

    def bound(self, port=1000, address=HOST):
        opened = self.socket()
        opened.bind((address, port))
        return opened

    def connected(self, port=1000, peer=(PEER, 2000)):
        opened = self.bound(port)
        opened.connect(peer)
        return opened

    def answers(self, *frames):
        """What the host says to these frames."""
        self.captured()
        self.inject(*frames)
        return self.captured()

    def resolve_everybody(self):
        for host in (PEER, STRANGER, GATEWAY):
            self.add_neighbour(host, MACS[host])


class FastudpNet(Net):
    """A stack with a hand-held clock on an in-memory hub."""

    name = "fastudp"

    def __init__(self, *, address=f"{HOST}/24", gateway=GATEWAY, mtu=1500, resolved=True, extra="announce=off",
                 **config):
        hub = f"mem:conformance-{next(_serial)}"
        uri = f"{hub}?mac={MACS[HOST]}&mtu={mtu}"
        uri += f"&address={address}" if address else ""
        uri += f"&gateway={gateway}" if gateway else ""
        self.stack = fastudp.Stack(f"{uri}&{extra}", hand_clock=True, **{"seed": 1, **config})
        self.link = fastudp.Link(f"{hub}?mtu={mtu}")
        self.now = 0
        self.idle_frames = self.stack.info().frames_free
        if resolved:
            self.resolve_everybody()

    def close(self):
        self.stack.close()
        self.link.close()

    def socket(self):
        return self.stack.socket()

    def poll(self):
        while self.stack.poll() > 0:
            pass

    def inject(self, *frames):
        for frame in frames:
            self.link.send(frame)
            self.poll()

    def captured(self):
        self.poll()
        frames = []
        while self.link.wait(0):
            frames.append(self.link.recv())
        return frames

    def advance(self, seconds):
        """Lets time pass, stopping at each moment at which the stack has something to do."""
        end = self.now + round(seconds * 1e9)
        while True:
            left = self.stack.deadline()
            if left is None or self.now + left > end:
                break
            self.now += left
            self.stack.set_time(self.now)
            self.poll()
        self.now = end
        self.stack.set_time(end)
        self.poll()

    def let_a_while_pass(self):
        """So much that no limit on how often something may happen holds any more; in these tests Linux has none."""
        self.advance(20)

    def wait_for_error(self, opened):
        self.advance(2.9)
        assert not opened.poll() & fastudp.ERROR
        self.advance(0.2)
        assert opened.poll() & fastudp.ERROR

    def add_neighbour(self, address, mac):
        self.stack.add_neighbour(address, mac)

    def add_route(self, prefix, gateway=None):
        self.stack.add_route(prefix, gateway)

    def add_address(self, prefix):
        self.stack.add_address(prefix)

    def all_frames_are_back(self):
        return self.stack.info().frames_free == self.idle_frames

    def drops(self):
        return {name: count for name, count in self.stack.drops().items() if count}


class LinuxNet(Net):
    """The kernel behind a TAP interface in this process's own network namespace."""

    name = "linux"

    def __init__(self, *, address=f"{HOST}/24", gateway=GATEWAY, mtu=1500, resolved=True):
        private_network.enter()
        self.sockets = []
        self.device = f"tap{next(_serial)}"
        self.tap = private_network.open_tap(self.device)
        self.limit_icmp_errors(0)
        path = f"net/ipv6/conf/{self.device}/disable_ipv6"
        if os.path.exists(f"/proc/sys/{path}"):
            private_network.sysctl(path, 1)
        commands = [f"link set {self.device} address {MACS[HOST]} mtu {mtu} up"]
        commands += [f"address add {address} broadcast + dev {self.device}"] if address else []
        commands += [f"route add default via {gateway}"] if gateway else []
        private_network.ip(*commands)
        if resolved:
            self.resolve_everybody()
        self.captured()

    def limit_icmp_errors(self, milliseconds):
        """Time between two errors to one host, after a burst of six; 0 is no limit, so that tests don't meet."""
        private_network.sysctl("net/ipv4/icmp_ratelimit", milliseconds)
        private_network.sysctl("net/ipv4/icmp_msgs_per_sec", 1_000_000)
        private_network.sysctl("net/ipv4/icmp_msgs_burst", 1_000_000)

    def let_a_while_pass(self):
        pass

    def wait_for_error(self, opened):
        """Until the socket has an error: three seconds after a neighbour was first asked for in vain."""
        poll = select.poll()
        poll.register(opened, 0)
        assert poll.poll(20_000), "no error came"

    def close(self):
        for each in self.sockets:
            each.close()
        os.close(self.tap)

    def socket(self):
        self.sockets.append(LinuxSocket())
        return self.sockets[-1]

    def inject(self, *frames):
        for frame in frames:
            try:
                os.write(self.tap, frame)
            except OSError as error:
                if error.errno != errno.EINVAL or len(frame) >= 34:  # the tap refuses what can't be a frame
                    raise

    def captured(self):
        frames = []
        while True:
            try:
                frames.append(os.read(self.tap, 65536))
            except BlockingIOError:
                return [_without_meaningless_identification(f) for f in frames if ether_type(f) in (ARP, IPV4)]

    def add_neighbour(self, address, mac):
        private_network.ip(f"neighbour replace {address} lladdr {mac} dev {self.device} nud permanent")

    def add_route(self, prefix, gateway=None):
        private_network.ip(f"route add {prefix} dev {self.device}" + (f" via {gateway}" if gateway else ""))

    def add_address(self, prefix):
        private_network.ip(f"address add {prefix} broadcast + dev {self.device}")

    def drops(self):
        return None
