"""Keeps code readable: files below 600 lines, the median function below 10, 99 of 100 functions below 60."""

import re
import statistics
import sys

from common import code, files, finish

FILE_LIMIT, FUNCTION_LIMIT, MEDIAN_LIMIT = 600, 60, 10
SCOPE = re.compile(r"\b(namespace|struct|class|union|enum|extern)\b[^()]*$|\bextern\s+$")
LABEL = re.compile(r"\s*(public|private|protected)\s*:(?!:)")
INITIALISER = re.compile(r"[:,]\s*[\w:]+(<[^()]*>)?\s*$")


def functions(text):
    """(first line, number of lines) of each function in C or C++ source that clang-format has been over."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), code(text), flags=re.M)
    found, depth, inside, start = [], 0, None, 0  # inside: depth of the function that we are in; start: of its prefix
    initialisers = []
    for match in re.finditer(r"[{};]", text):
        sign, at = match.group(), match.start()
        if sign == "{":
            label = LABEL.match(text, start, at)
            start = label.end() if label else start
            prefix = text[start:at]
            if inside is None and ")" in prefix and "=" not in prefix.rsplit(")", 1)[1]:
                if INITIALISER.search(prefix) and re.search(r"\)[^()]*:", prefix, re.S):
                    initialisers.append(depth)
                elif not SCOPE.search(prefix):
                    inside, first = depth, text.count("\n", 0, start + len(prefix) - len(prefix.lstrip())) + 1
            depth += 1
        elif sign == "}":
            depth -= 1
            if inside == depth:
                found.append((first, text.count("\n", 0, at) + 2 - first))
                inside = None
        if initialisers and sign == "}" and initialisers[-1] == depth:
            initialisers.pop()
        elif inside is None and not initialisers:
            start = at + 1
    return found


def check(root):
    problems, lengths = [], []
    for path in files(root, ".h", ".cpp", ".c", ".def", ".py"):
        text = (root / path).read_text()
        lines = text.count("\n")
        if lines >= FILE_LIMIT:
            problems.append(f"{path}: {lines} lines, the limit is {FILE_LIMIT}")
        if path.parts[0] in ("core", "abi", "bindings", "python", "examples") and path.suffix != ".py":
            lengths += [(n, f"{path}:{first}") for first, n in functions(text)]
    if not lengths:
        return problems
    median = statistics.median(n for n, _ in lengths)
    if median >= MEDIAN_LIMIT:
        problems.append(f"the median function has {median} lines, the limit is {MEDIAN_LIMIT}")
    long = [f"{where}: a function of {n} lines" for n, where in sorted(lengths, reverse=True) if n >= FUNCTION_LIMIT]
    if len(long) * 100 > len(lengths):
        problems += long
    print(f"{len(lengths)} functions, median {median} lines, {len(long)} of {FUNCTION_LIMIT} or more")
    return problems


if __name__ == "__main__":
    import pathlib

    finish(check(pathlib.Path(sys.argv[1])), "sizes")
