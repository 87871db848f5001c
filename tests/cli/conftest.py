"""The tool that was built, and a network namespace of this process's own for it."""

import json
import os
import subprocess

import pytest
from tool import until

import private_network


@pytest.fixture
def namespace():
    private_network.enter()


def both_ends_are_up():
    shown = json.loads(private_network.run("ip", "-json", "link", "show"))
    return sum(link["operstate"] == "UP" for link in shown) == 2


@pytest.fixture
def cable(namespace):
    """An interface that the kernel keeps: near, with an address."""
    private_network.sysctl("net/ipv6/conf/default/accept_dad", 0)
    private_network.ip("link add near type veth peer name far", "address add 10.7.0.1/24 dev near", "link set near up",
                       "link set far up")
    until(both_ends_are_up, "the cable's carrier")  # the kernel announces it a little later
    yield "near"
    private_network.ip("link delete near")


@pytest.fixture
def script(tmp_path):
    """Writes a program of Python, and gives the command that runs it."""
    def write(text):
        path = tmp_path / f"script{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        return ["/usr/bin/python3", str(path)]

    return write


@pytest.fixture
def static_program(tmp_path):
    source, program = tmp_path / "static.c", tmp_path / "static"
    source.write_text('#include <stdio.h>\nint main(void) { return puts("static here") < 0; }\n')
    subprocess.run([os.environ.get("CC", "cc"), "-static", "-o", program, source], check=True)
    return str(program)
