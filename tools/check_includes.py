#!/usr/bin/env python3
"""Includes point down: every #include "part/..." in src/ names the same part or one below it.
Usage: check_includes.py ROOT | --self-test. Prints each offender; exit 1 if there is one."""
import pathlib
import re
import sys
import tempfile

# From below; parts of one set do not know each other, but for cli, which may use all.
ORDER = [{"base"}, {"tensor", "augment"}, {"graph"}, {"comm"}, {"backends"}, {"passes"}, {"nn"}, {"zoo", "data"},
         {"train"}, {"tune", "ensemble"}, {"recipe"}, {"report", "cli"}]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
TRAINING = {"nn", "zoo", "data", "train"}  # search and ensembling know nothing of training
FORBIDDEN = {"tune": TRAINING, "ensemble": TRAINING}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def fault(part, target):
    """Why `part` may not include a header of `target`, or None."""
    if target not in RANK:
        return f"{target} is no part; write \"part/header.h\""
    if target in FORBIDDEN.get(part, ()):
        return f"{part} must know nothing of {target}"
    if part == target or part == "cli" or RANK[target] < RANK[part]:
        return None
    return f"{target} is not below {part}"


def check(root):
    faults = []
    for path in sorted((root / "src").rglob("*.[ch]")):
        name = path.relative_to(root)
        if name.parts[1] not in RANK:
            faults.append(f"{name}: {name.parts[1]} is no part")
            continue
        for header in INCLUDE.findall(path.read_text()):
            target = header.split("/")[0]
            why = None if target == "athanor" else fault(name.parts[1], target)
            found = (root / ("include" if target == "athanor" else "src") / header).exists()
            # *.def and generated files are included by folder too; what no folder of ours holds is a mistake
            if why or not found:
                faults.append(f'{name}: #include "{header}": {why or "no such file"}')
    return faults


def self_test():
    """The check finds each kind of offender that is planted, and no more."""
    planted = {"base/a.c": '#include "train/t.h"', "tune/a.c": '#include "train/t.h"', "data/a.c": '#include "zoo/z.h"',
               "nn/a.c": '#include "lost.h"', "graph/a.c": '  #  include "base/gone.h"', "cli/ok.c": '#include "report/r.h"',
               "train/ok.c": '#include "train/t.h"\n#include "zoo/z.h"\n#include <stdio.h>'}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**planted, "train/t.h": "", "zoo/z.h": "", "report/r.h": ""}.items():
            path = root / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        faults = check(root)
    wrong = {name for name in planted if "ok" not in name}
    named = {line.split(":")[0].removeprefix("src/") for line in faults}
    return [] if named == wrong and len(faults) == len(wrong) else [f"self-test: found {sorted(named)}"]


if __name__ == "__main__":
    result = self_test() or (check(pathlib.Path(sys.argv[1])) if sys.argv[1] != "--self-test" else [])
    print("\n".join(result))
    sys.exit(bool(result))
