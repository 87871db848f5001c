"""What hangs on an interface by BPF links, by bpf(2): bpftool of Debian 12 doesn't know those at tc."""

import ctypes
import errno
import json
import os
import pathlib
import re
import socket
import struct

from private_network import run

_libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LOAD, INFO, QUERY, CREATE, LINK_BY_ID, NEXT_LINK, DETACH = 5, 15, 16, 28, 30, 31, 34
BY_ID = {"prog": 13, "map": 14, "link": LINK_BY_ID}
XDP, TCX = 6, 11
# Programs that let everything through: their type, what they return, and where they are attached.
PASS = {XDP: (6, 2, 37), TCX: (3, -1, 46)}
MOST_AT_TC = 63


def _call(command, attributes):
    room = ctypes.create_string_buffer(attributes, 64)
    done = _libc.syscall(BPF, command, room, len(room))
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done, room.raw


def _ids():
    last = 0
    while True:
        try:
            last = struct.unpack_from("=II", _call(NEXT_LINK, struct.pack("=II", last, 0))[1])[1]
        except FileNotFoundError:
            return
        yield last


def _describe(link):
    """Its kind, its number, that of its program, and of the interface that this is on; 0: on none any more."""
    info = ctypes.create_string_buffer(128)
    _call(INFO, struct.pack("=IIQ", link, len(info), ctypes.addressof(info)))
    return struct.unpack_from("=III4xI", info.raw)


def _programs_on(interface):
    """The numbers of those at XDP and at tc: interfaces in other namespaces have the same number."""
    numbers = (ctypes.c_uint32 * MOST_AT_TC)()
    asked = struct.pack("=IIIIQI", interface, PASS[TCX][2], 0, 0, ctypes.addressof(numbers), MOST_AT_TC)
    count = struct.unpack_from("=I", _call(QUERY, asked)[1], 24)[0]
    [shown] = json.loads(run("ip", "-json", "link", "show", "dev", socket.if_indextoname(interface)))
    at_xdp = [shown["xdp"]["prog"]["id"]] if "xdp" in shown else []
    return {TCX: set(numbers[:count]), XDP: set(at_xdp)}


def links_on(interface):
    """Descriptors of the links by which programs are on the interface with this number, by their kind; the caller's to close."""
    there, out = _programs_on(interface), []
    for number in _ids():
        try:
            descriptor = _call(LINK_BY_ID, struct.pack("=I", number))[0]
        except FileNotFoundError:
            continue  # gone meanwhile
        kind, _, program, where = _describe(descriptor)
        if where == interface and program in there.get(kind, ()):
            out.append((kind, descriptor))
        else:
            os.close(descriptor)
    return out


def detach_all(interface):
    """Takes off the interface what hangs on a link, as 'bpftool link detach' does. Returns how many there were."""
    found = links_on(interface)
    for _, descriptor in found:
        _call(DETACH, struct.pack("=I", descriptor))
        os.close(descriptor)
    return len(found)


def attach_another(interface, kind):
    """A program of that kind that does nothing. Returns the descriptor of its link."""
    program_type, verdict, where = PASS[kind]
    code = ctypes.create_string_buffer(struct.pack("=BBHiBBHi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0))
    license = ctypes.create_string_buffer(b"GPL")
    program, _ = _call(LOAD, struct.pack("=IIQQ", program_type, 2, ctypes.addressof(code), ctypes.addressof(license)))
    try:
        return _call(CREATE, struct.pack("=IIII", program, interface, where, 0))[0]
    finally:
        os.close(program)


def take_place(interface):
    """Instead of the program that is there alone, and so that it can't come back, another one is, or as many as there is room
    for. Returns the descriptors of their links."""
    [(kind, first)] = links_on(interface)
    os.close(first)
    others = [attach_another(interface, kind) for _ in range(MOST_AT_TC - 1 if kind == TCX else 0)]
    numbers = {_describe(each)[1] for each in others}
    while True:  # who is there may be quicker
        for _, descriptor in links_on(interface):
            if _describe(descriptor)[1] not in numbers:
                _call(DETACH, struct.pack("=I", descriptor))
            os.close(descriptor)
        try:
            return [*others, attach_another(interface, kind)]
        except OSError as error:
            assert error.errno in (errno.EBUSY, errno.EEXIST, errno.ERANGE), error


def held_by(process):
    """Programs ("prog"), maps and links that the process has descriptors of, by kind and number."""
    held = set()
    for each in pathlib.Path(f"/proc/{process}/fdinfo").iterdir():
        try:
            text = each.read_text()
        except OSError:
            continue  # closed since it was listed
        held |= {(kind, int(number)) for kind, number in re.findall(r"^(link|prog|map)_id:\s+(\d+)$", text, re.M)}
    return held


def _exists(kind, number):
    try:
        os.close(_call(BY_ID[kind], struct.pack("=I", number))[0])
    except FileNotFoundError:
        return False
    return True


def those_left(held):
    """Which of them the kernel still has."""
    return {each for each in held if _exists(*each)}
