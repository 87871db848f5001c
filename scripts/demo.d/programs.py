"""programs.py BUILD: unmodified programs on a veth cable between two namespaces, in turns on the kernel's sockets and under
`fastudp run`: what was answered, which way the datagrams went, and what the kernel saw of them."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

FASTUDP = sys.argv[1] + "/cli/fastudp"
HOST, PEER = "10.9.2.1", "10.9.2.2"
HOST6, PEER6 = "fd00:9:2::1", "fd00:9:2::2"
HAS_IPV6 = pathlib.Path("/proc/net/if_inet6").exists()
ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7))
while True:
    data, peer = server.recvfrom(2000)
    server.sendto(data, peer)
"""
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
good = 0
for i in range(5000):
    data = (b"%d " % i).ljust(i % 1400 + 8, b"x")
    client.sendto(data, (sys.argv[1], 7))
    good += client.recvfrom(2000)[0] == data
print(good)
"""


def fail(what):
    sys.exit(f"demo: FAILED: {what}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def carried():
    """Datagrams that the kernel of this namespace took in and sent, over both IPs."""
    lines = [line.split() for line in pathlib.Path("/proc/self/net/snmp").read_text().splitlines() if line.startswith("Udp:")]
    six = dict(line.split() for line in pathlib.Path("/proc/self/net/snmp6").read_text().splitlines()) if HAS_IPV6 else {}
    return (int(lines[1][1]) + int(six.get("Udp6InDatagrams", 0)), int(lines[1][4]) + int(six.get("Udp6OutDatagrams", 0)))


def until(condition, what):
    limit = time.monotonic() + 20
    while not condition():
        if time.monotonic() > limit:
            fail(f"waited in vain for {what}")
        time.sleep(0.01)


def has_port(port):
    return any(int(line.split()[1].split(":")[1], 16) == port
               for line in pathlib.Path("/proc/self/net/udp").read_text().splitlines()[1:])


def show(name, port, server, ask, unit):
    """Once each way; `ask` returns how many answers were right."""
    for fast in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            stats = folder + "/stats.json"
            before = carried()
            command = [FASTUDP, "run", "--link", "packet:near0", "--stats", stats, "--", *server] if fast else server
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until(lambda: has_port(port) or listens(port), f"{name} on port {port}")
                start = time.monotonic()
                count = ask()
                took = time.monotonic() - start
            finally:
                running.terminate()
                running.wait(20)
            after = carried()
            line = f"{name + ':':10}{'fastudp' if fast else 'kernel':8}{count:,} {unit} in {took:.2f} s"
            if fast:
                told = json.loads(pathlib.Path(stats).read_text())
                line += "; " + ", ".join(f"{way} {told[way]['fast']:,} fast and {told[way]['kernel']:,} by the kernel"
                                         for way in ("rx", "tx"))
                if told["rx"]["fast"] < 0.95 * (told["rx"]["fast"] + told["rx"]["kernel"]):
                    fail(line)
            print(f"{line}; the kernel counted {after[0] - before[0]:,} in, {after[1] - before[1]:,} out", flush=True)


def dig(peer):
    servers = [HOST, HOST6] if HAS_IPV6 else [HOST, HOST]
    return sum(run(*peer, "dig", f"@{server}", "+short", "+notcp", "+time=5", *["test.lan"] * 250).count("1.2.3.4")
               for server in servers)


def iperf(peer):
    """Its server speaks TCP on the same port, by which one knows that it listens."""
    report = json.loads(run(*peer, "iperf3", "-4", "-c", HOST, "-u", "-b", "50M", "-l", "1000", "-t", "1", "-J"))["end"]["sum"]
    return report["packets"] - report["lost_packets"]


def listens(port):
    rows = [line.split() for line in pathlib.Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return any(int(row[1].split(":")[1], 16) == port and row[3] == "0A" for row in rows)


def main():
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo up; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    peer = ["nsenter", "-t", str(holder.pid), "-n", "--"]
    try:
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", str(holder.pid))
        run("ip", "address", "add", f"{HOST}/24", "dev", "near0")
        run("ip", "link", "set", "near0", "up")
        run(*peer, "ip", "address", "add", f"{PEER}/24", "dev", "far0")
        run(*peer, "ip", "link", "set", "far0", "up")
        if HAS_IPV6:
            run("ip", "address", "add", f"{HOST6}/64", "dev", "near0", "nodad")
            run(*peer, "ip", "address", "add", f"{PEER6}/64", "dev", "far0", "nodad")
        for address in [PEER, PEER6] if HAS_IPV6 else [PEER]:
            until(lambda: subprocess.run(["ping", "-c1", "-W1", address], capture_output=True).returncode == 0, "the cable")
        print(f"demo: unmodified programs at {HOST}, their clients at {PEER}, a veth cable between; the interface stays the kernel's")
        # In its debugging mode it doesn't change its user, which it couldn't in a user namespace.
        dnsmasq = ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts",
                   "--conf-file=/dev/null", "--pid-file=", "--host-record=test.lan,1.2.3.4"]
        show("dnsmasq", 53, dnsmasq, lambda: dig(peer), "answers to dig" + " over IPv4 and IPv6" * HAS_IPV6)
        show("python", 7, ["/usr/bin/python3", "-c", ECHO],
             lambda: int(run(*peer, "/usr/bin/python3", "-c", CLIENT, HOST)), "echoes of 5,000 right")
        show("iperf3", 5201, ["iperf3", "-4", "-s", "-1"], lambda: iperf(peer), "datagrams received")
        print(next(line for line in run(FASTUDP, "doctor", "near0").splitlines() if "auto:near0" in line).strip(), flush=True)
    finally:
        subprocess.run(["ip", "link", "delete", "near0"], capture_output=True)
        holder.stdin.close()
        holder.wait(20)


main()
