"""fastudp run: what it starts, with what, and what it returns; env(1) is the oracle for programs that can't be started."""

import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile

import pytest
from tool import BUILD, FASTUDP, WITHOUT_RIGHTS, Started, one_line, run, status_field, stats_of, until

HOST = ["--link", "host:", "--"]


@pytest.mark.parametrize("status", [0, 7, 255])
def test_returns_the_programs_status(status):
    assert run(*HOST, "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_returns_the_signal_as_a_shell_does(number):
    assert run(*HOST, "sh", "-c", f"kill -{int(number)} $$").returncode == 128 + number


def make(path, text, mode):
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name, text, mode", [
    ("absent", None, 0), ("not-executable", "", 0o644), ("no-program", "\x00\x01", 0o755), ("without-mark", "exit 5", 0o755),
    ("no-interpreter", "#!/nowhere/sh\n", 0o755), ("script", "#!/bin/sh\nexit 6\n", 0o755)])
def test_what_cant_be_started_ends_as_with_env(tmp_path, name, text, mode):
    program = tmp_path / name
    if text is not None:
        make(program, text, mode)
    assert run(*HOST, program).returncode == subprocess.run(["env", program], capture_output=True).returncode


def test_an_empty_folder_of_the_path_is_this_one(tmp_path, static_program):
    os.rename(static_program, tmp_path / "true")  # which the other folders have as well
    done = run(*HOST, "true", cwd=tmp_path, env={**os.environ, "PATH": f":{os.environ['PATH']}"})
    assert (done.returncode, done.stdout) == (0, "static here\n")
    assert "linked statically" in one_line(done)


WORDS = ["[a,b]", "--link", "-x", "--", "run", "doctor", "", "{}", "a b", "%%"]


@pytest.mark.parametrize("mark", [["--"], []])
def test_words_of_the_program_are_not_read(mark):
    assert run("--link", "host:", *mark, "printf", "%s\\n", *WORDS).stdout.splitlines() == WORDS


@pytest.mark.parametrize("words, said", [
    (["--link", "pakket:near"], "no link 'pakket:'"), (["--link", "nonsense"], "is not a link URI"),
    (["--link", "packet:nowhere"], "there is no interface 'nowhere'"), (["--link", "auto:nowhere"], "nowhere"),
    (["--link", "packet:near?ringg=off"], "unknown key 'ringg'"), (["--link", "auto:near?ringg=off"], "unknown key 'ringg'"),
    (["--link", "packet:near", "--address", "10.0.0.300/24"], "address=10.0.0.300/24"),
    (["--link", "packet:near", "--address", "10.0.0.2/24", "--gateway", "10.1.0.1"], "gateway=10.1.0.1"),
    (["--link", "packet:near?address=10.0.0.2/24", "--address", "10.0.0.3/24"], "'address' is in the link URI twice"),
    (["--link", "tap:fast0"], "needs an address"), (["--link", "x:" + "y" * 600], "longer than"),
    (["--stats", "/nowhere/s.json"], "/nowhere/s.json can't be written"), (["--stats", "/"], "is a folder"),
    (["--lnk", "host:"], "no option --lnk"), (["--link"], "--link")])
def test_a_mistake_is_said_and_nothing_is_started(cable, words, said):
    done = run(*words, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in one_line(done)


def test_no_program_is_a_mistake():
    for words in ([], ["--strict"], ["--"]):
        done = run(*words)
        assert done.returncode == 2 and "needs a program" in one_line(done)


@pytest.mark.parametrize("link", ["packet:near", "auto:near", "auto:"])
def test_without_rights_the_kernels_sockets_do(cable, tmp_path, link):
    before = WITHOUT_RIGHTS
    done = run("--link", link, "--stats", tmp_path / "s", "--", "sh", "-c", "echo $FASTUDP_LINK; exit 3", before=before)
    assert done.returncode == 3
    assert "needs CAP_NET_RAW" in one_line(done) and "going on with the kernel's sockets" in done.stderr
    assert done.stdout == (link if link.startswith("auto") else "host:") + "\n"
    stats = stats_of(tmp_path / "s")
    assert stats["link"] == "host:" and "needs CAP_NET_RAW" in stats["reason"]


@pytest.mark.parametrize("link", ["packet:near", "auto:near"])
def test_without_rights_strict_starts_nothing(cable, link):
    done = run("--strict", "--link", link, "--", "echo", "started", before=WITHOUT_RIGHTS)
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs CAP_NET_RAW" in one_line(done) and "going on" not in done.stderr


def test_what_the_program_finds_in_its_environment(cable):
    show = 'for v in LD_PRELOAD FASTUDP_LINK FASTUDP_STRICT FASTUDP_BYPASS_FIREWALL; do eval "echo \\${$v-unset}"; done'
    interposer = os.path.realpath(BUILD / "bindings/preload/libfastudp-preload.so")
    there = {**os.environ, "LD_PRELOAD": "libm.so.6", "FASTUDP_STRICT": "1", "FASTUDP_LINK": "nonsense:"}
    got = run("--link", "packet:near", "--", "sh", "-c", show, env=there).stdout.splitlines()
    assert [os.path.realpath(got[0].split(":")[0]), got[0].split(":")[1:]] == [interposer, ["libm.so.6"]]
    assert got[1:] == ["packet:near", "unset", "unset"]
    got = run("--link", "packet:near", "--address", "10.7.0.9/24", "--gateway", "10.7.0.2", "--strict", "--bypass-firewall",
              "--", "sh", "-c", show).stdout.splitlines()
    assert got[1:] == ["packet:near?address=10.7.0.9/24&gateway=10.7.0.2", "1", "1"]


def test_auto_is_the_default(cable):
    assert run("--", "sh", "-c", "echo $FASTUDP_LINK").stdout == "auto:\n"


def test_signals_are_to_the_program_what_they_were_to_the_caller():
    """Also where the caller ignores that children end, of which the status would otherwise be lost."""
    def ignore_children():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    plain = subprocess.run(show, capture_output=True, text=True, preexec_fn=ignore_children)
    assert run(*HOST, *show, preexec_fn=ignore_children).stdout == plain.stdout
    assert run(*HOST, "sh", "-c", "exit 4", preexec_fn=ignore_children).returncode == 4


def test_a_static_program_is_said_to_stay_with_the_kernel(static_program):
    done = run(*HOST, static_program)
    assert (done.returncode, done.stdout) == (0, "static here\n")
    assert "linked statically" in one_line(done)
    done = run("--strict", *HOST, static_program)
    assert (done.returncode, done.stdout) == (1, "")
    assert "linked statically" in one_line(done)


def test_a_script_is_as_good_as_what_runs_it(tmp_path, static_program):
    script = make(tmp_path / "script", f"#! {static_program} option\n", 0o755)
    assert f"{static_program} is linked statically" in one_line(run(*HOST, script))
    assert run(*HOST, make(tmp_path / "other", "#!/bin/sh\n", 0o755)).stderr == ""


@pytest.fixture
def open_folder():
    """Unlike pytest's own, which every session closes to others when it begins."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes such files")
@pytest.mark.parametrize("mode", [stat.S_ISUID, stat.S_ISGID])
def test_a_program_that_gets_rights_by_itself_is_said_to_ignore_us(open_folder, mode):
    program = open_folder / "privileged"
    program.write_bytes(open("/bin/true", "rb").read())
    program.chmod(0o755 | mode)
    assert run(*HOST, program).stderr == ""  # root gains nothing
    as_another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    may_read = subprocess.run([*as_another, FASTUDP, "--version"], capture_output=True).returncode == 0
    if not may_read:
        pytest.skip("the build tree can't be read by other users")
    assert "ignores LD_PRELOAD" in one_line(run(*HOST, program, before=as_another))
    without_gain = [*as_another, "--no-new-privs"]
    assert run(*HOST, program, before=without_gain).stderr == ""


DAEMON = """
import os, sys
if os.fork(): os._exit(int(sys.argv[2]))
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1]).read()  # a pipe with a name: until somebody has opened and closed it
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("status", [0, 3])
def test_daemons_are_waited_for(tmp_path, script, status):
    os.mkfifo(tmp_path / "pipe")
    with Started(*HOST, *script(DAEMON), tmp_path / "pipe", status) as started:
        with open(tmp_path / "pipe", "w"):  # opens when the daemon has
            children = f"/proc/{started.pid}/task/{started.pid}/children"
            until(lambda: len(open(children).read().split()) == 1, "the program's end")
            daemon = int(open(children).read())
            until(lambda: status_field(daemon, "PPid") == str(started.pid), "the daemon to become ours")
            assert status_field(started.pid, "State") == "S" and started.process.poll() is None
        assert started.end() == ([], status)


def test_a_tap_interface_appears_once_it_is_used(namespace, script):
    """Whoever waits for the interface may use it when it is there: so it isn't made only to be tried."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        events.bind((0, 1))  # RTMGRP_LINK
        events.setblocking(False)
        words = ["--link", "tap:flash0", "--address", "10.9.0.2/24", "--"]

        def heard():
            out = b""
            while True:
                try:
                    out += events.recv(65536)
                except BlockingIOError:
                    return out

        done = run(*words, "true")
        if "tun" in done.stderr:
            pytest.skip(done.stderr)
        assert (done.returncode, done.stderr) == (0, "")
        assert b"flash0" not in heard()
        user = script("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
        assert run(*words, *user).returncode == 0
        assert b"flash0" in heard()
