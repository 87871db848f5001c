"""Fixed scripts of calls, in C, print what came of each: the same with the interposer as without, down to errno, the numbers
of descriptors and the order of events."""

import os
import pathlib
import subprocess

import private_network
import pytest
from net import BUILD
from private_network import run

HERE = pathlib.Path(__file__).parent
# What a race decides, on the kernel as well: lines that two processes print, or which of a signal and a datagram is first.
UNORDERED = {"process"}
# Across a fork that both sides survive, a datagram within the process may wait on the other side: see ARCHITECTURE.md.
CASES = [(script, link) for script in ("data", "names", "udp", "wait", "sets", "threads", "process", "stamps", "facilities", "filter") for link in ("host:", "loop:")
         if (script, link) != ("process", "loop:")]


@pytest.fixture(scope="session")
def scripts(tmp_path_factory):
    private_network.enter()
    folder = tmp_path_factory.mktemp("scripts")
    for source in HERE.glob("script_*.c"):
        run("cc", "-O1", "-w", "-pthread", "-o", str(folder / source.stem), str(source))
    return folder


def transcript(program, name, **more):
    done = subprocess.run([program], capture_output=True, text=True, timeout=100, env={**os.environ, **more})
    lines = [line.removesuffix(" but errno 4") for line in done.stdout.splitlines()]
    return (sorted(lines) if name in UNORDERED else lines), done.returncode


@pytest.mark.parametrize("name, link", CASES)
def test_same_as_the_kernel(scripts, name, link):
    program = scripts / f"script_{name}"
    expected = transcript(program, name)
    assert len(expected[0]) > 50 and expected[1] == 0
    preload = str(BUILD / "bindings" / "preload" / "libfastudp-preload.so")
    assert transcript(program, name, LD_PRELOAD=preload, FASTUDP_LINK=link) == expected


def test_only_what_two_queues_cannot_do_leaves_the_fast_path(scripts):
    """With --strict a socket can't be left to the kernel, so that who asks for it hears of it."""
    preload = str(BUILD / "bindings" / "preload" / "libfastudp-preload.so")
    strict = {"LD_PRELOAD": preload, "FASTUDP_LINK": "loop:", "FASTUDP_STRICT": "1"}
    for name in ("stamps", "facilities"):
        expected, _ = transcript(scripts / f"script_{name}", name)
        lines, _ = transcript(scripts / f"script_{name}", name, **strict)
        refused = {line for line in lines if "EOPNOTSUPP" in line} - set(expected)
        assert {line.partition(":")[0] for line in refused} == {"stamps": set(), "facilities": {"level 1 option 62", "level 0 option 50", 'setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) = -1 EOPNOTSUPP'}}[name]
