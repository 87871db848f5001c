"""Runs a program of other people's twice, each time in a network of its own: on the kernel's sockets, and on ours within the process."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess

import pytest

BUILD = pathlib.Path(os.environ["FASTUDP_BUILD_DIR"])
NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def need(path, package):
    """What Debian's package brings; without it there is nothing to run, which CI doesn't accept."""
    if not pathlib.Path(path).exists():
        missing = f"{path} isn't there: install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def need_program(name, package):
    need(shutil.which(name) or f"/usr/bin/{name}", package)


class Outcome:
    def __init__(self, done, stats):
        self.text, self.status, self.stats = done.stdout, done.returncode, stats

    def fast_share(self):
        """Of the datagrams that the program received, how many never saw the kernel; 1 when there were none."""
        fast, kernel = self.stats["rx"]["fast"], self.stats["rx"]["kernel"]
        return fast / (fast + kernel) if fast + kernel else 1


def run(command, folder, stats=None, patience=280):
    wrapped = [str(BUILD / "cli" / "fastudp"), "run", "--link", "loop:", "--stats", str(stats), "--"] if stats else []
    done = subprocess.run([*NETWORK, *wrapped, *map(str, command)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, errors="replace", timeout=patience)
    return Outcome(done, json.loads(stats.read_text()) if stats else None)


def both(command, tmp_path):
    """(on the kernel, on ours), at the same time."""
    folders = [tmp_path / "kernel", tmp_path / "fast"]
    for folder in folders:
        folder.mkdir(parents=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        kernel = pool.submit(run, command, folders[0])
        fast = pool.submit(run, command, folders[1], tmp_path / "stats.json")
        return kernel.result(), fast.result()
