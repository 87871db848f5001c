"""The Python package itself: what it promises beside what the sockets do."""

import ast
import gc
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import threading

import fastudp
import pytest
from packets import HOST, PEER, datagram, sent
from test_sockets import errno_of

ROOT = pathlib.Path(os.environ.get("FASTUDP_SOURCE_DIR", pathlib.Path(__file__).parents[2]))


@pytest.fixture
def hosts():
    """Two hosts with clocks of their own on one hub."""
    uri = f"mem:package-{os.getpid()}?announce=off&address="
    with fastudp.Stack(uri + "10.0.0.1/24") as one, fastudp.Stack(uri + "10.0.0.2/24") as two:
        yield one, two


def test_two_hosts_talk_in_five_lines():
    from fastudp import Stack, settle

    with Stack("mem:lan?address=10.0.0.1/24") as a, Stack("mem:lan?address=10.0.0.2/24") as b:
        client, server = a.socket(), b.socket()
        server.bind(("10.0.0.2", 7))
        client.sendto(b"hello", ("10.0.0.2", 7))
        settle(a, b)
        assert server.recvfrom()[0] == b"hello"


def test_example_of_two_hosts_runs_and_says_what_happened():
    done = subprocess.run([sys.executable, ROOT / "examples" / "two_hosts.py"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    assert "10.0.0.2 port 7 answered ONE" in done.stdout and "answered THREE" in done.stdout
    assert done.stdout.count("ARP") == 2 and done.stdout.count("IPv4") == 6


def test_stubs_name_everything_that_is_there_and_nothing_else():
    stub = ast.parse((pathlib.Path(fastudp.__file__).parent / "_fastudp.pyi").read_text())
    names = {}
    for node in stub.body:
        if isinstance(node, (ast.FunctionDef, ast.AnnAssign)):
            names[node.name if isinstance(node, ast.FunctionDef) else node.target.id] = None
        elif isinstance(node, ast.ClassDef):
            names[node.name] = {getattr(n, "name", None) or n.target.id for n in node.body
                                if isinstance(n, (ast.FunctionDef, ast.AnnAssign))}
    public = {name for name in dir(fastudp._fastudp) if not name.startswith("_")}
    assert public == set(names)
    invisible = {"__init__", "__buffer__", "__enter__", "__exit__", "__len__", "__bytes__"}
    for name, members in names.items():
        if members is not None:
            found = {m for m in dir(getattr(fastudp, name)) if not m.startswith("_")}
            assert found == members - invisible, name


def test_wrong_uri_says_what_is_wrong():
    for uri, number, word in [("mem", 22, "mem"), ("nothing:x", 22, "nothing"), ("mem:x?colour=red", 22, "colour"),
                              ("mem:x?address=10.0.0.1", 22, "length"), ("mem:x?mac=hello", 22, "mac"),
                              ("mem:x?mtu=1", 22, "mtu"),
                              ("mem:x?address=10.0.0.1/24&gateway=1.2.3.4", 22, "gateway")]:
        with pytest.raises(OSError) as refused:
            fastudp.Stack(uri)
        assert refused.value.errno == number, uri
        assert word in refused.value.strerror and "\n" not in refused.value.strerror


def test_addresses_that_are_none_are_refused_before_the_library_sees_them(net):
    opened = net.socket()
    for bad, error in [(("10.0.0", 1), ValueError), (("10.0.0.1:7", 1), ValueError), ("10.0.0.1", TypeError),
                       (("10.0.0.1",), TypeError), (("10.0.0.1", 65536), OverflowError),
                       (("10.0.0.1", -1), OverflowError)]:
        with pytest.raises(error):
            opened.bind(bad)
    for bad in ("10.0.0.1", "10.0.0.1/33", "10.0.0.1/x", "/24"):
        with pytest.raises(ValueError):
            net.stack.add_address(bad)
    for bad in ("02:00:00:00:00", "02:00:00:00:00:01:02", "02-00-00-00-00-01", "hello", ""):
        with pytest.raises(ValueError):
            net.stack.add_neighbour(PEER, bad)


def test_closed_objects_say_ebadf_and_closing_twice_is_nothing(net):
    opened = net.socket()
    opened.close()
    opened.close()
    for call in (opened.getsockname, opened.recv, opened.fileno, lambda: opened.send(b"x")):
        assert errno_of(call) == 9  # EBADF


def test_stack_that_is_closed_closes_its_sockets():
    stack = fastudp.Stack("mem:closing?address=10.0.0.9/24&announce=off")
    opened = stack.socket()
    stack.close()
    assert errno_of(opened.getsockname) == 9
    assert errno_of(stack.poll) == 9


def test_socket_keeps_its_stack_alive():
    opened = fastudp.Stack("mem:alive?address=10.0.0.1/24&announce=off").socket()
    gc.collect()
    opened.bind((HOST, 1000))
    assert opened.getsockname() == (HOST, 1000)


def test_memoryview_of_a_frame_keeps_it_from_being_released(net):
    receiver = net.bound()
    net.inject(datagram(b"hello"))
    (frame,) = receiver.borrow(1)
    view = memoryview(frame)
    assert view == b"hello" and not view.readonly
    with pytest.raises(BufferError):
        frame.release()
    with pytest.raises(BufferError):
        receiver.submit([frame])
    view.release()
    frame.release()
    assert frame.released
    with pytest.raises(ValueError):
        memoryview(frame)
    frame.release()


def test_frame_that_is_forgotten_comes_back(net):
    receiver = net.bound()
    net.inject(datagram(b"hello"))
    frames = receiver.borrow(1)
    assert net.stack.info().frames_free == net.idle_frames - 1
    del frames
    gc.collect()
    assert net.all_frames_are_back()


def test_borrowed_frame_is_answered_in_place_and_may_be_made_shorter(net):
    echo = net.bound()
    net.inject(datagram(b"hello"))
    (frame,) = echo.borrow(1)
    with memoryview(frame) as view:
        view[:] = bytes(view).upper()
    frame.size = 4
    assert len(frame) == 4 and bytes(frame) == b"HELL"
    assert echo.submit([frame]) == 1
    assert frame.released
    assert net.captured() == [sent(b"HELL")]


def test_frame_can_not_grow_and_can_not_be_sent_twice(net):
    (frame,) = net.bound().alloc(1, 10)
    with pytest.raises(ValueError):
        frame.size = 11
    frame.release()
    with pytest.raises(ValueError):
        net.bound(1001).submit([frame])


def test_alloc_of_more_than_a_frame_holds_is_emsgsize(net):
    opened = net.bound()
    assert len(opened.alloc(1, 1472)[0]) == 1472
    assert errno_of(opened.alloc, 1, 100_000) == 90  # EMSGSIZE


def test_blocked_receive_lets_other_threads_run_and_wakes_for_a_datagram(hosts):
    here, there = hosts
    receiver, sender = there.socket(), here.socket()
    receiver.bind((PEER, 7))
    got = []
    thread = threading.Thread(target=lambda: got.append(receiver.recvfrom()))
    thread.start()
    sender.sendto(b"hello", (PEER, 7))
    while thread.is_alive():
        here.wait(0.01)
        here.poll()
        thread.join(0.001)
    assert got == [(b"hello", (HOST, sender.getsockname()[1]))]


def test_closing_under_a_blocked_call_is_ebusy(hosts):
    receiver = hosts[0].socket()
    receiver.connect((PEER, 7))
    inside, got = threading.Event(), []

    def receive():
        inside.set()
        got.append(receiver.recv())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # the other thread runs until it is inside the call
    try:
        thread = threading.Thread(target=receive)
        thread.start()
        inside.wait()
        assert errno_of(receiver.close) == 16  # EBUSY
    finally:
        sys.setswitchinterval(interval)
        receiver.shutdown(fastudp.SHUT_RD)
        thread.join()
    assert got == [b""]
    receiver.close()


def test_signal_handler_runs_during_a_blocked_receive_and_its_exception_comes_out(hosts):
    receiver = hosts[0].socket()
    receiver.bind((HOST, 7))
    received = []

    def first_remember_then_raise(number, frame):
        received.append(number)
        if len(received) == 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, first_remember_then_raise)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pytest.raises(KeyboardInterrupt):
            receiver.recv()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert received == [signal.SIGALRM] * 2


def test_descriptors_fit_a_selector(hosts):
    here, there = hosts
    server, client = there.socket(), here.socket()
    server.bind((PEER, 7))
    client.bind((HOST, 8))
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(client, selectors.EVENT_READ)
        for number in range(100):
            client.sendto(b"%d" % number, (PEER, 7))
            assert [key.fileobj for key, _ in selector.select(10)] == [server]
            data, peer = server.recvfrom()
            assert data == b"%d" % number
            server.sendto(data, peer)
            assert [key.fileobj for key, _ in selector.select(10)] == [client]
            assert client.recv() == data
            assert selector.select(0) == []


def test_wait_says_what_is_ready_and_gives_up_at_its_timeout(hosts):
    here, there = hosts
    server = there.socket()
    server.bind((PEER, 7))
    assert server.wait(timeout=0) == 0
    assert server.wait(timeout=0.01) == 0
    assert server.wait(fastudp.WRITABLE) == fastudp.WRITABLE
    there.add_neighbour(HOST, here.info().mac)
    here.add_neighbour(PEER, there.info().mac)
    here.socket().sendto(b"hello", (PEER, 7))
    assert server.wait(timeout=10) == fastudp.READABLE
    assert server.recv() == b"hello"


def test_what_a_stack_says_of_itself(net):
    info, stats = net.stack.info(), net.stack.stats()
    assert info.link.startswith("mem:conformance-") and info.mac == "02:00:00:00:00:01" and info.mtu == 1500
    assert info.frames >= info.frames_free > 0
    assert stats.sockets == 0 and stats.neighbours == 3
    opened = net.bound()
    opened.sendto(b"hello", (PEER, 2000))
    net.inject(datagram(b"hello"))
    stats = net.stack.stats()
    assert (stats.sockets, stats.tx_datagrams, stats.tx_frames, stats.tx_bytes) == (1, 1, 1, 47)
    assert (stats.rx_datagrams, stats.rx_frames, stats.rx_bytes, stats.dropped) == (1, 1, 47, 0)


def test_hand_held_clock_only_goes_forward_and_only_by_hand(net):
    net.stack.set_time(5)
    assert errno_of(net.stack.set_time, 4) == 22
    assert net.stack.deadline() is None
    with fastudp.Stack("mem:clock?address=10.0.0.1/24&announce=off") as stack:
        assert errno_of(stack.set_time, 5) == 22


def test_same_seed_gives_the_same_ports(make_net):
    def ports(seed):
        return [each.getsockname()[1] for each in [make_net(seed=seed).bound(0) for _ in range(1)]]

    assert ports(7) == ports(7) and ports(7) != ports(8)


def test_version_is_three_numbers():
    assert len(fastudp.version().split(".")) == 3 and fastudp.__version__ == fastudp.version()
