"""The drop-in for systemd's services: it is well formed, and a service that may do what it says, and nothing else, is fast."""

import os
import re
import subprocess

import pytest
from net import BUILD, SOURCE, need
from private_network import kernel_counts, run
from test_processes import check_service
from test_programs import BLOCKING_ECHO, PYTHON
from test_sandbox import compiled

PRELOAD = str(BUILD / "bindings/preload/libfastudp-preload.so")


def directives():
    """All of them, those too that the administrator may have to switch on."""
    text = (SOURCE / "packaging/systemd/fastudp.conf.in").read_text().replace("@FASTUDP_PRELOAD@", PRELOAD)
    return re.findall(r"^#?([A-Z]\w+)=(.+)$", text, re.M)


def value(name):
    return next(value for key, value in directives() if key == name).split()


def test_it_is_well_formed(tmp_path):
    need("systemd-analyze")
    unit = tmp_path / "echo.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n" + "".join(f"{key}={value}\n" for key, value in directives()))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def calls_of(sets):
    """The system calls of systemd's sets, and of those within them."""
    out, left = set(), list(sets)
    while left:
        name = left.pop()
        if not name.startswith("@"):
            out.add(name)
            continue
        shown = run("systemd-analyze", "syscall-filter", name).splitlines()[1:]
        left += [line.strip() for line in shown if line.strip() and not line.strip().startswith("#")]
    return sorted(out)


# As systemd does it: what isn't in the lists kills.
LAUNCHER = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, what, 0, 1)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
int main(int count, char** arguments) {
  struct sock_filter calls[] = {LOAD(nr), @CALLS@ ANSWER(SECCOMP_RET_KILL_PROCESS)};
  struct sock_filter families[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0), ANSWER(SECCOMP_RET_ALLOW),
                                   LOAD(args[0]), @FAMILIES@ ANSWER(SECCOMP_RET_ERRNO | EAFNOSUPPORT)};
  const struct sock_fprog by_call = {sizeof calls / sizeof *calls, calls}, by_family = {sizeof families / sizeof *families, families};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &by_family) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &by_call) != 0) {
    perror("seccomp");
    return 1;
  }
  execvp(arguments[1], arguments + 1);
  return 2;
}
"""


def launcher(folder):
    calls = [f"\n#ifdef SYS_{name}\nIS(SYS_{name}), ANSWER(SECCOMP_RET_ALLOW),\n#endif\n"
             for name in calls_of([*value("SystemCallFilter"), "@default"])]
    families = [f"IS({name}), ANSWER(SECCOMP_RET_ALLOW)," for name in value("RestrictAddressFamilies")]
    return compiled(folder, LAUNCHER.replace("@CALLS@", "".join(calls)).replace("@FAMILIES@", "".join(families)))


@pytest.mark.parametrize("under", ["packet", "packet-filter"], indirect=True)
def test_what_it_allows_is_enough(under):
    need("systemd-analyze")
    under.net.folder.chmod(0o755)
    rights = ",".join("+" + name.removeprefix("CAP_").lower() for name in value("AmbientCapabilities"))
    assert value("AmbientCapabilities") == value("CapabilityBoundingSet")
    as_service = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps=-all,{rights}",
                  f"--ambient-caps={rights}", f"--bounding-set=-all,{rights}", launcher(under.net.folder)]
    environment = dict(each.split("=", 1) for key, each in directives() if key == "Environment")
    environment |= {"FASTUDP_LINK": under.uri, "FASTUDP_STRICT": "1", "PATH": os.environ["PATH"]}
    command = [*as_service, "env", *(f"{key}={each}" for key, each in environment.items()), PYTHON, "-c", BLOCKING_ECHO]
    before = kernel_counts()["Udp.InDatagrams"]
    with under.net.start(command) as server:
        server.says("ready")
        check_service(under)
        server.stop()
    assert kernel_counts()["Udp.InDatagrams"] - before < 10
