"""How the tests call the tool."""

import json
import os
import pathlib
import subprocess
import time

BUILD = pathlib.Path(os.environ["FASTUDP_BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["FASTUDP_SOURCE_DIR"])
FASTUDP = str(BUILD / "cli" / "fastudp")
PATIENCE = 30

# No right of any kind, as in a container that was given none.
WITHOUT_RIGHTS = ["capsh", "--drop=all", "--", "-c", 'exec "$@"', "sh"]


def fastudp(*words, before=(), **settings):
    return subprocess.run([*before, FASTUDP, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, **settings)


def run(*words, **settings):
    return fastudp("run", *words, **settings)


def one_line(done):
    """What was said on stderr, which must be one line of ours."""
    assert done.stderr.startswith("fastudp: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def stats_of(path):
    return json.loads(pathlib.Path(path).read_text())


def until(condition, what):
    """Waits for what another process does, where there is no other way to hear of it."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"waited in vain: {what}"
        time.sleep(0.01)


def status_field(pid, field):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


class Started:
    """`fastudp run` in the background; the lines that the program writes come one by one."""

    def __init__(self, *words, **settings):
        self.process = subprocess.Popen([FASTUDP, "run", *map(str, words)], stdout=subprocess.PIPE, text=True, **settings)
        self.pid = self.process.pid

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        """All lines that are left, and the status."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        return rest.splitlines(), self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
