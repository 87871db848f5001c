"""tracepath, as it is, on every link: what it finds out about a path is what it finds out by the plain kernel. And what
programs are told when a datagram was too large for a path."""

import contextlib
import json
import re

import pytest
from namespaces import need
from net import FASTUDP, Program
from private_network import run
from road import FAR, FAR6, GATEWAY, GATEWAY6, OWN, OWN6, TAP_GATEWAY, TAP_GATEWAY6, TAP_OWN, TAP_OWN6, Road
from test_programs import PYTHON

OURS = {
    "packet": "packet:near",
    "packet-filter": "packet:near?steer=off",
    "xdp": "xdp:near",
    "packet-own": f"packet:near?address={OWN}/24,{OWN6}/64&gateway={GATEWAY},{GATEWAY6}",
    "xdp-own": f"xdp:near?address={OWN}/24,{OWN6}/64&gateway={GATEWAY},{GATEWAY6}",
    "tap": f"tap:fast0?address={TAP_OWN}/24,{TAP_OWN6}/64&gateway={TAP_GATEWAY},{TAP_GATEWAY6}",
}
LINKS = pytest.mark.parametrize("link", OURS)
FAMILIES = pytest.mark.parametrize("far", [FAR, FAR6], ids=["v4", "v6"])
# Of a TAP interface that has just been opened: the kernel there may not answer yet, and is asked again after a second.
LOST = re.compile(r"no reply|\d{4,}\.\d+ms")


@pytest.fixture
def way():
    with contextlib.closing(Road()) as made:
        yield made


def run_under(way, link, folder, *command, least=1):
    """On a TAP interface the program runs where that is: at the router. What it sends goes by the link, but on an interface
    of the kernel's for what is fragmented or for a neighbour that isn't known yet."""
    stats = folder / "stats.json"
    started = [FASTUDP, "run", "--link", OURS[link], "--stats", str(stats), "--", *command]
    for _ in range(10):
        said = run(*(way.router.command(*started) if link == "tap" else started))
        if not LOST.search(said):
            break
        way.forget()
    sent = json.loads(stats.read_text())["tx"]
    assert sent["fast"] >= least and (sent["kernel"] == 0 or link in ("packet", "packet-filter", "xdp")), sent
    return said


def hops(said):
    """What tracepath tells, without times and padding, and by whichever of its interfaces the router is reached."""
    for router, names in {"ROUTER": (GATEWAY, TAP_GATEWAY), "ROUTER6": (GATEWAY6, TAP_GATEWAY6)}.items():
        for name in names:
            said = said.replace(f" {name} ", f" {router} ")
    return [" ".join(re.sub(r"\d+\.\d+ms", "", line).split()) for line in said.splitlines()]


def tracepath(far, *options):
    need("tracepath")
    return ["tracepath", "-6" if ":" in far else "-4", "-n", *options, far]


@LINKS
@FAMILIES
@pytest.mark.parametrize("mtu", [1280, 1500])
def test_tracepath_says_what_it_says_by_the_kernel(way, link, far, mtu, tmp_path):
    way.narrow(mtu)
    kernels = hops(run(*tracepath(far)))
    way.forget()
    assert hops(run_under(way, link, tmp_path, *tracepath(far))) == kernels
    assert kernels[0] == "1?: [LOCALHOST] pmtu 1500" and kernels[-2:] == [f"2: {far} reached", f"Resume: pmtu {mtu} hops 2 back 2"]


@LINKS
@pytest.mark.parametrize("mtu", [576, 1400])
def test_tracepath_over_other_mtus_of_ipv4(way, link, mtu, tmp_path):
    way.narrow(mtu)
    kernels = hops(run(*tracepath(FAR)))
    way.forget()
    assert hops(run_under(way, link, tmp_path, *tracepath(FAR))) == kernels
    assert kernels[-1] == f"Resume: pmtu {mtu} hops 2 back 2"


@LINKS
@FAMILIES
def test_tracepath_with_short_probes_and_few_hops(way, link, far, tmp_path):
    for options in (["-l", "1000"], ["-m", "1"], ["-p", "40000"]):
        kernels = hops(run(*tracepath(far, *options)))
        way.forget()
        assert hops(run_under(way, link, tmp_path, *tracepath(far, *options))) == kernels, options


# Sends what is too large for the way, once it is told so, by each rule, and says what became of it.
PROGRAM = """
import errno, select, socket, sys
far = sys.argv[1]
v4 = ":" not in far
level, discover, mtu, headers = (socket.IPPROTO_IP, 10, 14, 28) if v4 else (socket.IPPROTO_IPV6, 23, 24, 48)
client = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
client.connect((far, 7))
client.settimeout(20)
client.send(b"first")
print(client.recv(100).decode(), client.getsockopt(level, mtu))
client.send(b"x" * (1500 - headers))
waiting = select.poll()
waiting.register(client, select.POLLIN)
print([what & select.POLLERR != 0 for _, what in waiting.poll(20000)])
try:
    client.recv(100)
except OSError as error:
    print(errno.errorcode[error.errno])
print(client.getsockopt(level, mtu))
for mode in (1, 2):  # IP_PMTUDISC_WANT, _DO
    client.setsockopt(level, discover, mode)
    for size in (1280 - headers, 1281 - headers, 9000):
        try:
            client.send(b"y" * size)
            print(mode, size, client.recv(100).decode())
        except OSError as error:
            print(mode, size, errno.errorcode[error.errno])
"""

ECHO_OF_LENGTHS = """
import socket, sys
echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
echo.bind(("::", 7))
print("ready", flush=True)
while True:
    data, peer = echo.recvfrom(70000)
    echo.sendto(str(len(data)).encode(), peer)
"""


# Reads the queue of errors when a datagram was refused at once: too long for the interface, or for any datagram.
REFUSED = """
import errno, socket, struct, sys
far = sys.argv[1]
v4 = ":" not in far
level, discover, errors = (socket.IPPROTO_IP, 10, 11) if v4 else (socket.IPPROTO_IPV6, 23, 25)
for connected in (False, True):
    client = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    client.setsockopt(level, errors, 1)
    if connected:
        client.connect((far, 7))
    for mode in (1, 2, 3):  # IP_PMTUDISC_WANT, _DO, _PROBE
        client.setsockopt(level, discover, mode)
        for size in (65528, 65535, 65536, 127952) if mode == 1 else (1473, 65507, 65508, 65528, 65536, 127952):
            try:
                client.sendto(b"x" * size, (far, 9))
            except OSError as error:
                print(connected, mode, size, errno.errorcode[error.errno])
            try:
                _, control, flags, name = client.recvmsg(100, 500, socket.MSG_ERRQUEUE)
                told = control[0][2]
                print(struct.unpack_from("=IBBBxI", told), flags, name)
            except BlockingIOError:
                print("nothing in the queue")
"""


@LINKS
@FAMILIES
def test_what_is_refused_at_once_is_in_the_error_queue(way, link, far, tmp_path):
    kernels = run(PYTHON, "-c", REFUSED, far)
    assert run_under(way, link, tmp_path, PYTHON, "-c", REFUSED, far, least=0) == kernels and "1500" in kernels


@LINKS
@FAMILIES
def test_programs_follow_the_path(way, link, far, tmp_path):
    way.narrow(1280)
    with Program(way.far.command(PYTHON, "-c", ECHO_OF_LENGTHS)) as echo:
        echo.says("ready")
        kernels = run(PYTHON, "-c", PROGRAM, far)
        way.forget()
        assert run_under(way, link, tmp_path, PYTHON, "-c", PROGRAM, far) == kernels
    fits = 1280 - (48 if ":" in far else 28)
    assert kernels.splitlines() == ["5 1500", "[True]", "EMSGSIZE", "1280", f"1 {fits} {fits}", f"1 {fits + 1} {fits + 1}",
                                    "1 9000 9000", f"2 {fits} {fits}", f"2 {fits + 1} EMSGSIZE", "2 9000 EMSGSIZE"]
