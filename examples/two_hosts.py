"""Two hosts in one process: an echo server and a client on the in-memory hub "lan", and a bare link that listens in.

Run it with the package's folder on PYTHONPATH: PYTHONPATH=build/dev/python /usr/bin/python3 examples/two_hosts.py
"""

from fastudp import Link, Socket, Stack, settle

KINDS = {0x0800: "IPv4", 0x0806: "ARP"}


def echo(server: Socket, stack: Stack) -> None:
    """Answers whatever has come, in the frames that it came in: nothing is copied."""
    stack.poll()
    frames = server.borrow(32)
    for frame in frames:
        with memoryview(frame) as payload:
            payload[:] = bytes(payload).upper()
    server.submit(frames)


def overheard(tap: Link) -> list[str]:
    """What went over the hub, one line per frame."""
    lines = []
    while tap.wait(timeout=0):
        frame = tap.recv()
        to, of, kind = frame[0:6].hex(":"), frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big")
        lines.append(f"  {of} -> {to}  {KINDS.get(kind, hex(kind))}, {len(frame)} bytes")
    return lines


def main() -> None:
    with (
        Stack("mem:lan?address=10.0.0.1/24&announce=off") as here,
        Stack("mem:lan?address=10.0.0.2/24&announce=off") as there,
        Link("mem:lan") as tap,
    ):
        client, server = here.socket(), there.socket()
        server.bind(("10.0.0.2", 7))
        client.connect(("10.0.0.2", 7))

        client.send_burst([b"one", b"two", b"three"])
        settle(here, there)  # ARP is asked and answered, then what waited for it goes out
        echo(server, there)
        settle(here, there)

        for message in client.recv_burst(8):
            print(f"{message.peer[0]} port {message.peer[1]} answered {message.data.decode()}")
        print("what went over the hub:", *overheard(tap), sep="\n")
        print(f"{there.info().link}: {there.stats().rx_datagrams} datagrams in, {there.stats().tx_datagrams} out")


if __name__ == "__main__":
    main()
