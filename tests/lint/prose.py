"""Text that must not be committed: paths and numbers that mean something on one machine only, unexplained leftovers,
untidy white space; and a source file that doesn't open by saying why it exists."""

import pathlib
import re
import sys

from common import files, finish

SOURCES = (".h", ".cpp", ".c", ".def", ".py")
TEXTS = SOURCES + (".md", ".txt", ".cmake", ".json", ".in", ".map", ".yml", ".toml", ".sh", "Makefile")
OWN = {"tests/lint/prose.py", "tests/lint/test_lints.py"}  # these must name what they look for

WORDS = [
    (r"(?<![\w}])/work/|\.\./shared\b|/tmp/w\b", "a path of one machine"),
    (r"(?i)\bissue\s+#?\d|(?<![&\w])#\d+\b(?!\s*\d)", "a number of a tracker that a reader may not have"),
    (r"\b(TODO|FIXME|XXX|HACK)\b", "an unfinished thing; finish it or say what is so, and why"),
    (r"[ \t]+$", "white space at the end of the line"),
    (r"\r", "a carriage return"),
]
OPENING = {".py": r"(#!.*\n)?(\"\"\"|#)"}
C_OPENING = r"(#pragma once\n)?(//|/\*)"


def opens_well(path, text):
    """A .cpp may leave it to the header of its name, which it then includes first."""
    if re.match(OPENING.get(path.suffix, C_OPENING), text):
        return True
    return path.suffix == ".cpp" and re.match(rf'#include "([\w/]+/)?{path.stem}\.h"', text)


def problems_in(path, text):
    for pattern, why in WORDS:
        for match in re.finditer(pattern, text, re.M):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}: {why}"
    if "\t" in text and path.name != "Makefile":
        yield f"{path}: a tab"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"
    if path.suffix in SOURCES and not opens_well(path, text):
        yield f"{path}:1: doesn't open with a comment that says why the file exists"


def check(root):
    scripts = files(root, "", under=("scripts", ".ci"))
    paths = [p for p in {*files(root, *TEXTS), *scripts} if str(p) not in OWN]
    return sorted(p for path in paths for p in problems_in(path, (root / path).read_bytes().decode()))


if __name__ == "__main__":
    finish(check(pathlib.Path(sys.argv[1])), "prose")
