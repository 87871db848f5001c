"""old_kernel.py [--without-bpf] PROGRAM [ARGUMENT...]: runs a program as on a kernel before Linux 6.6, which has no TCX:
BPF_LINK_CREATE fails with EINVAL, as an attach type that a kernel doesn't know does. Or as in a container whose sandbox refuses
all of bpf(2) with EPERM."""

import ctypes
import errno
import os
import struct
import sys

NUMBERS = {"x86_64": (0xC000003E, 321), "aarch64": (0xC00000B7, 280)}  # AUDIT_ARCH, bpf(2)
BPF_LINK_CREATE = 28
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def main():
    architecture, bpf = NUMBERS[os.uname().machine]
    at_number, at_architecture, at_first_argument = 0, 4, 16
    without_bpf = sys.argv[1] == "--without-bpf"
    command = sys.argv[1 + without_bpf:]
    is_refused = (LOAD, 0, 0, at_number) if without_bpf else (LOAD, 0, 0, at_first_argument)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in [
        (LOAD, 0, 0, at_architecture), (JUMP_IF_EQUAL, 0, 5, architecture),
        (LOAD, 0, 0, at_number), (JUMP_IF_EQUAL, 0, 3, bpf),
        is_refused, (JUMP_IF_EQUAL, 0, 1, bpf if without_bpf else BPF_LINK_CREATE),
        (RETURN, 0, 0, RET_ERRNO | (errno.EPERM if without_bpf else errno.EINVAL)), (RETURN, 0, 0, RET_ALLOW)])
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(code) // 8, code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execvp(command[0], command)


main()
