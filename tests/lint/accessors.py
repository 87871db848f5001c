"""The header language costs nothing: for every fixed field of every protocol, the compiled getter and setter have no
more instructions than hand-written ones. accessors.py CORE [COMPILER...]; what isn't installed is passed over.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, namedtuple

from common import finish

LANGUAGE = {"bits.h", "checksum.h", "field.h", "members.h", "schema.h", "tail.h"}  # the other headers are protocols
FLAGS = ["-std=c++20", "-O2", "-fno-exceptions", "-fno-rtti", "-Wno-return-type-c-linkage"]

Field = namedtuple("Field", "protocol name kind offset width size")


def protocols(core):
    """(header, struct) of each protocol."""
    for header in sorted(pathlib.Path(core, "wire").glob("*.h")):
        if header.name not in LANGUAGE:
            for struct in re.findall(r"^struct (\w+) \{$", header.read_text(), re.M):
                yield header.name, struct


def includes(found):
    return "".join(f'#include "wire/{header}"\n' for header in sorted({h for h, _ in found}))


def build(compiler, core, source, folder, *options):
    """Compiles the text of a source file; returns the path of what came out."""
    out = pathlib.Path(folder, "out")
    command = [compiler, *FLAGS, f"-I{core}", "-xc++", "-", "-o", out, *options]
    subprocess.run(command, input=source, text=True, check=True)
    return out


def reflect(compiler, core, found, folder):
    """The reflection list, asked from the library itself."""
    source = includes(found) + """
#include <cstdio>
using namespace fastudp;
template <typename T>
void list(const char* protocol) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (std::printf("%s %.*s %s %zu %zu %zu\\n", protocol, static_cast<int>(fields<T>()[I].name.size()),
                 fields<T>()[I].name.data(), wire::byte_field<wire::member_type<T, I>> ? "bytes" : "number",
                 fields<T>()[I].offset, fields<T>()[I].width, fixed_size<T>), ...);
  }(std::make_index_sequence<fields<T>().size()>{});
}
int main() {
""" + "".join(f'  list<{struct}>("{struct}");\n' for _, struct in found) + "}\n"
    program = build(compiler, core, source, folder)
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    return [Field(*words[:3], *map(int, words[3:])) for words in map(str.split, lines)]


def by_hand(field):
    """What a careful programmer writes for this field: the bodies of a getter and a setter."""
    first = field.offset // 8
    if field.kind == "bytes":
        return (f"T out; std::memcpy(&out, p + {first}, sizeof out); return out;",
                f"std::memcpy(p + {first}, &value, sizeof value);")
    covered = (field.offset + field.width - 1) // 8 - first + 1
    window = next(size for size in (1, 2, 4, 8) if size >= covered)
    first = min(first, field.size - window)
    shift = (first + window) * 8 - field.offset - field.width
    mask = (1 << field.width) - 1
    word = f"std::uint{window * 8}_t"
    wide = "std::uint64_t" if window == 8 else "unsigned"
    swap = f"__builtin_bswap{window * 8}" if window > 1 else ""
    load = f"{word} w; std::memcpy(&w, p + {first}, {window}); w = {swap}(w);"
    store = f"w = {swap}(w); std::memcpy(p + {first}, &w, {window});"
    if field.width == window * 8:
        return f"{load} return static_cast<T>(w);", f"auto w = static_cast<{word}>(value); {store}"
    return (f"{load} return static_cast<T>((w >> {shift}) & {mask:#x});",
            f"{load} w = static_cast<{word}>((w & ~({wide}{{{mask:#x}}} << {shift})) | "
            f"(static_cast<{wide}>(value) << {shift})); {store}")


def accessors(field, number):
    """Four functions: a getter and a setter in the schema and by hand. Both sides take the same arguments."""
    member = f"&{field.protocol}::{field.name}"
    get, put = by_hand(field)
    plain = "::value_type" if field.kind == "number" else ""
    content = "field.value()" if field.kind == "number" else "field"
    return f"""
namespace case_{number} {{
using F = wire::field_of<{member}>;
using T = F{plain};
extern "C" T schema_get_{number}(const view<{field.protocol}>& v) {{ return v.get<{member}>(); }}
extern "C" T hand_get_{number}(const view<{field.protocol}>& v) {{ const std::byte* p = v.header().data(); {get} }}
extern "C" void schema_set_{number}(const mutable_view<{field.protocol}>& m, F value) {{ m.set<{member}>(value); }}
extern "C" void hand_set_{number}(const mutable_view<{field.protocol}>& m, F field) {{
  std::byte* p = m.header().data();
  T value = {content};
  {put}
}}
}}
"""


def instructions(compiler, core, source, folder):
    """Function -> number of instructions, the padding behind it not counted."""
    apart = [] if "clang" in compiler else ["-fno-ipa-icf"]  # else g++ makes a function a jump to its twin
    compiled = build(compiler, core, source, folder, "-c", *apart)
    command = ["objdump", "-d", "--no-show-raw-insn", compiled]
    listing = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    counts, function = Counter(), None
    for line in listing.stdout.splitlines():
        if start := re.match(r"[0-9a-f]+ <(\w+)>:", line):
            function = start[1]
        elif function and re.match(r"\s+[0-9a-f]+:\s+(?!nop|xchg\s+%ax,%ax|cs nop|data16)\w", line):
            counts[function] += 1
    return counts


def compare(compiler, core, found):
    with tempfile.TemporaryDirectory() as folder:
        list_of_fields = reflect(compiler, core, found, folder)
        source = includes(found) + "using namespace fastudp;\n"
        source += "".join(accessors(field, i) for i, field in enumerate(list_of_fields))
        counts = instructions(compiler, core, source, folder)
    for i, field in enumerate(list_of_fields):
        for what in ("get", "set"):
            schema, hand = counts[f"schema_{what}_{i}"], counts[f"hand_{what}_{i}"]
            if not 0 < schema <= hand:
                yield f"{compiler}: {what} {field.protocol}::{field.name}: {schema} instructions, by hand {hand}"
    print(f"{compiler}: {2 * len(list_of_fields)} accessors of {len(found)} headers, "
          f"{sum(n for f, n in counts.items() if 'schema' in f)} instructions, "
          f"by hand {sum(n for f, n in counts.items() if 'hand' in f)}")


def check(core, compilers):
    found = list(protocols(core))
    present = [compiler for compiler in compilers if shutil.which(compiler)]
    if not found or not present:
        return [f"nothing to compare: headers {found}, compilers {present}"]
    return [problem for compiler in present for problem in compare(compiler, core, found)]


if __name__ == "__main__":
    finish(check(sys.argv[1], sys.argv[2:] or ["g++", "clang++-14"]), "accessors")
