"""Fixtures: `net` is a host on our stack; `either` runs the test on our stack and on Linux's."""

import contextlib

import nets
import pytest


@pytest.fixture
def make_net():
    """Makes hosts: make_net("fastudp" or "linux", settings of that host); all are gone after the test."""
    kinds = {"fastudp": nets.FastudpNet, "linux": nets.LinuxNet}
    with contextlib.ExitStack() as stack:

        def make(kind="fastudp", **settings):
            return stack.enter_context(contextlib.closing(kinds[kind](**settings)))

        yield make


@pytest.fixture
def net(make_net):
    return make_net()


@pytest.fixture(params=["fastudp", "linux"])
def make_either(request, make_net):
    """make_net with the kind of host chosen: the test runs on each."""
    return lambda **settings: make_net(request.param, **settings)


@pytest.fixture
def either(make_either):
    return make_either()


@pytest.fixture
def both(make_net):
    """The same network twice: (ours, Linux's)."""
    return make_net("fastudp"), make_net("linux")
