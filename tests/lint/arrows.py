"""Holds the arrows: which folder may include which. Also keeps out the parts of the standard library that would need
libstdc++.so, or a clock, an environment or a thread of core's own."""

import os
import re
import sys

from common import files, finish

CONTRACT = ("link/link.h", "link/uri.h", "link/own_mac.h", "link/steering.h", "link/virtio_header.h",
            "link/open_plugin.h", "link/header_sums.h", "link/segments.h", "link/intake.h", "link/super_packet.h",
            "link/wait_set.h")

# Folder, longest match first -> what it may include by a path rooted at core/. A row ending in '/' allows a folder.
CORE = {
    "core/base/": ("base/",),
    "core/wire/": ("base/", "wire/"),
    "core/packet/": ("base/", "packet/"),
    "core/host/": ("base/", "host/"),
    "core/link/registry.cpp": ("base/", "packet/", "link/"),
    "core/link/registry.h": ("base/", "packet/", *CONTRACT),
    "core/link/wrap/": ("base/", "packet/", *CONTRACT, "link/wrap/"),
    "core/link/mem/": ("base/", "packet/", *CONTRACT, "link/mem/"),
    "core/link/dpdk/": ("base/", "packet/", *CONTRACT, "link/dpdk/"),
    "core/link/tap/": ("base/", "packet/", *CONTRACT, "link/tap/"),
    "core/link/none/": ("base/", "packet/", *CONTRACT, "link/none/"),
    "core/link/packet/": ("base/", "packet/", *CONTRACT, "link/packet/"),
    "core/link/xdp/": ("base/", "packet/", *CONTRACT, "link/xdp/", "link/packet/"),  # a packet socket hears the rest
    "core/link/steering.cpp": ("base/", "link/steering.h", "link/open_plugin.h", "link/plugin.h"),
    "core/link/": ("base/", "packet/", *CONTRACT),
    "core/stack/": ("base/", "wire/", "packet/", "link/link.h", "stack/"),
    "core/socket/": ("base/", "wire/", "packet/", "link/link.h", "stack/", "socket/"),
    "core/endpoint/": ("base/", "packet/", "stack/", "socket/", "host/", *CONTRACT, "link/registry.h", "endpoint/"),
    "abi/": ("base/", "endpoint/", "abi/", "fastudp.h"),
    "plugins/bpf/": ("link/plugin.h", "maps.h", "claims.bpf.h", "state.h"),
    "plugins/dpdk/": ("link/dpdk/plugin.h", "alone.h", "eal.h", "frames.h", "memif.h"),
}

# These see the public header alone, and their own files.
OUTSIDE = ("include/", "python/", "examples/", "bindings/", "cli/", "tests/abi/", "tests/install/")

# Header-only in name, but code behind them lives in libstdc++.so; or they belong to the caller's side of the API.
STANDARD = {
    "chrono", "condition_variable", "deque", "exception", "filesystem", "fstream", "functional", "future", "iostream",
    "istream", "list", "locale", "map", "mutex", "ostream", "random", "regex", "set", "shared_mutex", "sstream",
    "stdexcept", "streambuf", "string", "thread", "unordered_map", "unordered_set", "vector",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def allowed_for(path):
    for folder, allowed in CORE.items():
        if path == folder or (folder.endswith("/") and path.startswith(folder)):
            return allowed
    return None


def matches(included, allowed):
    return any(included == row or (row.endswith("/") and included.startswith(row)) for row in allowed)


def problem_in_core(root, path, bracket, included):
    if bracket == '"' and not matches(included, allowed_for(path)):
        return "no arrow allows it"
    if bracket == "<" and included == "fastudp.h" and not path.startswith("abi/"):
        return "the public header belongs to abi/"
    if bracket == "<" and included in STANDARD:
        return "it needs libstdc++.so, or isn't core's to use"
    return None


def problem_outside(root, path, bracket, included):
    beside = os.path.normpath(os.path.join(os.path.dirname(path), included))
    own = next(folder for folder in OUTSIDE if path.startswith(folder))
    known = beside.startswith((own, "tests/support/", "bindings/rules/")) and (root / beside).exists()
    if bracket == '"' and not known:
        return f"only <fastudp.h> and files of {own} may be included from here"
    return None


def check(root):
    problems = []
    for path in map(str, files(root, ".h", ".cpp", ".c", ".def")):
        judge = problem_in_core if allowed_for(path) else problem_outside if path.startswith(OUTSIDE) else None
        text = (root / path).read_text()
        for match in INCLUDE.finditer(text) if judge else ():
            why = judge(root, path, *match.groups())
            if why:
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{path}:{line}: includes {match.group(2)}: {why}")
        if path.startswith("core/") and judge is None:
            problems.append(f"{path}: a folder that no arrow knows; add a row to {__file__}")
    return problems


if __name__ == "__main__":
    import pathlib

    finish(check(pathlib.Path(sys.argv[1])), "arrows")
