"""Fixtures of the suite that runs unmodified programs."""

import net as topology
import pytest


@pytest.fixture
def net():
    with topology.network() as made:
        yield made


@pytest.fixture(params=list(topology.LINKS))
def under(request, net):
    """Each way to run a program; the kernel alone is the baseline that all others equal."""
    return topology.Under(net, request.param)
