"""Sockets that a program is born with: those that systemd hands to a service that it activates, and inetd's, which are the
standard input and output. Fast from their first use on; and whoever has opened them has them back, however the program ends."""

import os
import signal

import net as topology
import pytest
from net import HOST, need, until
from private_network import run
from test_programs import ECHO_CLIENT, PYTHON

PRELOADED = pytest.mark.parametrize("under", ["kernel", "packet", "packet-filter", "xdp"], indirect=True)

# Opens the socket, waits for a datagram as systemd and inetd do, and starts the program for it; once more when that has ended.
OPENER = """
import os, select, socket, sys
style, command = sys.argv[1], sys.argv[2:]
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("", 7000))
print("listening", flush=True)
while True:
    select.select([held], [], [])
    print("starts", flush=True)
    child = os.fork()
    if child == 0:
        if style == "inetd":
            said = os.dup(2)
            for number in range(3): os.dup2(held.fileno(), number)
            os.environ["SAID"] = str(said)
            os.set_inheritable(said, True)
        else:
            os.dup2(held.fileno(), 3)
            os.set_inheritable(3, True)
            os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execvp(command[0], command)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""

ACTIVATED = """
import os, select, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
server = socket.socket(fileno=3)
print("up", os.getpid(), flush=True)
"""
WAITS = {
    "recv": "wait = lambda: None\n",
    "select": "wait = lambda: select.select([server], [], [])\n",
    "poll": "p = select.poll()\np.register(server, select.POLLIN)\nwait = p.poll\n",
    "epoll": "e = select.epoll()\ne.register(server, select.EPOLLIN)\nwait = e.poll\n",
    "edges": "e = select.epoll()\ne.register(server, select.EPOLLIN | select.EPOLLET)\nserver.setblocking(False)\nwait = e.poll\n",
}
SERVES = """
while True:
    wait()
    try:
        while True:
            data, peer = server.recvfrom(65535)
            if data == b"end": os._exit(0)
            server.sendto(data, peer)
            if server.getblocking(): break
    except BlockingIOError: pass
"""

# What it hears by one number it answers by another; what it says goes to the standard error, as far as that is no socket.
INETD = """
import os, socket
server, answers = socket.socket(fileno=0), socket.socket(fileno=os.dup(1))
os.write(int(os.environ["SAID"]), b"up %d\\n" % os.getpid())
while True:
    data, peer = server.recvfrom(65535)
    if data == b"end": os._exit(0)
    answers.sendto(data, peer)
    assert os.get_blocking(2)
    socket.socket(fileno=os.dup(2)).getsockname()
"""

ASK = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'%s', ('" + HOST + "', 7000))\n"


def serves(under, style, program):
    """Started by a datagram it answers; ended in the two ways, its socket goes on."""
    opener = [PYTHON, "-c", OPENER, style, *under.command(PYTHON, "-c", program)]
    with under.net.start(opener) as started:
        started.says("listening")
        for round_, last_words in enumerate(["end", None, "end"]):
            assert run(*under.net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, "7000", "50")) == "50\n"
            until(lambda: started.output().count("up ") == round_ + 1, started.output())
            if last_words:
                run(*under.net.peer.command(PYTHON, "-c", ASK % last_words))
            else:
                kill_service(started)
            until(lambda: started.output().count("ended") == round_ + 1, started.output())
            assert started.output().count("starts") == round_ + 1, started.output()


def kill_service(started):
    os.kill(int(started.output().rsplit("up ", 1)[1].split()[0]), signal.SIGKILL)


@PRELOADED
@pytest.mark.parametrize("waits", list(WAITS))
def test_a_service_that_is_activated_by_its_socket(under, waits):
    serves(under, "systemd", ACTIVATED + WAITS[waits] + SERVES)
    check_path(under)


@PRELOADED
def test_a_service_of_inetd(under):
    serves(under, "inetd", INETD)
    check_path(under)


def check_path(under):
    """Fast where nothing stays at the socket that others have: without BPF that is a filter, and the kernel's socket does it."""
    if under.name in ("packet", "xdp"):
        under.check(50)
    elif under.uri is not None:
        assert under.stats()["rx"]["fast"] == 0, under.stats()


@PRELOADED
def test_by_systemd_itself(under):
    need("systemd-socket-activate")
    program = ACTIVATED + WAITS["epoll"] + SERVES
    activated = ["systemd-socket-activate", "--datagram", "--listen=7000", *under.command(PYTHON, "-c", program)]
    with under.net.start(activated) as started:
        until(lambda: 7000 in topology.udp_ports() | topology.udp_ports(table="udp6"), "the socket")
        assert run(*under.net.peer.command(PYTHON, "-c", ECHO_CLIENT, HOST, "7000", "50")) == "50\n"
        run(*under.net.peer.command(PYTHON, "-c", ASK % "end"))
        until(lambda: started.process.poll() is not None, "its end")
    check_path(under)
