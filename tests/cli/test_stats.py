"""fastudp run --stats: its exact shape, complete, summed over all processes, written whatever happened to them."""

import ctypes
import os
import stat
import subprocess

import pytest
from tool import BUILD, FASTUDP, run, stats_of

library = ctypes.CDLL(str(BUILD / "abi" / "libfastudp.so"))

# Sends datagrams to itself, and gets them.
TALK = """
import os, socket, sys
def talk(count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    for i in range(count):
        s.sendto(b"x", s.getsockname())
        assert s.recv(10) == b"x"
"""


def names(function):
    function.restype, function.argtypes = ctypes.c_char_p, [ctypes.c_size_t]
    out = []
    while function(len(out)) is not None:
        out.append(function(len(out)).decode())
    return out


def both(fast, kernel):
    return {"fast": fast, "kernel": kernel}


def test_the_shape(tmp_path):
    assert run("--link", "loop:", "--stats", tmp_path / "s", "--", "true").returncode == 0
    text = (tmp_path / "s").read_text()
    assert text.endswith("\n") and text.count("\n") == 1
    stats = stats_of(tmp_path / "s")
    assert list(stats) == ["link", "reason", "sockets", "rx", "tx", "kernel_by", "drops", "drops_by_layer"]
    assert (stats["link"], stats["reason"]) == ("loop:", "")
    assert [stats[each] for each in ("sockets", "rx", "tx")] == [both(0, 0)] * 3
    assert list(stats["kernel_by"].items()) == [(name, 0) for name in names(library.fastudp_kernel_reason_name)]
    assert list(stats["drops"].items()) == [(name, 0) for name in names(library.fastudp_drop_name)]
    assert list(stats["drops_by_layer"].items()) == [(layer, 0) for layer in ("link", "memory", "stack", "socket")]


@pytest.mark.parametrize("link, expected", [("loop:", both(5, 0)), ("host:", both(0, 5))])
def test_counts_what_the_program_did(tmp_path, script, link, expected):
    done = run("--link", link, "--stats", tmp_path / "s", "--", *script(TALK + "talk(5)"))
    assert (done.returncode, done.stderr) == (0, "")
    stats = stats_of(tmp_path / "s")
    assert (stats["rx"], stats["tx"], stats["link"]) == (expected, expected, link)
    assert sum(stats["kernel_by"].values()) >= stats["rx"]["kernel"] + stats["tx"]["kernel"]


def test_says_why_the_link_was_chosen(cable, tmp_path):
    assert run("--link", "packet:near?steer=off", "--stats", tmp_path / "s", "--", "true").returncode == 0
    stats = stats_of(tmp_path / "s")
    assert stats["link"] == "packet:near" and "filters" in stats["reason"] and "\n" not in stats["reason"]


def test_sums_up_over_all_processes_and_those_that_were_killed(tmp_path, script):
    family = script(TALK + """
for count in (1, 2, 4):
    if os.fork() == 0:
        talk(count)
        os.kill(os.getpid(), 9)
    os.wait()
talk(8)
os.kill(os.getpid(), 9)
""")
    assert run("--link", "loop:", "--stats", tmp_path / "s", "--", *family).returncode == 128 + 9
    stats = stats_of(tmp_path / "s")
    assert (stats["sockets"], stats["rx"], stats["tx"]) == (both(4, 0), both(15, 0), both(15, 0))


def test_counts_what_a_daemon_did_after_the_program(tmp_path, script):
    daemon = script(TALK + """
talk(1)
me = os.getpid()
if os.fork(): os._exit(0)
os.setsid()
while os.getppid() == me: pass  # until the program has ended
talk(2)
""")
    assert run("--link", "loop:", "--stats", tmp_path / "s", "--", *daemon).returncode == 0
    assert stats_of(tmp_path / "s")["tx"] == both(3, 0)


def test_the_counters_file_is_anybodys_to_write_and_gone_at_the_end(tmp_path):
    done = run("--link", "loop:", "--", "sh", "-c", 'stat -c "%f %n" "$FASTUDP_STATS"; kill -9 $$')
    mode, path = done.stdout.split()
    assert stat.S_IMODE(int(mode, 16)) == 0o666
    assert path.startswith(("/dev/shm/", "/tmp/")) and not os.path.exists(path)


def test_the_next_run_removes_what_a_killed_one_has_left():
    def begun():
        process = subprocess.Popen([FASTUDP, "run", "--link", "loop:", "--", "sh", "-c", 'echo "$FASTUDP_STATS"; read line'],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    (killed, left), (alive, used) = begun(), begun()
    killed.kill()
    killed.communicate()
    assert run("--link", "loop:", "--", "true").returncode == 0
    assert not os.path.exists(left) and os.path.exists(used)
    alive.communicate()
    assert not os.path.exists(used)


def test_replaces_the_file_as_a_whole(tmp_path):
    """Whoever has the old one open goes on reading that."""
    target = tmp_path / "s"
    target.write_text("old")
    with open(target) as before:
        assert run("--link", "host:", "--stats", target, "--", "true").returncode == 0
        assert before.read() == "old"
    assert stats_of(target)["link"] == "host:"
    assert os.listdir(tmp_path) == ["s"]


def test_a_device_is_written_to_and_not_replaced():
    done = run("--link", "host:", "--stats", "/dev/stdout", "--", "true")
    assert done.returncode == 0 and done.stdout.startswith('{"link":"host:"')
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.path.islink("/dev/stdout")


def test_a_program_that_cant_be_preloaded_has_counted_nothing(tmp_path, static_program):
    assert run("--link", "loop:", "--stats", tmp_path / "s", "--", static_program).returncode == 0
    stats = stats_of(tmp_path / "s")
    assert stats["link"] == "host:" and "linked statically" in stats["reason"]
