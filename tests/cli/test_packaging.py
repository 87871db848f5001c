"""Help, manual page and completion, which say the same."""

import re
import subprocess

import pytest
from tool import SOURCE, fastudp

MANUAL, COMPLETION = SOURCE / "packaging/man/fastudp.1", SOURCE / "packaging/completion/fastudp"


def options(command):
    return set(re.findall(r"--[a-z-]+", re.sub(r"(?s)Examples:.*", "", fastudp(command, "--help").stdout))) - {"--help"}


def test_help_fits_a_screen():
    for words in (["--help"], ["run", "--help"], ["doctor", "--help"]):
        done = fastudp(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") <= 24 and max(map(len, done.stdout.splitlines())) <= 100
        assert "Usage: fastudp " in done.stdout


def test_version():
    assert re.fullmatch(r"fastudp \d+\.\d+\.\d+\n", fastudp("--version").stdout)


@pytest.mark.parametrize("words", [[], ["rum"], ["--nonsense"]])
def test_other_words_are_a_mistake(words):
    done = fastudp(*words)
    assert done.returncode == 2 and done.stderr.startswith("fastudp: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_all_have_the_same_options(command):
    manual = MANUAL.read_text().replace("\\-", "-")
    assert options(command) - {"--"}
    for option in options(command) - {"--"}:
        assert option in manual and option in COMPLETION.read_text()


def test_the_manual_page_is_well_formed():
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", MANUAL], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def completed(line):
    """What bash would offer at the end of the line."""
    text = (f"set -u; source '{COMPLETION}'; COMP_LINE='{line}'; COMP_POINT={len(line)}; COMPREPLY=(); _fastudp\n"
            'printf "%s\\n" "${COMPREPLY[@]+"${COMPREPLY[@]}"}"')
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("line, offered", [
    ("fastudp ", ["run", "doctor", "--help", "--version"]), ("fastudp r", ["run"]),
    ("fastudp run --st", ["--strict", "--stats"]), ("fastudp run --link hos", ["host:"]),
    ("fastudp run --link packet:l", ["lo"]), ("fastudp run --link xdp:l", ["lo"]), ("fastudp run --link packet:lo?ring=off --str", ["--strict"]),
    ("fastudp run -- basena", ["basename"]), ("fastudp run --strict basena", ["basename"]),
    ("fastudp run --address x", []), ("fastudp doctor l", ["lo"]),
    (f"fastudp run --stats {COMPLETION}"[:-1], [str(COMPLETION)]),
    (f"fastudp run --link host: ls {COMPLETION}"[:-1], [str(COMPLETION)]),
    (f"fastudp run --strict -- ls {COMPLETION}"[:-1], [str(COMPLETION)])])
def test_completes(line, offered):
    assert completed(line) == offered
