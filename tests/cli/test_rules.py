"""fastudp run --rules: which sockets and datagrams go by the kernel, and what is said of a file that is wrong."""

import pytest
from tool import one_line, run, stats_of

# A server on 7000, a client without a port of its own that asks it ten times, one that is connected, and one with a port.
PROGRAM = """
import socket
def udp(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server, client, connected, bound = udp(), udp(), udp(), udp()
server.bind(("127.0.0.1", 7000))
for i in range(10):
    client.sendto(b"ask", ("127.0.0.1", 7000))
    data, peer = server.recvfrom(100)
    server.sendto(b"answer", peer)
    assert client.recv(100) == b"answer"
connected.connect(("127.0.0.1", 7000))
connected.send(b"x")
assert server.recv(100) == b"x"
bound.bind(("127.0.0.1", 7001))
bound.sendto(b"y", ("127.0.0.1", 7000))
assert server.recv(100) == b"y"
"""


@pytest.fixture
def under_rules(tmp_path, script):
    def go(text, *more, source=PROGRAM):
        (tmp_path / "rules").write_text(text)
        done = run("--link", "loop:", "--rules", tmp_path / "rules", "--stats", tmp_path / "s.json", *more, "--", *script(source))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return stats_of(tmp_path / "s.json")
    return go


# What they say, which of the four sockets are the kernel's, and how many datagrams of those that were sent.
@pytest.mark.parametrize("text, sockets, sent", [
    ("", 0, 0),
    ("# nothing\n\n", 0, 0),
    ("kernel", 4, 22),
    ("kernel program nobody", 0, 0),
    ("kernel program python3", 4, 22),
    ("kernel in", 2, 22),  # what a kernel's socket gets is sent by the kernel as well
    ("kernel in port 7001", 1, 1),
    ("kernel port 7001-7100", 1, 1),
    ("kernel out port 7000", 1, 11),  # the connected socket, and each question
    ("kernel out address 127.0.0.0/8", 1, 11),
    ("kernel out address 10.0.0.0/8", 0, 0),
    ("kernel in address ::/0 port 7000", 1, 22),
    ("fast out\nkernel", 2, 22),
    ("fast in port 7000  # the rest isn't\nkernel", 2, 12),
])
def test_the_first_that_fits_decides(under_rules, text, sockets, sent):
    stats = under_rules(text)
    by_rule = stats["kernel_by"]["rule"]
    assert (stats["sockets"]["kernel"], stats["tx"]["kernel"]) == (sockets, sent), stats
    assert (by_rule == 0) == (sockets == 0), stats


MIXED = """
import socket
def udp(port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", port))
    return made
client, by_kernel, fast = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), udp(7000), udp(7001)
client.sendto(b"x", ("127.0.0.1", 7000))
assert by_kernel.recvfrom(10)[1][1] == client.getsockname()[1]
client.sendto(b"y", ("127.0.0.1", 7001))
assert fast.recvfrom(10)[1][1] == client.getsockname()[1]
fast.sendto(b"z", ("127.0.0.1", client.getsockname()[1]))
assert client.recv(10) == b"z"
"""


def test_a_socket_may_send_both_ways(under_rules):
    stats = under_rules("kernel out port 7000", source=MIXED)
    assert (stats["sockets"], stats["tx"]) == ({"fast": 3, "kernel": 0}, {"fast": 2, "kernel": 1})


def test_what_the_user_wants_is_no_matter_of_strictness(under_rules):
    assert under_rules("kernel in", "--strict")["sockets"]["kernel"] == 2


def test_a_relative_path_is_found_from_anywhere(tmp_path, script):
    (tmp_path / "rules").write_text("kernel")
    done = run("--link", "loop:", "--rules", "rules", "--stats", "s.json", "--",
               *script("import os, socket; os.chdir('/'); socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"), cwd=tmp_path)
    assert done.returncode == 0 and stats_of(tmp_path / "s.json")["sockets"]["kernel"] == 1


@pytest.mark.parametrize("text, said", [
    ("slow", ":1: 'slow' is not how a rule begins"),
    ("# first\n\nkernel prot 53", ":3: 'prot' is unknown"),
    ("kernel port", ":1: 'port' needs a port"), ("kernel port 0", "needs a port"), ("kernel port 70000", "needs a port"),
    ("kernel port 9-5", "needs a port"), ("kernel port 5x", "needs a port"), ("fast\nkernel address 10.0.0.300", ":2: 'address' needs"),
    ("kernel address 10.0.0.0/33", "needs an IPv4"), ("kernel address fd00::/129", "needs an IPv4"),
    ("kernel program", "needs the name"), ("kernel program " + "x" * 64, "needs the name"),
    ("kernel\n" * 257, ":257: 'kernel' is the 257th"), ("#" * 65536, "longer than 64 KiB"),
])
def test_a_mistake_is_said_with_its_line(tmp_path, text, said):
    (tmp_path / "rules").write_text(text)
    done = run("--link", "loop:", "--rules", tmp_path / "rules", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in one_line(done) and str(tmp_path / "rules") in done.stderr


def test_a_file_that_isnt_there_is_a_mistake(tmp_path):
    assert "No such file" in one_line(run("--link", "loop:", "--rules", tmp_path / "none", "--", "true"))


def test_wrong_rules_that_nobody_checked_leave_all_to_the_kernel(tmp_path, script):
    """The interposer may be preloaded without the tool, and writes nothing to a program's output."""
    (tmp_path / "rules").write_text("nonsense")
    done = run("--link", "loop:", "--stats", tmp_path / "s.json", "--", "env", f"FASTUDP_RULES={tmp_path / 'rules'}", *script(PROGRAM))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert stats_of(tmp_path / "s.json")["tx"] == {"fast": 0, "kernel": 22}
