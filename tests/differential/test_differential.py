"""Random calls show the same on the kernel's sockets and under the interposer. A comparison that can't fail shows nothing,
so the kernel is compared with itself, and with bugs planted, each of which must be found."""

import collections
import ctypes
import json
import os

import differential
import private_network
import pytest

# By number and not by the clock, so that a slow machine compares as much as a fast one. scripts/differential takes other
# seeds each time.
FIRST = int(os.environ.get("DIFFERENTIAL_FIRST", 7_100_000))
OPTIONS = ["--calls", 20, "--ipv6", 40]
MOST_EXPLAINED = 3


@pytest.fixture(autouse=True, scope="session")
def namespaces():
    private_network.enter()  # or skips, where there are none to be had


def check(link, count, options=OPTIONS):
    with differential.comparison(link, options) as both:
        found = both.confirmed(both.differing(FIRST, count))
        stories = [differential.explain(both, seed) for seed in found[:MOST_EXPLAINED]]
    assert not found, f"{len(found)} of {count} seeds from {FIRST} differ\n" + "\n\n".join(stories)


def test_the_kernel_shows_the_same_twice():
    check(None, 4_000)


@pytest.mark.parametrize("link, count", [("loop:", 14_000), ("host:", 3_000)])
def test_the_interposer_shows_what_the_kernel_shows(link, count):
    check(link, count)


def test_calls_of_many_threads_show_what_the_kernel_shows():
    check("loop:", 2_000, [*OPTIONS, "--threads"])


@pytest.mark.parametrize("link, count", [("packet:own0", 2_500), (differential.TAP, 2_500), (differential.MEM, 1_000), (differential.DPDK, 1_000),
                                         ("xdp:own0", 500), ("xdp:own0?mode=generic", 500)],
                         ids=["packet", "tap", "mem", "dpdk", "xdp", "xdp-generic"])
def test_what_comes_back_from_another_host_shows_what_the_kernel_shows(link, count):
    if link == differential.DPDK and not differential.DPDK_PLUGIN.exists():
        pytest.skip("fastudp-dpdk.so isn't built: it needs libdpdk")
    check(link, count, [*OPTIONS, "--beyond"])


# Rows of docs/differences.md; and a call that is counted as those that it makes.
EXCUSED = {"IPPROTO_IPV6 IPV6_ADDRFORM", "IPPROTO_IP IP_CHECKSUM", "drain"}


def test_every_call_flag_and_option_is_used(tmp_path):
    with differential.comparison(None, OPTIONS) as both:
        both.expected.play("--first", FIRST, "--count", 16_000, "--census", tmp_path / "census", *OPTIONS)
    census = json.loads((tmp_path / "census").read_text())
    used = collections.Counter()
    for kind, rows in census.items():
        if kind in ("calls", "flags sent", "getsockopt", "setsockopt"):
            used.update({name: sum(count.values()) if isinstance(count, dict) else count for name, count in rows.items()})
    named = {name: count for name, count in used.items() if not name.startswith("bit ")}
    assert len(named) > 250
    assert not {name: count for name, count in named.items() if count < 30 and name not in EXCUSED}


BUGS = range(1, 1 + ctypes.CDLL(str(differential.PLANTED)).planted_bugs())


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug):
    few, many = 250, 12_000
    with differential.comparison(None, OPTIONS, planted=bug) as both:
        assert any(both.differing(first, few) for first in range(0, many, few))
