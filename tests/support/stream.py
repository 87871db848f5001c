"""Numbered datagrams to a program that answers each, for as long as a test shakes the way: which numbers came back, and which
came back twice."""

import socket
import struct
import threading
import time

from namespaces import until

PACE = 0.001


class Stream:
    """From `namespace` to an address, which may be changed meanwhile."""

    def __init__(self, namespace, address, port=7000):
        with namespace.entered():
            self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.address, self._port = address, port
        self._sent, self._answered, self._twice = 0, {}, []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]

    def _send(self):
        while not self._is_over.wait(PACE):
            self._sent += 1
            try:
                self._socket.sendto(struct.pack("=Q", self._sent), (self.address, self._port))
            except OSError:
                pass  # the way is broken just now

    def _receive(self):
        self._socket.settimeout(0.05)
        while not self._is_over.is_set():
            try:
                number = struct.unpack_from("=Q", self._socket.recv(100))[0]
            except OSError:
                continue
            if number in self._answered:
                self._twice.append(number)
            self._answered[number] = time.monotonic()

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for each in self._threads:
            each.join()
        self._socket.close()

    def answers(self):
        return len(self._answered)

    def lost(self):
        """How many weren't answered, of those that were sent some time ago."""
        return sum(number not in self._answered for number in range(1, max(self._answered)))

    def take_twice(self):
        """How many came twice since this was asked last."""
        twice, self._twice = self._twice, []
        return len(twice)

    def goes_on(self, answers=1):
        """Waits until so many are answered that are sent from now on. Returns how long the first of them took, in seconds."""
        first, start = self._sent + 1, time.monotonic()
        until(lambda: sum(number >= first for number in list(self._answered)[-answers - 1000:]) >= answers, "answers")
        return min(at for number, at in list(self._answered.items()) if number >= first) - start
