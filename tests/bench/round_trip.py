"""A lone datagram's round trip between two sleeping programs over a veth cable, as a ratio to the kernel's in the same
round. Two network namespaces that are gone afterwards; each end is pinned to a processor of its own.

round_trip.py BUILD [--quick] [--rounds N]"""

import argparse
import contextlib
import itertools
import os
import pathlib
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import private_network  # noqa: E402

NEAR, FAR = "10.77.0.1", "10.77.0.2"
# Under what the server and the client run.
ENDS = {"kernel, kernel": (None, None), "packet, kernel": ("packet:near", None),
        "packet, packet": ("packet:near", "packet:far"), "xdp, kernel": ("xdp:near", None),
        "xdp generic, kernel": ("xdp:near?mode=generic", None), "xdp, xdp": ("xdp:near", "xdp:far")}
_ports = itertools.count(7000)


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def cable():
    """near is here; far is in the namespace of the process that this gives."""
    private_network.enter()
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep infinity"],
                              stdout=subprocess.PIPE, start_new_session=True)
    with ended(holder):
        holder.stdout.readline()
        private_network.ip(f"link add near type veth peer name far netns {holder.pid}", f"address add {NEAR}/24 dev near",
                           "link set near up")
        private_network.run("nsenter", "-t", str(holder.pid), "-n", "sh", "-c",
                            f"ip address add {FAR}/24 dev far && ip link set far up")
        private_network.run("ping", "-c", "1", "-w", "10", FAR)
        yield holder.pid


def by(build, link):
    """What to put before a command; no link: nothing, it goes by the kernel."""
    return [str(build / "cli" / "fastudp"), "run", "--strict", "--link", link, "--"] if link else []


def under(build, link, cpu, *command):
    return ["taskset", "-c", str(cpu), *by(build, link), str(build / "tests" / "bench" / "round_trip"), *command]


def measure(build, far, ends, count):
    server_link, client_link = ends
    port = str(next(_ports))
    serve = subprocess.Popen(under(build, server_link, 0, "serve", port), stdout=subprocess.PIPE, text=True,
                             start_new_session=True)
    with ended(serve):
        serve.stdout.readline()
        return int(private_network.run("nsenter", "-t", str(far), "-n",
                                       *under(build, client_link, 1, "ask", NEAR, port, str(count))))


def read_options(rounds):
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser.parse_args()


def main():
    options = read_options(7)
    count = 200 if options.quick else 3000
    seen = {name: [] for name in ENDS}
    with cable() as far:
        for _ in range(options.rounds):
            for name, ends in ENDS.items():
                seen[name].append(measure(options.build, far, ends, count))
    print(f"\nround trip of a lone datagram, both programs asleep (server, client), {options.rounds} rounds in turns: median µs, and the")
    print("median of the ratios to the kernel's in the same round, from least to most")
    for name, values in seen.items():
        ratios = [v / k for v, k in zip(values, seen["kernel, kernel"])]
        print(f"{name:<20} {statistics.median(values) / 1000:7.1f}   {statistics.median(ratios):5.2f} "
              f"({min(ratios):.2f}..{max(ratios):.2f})")


if __name__ == "__main__":
    main()
