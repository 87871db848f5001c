"""The public header in step with everything else: each function documented, exported and tested in C, and none of the
constructs in it that other languages can't bind to."""

import errno
import pathlib
import re
import sys

from common import code, files, finish
from symbols import exported

FUNCTION_LIMIT = 80
HEADINGS = ("Results", "Threads", "Blocking", "Memory", "Time", "Since")  # what holds for all is said at the top
UNBINDABLE = [
    (r"\benum\b", "an enum: its size is the compiler's choice"),
    (r"\w\s*:\s*\d+\s*;", "a bit-field"),
    (r"\binline\b", "an inline function"),
    (r"\.\.\.", "varargs"),
    (r"\(\s*\*", "a callback"),
    (r"\bsockaddr", "sockaddr"),
    (r"\b(bool|long|time_t|ssize_t|wchar_t)\b", "a type whose size or header differs between systems"),
]
FUNCTION = re.compile(r"(?P<comment>/\*(?:(?!\*/).)*\*/)?\s*FASTUDP_API\s(?P<result>[\w\s*]+?)(?P<name>fastudp_\w+)\s*"
                      r"\((?P<parameters>[^)]*)\)\s*;", re.S)


def functions(text):
    """name -> (comment, parameters) of each function that the header declares."""
    found = FUNCTION.finditer(text)
    return {m["name"]: ((m["comment"] or "").replace("\n *", " "), m["parameters"]) for m in found}


def problems_of_header(text):
    yield from (f"the opening comment doesn't say: {h}" for h in HEADINGS if not re.search(rf"^ \*\s+{h}\b", text, re.M))
    bare = code(text)
    yield from (f"has {what}" for pattern, what in UNBINDABLE if re.search(pattern, bare))
    for name in re.findall(r"-(E[A-Z0-9]+)\b", text):
        if not hasattr(errno, name):
            yield f"names {name}, which is no errno"
    if len(re.findall(r"\bfastudp_\w+\s*\(", bare)) != len(functions(text)):
        yield "declares a function without FASTUDP_API, or in a way that this lint can't read"
    if len(functions(text)) > FUNCTION_LIMIT:
        yield f"declares {len(functions(text))} functions, the limit is {FUNCTION_LIMIT}"


def problems_of_function(name, comment, parameters):
    if not comment:
        yield f"{name} has no comment right before it"
        return
    if "**" in parameters and "belongs to" not in comment:
        yield f"{name} doesn't say to whom what it opens belongs"
    if "timeout_ns" in parameters and "block" not in comment:
        yield f"{name} has a timeout but doesn't say that it may block"


def check(root, library=None):
    text = (root / "include/fastudp.h").read_text()
    declared = functions(text)
    tests = "\n".join(code((root / p).read_text()) for p in files(root, ".c", under=("tests/abi",)))
    problems = list(problems_of_header(text))
    for name, (comment, parameters) in declared.items():
        problems += problems_of_function(name, comment, parameters)
        if not re.search(rf"\b{name}\b", tests):
            problems.append(f"{name} has no test in tests/abi")
    if library:
        there = {name for name, _ in exported(library)}
        problems += [f"{name} is declared, but {library} doesn't export it" for name in sorted(set(declared) - there)]
        problems += [f"{name} is exported, but fastudp.h doesn't declare it" for name in sorted(there - set(declared))]
    return problems


if __name__ == "__main__":
    finish(check(pathlib.Path(sys.argv[1]), *sys.argv[2:3]), "API")
