"""Unmodified programs in a VLAN: one on either end of the cable, each with an address of its own."""

import contextlib
import json

import pytest
from net import FASTUDP, PATIENCE, need
from private_network import run
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from tagged_wire import CUSTOMER, SERVICE, TaggedWire
from test_programs import PYTHON, QUERIES, ask, dnsmasq

SERVER, CLIENT, SERVER_MAC, CLIENT_MAC = "10.99.0.1", "10.99.0.2", "02:00:00:00:99:01", "02:00:00:00:99:02"


def tags_of(frame):
    out = []
    for at in range(12, len(frame) - 4, 4):
        kind = int.from_bytes(frame[at:at + 2], "big")
        if kind not in (CUSTOMER, SERVICE):
            break
        out.append((kind, int.from_bytes(frame[at + 2:at + 4], "big") & 0xFFF))
    return out


@pytest.mark.parametrize("keys, tags", [("vlan=100", [(CUSTOMER, 100)]), ("vlan=10.100", [(SERVICE, 10), (CUSTOMER, 100)]),
                                        ("vlan=100,200&vlan_mode=trunk", [(CUSTOMER, 100)])], ids=["one", "two", "trunk"])
def test_dnsmasq_answers_dig_within_a_vlan(net, keys, tags):
    need("dig")
    stats = net.folder / "stats.json"
    serving = [FASTUDP, "run", "--link", f"packet:near?address={SERVER}/24&{keys}", "--stats", str(stats), "--", *dnsmasq()]
    asking = [FASTUDP, "run", "--link", f"packet:far?address={CLIENT}/24&mac={CLIENT_MAC}&{keys}", "--", *ask(SERVER, QUERIES)]
    with net.start(serving) as server, contextlib.closing(TaggedWire("near")) as wire:
        server.says("started")
        assert run(*net.peer.command(*asking)) == "1.2.3.4\n" * QUERIES
        seen = [tags_of(f) for f in wire.waiting() if f[6:12] == bytes.fromhex(CLIENT_MAC.replace(":", ""))]
        assert len(seen) >= QUERIES and all(each == tags for each in seen)
        server.stop()
    said = json.loads(stats.read_text())
    assert min(said["rx"]["fast"], said["tx"]["fast"]) >= QUERIES, said


PRIORITISED = """
import os, socket, sys
if len(sys.argv) == 2:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("10.99.0.2", 0))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 1)
    client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
    if sys.argv[1] == "exec":
        os.set_inheritable(client.fileno(), True)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], str(client.fileno())])
else:
    client = socket.socket(fileno=int(sys.argv[2]))
print(client.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY))
client.settimeout(20)
client.sendto(b"question", ("10.99.0.1", 7))
print(client.recv(100))
"""


@pytest.mark.parametrize("how", ["at once", "exec"])
def test_priority_of_a_program_is_in_the_tag(net, how):
    link = f"packet:far?address={CLIENT}/24&mac={CLIENT_MAC}&announce=off&vlan=100"
    with contextlib.closing(TaggedWire("near")) as wire:
        command = [FASTUDP, "run", "--link", link, "--", PYTHON, "-c", PRIORITISED, how]
        with net.start(net.peer.command(*command)) as program:
            asked = Ether(*wire.receive_from(CLIENT_MAC))
            back = Ether(src=SERVER_MAC, dst=CLIENT_MAC) / Dot1Q(vlan=100)
            wire.send(back / ARP(op="is-at", hwsrc=SERVER_MAC, psrc=SERVER, hwdst=CLIENT_MAC, pdst=CLIENT))
            sent = Ether(*wire.receive_from(CLIENT_MAC))
            wire.send(back / IP(src=SERVER, dst=CLIENT) / UDP(sport=7, dport=sent[UDP].sport) / Raw(b"answer"))
            assert program.process.wait(PATIENCE) == 0 and program.output() == "3\nb'answer'\n"
    assert (asked[Dot1Q].vlan, asked[Dot1Q].prio) == (100, 0)
    assert (sent[Dot1Q].vlan, sent[Dot1Q].prio, sent[IP].tos) == (100, 3, 0x10)


def test_dig_without_the_vlan_is_not_heard(net):
    need("dig")
    stats = net.folder / "stats.json"
    serving = [FASTUDP, "run", "--link", f"packet:near?address={SERVER}/24&vlan=100", "--stats", str(stats), "--", *dnsmasq()]
    outside = [FASTUDP, "run", "--link", f"packet:far?address={CLIENT}/24&vlan=200", "--",
               *ask(SERVER, 1, "+tries=1", "+time=1")]
    with net.start(serving) as server:
        server.says("started")
        refused = run("sh", "-c", '"$@" || true', "sh", *net.peer.command(*outside))
        assert "1.2.3.4" not in refused
        server.stop()
    said = json.loads(stats.read_text())
    assert said["rx"]["fast"] == 0, said
