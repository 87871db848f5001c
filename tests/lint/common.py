"""What the lints share: walking the project's own files and reporting."""

import os
import pathlib
import re
import sys

SKIPPED = {".git", "build", "__pycache__", ".cache", ".pytest_cache", "corpus"}


def files(root, *suffixes, under=("",)):
    """The project's files with one of the suffixes, as paths relative to the root, sorted."""
    found = []
    for folder in under:
        for at, folders, names in os.walk(pathlib.Path(root, folder)):
            folders[:] = sorted(f for f in folders if f not in SKIPPED)
            found += [pathlib.Path(at, n).relative_to(root) for n in names if n.endswith(suffixes)]
    return sorted(set(found))


def blank(match):
    """The same number of lines with nothing on them, so that line numbers stay right."""
    return re.sub(r"[^\n]", " ", match.group())


def code(text):
    """C or C++ source with comments, strings and character literals blanked out."""
    literal = r'R"\((?s:.*?)\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
    return re.sub(r"//[^\n]*|/\*(?s:.*?)\*/|" + literal, blank, text)


def finish(problems, what):
    """Prints the problems; the exit status says whether there were any."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problem(s)" if problems else f"{what}: in order")
    sys.exit(1 if problems else 0)
