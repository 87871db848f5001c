"""fastudp doctor: what it says of a machine that the test has made, and of a file that a run has written."""

import json
import os
import re
import subprocess

import pytest
from tool import WITHOUT_RIGHTS, fastudp, one_line, run

import private_network


def row(text, name):
    """What stands behind a name at the begin of a line."""
    found = re.findall(rf"^  {re.escape(name)} +(.*)$", text, re.M)
    assert len(found) == 1, f"{name!r} in {text}"
    return found[0]


def test_says_what_would_be_used_on_each_interface(cable):
    private_network.ip("link set near mtu 1400", "link add idle type veth peer name other", "tuntap add dev tunnel mode tun")
    try:
        said = fastudp("doctor").stdout
        assert row(said, "near") == "up, MTU 1400, Ethernet"
        assert row(said, "auto:near").startswith("packet:near: ")
        assert "xdp: is no faster than packet:" in row(said, "auto:near")
        assert row(said, "xdp:near").startswith("xdp:near: AF_XDP (native, copied, ")
        assert row(said, "auto:").startswith("packet:near: ")  # the only one with a route
        assert row(said, "idle").startswith("down, MTU 1500") and "ip link set idle up" in said
        assert row(said, "tunnel").endswith("not Ethernet")
        assert "loop:" in said
        alone = fastudp("doctor", "near").stdout
        assert row(alone, "near") == row(said, "near") and "idle" not in alone
    finally:
        private_network.ip("link delete idle", "link delete tunnel")


def test_agrees_with_the_kernel_on_rights_and_devices(cable):
    said = fastudp("doctor").stdout
    assert os.uname().release in said
    for right in ("net_raw", "net_admin", "bpf"):
        has = subprocess.run(["capsh", f"--has-p=cap_{right}"], capture_output=True).returncode == 0
        assert row(said, f"CAP_{right.upper()}").startswith("yes" if has else "no")
    assert row(said, "/dev/net/tun").startswith("yes") == os.access("/dev/net/tun", os.R_OK | os.W_OK)


def test_without_rights_it_says_what_to_do(cable):
    said = fastudp("doctor", "near", before=WITHOUT_RIGHTS)
    assert said.returncode == 0
    assert row(said.stdout, "CAP_NET_RAW").startswith("no: ")
    assert row(said.stdout, "auto:near").startswith("the kernel's sockets: packet:near needs CAP_NET_RAW")
    assert "AmbientCapabilities" in said.stdout


def test_tells_by_trying_whether_steering_works(cable):
    said = fastudp("doctor", "near").stdout
    steered = "taken at tc" in row(said, "auto:near")
    works = row(said, "fastudp-bpf.so") == "found, and loads" and row(said, "TCX").startswith("yes")
    assert steered == (works and "user namespace" not in said)


def test_leaves_nothing_behind(cable):
    def state():
        shown = [subprocess.run(command, capture_output=True, text=True).stdout for command in
                 (["ip", "-d", "-o", "link"], ["ip", "neighbour"], ["ip", "address"])]
        return shown, open("/proc/net/packet").read().count("\n")

    before = state()
    assert fastudp("doctor").returncode == 0
    assert state() == before


def test_an_interface_that_isnt_there_is_a_mistake(namespace):
    done = fastudp("doctor", "nowhere")
    assert done.returncode == 2 and "'nowhere'" in one_line(done)


STATS = {"link": "packet:near", "reason": "why", "sockets": {"fast": 2, "kernel": 1}, "rx": {"fast": 3, "kernel": 1},
         "tx": {"fast": 0, "kernel": 0}, "kernel_by": {"unresolved": 1, "loopback": 0},
         "drops": {"udp_checksum": 5, "queue_full": 20, "link_rx_full": 1, "fragment": 2, "no_memory": 0}}


def explained(tmp_path, stats):
    (tmp_path / "s").write_text(stats if isinstance(stats, str) else json.dumps(stats))
    return fastudp("doctor", "--stats", tmp_path / "s")


def test_explains_what_isnt_zero(tmp_path):
    said = explained(tmp_path, STATS).stdout
    assert re.search(r"^received +3 fast, 1 through the kernel \(75\.0 % fast\)$", said, re.M)
    assert re.search(r"^ +1  unresolved: \w.*MAC", said, re.M)
    dropped = [line.split(":")[0] for line in said.splitlines()[said.splitlines().index("Dropped, link: 1"):] if line]
    assert dropped == ["Dropped, link", "           1  link_rx_full", "Dropped, stack", "           2  fragment",
                       "           5  udp_checksum", "Dropped, socket", "          20  queue_full"]
    assert "\nDropped, stack: 7\n" in said and "queue_full: socket receive queue full: raise SO_RCVBUF" in said
    assert "loopback" not in said and "packet:near" in said and "why" in said


def test_explains_what_a_run_has_written(tmp_path):
    assert run("--link", "host:", "--stats", tmp_path / "s", "--", "true").returncode == 0
    done = fastudp("doctor", "--stats", tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Dropped: nothing" in done.stdout


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**STATS, "rx": {"fast": -1, "kernel": 0}}),
                                  json.dumps({**STATS, "drops": 3}), json.dumps({**STATS, "link": 3})])
def test_refuses_what_isnt_such_a_file(tmp_path, text):
    done = explained(tmp_path, text)
    assert done.returncode == 2 and "is not a file that" in one_line(done)


def test_refuses_a_file_that_isnt_there(tmp_path):
    assert fastudp("doctor", "--stats", tmp_path / "absent").returncode == 2
