"""CPython's own tests of sockets, selectors and asyncio: each passes on ours that passes on the kernel."""

import re

import pytest
from both import both, need

PYTHON = "/usr/bin/python3"
# Their outcome depends on what the machine is, not on the sockets.
ELSEWHERE = ["-i", "*VSOCK*", "-i", "*CAN*", "-i", "*Tipc*"]

# What has to do with datagrams, or with waiting; each row is one run.
SUITES = {
    "socket": ["test_socket", "-m", "*UDP*", "-m", "*Udp*", "-m", "*Recvmsg*", "-m", "*BasicUDP*", "-m", "*GeneralModule*"],
    "waiting": ["test_select", "test_selectors", "test_epoll", "test_poll"],
    "socketserver": ["test_socketserver"],
    "asyncio": ["test_asyncio", "-m", "*[dD]atagram*", "-m", "*sock_recvfrom*", "-m", "*Sendfile*", "-m", "*udp*"],
}
SENDS_DATAGRAMS = {"socket": 50, "asyncio": 10}  # at least so many within the process


def outcomes(text):
    """Of each test by its name. What a test prints may stand between them."""
    lines = re.findall(r"^(test\w+ \([\w.]+\)).*? \.\.\. .*?(ok|skipped|FAIL|ERROR|expected failure|unexpected success)\b", text, re.M)
    return dict(lines)


@pytest.mark.parametrize("suite", SUITES)
def test_passes_as_on_the_kernel(suite, tmp_path):
    need("/usr/lib/python3.11/test/test_socket.py", "libpython3.11-testsuite")
    kernel, fast = both([PYTHON, "-m", "test", "-v", "-u", "network", *ELSEWHERE, *SUITES[suite]], tmp_path)
    passed = {name for name, outcome in outcomes(kernel.text).items() if outcome == "ok"}
    assert len(passed) > 10, kernel.text
    ours = outcomes(fast.text)
    assert [name for name in sorted(passed) if ours.get(name) != "ok"] == [], fast.text
    assert fast.status == kernel.status
    if suite in SENDS_DATAGRAMS:
        assert fast.stats["rx"]["fast"] >= SENDS_DATAGRAMS[suite] and fast.fast_share() >= 0.9, fast.stats
