"""core/ and abi/ keep nothing behind the caller's back: no writable global, no clock, environment, random numbers or
output of their own, and no thread outside endpoint/. Read from the object code, so that no spelling escapes."""

import re
import subprocess
import sys

from common import finish

WRITABLE = re.compile(r"^(\.data(?!\.rel\.ro)|\.bss|\.tdata|\.tbss|\*COM\*)")
EVERYWHERE = r"abort|exit|_exit|quick_exit|v?f?printf|puts|putchar|fputs|fwrite|perror|v?syslog|std(out|err)|_Zn[wa]m"
OUTSIDE_ENDPOINT = r"getenv|secure_getenv|setenv|s?rand(om)?|time|gettimeofday|clock(_gettime|_nanosleep)?|u?sleep|nanosleep"
THREADS = r"pthread_create|pthread_join|pthread_detach|thrd_create|fork|vfork|posix_spawnp?"


def objdump(option, path):
    return subprocess.run(["objdump", option, path], check=True, capture_output=True, text=True).stdout


def demangled(name):
    return subprocess.run(["c++filt", name], check=True, capture_output=True, text=True).stdout.strip()


def symbols(path):
    """(section, name) of each symbol; undefined ones have the section *UND*."""
    for line in objdump("-t", path).splitlines():
        match = re.match(r"[0-9a-f]{16} .{7} (\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if match and match.group(1) != match.group(2):
            yield match.groups()


def read_allowed(path):
    """Rows of `symbol (demangled): reason`."""
    lines = (line.strip() for line in open(path)) if path else ()
    return dict(line.rsplit(": ", 1) for line in lines if line and not line.startswith("#"))


def check(paths, allowed):
    problems, used = [], set()
    for path in paths:
        forbidden = EVERYWHERE
        if "endpoint" not in path and "/abi/" not in path:
            forbidden += f"|{OUTSIDE_ENDPOINT}|{THREADS}"
        for section, name in symbols(path):
            shown = demangled(name) if WRITABLE.match(section) or re.fullmatch(forbidden, name) else name
            if shown in allowed:
                used.add(shown)
            elif WRITABLE.match(section):
                problems.append(f"{path}: {shown} is a writable global ({section})")
            elif section == "*UND*" and re.fullmatch(forbidden, name):
                problems.append(f"{path}: calls {shown}, which isn't for this folder")
    return problems + [f"the list allows {name}, which no longer exists" for name in sorted(set(allowed) - used)]


if __name__ == "__main__":
    finish(check(sys.argv[2:], read_allowed(sys.argv[1])), "globals")
