"""What a machine, a container or a user may forbid: the next best link is taken, the program works as ever, and why is said once."""

import sys

import pytest
from net import BUILD, HOST, SOURCE
from test_one_interface import AUTO, Started
from test_together import ask_once

BPF = BUILD / "abi" / "fastudp-bpf.so"


def without(*rights):
    return ["capsh", f"--drop={','.join(rights)}", "--", "-c", 'exec "$@"', "sh"]


def hiding(*files):
    """In a mount namespace of its own, where these files are there and empty."""
    return ["unshare", "-m", "sh", "-c", f'for f in {" ".join(map(str, files))}; do mount --bind "$0" $f; done; exec "$@"']


NO_BPF, NO_RIGHT, NO_PLUGIN = "BPF programs may not be loaded", "CAP_NET_RAW", "fastudp-bpf.so isn't there"
LOCKED = ["sh", "-c", 'ulimit -l 64; exec "$@"', "sh"]
FILTERS, STEERED = "filters keep what is ours from the kernel's sockets", "what is claimed is taken at tc"

# What is forbidden; what packet: does then; why there is no xdp:; and why there is nothing faster than the link that auto: takes.
ENVIRONMENTS = {
    "no rights": (without("all"), "host:", NO_BPF, NO_RIGHT),
    "another user": (["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], "host:", NO_BPF, NO_RIGHT),
    "CAP_NET_RAW alone": (["setpriv", "--inh-caps=-all", "--bounding-set=-all,+net_raw"], FILTERS, NO_BPF, NO_BPF),
    "no CAP_BPF": (without("cap_bpf", "cap_sys_admin"), FILTERS, NO_BPF, NO_BPF),
    "no CAP_NET_ADMIN": (without("cap_net_admin", "cap_sys_admin"), FILTERS, NO_BPF, NO_BPF),
    "bpf() is refused": ([sys.executable, str(SOURCE / "tests/support/old_kernel.py"), "--without-bpf"], FILTERS, NO_BPF, NO_BPF),
    "no plugin": (hiding, FILTERS, NO_PLUGIN, NO_PLUGIN),
    "no locked memory": ([*LOCKED, *without("cap_ipc_lock")], STEERED, "may not lock", "may not lock"),
}


@pytest.fixture(params=ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def environment(request, net):
    before, packet, no_xdp, none_faster = request.param
    if before is hiding:
        (net.folder / "empty").touch()
        before = [*hiding(BPF), str(net.folder / "empty")]
    return before, packet, no_xdp, none_faster


def serve(net, link, before):
    """What was said, and counted, by an echo that has answered."""
    net.folder.chmod(0o777)
    with Started(net, link, before=before) as server:
        ask_once(net.peer.command, HOST, 7000, 100, 50)
        ask_once(net.peer.command, HOST, 7000, 60000, 2)
        return server.said(), server.stats()


def check_kernel(said, stats, why):
    assert stats["link"] == "host:" and stats["rx"] == {"fast": 0, "kernel": 52}, stats
    assert said.count("\n") == 1 and why in said and "going on with the kernel's sockets" in said


@pytest.mark.parametrize("link", ["packet:near", AUTO])
def test_the_next_best_is_taken(net, environment, link):
    before, packet, _, none_faster = environment
    said, stats = serve(net, link, before)
    if packet == "host:":
        return check_kernel(said, stats, none_faster)
    fragmented = 2 if packet == STEERED else 0  # with filters they come in as well
    assert stats["link"] == "packet:near" and stats["rx"] == {"fast": 52 - fragmented, "kernel": fragmented}, stats
    assert said == "" and packet in stats["reason"], stats
    if link == AUTO or packet == FILTERS:
        assert stats["reason"].count(none_faster) == 1, stats
    return None


def test_xdp_that_cant_be_had_is_said(net, environment):
    before, _, no_xdp, _ = environment
    check_kernel(*serve(net, "xdp:near", before), no_xdp)


def test_a_machine_that_has_no_dpdk_says_what_to_install(net):
    plugin = BUILD / "abi" / "fastudp-dpdk.so"
    if not plugin.exists():
        pytest.skip("fastudp-dpdk.so isn't built")
    (net.folder / "empty").touch()
    said, stats = serve(net, "dpdk:net_tap0,iface=fast0?address=10.88.0.2/24", [*hiding(plugin), str(net.folder / "empty")])
    check_kernel(said, stats, "fastudp-dpdk.so")
