"""Many equal datagrams of one call to one peer over a veth cable, to a kernel's socket that joins: nanoseconds of the sender's
for each, and the ratios to the kernel's sendmmsg and UDP_SEGMENT in the same round. Two network namespaces that are gone
afterwards; each end is pinned to a processor of its own.

bulk.py BUILD [--quick] [--rounds N]"""

import itertools
import statistics
import subprocess

from round_trip import FAR, by, cable, ended, private_network, read_options

# The link, and how the program sends.
WAYS = {"kernel, sendmmsg": (None, "many"), "kernel, UDP_SEGMENT": (None, "segments"), "packet, sendmmsg": ("packet:near", "many"),
        "packet, UDP_SEGMENT": ("packet:near", "segments"), "packet, apart": ("packet:near?segmentation=off", "many")}
_ports = itertools.count(7000)


def measure(build, far, way, size, milliseconds):
    """Nanoseconds for each datagram, and the share that came."""
    link, how = way
    program, port = str(build / "tests" / "bench" / "bulk"), str(next(_ports))
    receiver = subprocess.Popen(["nsenter", "-t", str(far), "-n", "taskset", "-c", "1", program, "receive", port],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with ended(receiver):
        receiver.stdout.readline()
        said = private_network.run("taskset", "-c", "0", *by(build, link), program, "send", FAR, port, str(size), str(milliseconds), how)
        sent, each = said.split()
        came = receiver.communicate()[0]
        return float(each), int(came) / int(sent)


def main():
    options = read_options(5)
    milliseconds = 50 if options.quick else 500
    print(f"\nequal datagrams to one peer, up to 64 in one call, {options.rounds} rounds in turns: median ns of the sender's for each, the")
    print("median share that came, and the medians of the ratios to the kernel's in the same round, from least to most")
    print(f"{'bytes':>5} {'':<22} {'ns':>7} {'came':>5}   {'to sendmmsg':<20} to UDP_SEGMENT")
    with cable() as far:
        for size in (64, 512, 1400):
            seen = {name: [] for name in WAYS}
            for _ in range(options.rounds):
                for name, way in WAYS.items():
                    seen[name].append(measure(options.build, far, way, size, milliseconds))
            for name, values in seen.items():
                texts = []
                for base in ("kernel, sendmmsg", "kernel, UDP_SEGMENT"):
                    ratios = [v[0] / k[0] for v, k in zip(values, seen[base])]
                    texts.append(f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})")
                each, came = (statistics.median(column) for column in zip(*values))
                print(f"{size:5} {name:<22} {each:7.1f} {came:5.2f}   {texts[0]:<20} {texts[1]}", flush=True)


if __name__ == "__main__":
    main()
