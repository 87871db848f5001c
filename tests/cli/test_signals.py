"""Signals to fastudp run: the program gets each once, whoever sends it, and a shell's job control works."""

import os
import pty
import select
import signal
import termios

import pytest
from tool import FASTUDP, PATIENCE, Started, status_field, until

HOST = ["--link", "host:", "--"]

# Says which signals come, in order; ends by SIGTERM.
LISTENER = """
import os, signal, sys
if "own-session" in sys.argv: os.setsid()
wanted = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV}
if "stoppable" in sys.argv: wanted -= {signal.SIGTSTP, signal.SIGCONT}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", os.getpid(), flush=True)
while True:
    number = signal.sigwait(wanted)
    print(signal.Signals(number).name if number < 32 else number, flush=True)
    if number == signal.SIGTERM: sys.exit(11)
"""

FORWARDED = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT,
             signal.SIGTSTP, signal.SIGTTIN, signal.SIGWINCH, signal.SIGRTMIN + 3]


def test_each_is_passed_on_once(script):
    with Started(*HOST, *script(LISTENER)) as started:
        assert started.line().startswith("ready")
        for number in FORWARDED:
            os.kill(started.pid, number)
            assert started.line() == (number.name if number < 32 else str(int(number)))
        os.kill(started.pid, signal.SIGTERM)
        assert started.end() == (["SIGTERM"], 11)


def test_what_the_program_sends_to_its_group_doesnt_come_back(script):
    """With signals of which each is kept, in the order of their numbers."""
    sender = LISTENER.replace('print("ready"', 'os.kill(0, signal.SIGRTMIN + 3)\nprint("ready"')
    with Started(*HOST, *script(sender), start_new_session=True) as started:
        assert started.line().startswith("ready")
        assert started.line() == str(signal.SIGRTMIN + 3)
        os.kill(started.pid, signal.SIGRTMIN + 4)
        assert started.line() == str(signal.SIGRTMIN + 4)
        os.kill(started.pid, signal.SIGTERM)
        assert started.end() == (["SIGTERM"], 11)


def test_the_default_action_ends_both(script):
    with Started(*HOST, "sh", "-c", "echo ready; read never", stdin=os.pipe()[0]) as started:
        assert started.line() == "ready"
        os.kill(started.pid, signal.SIGTERM)
        assert started.end() == ([], 128 + signal.SIGTERM)


def test_daemons_get_them_when_the_program_has_ended(script):
    daemon = LISTENER.replace("import os, signal, sys\n", "import os, signal, sys\nif os.fork(): os._exit(0)\n")
    with Started(*HOST, *script(daemon), "own-session") as started:
        pid = int(started.line().split()[1])
        until(lambda: status_field(pid, "PPid") == str(started.pid), "the daemon to become ours")
        os.kill(started.pid, signal.SIGUSR1)
        assert started.line() == "SIGUSR1"
        os.kill(started.pid, signal.SIGTERM)
        assert started.end() == (["SIGTERM"], 0)


def test_a_program_that_was_stopped_by_another_goes_on_by_itself(script):
    """Whoever stops a server to let its queue fill continues that server alone."""
    with Started(*HOST, *script(LISTENER), "stoppable") as started:
        pid = int(started.line().split()[1])
        os.kill(pid, signal.SIGSTOP)
        until(lambda: status_field(pid, "State") == "T", "the program to stop")
        os.kill(pid, signal.SIGCONT)
        os.kill(started.pid, signal.SIGTERM)
        assert started.end() == (["SIGTERM"], 11)


class Terminal:
    """A terminal with a program in front."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        settings = termios.tcgetattr(self.fd)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(self.fd, termios.TCSANOW, settings)
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def sees(self, text):
        """Reads until `text` comes, and returns what came before."""
        while text not in self.seen:
            assert select.select([self.fd], [], [], PATIENCE)[0], f"{text!r} never came: {self.seen!r}"
            try:
                some = os.read(self.fd, 4096)
            except OSError:  # the last program has ended
                some = b""
            assert some, f"{text!r} never came: {self.seen!r}"
            self.seen += some.decode()
        before, self.seen = self.seen.split(text, 1)
        return before

    def is_of(self, program):
        """Whether it is in front, and running."""
        return os.tcgetpgrp(self.fd) == os.getpgid(program) and status_field(program, "State") == "S"

    def close(self):
        os.close(self.fd)
        until(lambda: os.waitpid(self.pid, os.WNOHANG)[0] != 0, "the terminal's programs")


@pytest.mark.parametrize("how", ["same-group", "own-session"])
def test_a_terminals_interrupt_comes_once(script, how):
    terminal = Terminal(FASTUDP, "run", *HOST, *script(LISTENER), how)
    terminal.sees("ready")
    terminal.type("\x03")
    terminal.sees("SIGINT")
    os.kill(terminal.pid, signal.SIGTERM)
    assert "SIGINT" not in terminal.sees("SIGTERM")
    terminal.close()


def test_a_shell_can_stop_and_continue_its_job(script):
    """With an interactive shell as the judge."""
    shell = Terminal("bash", "--norc", "--noprofile", "-i")
    shell.type("PS1=; bind 'set enable-bracketed-paste off'; echo at-$((40 + 2))\n")
    shell.sees("at-42")
    command = script(LISTENER + "\n")
    shell.type(" ".join([FASTUDP, "run", *HOST, *command, "stoppable"]) + "\n")
    shell.sees("ready ")
    program = int(shell.sees("\r\n"))
    shell.type("\x1a")
    shell.sees("Stopped")  # bash says so only when its child, that is fastudp, has stopped
    shell.type("fg\n")
    until(lambda: shell.is_of(program), "the job to continue")
    shell.type("\x03")
    shell.sees("SIGINT")
    os.kill(program, signal.SIGTSTP)
    shell.sees("Stopped")
    shell.type("fg\n")
    until(lambda: shell.is_of(program), "the job to continue")
    os.kill(program, signal.SIGSTOP)  # as some do once they have put the terminal in order
    shell.sees("Stopped")
    shell.type("fg; echo ended-$?\n")
    until(lambda: shell.is_of(program), "the job to continue")
    os.kill(int(status_field(program, "PPid")), signal.SIGTERM)
    shell.sees("SIGTERM")
    shell.sees("ended-11")
    shell.type("exit\n")
    shell.close()
