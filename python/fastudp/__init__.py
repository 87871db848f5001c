"""UDP in user space, with the behaviour of Linux's sockets.

    from fastudp import Stack, settle

    with Stack("mem:lan?address=10.0.0.1/24") as a, Stack("mem:lan?address=10.0.0.2/24") as b:
        client, server = a.socket(), b.socket()
        server.bind(("10.0.0.2", 7))
        client.sendto(b"hello", ("10.0.0.2", 7))
        settle(a, b)
        print(server.recvfrom())

Addresses are tuples of host and port; "" is any address. Calls fail with OSError, whose errno is Linux's and whose text
says what to do about it. Where Linux says EAGAIN, a call that was not to wait (DONTWAIT, a timeout of 0, a hand-held
clock) raises BlockingIOError and one whose timeout has passed raises TimeoutError. What may block lets other threads run.
"""

from ._fastudp import (  # noqa: F401
    CONFIRM,
    CTRUNC,
    DELAY,
    DONTWAIT,
    ERROR,
    ERRQUEUE,
    FAILED,
    HANGUP,
    INCOMPLETE,
    MORE,
    NOSIGNAL,
    PEEK,
    PERMANENT,
    PROBE,
    REACHABLE,
    READABLE,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    STALE,
    TRUNC,
    WAITFORONE,
    ZEROCOPY,
    WRITABLE,
    Frame,
    Info,
    Link,
    Message,
    Socket,
    Stack,
    Stats,
    drop_layers,
    drop_reasons,
    version,
)

__version__ = version()


def settle(*stacks: Stack) -> int:
    """Polls the stacks of one hub in turn until none of them finds a frame; returns how many frames they took."""
    total = 0
    while True:
        taken = sum(stack.poll() for stack in stacks)
        if taken == 0:
            return total
        total += taken
