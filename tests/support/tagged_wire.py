"""An interface as the wire has it: the kernel takes the outer tag out of what comes in, and here it is put back."""

import socket
import struct
import time

PATIENCE = 20
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 8, 23, 3
VLAN_VALID, TPID_VALID, CUSTOMER, SERVICE = 1 << 4, 1 << 6, 0x8100, 0x88A8


class TaggedWire:
    """Raw frames of one interface, in and out."""

    def __init__(self, interface):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((interface, ETH_P_ALL))

    def close(self):
        self._socket.close()

    def send(self, *frames):
        for frame in frames:
            self._socket.send(bytes(frame))

    def receive(self, patience=PATIENCE):
        """The next frame, or None when none is there within so many seconds."""
        self._socket.settimeout(patience)
        try:
            frame, control, _, _ = self._socket.recvmsg(70_000, socket.CMSG_SPACE(20))
        except (TimeoutError, BlockingIOError):
            return None
        status, _, _, _, _, information, kind = struct.unpack("=IIIHHHH", control[0][2][:20])
        if not status & VLAN_VALID:
            return frame
        return frame[:12] + struct.pack("!HH", kind if status & TPID_VALID else CUSTOMER, information) + frame[12:]

    def receive_from(self, mac, count=1):
        """So many frames of one sender; others talk here too."""
        source, found, limit = bytes.fromhex(mac.replace(":", "")), [], time.monotonic() + PATIENCE
        while len(found) < count:
            frame = self.receive(limit - time.monotonic()) if time.monotonic() < limit else None
            assert frame is not None, f"{len(found)} of {count} frames: {found}"
            found += [frame] if frame[6:12] == source else []
        return found

    def waiting(self):
        """All frames that are there already."""
        return list(iter(lambda: self.receive(0), None))
