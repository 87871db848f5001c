"""What each link receives under a flood, sends into a sink, and carries between two programs: as multiples of the kernel's plain
calls and as shares of a loop on the bare link (no headers, no checksums, no sockets), each in the same round. Network
namespaces that are gone afterwards; each end is pinned to a processor of its own.

links.py BUILD [--quick] [--rounds N] [--size BYTES]"""

import contextlib
import itertools
import json
import statistics
import subprocess

from round_trip import FAR, NEAR, by, cable, ended, options_parser, private_network

PLAIN, BURSTS = "kernel, one by one", "kernel, 64 at once"
# The link that a program is run under, and the bare one.
RECEIVED = {PLAIN: None, BURSTS: None, "packet:": "packet:near", "packet: ring=v3": "packet:near?ring=v3",
            "xdp: native": "xdp:near", "xdp: generic": "xdp:near?mode=generic"}
SENT = {PLAIN: None, BURSTS: None, "packet:": "packet:near", "packet: segmentation=off": "packet:near?segmentation=off",
        "xdp: native": "xdp:near", "xdp: generic": "xdp:near?mode=generic"}
MEMIF = "dpdk:net_memif0,role={},socket=bench"
MEMIF_OWN = ("10.78.0.1", "10.78.0.2")
CARRIED = {PLAIN: (None, None), BURSTS: (None, None), "packet:": ("packet:near", "packet:far"), "xdp: native": ("xdp:near", "xdp:far"),
           "dpdk:net_memif": (MEMIF.format("server"), MEMIF.format("client"))}
_ports = itertools.count(7000)


def how(name):
    return "one" if name == PLAIN else "many"


class Bench:
    def __init__(self, options, far):
        self.build, self.size = options.build, str(options.size)
        self.milliseconds = "50" if options.quick else "400"
        self.there = ["nsenter", "-t", str(far), "-n"]
        self.mac, self.far_mac = (json.loads(private_network.run(*where, "ip", "-json", "link", "show", "dev", device))[0]["address"]
                                  for where, device in (((), "near"), (self.there, "far")))
        self.drop = [*self.there, *self.role(0, None, "drop", "far")]

    def role(self, cpu, link, *words, own=None):
        run = by(self.build, link)
        if own and link:
            run[-1:] = ["--address", f"{own}/24", "--"]
        return ["taskset", "-c", str(cpu), *run, str(self.build / "tests" / "bench" / "links"), *words]

    @staticmethod
    @contextlib.contextmanager
    def started(command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        with ended(process):
            yield process, process.stdout.readline().split()[1:]  # it is ready, and has a MAC address

    @staticmethod
    def rate(said):
        count, nanoseconds = map(int, said.split())
        return count / max(nanoseconds, 1) * 1000  # millions a second

    def received(self, name, link, is_bare):
        port = str(next(_ports))
        words = ("raw-receive", link, NEAR, port) if is_bare else ("receive", port, how(name))
        with self.started(self.role(1, None if is_bare else link, *words)) as (receiver, _):
            private_network.run(*self.there, *self.role(0, None, "flood", "far", self.size, self.milliseconds, self.mac, NEAR, port))
            return self.rate(receiver.communicate()[0])

    def sent(self, name, link, is_bare):
        words = ("raw-send", link, self.far_mac) if is_bare else ("send", FAR, str(next(_ports)))
        last = () if is_bare else (how(name),)
        return self.rate(private_network.run(*self.role(1, None if is_bare else link, *words, self.size, self.milliseconds, *last)))

    def carried(self, name, links, is_bare):
        port, (one, other) = str(next(_ports)), links
        is_shared_memory = one is not None and one.startswith("dpdk:")
        own, there = (MEMIF_OWN, []) if is_shared_memory else ((None, None), self.there)
        words = ("raw-receive", one, NEAR, port) if is_bare else ("receive", port, how(name))
        with self.started(self.role(1, None if is_bare else one, *words, own=own[0])) as (receiver, said):
            send = ("raw-send", other, *said) if is_bare else ("send", own[0] or NEAR, port)
            last = () if is_bare else (how(name),)
            private_network.run(*there, *self.role(0, None if is_bare else other, *send, self.size, self.milliseconds, *last, own=own[1]))
            return self.rate(receiver.communicate()[0])

    def table(self, title, ways, measure, rounds):
        seen = {name: ([], []) for name in ways}
        for _ in range(rounds):
            for name, link in ways.items():
                seen[name][0].append(measure(name, link, False))
                if name not in (PLAIN, BURSTS):
                    seen[name][1].append(measure(name, link, True))
        print(f"\n{title}\n{'':<26} {'M/s':>6}   {'to the kernel':<22} of the bare link")
        for name, (stack, raw) in seen.items():
            print(f"{name:<26} {statistics.median(stack):6.2f}   {ratios(stack, seen[PLAIN][0]):<22} {ratios(stack, raw)}", flush=True)


def ratios(values, bases):
    all_of = [value / base for value, base in zip(values, bases)]
    return f"{statistics.median(all_of):6.2f} ({min(all_of):.2f}..{max(all_of):.2f})" if all_of else ""


def main():
    parser = options_parser(5)
    parser.add_argument("--size", type=int, default=64, help="bytes of a datagram")
    options = parser.parse_args()
    print(f"\ndatagrams of {options.size} bytes, {options.rounds} rounds in turns: medians, and of the ratios in the same round, from least to most")
    with cable() as far:
        private_network.run("ethtool", "-K", "near", "gro", "on")  # or its end of the cable takes no frames of XDP's
        bench = Bench(options, far)
        bench.table("received under a flood", RECEIVED, bench.received, options.rounds)
        bench.table("carried between two alike", CARRIED, bench.carried, options.rounds)
        with bench.started(bench.drop):
            bench.table("sent into a sink", SENT, bench.sent, options.rounds)


if __name__ == "__main__":
    main()
