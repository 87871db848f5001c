"""Each lint finds what it is there to find, and leaves a good sample alone."""

import pathlib
import subprocess

import abi_baseline
import api
import arrows
import format as format_lint
import globals as globals_lint
import header
import prose
import pytest
import sizes
import symbols

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path):
    """Writes files into an empty project and returns its root."""

    def write(**sources):
        for path, text in sources.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return tmp_path

    return lambda sources: write(**sources)


def compiled(tmp_path, source, *options):
    out = tmp_path / "sample.so"
    command = ["g++", "-O1", "-fPIC", "-o", out, "-xc++", "-", "-xnone", *options]
    subprocess.run(command, input=source, text=True, check=True)
    return str(out)


@pytest.mark.parametrize("path, include, allowed", [
    ("core/wire/udp.h", '"wire/schema.h"', True),
    ("core/wire/udp.h", '"base/result.h"', True),
    ("core/wire/udp.h", '"packet/packet.h"', False),
    ("core/base/address.h", '"wire/udp.h"', False),
    ("core/stack/stack.h", '"link/link.h"', True),
    ("core/stack/stack.h", '"link/tap/tap.h"', False),
    ("core/stack/stack.h", '"link/registry.h"', False),
    ("core/stack/stack.h", '"socket/socket.h"', False),
    ("core/socket/socket.h", '"stack/stack.h"', True),
    ("core/link/mem/mem.cpp", '"link/uri.h"', True),
    ("core/link/mem/mem.cpp", '"link/tap/tap.h"', False),
    ("core/link/uri.cpp", '"link/mem/mem.h"', False),
    ("core/link/registry.cpp", '"link/mem/mem.h"', True),
    ("core/endpoint/endpoint.h", '"link/registry.h"', True),
    ("core/endpoint/endpoint.h", '"link/mem/mem.h"', False),
    ("core/endpoint/endpoint.h", "<fastudp.h>", False),
    ("abi/socket.cpp", "<fastudp.h>", True),
    ("abi/socket.cpp", '"stack/stack.h"', False),
    ("core/base/address.h", '"address.h"', False),
    ("core/base/address.h", "<string>", False),
    ("core/base/address.h", "<string_view>", True),
    ("core/unheard/of.h", "<span>", False),
    ("examples/echo.c", "<fastudp.h>", True),
    ("examples/echo.c", '"stack/stack.h"', False),
    ("python/module.cpp", '"util.h"', True),
    ("python/module.cpp", '"../core/base/address.h"', False),
])
def test_arrows(tree, path, include, allowed):
    root = tree({"core/base/address.h": "", "python/util.h": "", path: f"// A file.\n#include {include}\n"})
    assert (arrows.check(root) == []) == allowed


GOOD_FUNCTIONS = """
namespace a {
struct s {
 public:
  s(int x) : x_{x}, y_(1) { use(); }
  int get() const { return x_; }
  int x_ = 0, y_{0};
};
constexpr int table[] = {1, 2};
enum class e { one };
int f(int x) {
  if (x) {
    return [&] { return 2; }();
  }
  const char* brace = "{";
  return 1;
}
}  // namespace a
"""


def test_sizes_reads_functions():
    assert sizes.functions(GOOD_FUNCTIONS) == [(5, 1), (6, 1), (11, 7)]


@pytest.mark.parametrize("lines, good", [(9, True), (10, False)])
def test_sizes_median(tree, lines, good):
    body = "  use();\n" * (lines - 2)
    assert (sizes.check(tree({"core/a.cpp": f"void f() {{\n{body}}}\n"})) == []) == good


@pytest.mark.parametrize("others, good", [(99, True), (98, False)])
def test_sizes_longest(tree, others, good):
    long = "void f() {\n" + "  use();\n" * 58 + "}\n"
    assert (sizes.check(tree({"core/a.cpp": long + "void g() {}\n" * others})) == []) == good


@pytest.mark.parametrize("lines, good", [(599, True), (600, False)])
def test_sizes_file(tree, lines, good):
    assert (sizes.check(tree({"tests/a.py": "#\n" * lines})) == []) == good


@pytest.mark.parametrize("text, good", [("int f(int* p);\n", True), ("int f (int *p);\n", False)])
def test_format(tree, text, good):
    root = tree({"core/a.h": text, ".clang-format": (ROOT / ".clang-format").read_text()})
    for folder in format_lint.FOLDERS:
        (root / folder).mkdir(exist_ok=True)
    assert (format_lint.check(root) == []) == good


@pytest.mark.parametrize("path, text, good", [
    ("core/a.cpp", "// Why.\n", True),
    ("core/a.cpp", '#include "base/a.h"\n', True),
    ("core/a.cpp", "#include <b>\n", False),
    ("core/a.h", "#pragma once\n// Why.\n", True),
    ("core/a.h", "#pragma once\n\nint x;\n", False),
    ("tests/a.py", '"""Why."""\n', True),
    ("tests/a.py", "import os\n", False),
    ("README.md", "Read RFC 768.\n", True),
    ("README.md", "See /work/main.\n", False),
    ("README.md", "See ../shared/X.\n", False),
    ("README.md", "See issue 12.\n", False),
    ("README.md", "Fixes #12.\n", False),
    ("README.md", "TODO more\n", False),
    ("README.md", "space \n", False),
    ("README.md", "tab\there\n", False),
    ("README.md", "return\r\n", False),
    ("README.md", "no end", False),
    ("scripts/build", "#!/bin/sh\n# FIXME\n", False),
])
def test_prose(tree, path, text, good):
    root = tree({})
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text, newline="")
    assert (prose.check(root) == []) == good


@pytest.mark.parametrize("source, problem", [
    ("extern const int fine[2] = {1, 2};", None),
    ("int one = 1; static const char* const names[] = {\"a\"}; const void* use() { return names; }", "one is a writable"),
    ("int zero;", "zero is a writable"),
    ("thread_local int local;", "local is a writable"),
    ("int f() { static int n; return ++n; }", "f()::n is a writable"),
    ("#include <cstdlib>\nconst char* f() { return getenv(\"X\"); }", "calls getenv"),
    ("#include <ctime>\nlong f() { timespec t; return clock_gettime(CLOCK_REALTIME, &t); }", "calls clock_gettime"),
    ("#include <cstdio>\nvoid f() { puts(\"x\"); }", "calls puts"),
    ("void* f() { return new int; }", "calls operator new(unsigned long)"),
])
def test_globals(tmp_path, source, problem):
    found = globals_lint.check([compiled(tmp_path, source, "-c")], {})
    assert problem in found[0] if problem else found == []


def test_globals_allowed(tmp_path):
    path = compiled(tmp_path, "int zero;", "-c")
    assert globals_lint.check([path], {"zero": "a reason"}) == []
    assert "no longer exists" in globals_lint.check([path], {"zero": "a reason", "gone": "another"})[0]


GOOD_LIBRARY = 'extern "C" __attribute__((visibility("default"))) int fastudp_f() { return 0; }\n'
LINK = ["-shared", "-nodefaultlibs", "-fvisibility=hidden", "-Wl,-soname,libfastudp.so.0"]


@pytest.mark.parametrize("source, options, problem", [
    ("", ["-lc"], None),
    ('extern "C" __attribute__((visibility("default"))) int other() { return 0; }', ["-lc"], "exports other"),
    ("", ["-Wl,--no-as-needed", "-lc", "-lstdc++"], "needs libstdc++.so.6"),
    ("", ["-Wl,-soname,libfastudp.so.1", "-lc"], "SONAME"),
    ('#include <pthread.h>\nvoid* volatile p = (void*)&pthread_create;', ["-lc"], "needs pthread_create of glibc 2.34"),
    ("thread_local char big[300]; char* volatile p = big;", ["-ftls-model=initial-exec", "-lc"], "300 bytes of thread"),
    ("thread_local int t; int* volatile p = &t;", ["-lc"], "isn't initial-exec"),
    ("", ["-Wl,-z,execstack", "-lc"], "executable stack"),
])
def test_symbols(tmp_path, source, options, problem):
    found = symbols.check(compiled(tmp_path, GOOD_LIBRARY + source, *LINK, *options))
    assert any(problem in p for p in found) if problem else found == []


GOOD_HEADER = """/* Rules:
 *   Results   >= 0 is success.
 *   Threads   Any.
 *   Blocking  Only where said.
 *   Memory    During the call.
 *   Time      Nanoseconds.
 *   Since     0.1.
 */
#ifdef __cplusplus
extern "C" {
#endif
#define FASTUDP_API __attribute__((visibility("default")))
/* Does f. -EINVAL: can't. */
FASTUDP_API int fastudp_f(void);
#ifdef __cplusplus
}
#endif
"""
GOOD_FUNCTION = "/* Does f. -EINVAL: can't. */\nFASTUDP_API int fastudp_f(void);\n"
GOOD_TEST = "int main(void) { return fastudp_f(); }\n"


@pytest.mark.parametrize("old, new, problem", [
    ("", "", None),
    (" *   Since     0.1.\n", "", "doesn't say: Since"),
    ("/* Does f. -EINVAL: can't. */\n", "", "no comment"),
    ("EINVAL", "EWRONG", "EWRONG"),
    ("FASTUDP_API int fastudp_f", "int fastudp_f", "without FASTUDP_API"),
    ("(void)", "(int64_t timeout_ns)", "has a timeout"),
    ("(void)", "(struct x **out)", "belongs"),
    ("(void)", "(int (*callback)(int))", "callback"),
    ("(void)", "(const char *format, ...)", "varargs"),
    ("(void)", "(const struct sockaddr *a)", "sockaddr"),
    ("FASTUDP_API int", "enum e { one };\n/* */ FASTUDP_API int", "an enum"),
    ("FASTUDP_API int", "struct s { unsigned x : 3; };\n/* */ FASTUDP_API int", "a bit-field"),
    ("FASTUDP_API int", "FASTUDP_API inline int", "an inline"),
    (GOOD_FUNCTION, GOOD_FUNCTION + GOOD_FUNCTION.replace("fastudp_f", "fastudp_g"), "fastudp_g has no test"),
    (GOOD_FUNCTION, "".join(GOOD_FUNCTION.replace("_f", f"_f{i}") for i in range(81)), "81 functions"),
])
def test_api(tree, old, new, problem):
    assert old in GOOD_HEADER
    root = tree({"include/fastudp.h": GOOD_HEADER.replace(old, new, 1), "tests/abi/f.c": GOOD_TEST})
    found = api.check(root)
    assert any(problem in p for p in found) if problem else found == []


@pytest.mark.parametrize("defined, problem", [
    ("fastudp_f", None),
    ("fastudp_g", "fastudp_f is declared, but"),
    ("fastudp_g", "fastudp_g is exported, but"),
])
def test_api_exports(tree, tmp_path, defined, problem):
    root = tree({"include/fastudp.h": GOOD_HEADER, "tests/abi/f.c": GOOD_TEST})
    library = compiled(tmp_path, GOOD_LIBRARY.replace("fastudp_f", defined), *LINK, "-lc")
    found = api.check(root, library)
    assert any(problem in p for p in found) if problem else found == []


@pytest.mark.parametrize("old, new, good", [
    ("", "", True),
    ("(void)", "(int x, ssize_t y)", False),
    ("(void)", "()", False),
    ("fastudp_f(void)", "fastudp_f(int new)", False),
])
def test_header(tree, old, new, good):
    root = tree({"fastudp.h": "#ifndef ONCE\n#define ONCE\n" + GOOD_HEADER.replace(old, new, 1) + "#endif\n"})
    assert (header.check(str(root)) == []) == good


OLD_ABI = """typedef struct fastudp_stack_info { unsigned long size; int mtu; } fastudp_stack_info;
typedef struct fastudp_addr { int family; } fastudp_addr;
extern "C" int fastudp_f(int, fastudp_stack_info*, fastudp_addr*);
"""


@pytest.mark.parametrize("old, new, good", [
    ("", "", True),
    ("int mtu;", "int mtu, frames;", True),
    ("int mtu;", "int frames, mtu;", False),
    ("int family;", "int family, port;", False),
    ("fastudp_f(", "fastudp_g(", False),
    ("int, fastudp_stack_info", "int, int, fastudp_stack_info", False),
    ('extern "C"', 'extern "C" int fastudp_g(void);\nextern "C"', True),
])
def test_abi_baseline(tree, tmp_path, old, new, good):
    def build(header_text):
        include = tree({"include/fastudp.h": header_text}) / "include"
        body = "".join(line[:-1] + " { return 0; }\n" for line in header_text.splitlines() if line.startswith("extern"))
        return compiled(tmp_path, f'#include "{include}/fastudp.h"\n{body}', "-g", "-shared"), str(include)

    baseline = str(tmp_path / "old.abi")
    assert abi_baseline.check(*build(OLD_ABI), baseline) != []  # none is there yet
    abi_baseline.dump(*build(OLD_ABI), baseline)
    assert str(tmp_path) not in pathlib.Path(baseline).read_text()
    assert (abi_baseline.check(*build(OLD_ABI.replace(old, new, 1)), baseline) == []) == good
