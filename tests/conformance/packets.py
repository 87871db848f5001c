"""Frames as the wire has them: who is who on the test network, builders, checksums, and tshark's opinion."""

import ipaddress
import shutil
import struct
import subprocess
import tempfile

import pytest

HOST, PEER, STRANGER, GATEWAY = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.254"
MACS = {
    HOST: "02:00:00:00:00:01",
    PEER: "02:00:00:00:00:02",
    STRANGER: "02:00:00:00:00:03",
    GATEWAY: "02:00:00:00:00:fe",
}
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
ARP, IPV4 = 0x0806, 0x0800
ICMP, UDP = 1, 17
DF, MF = 0x4000, 0x2000


def packed(address):
    return ipaddress.IPv4Address(address).packed


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data):
    """RFC 1071, word by word."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(payload, *, source=PEER, destination=HOST, kind=IPV4):
    """Source and destination are hosts of the test network or MAC addresses."""
    to, of = MACS.get(destination, destination), MACS.get(source, source)
    return mac_bytes(to) + mac_bytes(of) + struct.pack("!H", kind) + payload


def ipv4(payload, *, source=PEER, destination=HOST, protocol=UDP, ttl=64, tos=0, ident=0, fragment=DF, options=b"",
         length=None):
    """`fragment` is the word of flags and offset (in units of eight bytes)."""
    size = 20 + len(options)
    total = size + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, tos, total, ident, fragment, ttl, protocol, 0)
    head += packed(source) + packed(destination) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(payload, *, source=PEER, destination=HOST, sport=2000, dport=1000, length=None, check=None):
    size = 8 + len(payload) if length is None else length
    head = struct.pack("!HHH", sport, dport, size)
    if check is None:
        pseudo = packed(source) + packed(destination) + struct.pack("!HH", UDP, size)
        check = checksum(pseudo + head + b"\0\0" + payload) or 0xFFFF
    return head + struct.pack("!H", check) + payload


def datagram(payload, *, source=PEER, destination=HOST, sport=2000, dport=1000, via=None, **ip):
    """A whole frame with a UDP datagram; `via` is a MAC address, or a host, other than the one of the destination."""
    inner = udp(payload, source=source, destination=destination, sport=sport, dport=dport)
    outer = ipv4(inner, source=source, destination=destination, **ip)
    return ethernet(outer, source=source if source in MACS else GATEWAY, destination=via or destination)


def sent(payload, **changes):
    """What the host under test sends to its peer."""
    return datagram(payload, **{"source": HOST, "destination": PEER, "sport": 1000, "dport": 2000, **changes})


def arp(operation, sender, sender_mac, target, target_mac="00:00:00:00:00:00", *, source=None,
        destination=BROADCAST_MAC):
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    body += mac_bytes(sender_mac) + packed(sender) + mac_bytes(target_mac) + packed(target)
    return ethernet(body, source=source or sender_mac, destination=destination, kind=ARP)


def arp_request(target, sender=PEER):
    return arp(1, sender, MACS[sender], target)


def arp_reply(sender, target=HOST, mac=None):
    mac = mac or MACS[sender]
    return arp(2, sender, mac, target, MACS[target], destination=target)


def icmp(kind, code, rest, payload, *, source=PEER, destination=HOST, check=None, via=None, **ip):
    """`rest` is the second word: id and sequence, or the next hop's MTU."""
    body = struct.pack("!BBHI", kind, code, 0, rest) + payload
    check = checksum(body) if check is None else check
    body = body[:2] + struct.pack("!H", check) + body[4:]
    outer = ipv4(body, source=source, destination=destination, protocol=ICMP, **ip)
    return ethernet(outer, source=source if source in MACS else GATEWAY, destination=via or destination)


def quoting(frame, kind=3, code=3, rest=0, *, quote=None, **changes):
    """The ICMP error about a frame of the host under test; it quotes IP header and eight bytes, as RFC 792 says."""
    return icmp(kind, code, rest, frame[14:42] if quote is None else quote, **changes)


def ether_type(frame):
    return struct.unpack_from("!H", frame, 12)[0]


def identification(frame):
    return struct.unpack_from("!H", frame, 18)[0]


def with_identification(frame, ident):
    """The same frame with another IP identification: for what RFC 6864 leaves to the sender."""
    end = 14 + (frame[14] & 0xF) * 4
    head = frame[14:18] + struct.pack("!H", ident) + frame[20:24] + b"\0\0" + frame[26:end]
    return frame[:14] + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + frame[end:]


def pcap(frames):
    out = struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    return out + b"".join(struct.pack("!IIII", i, 0, len(f), len(f)) + f for i, f in enumerate(frames))


def tshark(frames, *fields):
    """What tshark reads in each frame, one tuple of texts per frame, with all checksums verified."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(pcap(frames))
        file.flush()
        command = ["tshark", "-n", "-r", file.name, "-T", "fields", "-E", "separator=/t"]
        command += ["-d", "udp.port==1000,data", "-d", "udp.port==2000,data", "--disable-heuristic", "rtcp_udp"]
        command += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.defragment:FALSE"]
        for field in fields:
            command += ["-e", field]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]
