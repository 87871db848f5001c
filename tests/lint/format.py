"""C and C++ look as .clang-format says; `make format` makes them so."""

import pathlib
import subprocess
import sys

from common import files, finish

FOLDERS = ("abi", "bindings", "core", "examples", "include", "python", "tests")


def check(root):
    sources = [str(p) for p in files(root, ".h", ".cpp", ".c", under=FOLDERS)]
    command = ["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=1", *sources]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if ": error:" in line] if done.returncode else []


if __name__ == "__main__":
    finish(check(pathlib.Path(sys.argv[1])), "format")
