"""The ABI of libfastudp.so only grows: what the committed baseline has, the library still has, unchanged.
scripts/update-abi-baseline writes the baseline."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from common import finish

ALLOWED = pathlib.Path(__file__).with_name("abi_allowed.abignore")


def dump(library, headers, out):
    """Writes the ABI that the public headers describe, without a trace of where it was built."""
    options = "--exported-interfaces-only --drop-private-types --no-show-locs --no-corpus-path --no-comp-dir-path"
    subprocess.run(["abidw", *options.split(), "--headers-dir", headers, "--out-file", out, library], check=True)
    text = pathlib.Path(out).read_text()
    pathlib.Path(out).write_text(re.sub(r"(<abi-instr [^>]*path=')[^']*/", r"\1", text))


def check(library, headers, baseline):
    if not os.path.exists(baseline):
        return [f"{baseline} is missing: scripts/update-abi-baseline writes it"]
    with tempfile.TemporaryDirectory() as folder:
        now = os.path.join(folder, "now.abi")
        dump(library, headers, now)
        command = ["abidiff", "--no-added-syms", "--suppressions", ALLOWED, baseline, now]
        done = subprocess.run(command, capture_output=True, text=True)
    return [done.stdout + done.stderr] if done.returncode else []


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        dump(*sys.argv[2:5])
    else:
        finish(check(*sys.argv[1:4]), "ABI baseline")
