"""Runs the benchmarks in turns, several times, and prints medians and the medians of the ratios to the raw loop.

run.py PROGRAM [--quick] [--rounds N]"""

import argparse
import json
import re
import statistics
import subprocess

NAME = re.compile(r"(\w+)/bytes:(\d+)/burst:(\d+)")
WAYS = ("raw", "copied", "copied_v6", "borrowed")


def measure(program, way, size, burst, seconds):
    """Nanoseconds per datagram, once."""
    command = [program, f"--benchmark_filter=^{way}/bytes:{size}/burst:{burst}$", f"--benchmark_min_time={seconds}",
               "--benchmark_format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)["benchmarks"][0]
    if result.get("error_occurred"):
        raise SystemExit(f"{result['name']}: {result['error_message']}")
    return 1e9 / result["items_per_second"]


def cases(program):
    """(size, burst) of every benchmark, in the program's order."""
    listed = subprocess.run([program, "--benchmark_list_tests"], capture_output=True, text=True, check=True).stdout
    return list(dict.fromkeys((int(size), int(burst)) for _, size, burst in NAME.findall(listed)))


def ratio_text(values, raw):
    ratios = [v / r for v, r in zip(values, raw)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds = 0.02 if options.quick else 0.3

    print(f"one datagram over the mem link, one thread, {options.rounds} rounds in turns: median ns, and the median of the")
    print("ratios to the raw loop (no headers, no checksums) in the same round, from least to most;")
    print("of IPv6 to the copy over IPv4")
    print(f"{'bytes':>5} {'burst':>5} {'raw':>7} {'copied':>7} {'over v6':>7} {'borrowed':>8}   {'copied/raw':<20} "
          f"{'borrowed/raw':<20} v6/copied")
    for size, burst in cases(options.program):
        seen = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                seen[way].append(measure(options.program, way, size, burst, seconds))
        raw, copied, copied_v6, borrowed = (seen[way] for way in WAYS)
        print(f"{size:5} {burst:5} {statistics.median(raw):7.0f} {statistics.median(copied):7.0f} "
              f"{statistics.median(copied_v6):7.0f} {statistics.median(borrowed):8.0f}   {ratio_text(copied, raw):<20} "
              f"{ratio_text(borrowed, raw):<20} {ratio_text(copied_v6, copied)}", flush=True)


if __name__ == "__main__":
    main()
