#!/usr/bin/env python3
"""Compares what random socket calls show on the kernel's sockets and under the interposer. A seed that differs is shrunk
to the fewest calls that still do, and printed as a C program. Everything happens in network namespaces of its own."""

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import random
import resource
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ.get("FASTUDP_BUILD_DIR", HERE.parents[1] / "build" / "dev"))
PLAYER = BUILD / "tests" / "differential" / "player"
PLANTED = BUILD / "tests" / "differential" / "libplanted.so"
PRELOAD = BUILD / "bindings" / "preload" / "libfastudp-preload.so"
DPDK_PLUGIN = BUILD / "abi" / "fastudp-dpdk.so"
REFLECTOR = BUILD / "tests" / "differential" / "reflector.o"
CHUNK, PATIENCE = 2000, 600

# The host that sequences know: loopback, and an interface with addresses. From its other end everything comes back
# (reflector.bpf.c), however much that is of errors.
HOST = f"""ip link set lo up
ip link add own1 address 02:00:00:00:00:02 type veth peer name own0 address 02:00:00:00:00:01
ethtool -K own0 tx-udp-segmentation off
ip link set own0 arp off addrgenmode none
ip link set own1 addrgenmode none
ip link set own1 xdpgeneric obj {REFLECTOR} sec xdp
ip address add 10.99.0.1/24 broadcast + dev own0
ip address add fd99::1/64 dev own0 nodad
ip link set own0 up
ip link set own1 up
ip neighbour add 10.99.0.100 lladdr 02:00:00:00:00:02 dev own0 nud permanent
ip neighbour add fd99::100 lladdr 02:00:00:00:00:02 dev own0 nud permanent
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
exec cat
"""
# The same, where the other end is the way to everybody.
HOST_WITH_ROUTES = HOST.replace("exec cat", """ip address add fe80::ff:fe00:1/64 dev own0 nodad
ip route add default via 10.99.0.100
ip route add default via fd99::100
exec cat""")
# The same, where the interface is a TAP one and its addresses are a stack's of ours.
HOST_BEHIND_TAP = f"""ip link set lo up
ip tuntap add own0 mode tap
ip link set own0 addrgenmode none
ip link set own0 xdpgeneric obj {REFLECTOR} sec xdp
ip link set own0 up
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
exec cat
"""
# The same for DPDK's driver of TAP interfaces, which asks for these options.
HOST_BEHIND_DPDK = HOST_BEHIND_TAP.replace("mode tap", "mode tap multi_queue pi")
# The same as HOST_WITH_ROUTES, where the interface has the first number that no sequence names, and transcripts don't
# show (hidden_interface in transcript.cpp).
HOST_WITH_HIDDEN_NUMBER = "ip link add used2 type veth peer name used3\nip link delete used2\n" + HOST_WITH_ROUTES
# The same, where the addresses are a stack's on a hub, and the player is the host at the hub's other port.
HOST_WITH_LOOPBACK = """ip link set lo up
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
exec cat
"""
ADDRESSES = "address=10.99.0.1/24,fd99::1/64&gateway=10.99.0.100,fd99::100&mac=02:00:00:00:00:01&announce=off"
TAP, MEM, DPDK = (f"{device}?{ADDRESSES}" for device in ("tap:own0", "mem:own0", "dpdk:net_tap0,iface=own0"))
OTHER_END_OF_MEM = "mem:own0?mac=02:00:00:00:00:02"


class Host:
    """A network namespace in which to play; it ends with this process."""

    def __init__(self, network=HOST):
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-ec", network + "\n"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self._holder.stdin.write(b"up\n")
        self._holder.stdin.flush()
        if self._holder.stdout.readline() != b"up\n":
            raise OSError("no network namespace of our own")

    def command(self, *command):
        return ["nsenter", "-t", str(self._holder.pid), "-n", "--", *map(str, command)]

    def close(self):
        self._holder.stdin.close()
        self._holder.wait(30)
        self._holder.stdout.close()


class Side:
    """A way to play sequences: the kernel's sockets, or a link of fastudp's, or with a planted bug."""

    def __init__(self, host, link=None, planted=None):
        self.host, self.name = host, link or "kernel"
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(BUILD / "abi")}
        if link is not None:
            self.environment |= {"LD_PRELOAD": str(PRELOAD), "FASTUDP_LINK": link}
        if planted is not None:
            self.environment |= {"LD_PRELOAD": str(PLANTED), "PLANTED": str(planted)}

    def play(self, *arguments):
        """What the player writes, and how it ended when that wasn't well."""
        # The interposer's environment is the player's alone.
        mine = {name: self.environment.get(name) for name in ("LD_PRELOAD", "FASTUDP_LINK", "PLANTED")}
        command = ["env", *(f"{name}={value}" for name, value in mine.items() if value), PLAYER, *arguments]
        outer = {name: value for name, value in self.environment.items() if name not in mine}
        done = subprocess.run(self.host.command(*command), capture_output=True, text=True, env=outer, timeout=PATIENCE)
        ending = "" if done.returncode == 0 else f"ended with {done.returncode}: {done.stderr.strip()}"
        return done.stdout.splitlines(), ending

    def hashes(self, first, count, options):
        """seed -> hash; what comes after a crash is missing, and the seed of the crash has its story."""
        found, at = {}, first
        while at < first + count:
            lines, ending = self.play("--first", at, "--count", first + count - at, *options)
            found |= {int(seed): value for seed, value in (line.split() for line in lines if line.count(" ") == 1)}
            if not ending:
                break
            at = max(found, default=at - 1) + 1 if found and max(found) >= at else at
            found[at] = ending
            at += 1
        return found

    def transcript(self, seed, options, left_out=()):
        more = ["--leave-out", ",".join(map(str, sorted(left_out)))] if left_out else []
        lines, ending = self.play("--first", seed, "--count", 1, "--show", *options, *more)
        return lines + ([ending] if ending else [])


class Comparison:
    def __init__(self, expected, actual, options):
        self.expected, self.actual, self.options = expected, actual, options

    def differing(self, first, count):
        """The seeds whose hashes differ; both sides play at the same time, each in its own namespace."""
        out = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for at in range(first, first + count, CHUNK):
                size = min(CHUNK, first + count - at)
                one, other = pool.map(lambda side: side.hashes(at, size, self.options), (self.expected, self.actual))
                out += [seed for seed in range(at, at + size) if one.get(seed) != other.get(seed)]
        return out

    def confirmed(self, seeds):
        """Those that differ once more. By chance two sockets, one of each IP, may be given the same ephemeral port."""
        return [seed for seed in seeds if self.differs(seed)]

    def transcripts(self, seed, left_out=()):
        return [side.transcript(seed, self.options, left_out) for side in (self.expected, self.actual)]

    def differs(self, seed, left_out=()):
        expected, actual = self.transcripts(seed, left_out)
        return expected != actual

    def shrink(self, seed):
        """The numbers of the calls that can be left out while the difference remains."""
        lines = [line.split(" ", 1)[0] for line in self.expected.transcript(seed, self.options)]
        calls = max(int(number) for number in lines if number.isdigit()) + 1
        kept, left_out, size = list(range(calls)), set(), calls // 2
        while size >= 1:
            at, dropped = 0, False
            while at < len(kept):
                trial = left_out | set(kept[at:at + size])
                if self.differs(seed, trial):
                    left_out, dropped = trial, True
                    del kept[at:at + size]
                else:
                    at += size
            size = size // 2 if size > 1 or not dropped else 1
        return left_out

    def c_program(self, seed, left_out):
        return "\n".join(self.expected.play("--first", seed, "--print-c", *self.options, "--leave-out",
                                            ",".join(map(str, sorted(left_out))))[0])


def difference(expected, actual):
    """The lines that differ, side by side."""
    out = []
    for one, other in zip(expected, actual):
        if one != other:
            out += [f"  kernel:  {one}", f"  fastudp: {other}"]
    if len(expected) != len(actual):
        out.append(f"  kernel: {len(expected)} lines, fastudp: {len(actual)}: {actual[-1] if actual else ''}")
    return out


def explain(comparison, seed):
    left_out = comparison.shrink(seed)
    expected, actual = comparison.transcripts(seed, left_out)
    return "\n".join([f"seed {seed}:", *difference(expected, actual), "", comparison.c_program(seed, left_out)])


@contextlib.contextmanager
def comparison(link, options, planted=None):
    """Of the kernel with a link, or with the kernel once more when that is None."""
    networks, more = {
        "tap": ((HOST_WITH_ROUTES, HOST_BEHIND_TAP), ["--alone"]),
        "dpdk": ((HOST_WITH_ROUTES, HOST_BEHIND_DPDK), ["--alone"]),
        "mem": ((HOST_WITH_HIDDEN_NUMBER, HOST_WITH_LOOPBACK), ["--alone", "--other-end", OTHER_END_OF_MEM]),
    }.get((link or "").split(":")[0], ((HOST, HOST), []))
    with contextlib.closing(Host(networks[0])) as one, contextlib.closing(Host(networks[1])) as other:
        yield Comparison(Side(one), Side(other, link, planted), options + more)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--link", default="loop:", help="a link of fastudp's, or 'tap:', 'mem:', 'dpdk:' or 'kernel'")
    parser.add_argument("--first", type=int, default=random.randrange(1 << 40), help="the first seed")
    parser.add_argument("--count", type=int, default=20_000, help="how many seeds")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--ipv6", type=int, default=40, help="percent of IPv6 sockets")
    parser.add_argument("--threads", action="store_true", help="each call from a thread of its own")
    parser.add_argument("--beyond", action="store_true", help="to another host, and back from there")
    parser.add_argument("--explain", type=int, default=3, help="how many differing seeds are shrunk")
    parser.add_argument("--census", help="a JSON file for how often each call, option and flag was used")
    return parser.parse_args()


def player_options(wanted):
    out = ["--calls", wanted.calls, "--ipv6", wanted.ipv6]
    return out + ["--threads"] * wanted.threads + ["--beyond"] * wanted.beyond


def main():
    wanted = arguments()
    print(f"seeds from {wanted.first}, {wanted.count} of them, on {wanted.link}", flush=True)
    link = {"kernel": None, "tap:": TAP, "mem:": MEM, "dpdk:": DPDK}.get(wanted.link, wanted.link)
    with comparison(link, player_options(wanted)) as both:
        found = both.confirmed(both.differing(wanted.first, wanted.count))
        for seed in found[:wanted.explain]:
            print(explain(both, seed), flush=True)
        if wanted.census:
            both.expected.play("--first", wanted.first, "--count", wanted.count, "--census", wanted.census, *both.options)
    print(f"{len(found)} of {wanted.count} differ: {' '.join(map(str, found[:20]))}")
    return 1 if found else 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    sys.exit(main())
