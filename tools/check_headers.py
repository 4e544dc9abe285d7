#!/usr/bin/env python3
"""Every public header compiles alone, as C17 and as C++17, twice in one file, without a warning, with each
compiler that is here. Usage: check_headers.py ROOT. A header that cannot compile is tried first: it must fail."""
import pathlib
import shutil
import subprocess
import sys

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only"]
COMPILERS = [("gcc", "c", ["-std=c17", "-Wstrict-prototypes"]), ("clang", "c", ["-std=c17", "-Wstrict-prototypes"]),
             ("g++", "c++", ["-std=c++17"]), ("clang++", "c++", ["-std=c++17"])]


def compile_text(compiler, language, options, include, text):
    command = [compiler, *options, *WARNINGS, "-I", str(include), "-x", language, "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True)


def main(root):
    include = root / "include"
    headers = sorted(include.rglob("*.h"))
    failures, tried = [], set()
    for compiler, language, options in COMPILERS:
        works = shutil.which(compiler) and not compile_text(compiler, language, options, include, "int x;\n").returncode
        if not works:
            continue
        tried.add(language)
        if not compile_text(compiler, language, options, include, "#include <stddef.h>\nsize_t f(undeclared x);\n").returncode:
            failures.append(f"{compiler}: accepts what it should not")
        for header in headers:
            name = header.relative_to(include)
            done = compile_text(compiler, language, options, include, f'#include "{name}"\n' * 2 + "int x;\n")
            if done.returncode:
                failures.append(f"{name} with {compiler}:\n{done.stderr}")
    if not headers or "c" not in tried:
        failures.append("no header or no C compiler was found")
    print("\n".join(failures) or f"{len(headers)} headers as {' and '.join(sorted(tried))}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
