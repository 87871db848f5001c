"""Network namespaces beside this process's own, and how to wait for what others do there."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time

import pytest
from private_network import CLONE_NEWNET, run

PATIENCE = 30
_libc = ctypes.CDLL(None, use_errno=True)


def need(program):
    if shutil.which(program) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{program} is not installed")


def until(condition, what):
    """Waits for what another process does, and there is no other way to hear of."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"waited in vain: {what}"
        time.sleep(0.01)


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """A network namespace that a process holds; it ends with this one, however that ends."""

    def __init__(self):
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo up; cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self._holder.stdout.readline() == b"up\n"
        self.pid = self._holder.pid

    def command(self, *command):
        return ["nsenter", "-t", str(self.pid), "-n", "--", *command]

    def run(self, *command, **settings):
        return run(*self.command(*command), **settings)

    @contextlib.contextmanager
    def entered(self):
        """What this thread opens meanwhile is there, and stays there."""
        with open("/proc/thread-self/ns/net") as before, open(f"/proc/{self.pid}/ns/net") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def close(self):
        self._holder.stdin.close()
        self._holder.wait(PATIENCE)
        self._holder.stdout.close()
