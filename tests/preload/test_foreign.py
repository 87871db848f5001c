"""What the interposer costs a call on a descriptor that isn't its own, in instructions, which don't depend on the machine's load.
tests/bench/foreign.py measures the time: 1 to 2 ns for an ordinary one, 3 for a duplicate, 5 for a poll of six."""

import pathlib
import sys

import pytest
from net import BUILD, SOURCE, need
from test_sandbox import compiled

sys.path.append(str(SOURCE / "tests/bench"))
import foreign  # noqa: E402

# At most so many more for each hook. What waits for several looks at each; a duplicate needs a look at who asks for it.
MOST = {"poll6": 120, "select": 100, "dup_close": 70}
ORDINARY = 50


@pytest.mark.parametrize("udp", [[], ["udp"]], ids=["alone", "beside UDP"])
@pytest.mark.parametrize("case", list(foreign.CASES))
def test_instructions(tmp_path, case, udp):
    need("valgrind")
    program = compiled(tmp_path, pathlib.Path(SOURCE / "tests/bench/foreign.c").read_text())
    plain, hooked = (foreign.instructions(program, BUILD, case, is_preloaded, *udp) for is_preloaded in (False, True))
    assert plain < 200, "more than the call was counted"
    assert 0 < (hooked - plain) / foreign.CASES[case] <= MOST.get(case, ORDINARY), (plain, hooked)
