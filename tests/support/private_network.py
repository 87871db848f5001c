"""A network namespace of this process's own: what is done in it touches nobody, and it is gone when the process is."""

import ctypes
import fcntl
import json
import os
import pathlib
import struct
import subprocess

import pytest

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000

_libc = ctypes.CDLL(None, use_errno=True)
_entered = None


def _unshare(flags):
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _become_root_of_it(uid, gid):
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _enter():
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        _become_root_of_it(uid, gid)
    ip("link set lo up")


def enter():
    """Moves this process into a namespace of its own, once; skips the test where that is not allowed."""
    global _entered
    if _entered is None:
        try:
            _enter()
            _entered = True
        except OSError as error:
            _entered = str(error)
    if _entered is not True:
        pytest.skip(f"no network namespace of our own: {_entered}")


def open_tap(device):
    """A TAP interface without headers, never blocking; skips the test where there is none to be had."""
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"/dev/net/tun: {error}")
    set_interface, tap_without_header = 0x400454CA, 0x1002
    fcntl.ioctl(tap, set_interface, struct.pack("16sH22x", device.encode(), tap_without_header))
    return tap


def ip(*commands):
    """Runs commands of ip(8) in one process."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, check=True, capture_output=True)


def run(*command, **settings):
    """Runs a program that must succeed; what it wrote comes back as text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **settings)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def kernel_counts():
    """/proc/net/snmp of our namespace: what the kernel saw, as "Udp.InDatagrams" and so on."""
    lines = pathlib.Path("/proc/self/net/snmp").read_text().splitlines()
    pairs = zip(lines[::2], lines[1::2])
    return {f"{names.split(':')[0]}.{name}": int(value) for names, values in pairs
            for name, value in zip(names.split()[1:], values.split()[1:])}


def sysctl(name, value):
    pathlib.Path("/proc/sys", *name.split("/")).write_text(str(value))


def link_statistics(device):
    return json.loads(run("ip", "-json", "-s", "link", "show", device))[0]["stats64"]


def udp_sockets(namespace="self", table="udp"):
    """Of each socket its port, the bytes that wait in its queue, and how many datagrams it has lost."""
    rows = [line.split() for line in pathlib.Path(f"/proc/{namespace}/net/{table}").read_text().splitlines()[1:]]
    return [(int(row[1].split(":")[1], 16), int(row[4].split(":")[1], 16), int(row[-1])) for row in rows]
