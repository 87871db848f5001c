"""Unmodified programs as Debian starts them, used by their real clients: they answer as they do on the kernel's sockets,
nearly all of their datagrams take the fast path, they stop as ever, and load leaves nothing behind."""

import daemons_dns as dns
import daemons_runtimes as runtimes
import daemons_services as services
import daemons_tools as tools
import pytest
from daemons import IS_LONG, Client, Daemon, call, compare, expect, has_run, serve
from net import TAPS

PROGRAMS = {
    "dnsmasq": [dns.Dnsmasq], "unbound": [dns.Unbound], "nsd": [dns.Nsd, dns.NsdWithTwoServers],
    "dig": [dns.Dig], "dnsperf": [dns.Dnsperf],
    "iperf3": [tools.Iperf3Serves, tools.Iperf3Asks], "iperf": [tools.Iperf2Serves, tools.Iperf2Asks],
    "socat": [tools.SocatListens, tools.SocatAsks], "ncat": [tools.NcatListens, tools.NcatAsks],
    "atftp": [tools.Atftpd, tools.Atftp], "chrony": [services.ChronydServes, services.ChronydAsks],
    "snmpd": [services.Snmpd], "memcached": [services.Memcached], "rsyslog": [services.Rsyslogd],
    "node": [runtimes.NodeServes, runtimes.NodeAsks],
    "java": [runtimes.JavaServes, runtimes.JavaServesSocket, runtimes.JavaAsks, runtimes.JavaAsksSocket],
    "asyncio": [runtimes.Asyncio, runtimes.AsyncioAsks], "openvpn": [runtimes.Openvpn]}
expect(PROGRAMS)
SERVERS = [kind for kinds in PROGRAMS.values() for kind in kinds if issubclass(kind, Daemon)]
CLIENTS = [kind for kinds in PROGRAMS.values() for kind in kinds if issubclass(kind, Client)]
# What speaks UDP alone, and from one process, works at an address of our own; dnsmasq wants to know each of its interfaces.
AT_OWN_ADDRESS = [dns.Unbound, tools.SocatListens, services.Snmpd, runtimes.NodeServes, runtimes.Asyncio]
OTHER_LINKS = ["packet-filter", "packet-plain", "packet-blocks", "xdp"]


def name(kind):
    return kind.__name__


def check_server(kind, net, link):
    kind.need()
    _, plain = serve(kind, net, "kernel")
    under, fast = serve(kind, net, link, is_loaded=True)
    compare(kind, under, plain, fast)
    has_run(kind)


@pytest.mark.parametrize("kind", SERVERS, ids=name)
def test_serves(net, kind):
    check_server(kind, net, "packet")


@pytest.mark.parametrize("kind", CLIENTS, ids=name)
def test_asks(net, kind):
    kind.need()
    _, plain = call(kind, net, "kernel")
    under, fast = call(kind, net, "packet")
    compare(kind, under, plain, fast)
    has_run(kind)


@pytest.mark.parametrize("link", ["packet-own", *TAPS])
@pytest.mark.parametrize("kind", AT_OWN_ADDRESS if IS_LONG else AT_OWN_ADDRESS[:2], ids=name)
def test_serves_at_an_address_of_our_own(net, kind, link):
    check_server(kind, net, link)


# By filters the socket that nsd's processes share is the kernel's.
ON_OTHER_LINKS = [(kind, link) for kind in (SERVERS if IS_LONG else [dns.Unbound]) for link in OTHER_LINKS
                  if not (issubclass(kind, dns.Nsd) and link == "packet-filter")]


@pytest.mark.parametrize("kind, link", ON_OTHER_LINKS, ids=lambda of: of if isinstance(of, str) else name(of))
def test_serves_without_steering_or_by_other_rings(net, kind, link):
    check_server(kind, net, link)


@pytest.mark.parametrize("link", ["xdp", "xdp-generic"])
def test_serves_from_several_processes_at_xdp(net, link):
    check_server(dns.NsdWithTwoServers, net, link)
