"""Every function of libc, and every option that the system's headers know, is in one of our lists: a new one has to be decided."""

import pathlib
import re
import subprocess
import sys

from common import finish

# What the headers define beside options: values, and names of control messages that are an option's.
VALUES = re.compile(
    r"SCM_|SO_(ATTACH_FILTER|GET_FILTER|DETACH_BPF)$|SO_(TIMESTAMP(NS|ING)?|(RCV|SND)TIMEO)$|"
    r"(IP|IPV6)_ORIGDSTADDR$|IP_RECVRETOPTS$|(IP|IPV6)_PMTUDISC_|MCAST_(IN|EX)CLUDE|IP_DEFAULT_|IPV6_(FL_|FLOWINFO_[FP]|PRIORITY_|TLV_|PREFER_|SRCRT_|OPT_|MIN_MTU|"
    r"RTHDR_|MOBILITY)|UDP_(ENCAP_|MAX|HLEN)")
HEADERS = {"asm-generic/socket.h": r"SO_\w+", "linux/in.h": r"(?:IP|MCAST)_\w+", "linux/in6.h": r"IPV6_\w+", "linux/udp.h": r"UDP_\w+"}


def functions_of(library):
    """Those that programs can link to."""
    shown = subprocess.run(["readelf", "-W", "--dyn-syms", library], check=True, capture_output=True, text=True).stdout
    fields = [line.split() for line in shown.splitlines()]
    names = {f[7] for f in fields if len(f) == 8 and f[3] in ("FUNC", "IFUNC") and f[6] != "UND"}
    return {name.split("@@")[0] for name in names if "@@" in name and "PRIVATE" not in name}


def intercepted(text):
    return re.findall(r"^PRELOAD_\w+\([^,]+, (\w+),", text, re.M)


def left_to_the_kernel(text):
    return re.findall(r"^KERNEL_CALL\((\w+), \w+\)", text, re.M)


def check_calls(root, library):
    folder = root / "bindings/preload"
    ours, kernels = intercepted((folder / "calls.def").read_text()), left_to_the_kernel((folder / "kernel_calls.def").read_text())
    others = (root / "tests/lint/libc_without_descriptors.txt").read_text().split("\n", 1)[1].split()
    for name in sorted(functions_of(library) - {*ours, *kernels, *others}):
        yield f"{name} of libc is in no list: does it take a descriptor? Then calls.def or kernel_calls.def, else libc_without_descriptors.txt"
    for name in sorted({*ours} & {*kernels}):
        yield f"{name} is in both lists"


def options_of(header, pattern):
    text = header.read_text()
    return {name for name in re.findall(rf"^#\s*define\s+({pattern})\s+\S", text, re.M) if not VALUES.match(name)}


def check_options(root, include):
    listed = set(re.findall(r"^OPTION\(\w+, (\w+),", (root / "core/socket/options.def").read_text(), re.M))
    for header, pattern in HEADERS.items():
        for name in sorted(options_of(include / header, pattern) - listed):
            yield f"{name} of {header} isn't in options.def"


def check_page(root):
    done = subprocess.run([sys.executable, root / "scripts/surface", "--check"], capture_output=True, text=True)
    return [done.stderr.strip()] if done.returncode != 0 else []


if __name__ == "__main__":
    root, libc = pathlib.Path(sys.argv[1]), sys.argv[2]
    finish([*check_calls(root, libc), *check_options(root, pathlib.Path("/usr/include")), *check_page(root)], "surface")
