"""fastudp.h compiles alone, without a warning, as every C and C++ that a user may have."""

import subprocess
import sys

from common import finish

STANDARDS = [("c", s) for s in ("c99", "c11", "c17")] + [("c++", f"c++{s}") for s in ("11", "14", "17", "20")]
COMPILERS = {"c": ("gcc", "clang-14"), "c++": ("g++", "clang++-14")}
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror".split()
C_WARNINGS = ["-Wstrict-prototypes"]
USE = "#include <fastudp.h>\n#include <fastudp.h>\nint used(void);\nint used(void) { return 0; }\n"


def check(include):
    problems = []
    for language, standard in STANDARDS:
        for compiler in COMPILERS[language]:
            extra = C_WARNINGS if language == "c" else ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"]
            command = [compiler, f"-std={standard}", f"-x{language}", *WARNINGS, *extra, "-fsyntax-only", "-I", include, "-"]
            done = subprocess.run(command, input=USE, capture_output=True, text=True)
            if done.returncode:
                problems.append(f"{compiler} -std={standard}:\n{done.stderr}")
    return problems


if __name__ == "__main__":
    finish(check(sys.argv[1]), "header")
