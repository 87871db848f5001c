"""asyncio with a thousand sockets: `thousand.py serve`, or `thousand.py ask ADDRESS ROUNDS`."""

import asyncio
import sys

FIRST, COUNT = 7000, 1000


class Server(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(data, peer)


class Client(asyncio.DatagramProtocol):
    """One of a thousand conversations: the next datagram when the one before has come back."""

    def __init__(self, number, rounds, done):
        self.number, self.left, self.done = number, rounds, done

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.expected = b"%d %d" % (self.number, self.left)
        self.transport.sendto(self.expected)

    def datagram_received(self, data, peer):
        assert data == self.expected, (data, self.expected)
        self.left -= 1
        if self.left:
            return self.ask()
        self.transport.close()
        self.done.set_result(self.number)

    def error_received(self, error):
        self.done.set_exception(error)


async def serve():
    loop = asyncio.get_running_loop()
    for i in range(COUNT):
        await loop.create_datagram_endpoint(Server, local_addr=("0.0.0.0", FIRST + i))
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(address, rounds):
    loop = asyncio.get_running_loop()
    all_done = [loop.create_future() for _ in range(COUNT)]
    for i, done in enumerate(all_done):
        await loop.create_datagram_endpoint(lambda: Client(i, rounds, done), remote_addr=(address, FIRST + i))
    async with asyncio.timeout(50):
        assert await asyncio.gather(*all_done) == list(range(COUNT))
    print(f"{COUNT} times {rounds} came back")


asyncio.run(serve() if sys.argv[1] == "serve" else ask(sys.argv[2], int(sys.argv[3])))
