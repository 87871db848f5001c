"""libfastudp.so fits into any process: libc alone, an old one too; nothing visible but the API; little static TLS."""

import re
import subprocess
import sys

from common import finish

GLIBC_FLOOR = (2, 28)
TLS_LIMIT = 256


def readelf(option, library):
    return subprocess.run(["readelf", "-W", option, library], check=True, capture_output=True, text=True).stdout


def exported(library):
    """(name, binding) of what the library defines for others, the version node apart."""
    for line in readelf("--dyn-syms", library).splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[6] not in ("UND", "ABS", "Ndx"):
            yield fields[7].split("@")[0], fields[4]


def check_exports(library):
    for name, binding in exported(library):
        if not name.startswith("fastudp_"):
            yield f"exports {name}"
        if binding == "UNIQUE":
            yield f"{name} is unique: the library could never be unloaded"


def check_needs(library):
    dynamic = readelf("-d", library)
    for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        if not re.fullmatch(r"libc\.so\.6|ld-linux-[\w-]+\.so\.\d", needed):
            yield f"needs {needed}"
    if "TEXTREL" in dynamic:
        yield "has text relocations"
    if not re.search(r"\(SONAME\).*\[libfastudp\.so\.0\]", dynamic):
        yield "its SONAME isn't libfastudp.so.0"
    for symbol, version in re.findall(r"(\S+)@GLIBC_([\d.]+)", readelf("--dyn-syms", library)):
        if tuple(map(int, version.split("."))) > GLIBC_FLOOR:
            yield f"needs {symbol} of glibc {version}: avoid it, or pin the older version in abi/glibc_pins.cpp"


def check_segments(library):
    for line in readelf("-l", library).splitlines():
        fields = line.split()
        if fields[:1] == ["TLS"] and int(fields[5], 16) > TLS_LIMIT:
            yield f"{int(fields[5], 16)} bytes of thread-local storage, the limit is {TLS_LIMIT}"
        if fields[:1] == ["GNU_STACK"] and "E" in fields[6]:
            yield "has an executable stack"
    if re.search(r"DTPMOD|TLSDESC", readelf("-r", library)):
        yield "thread-local storage isn't initial-exec"


def check(library):
    found = [*check_exports(library), *check_needs(library), *check_segments(library)]
    return [f"{library}: {problem}" for problem in found]


if __name__ == "__main__":
    finish([p for library in sys.argv[1:] for p in check(library)], "symbols")
