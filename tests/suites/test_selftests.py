"""The Linux kernel's own tests of UDP, built from Debian's source package, which stays where it is."""

import pathlib
import subprocess

import pytest
from both import both, need, need_program

SOURCE = pathlib.Path("/usr/src/linux-source-6.1.tar.xz")
TOP = "linux-source-6.1/tools"

PROGRAMS = ["udpgso", "reuseport_bpf", "reuseport_bpf_cpu", "reuseport_dualstack", "reuseport_addr_any", "reuseaddr_conflict",
            "rxtimestamp", "txtimestamp", "ip_defrag", "so_netns_cookie", "reuseaddr_ports_exhausted"]

# The arguments as the kernel's own scripts have them.
RUNS = ["udpgso -4 -C", "udpgso -4 -C -s", "udpgso -6 -C", "udpgso -6 -C -s", "udpgso -4 -c", "udpgso -4 -C -m", "udpgso -6 -C -m",
        "reuseport_bpf", "reuseport_bpf_cpu", "reuseport_dualstack", "reuseport_addr_any", "reuseaddr_conflict",
        "rxtimestamp --udp", "txtimestamp -4 -u -L 127.0.0.1", "txtimestamp -6 -u -L ::1", "txtimestamp -4 -u -C -L 127.0.0.1",
        "txtimestamp -6 -u -C -L ::1", "txtimestamp -4 -u -n -L 127.0.0.1", "ip_defrag -4", "ip_defrag -4o", "ip_defrag -6",
        "ip_defrag -6o", "so_netns_cookie"]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    need(SOURCE, "linux-source-6.1")
    need_program("gcc", "gcc")
    place = tmp_path_factory.mktemp("selftests")
    subprocess.run(["tar", "-xJf", SOURCE, "-C", place, "--wildcards", f"{TOP}/testing/selftests/net/*.[ch]",
                    f"{TOP}/testing/selftests/*.h"], check=True)
    folder = place / TOP / "testing/selftests/net"
    for name in PROGRAMS:
        subprocess.run(["gcc", "-O1", "-w", "-I..", "-o", name, f"{name}.c", "-lpthread"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("line", RUNS)
def test_ends_as_on_the_kernel(line, built, tmp_path):
    name, *arguments = line.split()
    kernel, fast = both([built / name, *arguments], tmp_path)
    assert fast.status == kernel.status, f"{kernel.text}\n---- ours\n{fast.text}"
