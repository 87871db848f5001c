"""Fixtures of the suite that runs unmodified programs."""

import pytest

pytest.register_assert_rewrite("daemons", "daemons_dns", "daemons_runtimes", "daemons_services", "daemons_tools")

import daemons
import net as topology


@pytest.fixture
def net():
    with topology.network() as made:
        yield made


@pytest.fixture(params=list(topology.LINKS))
def under(request, net):
    """Each way to run a program; the kernel alone is the baseline that all others equal."""
    return topology.Under(net, request.param)


def pytest_terminal_summary(terminalreporter):
    if (said := daemons.summary()) is not None:
        terminalreporter.write_line(said)
