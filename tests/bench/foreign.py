"""What the interposer costs descriptors that aren't its own: nanoseconds and instructions for each call, with it and without.

foreign.py BUILD [--quick]"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

# Each with how many hooks it goes through.
CASES = {"read": 1, "write": 1, "writev": 1, "recv": 1, "pipe": 2, "unix": 2, "tcp": 2, "sendmsg": 2, "poll": 1, "poll6": 1, "select": 1,
         "epoll_wait": 1, "dup_close": 2, "close": 1, "fcntl": 1, "ioctl": 1}


def environment(build, is_preloaded):
    out = {**os.environ, "LD_LIBRARY_PATH": str(build / "abi"), "FASTUDP_LINK": "host:"}
    return {**out, "LD_PRELOAD": str(build / "bindings/preload/libfastudp-preload.so")} if is_preloaded else out


def instructions(program, build, case, is_preloaded, *udp):
    """Of one call, by callgrind: all of the process but the system call itself."""
    def total(count):
        with tempfile.NamedTemporaryFile() as out:
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", program, case, str(count), *udp]
            said = subprocess.run(command, env=environment(build, is_preloaded), capture_output=True, text=True, check=True).stderr
        return int(re.search(r"Collected : (\d+)", said)[1])
    few, many = 1000, 3000
    return (total(many) - total(few)) / (many - few)


def nanoseconds(program, build, case, is_preloaded, count, *udp):
    done = subprocess.run(["taskset", "-c", "0", program, case, str(count), *udp], env=environment(build, is_preloaded),
                          capture_output=True, text=True, check=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    options = parser.parse_args()
    build = options.build.resolve()
    program = str(build / "tests/bench/foreign")
    rounds, count = (3, 10_000) if options.quick else (20, 40_000)
    print(f"a call on a descriptor that isn't ours, {rounds} runs in turns on one core: median ns, the median of the differences for")
    print("each hook, and instructions outside of the kernel; with a UDP socket of ours elsewhere in the process")
    print(f"{'call':<10} {'libc':>8} {'hooked':>8} {'more':>6} {'instructions':>14} {'more':>6}")
    for case, hooks in CASES.items():
        pairs = [[nanoseconds(program, build, case, hooked, count, "udp") for hooked in (False, True)] for _ in range(rounds)]
        before, after = (statistics.median(each) for each in zip(*pairs))
        more = statistics.median((b - a) / hooks for a, b in pairs)
        plain, hooked = (instructions(program, build, case, is_preloaded, "udp") for is_preloaded in (False, True))
        print(f"{case:<10} {before:8.1f} {after:8.1f} {more:6.1f} {plain:6.0f} {hooked:7.0f} {(hooked - plain) / hooks:6.0f}", flush=True)


if __name__ == "__main__":
    main()
