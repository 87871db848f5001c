"""Sends datagrams of every size to two echo servers in turns, checks each reply byte for byte, and compares the two.

client.py ADDRESS PID ADDRESS PID COUNT: ours and the kernel's, each with its process, for the processor time it takes."""

import os
import random
import socket
import statistics
import struct
import sys
import time

PORT = 7
LARGEST = 1472  # what fits into an Ethernet frame
WINDOW = 64     # datagrams under way; fewer than there are sizes, so that the size tells which one came back
ROUNDS = 10

NOISE = random.Random(1).randbytes(LARGEST + 65536)


def payload(number):
    """What datagram `number` holds: every size in turn, bytes that differ from its neighbours'."""
    start = number * 31 % 65536
    return NOISE[start:start + number % (LARGEST + 1)]


class Server:
    def __init__(self, name, address, pid):
        self.name, self.pid, self.rates, self.processor = name, pid, [], []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
        self.socket.connect((address, PORT))

    def processor_seconds(self):
        try:
            with open(f"/proc/{self.pid}/schedstat") as file:
                return int(file.read().split()[0]) / 1e9
        except OSError:
            with open(f"/proc/{self.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, first, count):
        processor, start = self.processor_seconds(), time.perf_counter()
        self.exchange(first, count)
        self.rates.append(count / (time.perf_counter() - start))
        self.processor.append((self.processor_seconds() - processor) / count)

    def exchange(self, first, count):
        """Sends datagrams first .. first+count-1 and returns when every reply has come and was right."""
        send, receive = self.socket.send, self.socket.recv
        under_way, number, end, right = {}, first, first + count, 0
        while right < count:
            if len(under_way) <= WINDOW // 2:
                while number < end and len(under_way) < WINDOW:
                    data = payload(number)
                    under_way[len(data)] = data
                    send(data)
                    number += 1
            try:
                reply = receive(2048)
            except BlockingIOError:
                sys.exit(f"{self.name}: {len(under_way)} replies are missing after {right} right ones")
            if under_way.pop(len(reply), None) != reply:
                sys.exit(f"{self.name}: a wrong reply of {len(reply)} bytes after {right} right ones")
            right += 1


def spread(values):
    return f"{statistics.median(values):.2f} (from {min(values):.2f} to {max(values):.2f})"


def main():
    fast = Server("our stack", sys.argv[1], sys.argv[2])
    kernel = Server("the kernel", sys.argv[3], sys.argv[4])
    count = int(sys.argv[5]) // ROUNDS
    for number in range(ROUNDS):
        for server in (fast, kernel):
            server.measure(number * count, count)
    for server in (fast, kernel):
        rate, processor = statistics.median(server.rates), statistics.median(server.processor)
        print(f"client:   {server.name:10} {ROUNDS * count} of {ROUNDS * count} replies right, 0..{LARGEST} bytes, "
              f"{rate:,.0f} a second, {processor * 1e6:.2f} us of processor time each in the server")
    print(f"compared: ours answers {spread([f / k for f, k in zip(fast.rates, kernel.rates)])} times as many a second as "
          f"the kernel's echo,\n          median of {ROUNDS} rounds in turns (ours computes its checksums, over veth the kernel's needn't)")


if __name__ == "__main__":
    main()
