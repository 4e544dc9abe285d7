"""What the parts of the bench share: rows, both sides of a comparison, and where the rows of earlier runs are kept.

ATHANOR_CPU=avx2 holds both sides to AVX2 on a processor that has more; the floors follow it."""
import json
import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PYTHON = Path(os.environ.get("BENCH_VENV", ROOT / ".venv-bench")) / "bin/python"
ATHANOR = BUILD / "athanor"
KEPT = Path(__file__).resolve().parent / "kept.jsonl"
PEERS_HELD = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2",
              "MKL_ENABLE_INSTRUCTIONS": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}


def processor():
    """Its name, and what it can do."""
    info = Path("/proc/cpuinfo").read_text()
    return (re.search(r"^model name\s*:\s*(.*)$", info, re.M).group(1),
            re.search(r"^flags\s*:(.*)$", info, re.M).group(1).split())


CPU, FLAGS = processor()
HAS_AVX512 = "avx512f" in FLAGS
HELD = os.environ.get("ATHANOR_CPU", "")
if HELD not in ("", "avx2", "avx512"):
    raise SystemExit(f"bench: ATHANOR_CPU={HELD}: both sides can be held to avx2 only")
AVX512 = HAS_AVX512 and HELD != "avx2"
BF16 = AVX512 and "avx512_bf16" in FLAGS
ISA = "AVX-512" if AVX512 else "AVX2"
MACHINE = (f"{CPU}, {os.cpu_count()} cores, {ISA}{' (held to it, both sides)' if HAS_AVX512 and not AVX512 else ''}, "
           f"{platform.system()} {platform.release()}")
if HELD == "avx2":
    os.environ.update(PEERS_HELD)

rows = []  # (what, ours, theirs, ratio or figure, target, reached) of the part that runs


def row(what, ours, theirs, figure, target="", reached=None):
    """reached None: there is no floor."""
    rows.append((what, ours, theirs, figure, target, "-" if reached is None else "yes" if reached else "no"))
    print("  ".join(str(x) for x in rows[-1]), flush=True)


def floor(avx512, avx2):
    return avx512 if AVX512 else avx2


def gain(avx512):
    """The floor of a ratio: AVX2 has to give two thirds of the gain."""
    return floor(avx512, round(1 + (avx512 - 1) * 2 / 3, 2))


def build(*programs):
    subprocess.run(["ninja", "-C", BUILD, *(f"bench/{p}" for p in programs)], check=True, stdout=subprocess.DEVNULL)


def plural(threads):
    return f"{threads} thread{'s' * (int(threads) > 1)}"


class Side:
    """A program that measures one round for every "go" it reads."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)
        ready = self.process.stdout.readline()
        if not ready:
            raise SystemExit(f"bench: {' '.join(map(str, command))} ended before it was ready; run it alone to see why")
        self.ready = json.loads(ready)

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())["ms_per_step"]

    def round(self):
        self.go()
        return self.result()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- kept rows and the README ----------------------------------------------------------------------------


def keep(part, parts):
    """Puts the rows of this part in the place of those that an earlier run kept for it and this instruction set."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()]
    kept = [k for k in kept if (k["isa"], k["part"]) != (ISA, part)]
    kept += [{"isa": ISA, "part": part, "machine": MACHINE, "row": r} for r in rows]
    order = list(parts)
    kept.sort(key=lambda k: (k["isa"] != "AVX-512", order.index(k["part"]) if k["part"] in order else len(order)))
    KEPT.write_text("".join(json.dumps(k) + "\n" for k in kept))


def tables(kept):
    """One table of each machine, in the order of the rows."""
    lines = []
    for machine in dict.fromkeys(k["machine"] for k in kept):
        lines += [machine, "", "| what | Athanor | the other side | figure | at least | reached |", "|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(k["row"]) + " |" for k in kept if k["machine"] == machine] + [""]
    return "\n".join(lines[:-1])


def write_readme():
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()]
    readme = ROOT / "README.md"
    readme.write_text(re.sub(r"(<!-- bench -->\n).*(<!-- /bench -->)", lambda m: m[1] + tables(kept) + "\n" + m[2],
                             readme.read_text(), flags=re.S))
