"""What must not compile doesn't, and its nearest correct neighbour does: compile_fail.py COMPILER CORE."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

PREAMBLE = """
#include "wire/ipv4.h"
using namespace fastudp;
enum class colour : std::uint8_t { red = 1, other = 16, blue = 15 };
[[maybe_unused]] constexpr bool used(auto&&...) { return true; }
"""

# What is refused, wrong code, right code.
CASES = [
    ("a constant that doesn't fit a field that is set",
     "void f(mutable_view<ipv4> m) { m.set<&ipv4::dscp>(64); }",
     "void f(mutable_view<ipv4> m) { m.set<&ipv4::dscp>(63); }"),
    ("a constant that doesn't fit a u",
     "auto f() { return u<4>{16}; }",
     "auto f() { return u<4>{15}; }"),
    ("a negative constant",
     "auto f() { u<4> x = -1; return x; }",
     "auto f() { u<4> x = +1; return x; }"),
    ("a constant of 64 bits that doesn't fit 63",
     "auto f() { u<63> x = 0x8000000000000000; return x; }",
     "auto f() { u<64> x = 0x8000000000000000; return x; }"),
    ("a constant in an owned struct",
     "auto f() { return ipv4{.fragment_offset = 8192}; }",
     "auto f() { return ipv4{.fragment_offset = 8191}; }"),
    ("a default that doesn't fit",
     "struct t { u<4> a = 16; u<4> b = 0; }; std::size_t f() { return fixed_size<t>; }",
     "struct t { u<4> a = 15; u<4> b = 0; }; std::size_t f() { return fixed_size<t>; }"),
    ("a named value that doesn't fit",
     "auto f() { as<colour, 4> x = colour::other; return x; }",
     "auto f() { as<colour, 4> x = colour::blue; return x; }"),
    ("a run-time int",
     "auto f(int x) { return u<4>(x); }",
     "auto f(int x) { return u<4>::masked(static_cast<unsigned>(x)); }"),
    ("a run-time integer that is wider",
     "void f(mutable_view<ipv4> m, std::uint16_t x) { m.set<&ipv4::ttl>(x); }",
     "void f(mutable_view<ipv4> m, std::uint8_t x) { m.set<&ipv4::ttl>(x); }"),
    ("a wider u",
     "u<8> f(u<9> x) { return u<8>(x); }",
     "u<9> f(u<8> x) { return u<9>(x); }"),
    ("a run-time value of a wider enumeration",
     "auto f(colour x) { return as<colour, 4>(x); }",
     "auto f(colour x) { return as<colour, 8>(x); }"),
    ("an enumeration narrower than its field",
     "auto f() { return as<colour, 9>(); }",
     "auto f() { return as<colour, 8>(); }"),
    ("an enumeration without a fixed type",
     "enum loose { a, b }; auto f() { return as<loose, 8>(); }",
     "enum fixed : int { a, b }; auto f() { return as<fixed, 8>(); }"),
    ("a field of no bits", "auto f() { return u<0>(); }", "auto f() { return u<1>(); }"),
    ("a field of 65 bits", "auto f() { return u<65>(); }", "auto f() { return u<64>(); }"),
    ("setting through a view of constant bytes",
     "void f(view<ipv4> v) { v.set<&ipv4::ttl>(1); }",
     "void f(mutable_view<ipv4> v) { v.set<&ipv4::ttl>(1); }"),
    ("a mutable view of constant bytes",
     "auto f(std::span<const std::byte> b) { return mutable_view<ipv4>::parse(b); }",
     "auto f(std::span<const std::byte> b) { return view<ipv4>::parse(b); }"),
    ("another header's field",
     "struct t { u<8> a = 0; }; auto f(view<ipv4> v) { return v.get<&t::a>(); }",
     "struct t { u<8> a = 0; }; auto f(view<t> v) { return v.get<&t::a>(); }"),
    ("a header that doesn't fill whole bytes",
     "struct t { u<4> a = 0; }; auto f(std::span<std::byte> b) { return view<t>::parse(b); }",
     "struct t { u<8> a = 0; }; auto f(std::span<std::byte> b) { return view<t>::parse(b); }"),
    ("bytes in the middle of a byte",
     "struct t { u<4> a = 0; bytes_n<2> b = {}; u<4> c = 0; }; auto f(view<t> v) { return v.get<&t::b>(); }",
     "struct t { u<8> a = 0; bytes_n<2> b = {}; u<8> c = 0; }; auto f(view<t> v) { return v.get<&t::b>(); }"),
    ("a member that isn't a field",
     "struct t { int a = 0; }; std::size_t f() { return fixed_size<t>; }",
     "struct t { u<32> a = 0; }; std::size_t f() { return fixed_size<t>; }"),
    ("a fixed field after a variable one",
     "struct t { u<8> n = 0; var<bytes<&t::n>> v = {}; u<8> x = 0; }; bool f(view<t> v) { return v.size(); }",
     "struct t { u<8> n = 0; u<8> x = 0; var<bytes<&t::n>> v = {}; }; bool f(view<t> v) { return v.size(); }"),
    ("anything after the trailer",
     "struct t { u<8> n = 0; padding<&t::n> p = {}; var<bytes<&t::n>> v = {}; }; bool f(view<t> v) { return v.size(); }",
     "struct t { u<8> n = 0; var<bytes<&t::n>> v = {}; padding<&t::n> p = {}; }; bool f(view<t> v) { return v.size(); }"),
    ("an optional field of a part of a byte",
     "struct t { u<8> n = 0; opt<u<4>, &t::n> v = {}; }; bool f(view<t> v) { return v.size(); }",
     "struct t { u<8> n = 0; opt<u<8>, &t::n> v = {}; }; bool f(view<t> v) { return v.size(); }"),
    ("a long variable field without a limit",
     "struct t { u<16> n = 0; var<bytes<&t::n, 4>> v = {}; }; bool f(view<t> v) { return v.size(); }",
     "struct t { u<16> n = 0; var<bytes<&t::n, 4, 0, 64>> v = {}; }; bool f(view<t> v) { return v.size(); }"),
    ("more than sixteen members",
     "struct t { u<8> a{},b{},c{},d{},e{},f{},g{},h{},i{},j{},k{},l{},m{},n{},o{},p{},q{}; };"
     "std::size_t f() { return fixed_size<t>; }",
     "struct t { u<8> a{},b{},c{},d{},e{},f{},g{},h{},i{},j{},k{},l{},m{},n{},o{},p{}; };"
     "std::size_t f() { return fixed_size<t>; }"),
]


def compiles(compiler, core, source):
    command = [compiler, "-std=c++20", "-fno-exceptions", "-fno-rtti", "-fsyntax-only", f"-I{core}", "-xc++", "-"]
    done = subprocess.run(command, input=PREAMBLE + source, capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def check(compiler, core):
    """All right codes in one source, each wrong one in its own."""
    control = "".join(f"namespace case_{i} {{ {right} }}\n" for i, (_, _, right) in enumerate(CASES))
    fine, errors = compiles(compiler, core, control)
    problems = [] if fine else [f"correct code doesn't compile:\n{errors}"]
    with ThreadPoolExecutor(2) as pool:
        for (what, wrong, _), (accepted, _) in zip(CASES, pool.map(lambda c: compiles(compiler, core, c[1]), CASES)):
            problems += [f"compiles: {what}: {wrong}"] if accepted else []
    return problems


if __name__ == "__main__":
    found = check(*sys.argv[1:])
    print("\n".join(found) or f"{len(CASES)} refused, their neighbours accepted")
    sys.exit(bool(found))
