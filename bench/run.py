#!/usr/bin/env python3
"""Prints the figures of the README: Athanor and its rivals in turn, in one run, medians.

    bench/run.py [PART …] [--rounds N] [--seeds N] [--readme]       without names: all of BENCHES; `accuracy`: recipes, for two hours

The rivals live in a virtual environment that bench/peers/setup makes (BENCH_VENV names another one). Ratios are taken
round by round, both sides one after the other, because a machine's speed drifts. --readme keeps the rows in
bench/kept.jsonl, in the place of those that the same part printed before, and writes all kept ones into README.md.
ATHANOR_CPU=avx2 holds both sides to AVX2."""
import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import accuracy
from rows import ATHANOR, BF16, BUILD, ISA, MACHINE, PYTHON, ROOT, Side, build, floor, gain, keep, plural, row, rows, write_readme

STEPS = {"mlp64": ("MLP 784-64-10, RMSprop, batch 128", 4), "mlp512": ("MLP 784-512-512-10, Adam, batch 128", 2),
         "cnn": ("CNN 32-64-dense 128, Adam, batch 64", 2.6), "wrn": ("WideResNet-16-10, SGD, batch 32", 1.9),
         **({"wrn-bf16": ("WideResNet-16-10 in mixed_bfloat16, SGD, batch 32", 1.2)} if BF16 else {})}


def in_turn(own, peer, rounds):
    """Medians of both sides' milliseconds a step, and of their ratio; both are closed."""
    pairs = [(own.round(), peer.round()) for _ in range(rounds)]
    own.close(), peer.close()
    ours, theirs = (statistics.median(side) for side in zip(*pairs))
    return ours, theirs, statistics.median(p / o for o, p in pairs)


def own_side(case, threads, rounds):
    return Side([BUILD / "bench/bench_step", case, str(threads), str(rounds), "--wait"])


def bench_step(rounds):
    """Training steps of four nets, one and two threads, against PyTorch at its best settings, eager or compiled."""
    build("bench_step")
    for case, (name, target) in STEPS.items():
        target = gain(target)
        for threads in ("1", "2"):
            peer = Side([PYTHON, ROOT / "bench/peers/torch_train.py", case, threads, str(rounds), "--wait"])
            ours, theirs, ratio = in_turn(own_side(case, threads, rounds), peer, rounds)
            row(f"{name}, {plural(threads)}, a step", f"{ours:.3f} ms",
                f"PyTorch ({peer.ready['settings']}) {theirs:.3f} ms", f"{ratio:.2f}x", f"{target}x", ratio >= target)


def bench_keras(rounds):
    """The same steps by Keras on TensorFlow and on JAX, for which there is no floor."""
    build("bench_step")
    for case in ("mlp64", "mlp512", "cnn"):
        for threads in ("1", "2"):
            for backend, name in (("tensorflow", "TensorFlow"), ("jax", "JAX")):
                peer = Side([PYTHON, ROOT / "bench/peers/keras_train.py", case, threads, str(rounds), "--backend", backend,
                             "--wait"])
                ours, theirs, ratio = in_turn(own_side(case, threads, rounds), peer, rounds)
                row(f"{STEPS[case][0]}, {plural(threads)}, a step", f"{ours:.3f} ms",
                    f"Keras on {name} ({peer.ready['settings']}) {theirs:.3f} ms", f"{ratio:.2f}x")


def bench_batch(rounds):
    """How much of a large batch's throughput a small one has."""
    build("bench_step")
    rounds = max(2, rounds // 3)
    for threads in (1, 2):
        small, large, ratio = in_turn(own_side("wrn8", threads, rounds), own_side("wrn256", threads, rounds), rounds)
        share = ratio * 8 / 256
        row(f"WideResNet-16-10, {plural(threads)}: throughput at batch 8", f"{8e3 / small:.1f}/s",
            f"batch 256 {256e3 / large:.1f}/s", f"{100 * share:.0f} %", "70 %", share >= 0.7)


def a_second(steps):
    return f"{steps:.0f} steps/s" if steps >= 1000 else f"{steps:.4g} steps/s"


def bench_jobs(rounds):
    """Two trainings side by side on a thread each against one on two threads: the rule that tune.threads follows."""
    build("bench_step")
    for case, (name, _) in STEPS.items():
        beside, alone = [own_side(case, 1, rounds) for _ in range(2)], own_side(case, 2, rounds)
        pairs = []
        for _ in range(rounds):
            for side in beside:
                side.go()
            pairs.append((sum(1e3 / side.result() for side in beside), 1e3 / alone.round()))
        for side in (*beside, alone):
            side.close()
        both, one = (statistics.median(side) for side in zip(*pairs))
        row(f"{name}: two trainings side by side, 1 thread each", a_second(both),
            f"one on 2 threads {a_second(one)}", f"{statistics.median(b / o for b, o in pairs):.2f}x")


def bench_augment(rounds):
    """Shifting, flipping and normalising a batch of the lab, as a share of its step; one thread."""
    build("bench_augment", "bench_step")
    own = json.loads(subprocess.run([BUILD / "bench/bench_augment", str(rounds)], check=True, capture_output=True).stdout)
    wrn = Side([BUILD / "bench/bench_step", "wrn", "1", "1", "--wait"])
    step = wrn.round()
    wrn.close()
    share = own["augmented_ms"] / step
    row("augmentation (shift, flip, normalise), batch 32, 1 thread", f"{own['augmented_ms']:.3f} ms",
        f"gather alone {own['gather_ms']:.3f} ms, a step of WRN-16-10 {step:.0f} ms", f"{100 * share:.3f} % of the step",
        "under 1 %", share < 0.01)


def tune(recipe, folder, *options):
    begin = time.monotonic()
    subprocess.run([ATHANOR, "tune", ROOT / "bench" / recipe, "--dir", folder, *options], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def peer_seconds(script, *options):
    begin = time.monotonic()
    subprocess.run([PYTHON, ROOT / "bench/peers" / script, *options], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def bench_search(rounds):
    """The 8-configuration search, whole programs."""
    peers = {"KerasTuner + TensorFlow": ("keras_tuner_search.py", [[]], 20),
             "KerasTuner + TensorFlow with steps_per_execution=8": ("keras_tuner_search.py",
                                                                    [["--steps-per-execution", "8"]], 20),
             "Optuna 5 + PyTorch": ("optuna_torch_search.py", [["--jobs", "2", "--threads", "1"],
                                                               ["--jobs", "1", "--threads", "2"]], 4)}
    with tempfile.TemporaryDirectory() as folder:
        tune("search8.yaml", f"{folder}/warm")  # the data cache
        for name, (script, settings, target) in peers.items():
            pairs = []
            for i in range(max(1, rounds // 3)):
                ours = tune("search8.yaml", f"{folder}/{len(name)}-{i}")
                pairs.append((ours, min(peer_seconds(script, *s) for s in settings)))
            ratio = statistics.median(t / o for o, t in pairs)
            row(f"8-configuration search, whole program, 2 jobs, against {name}", f"{statistics.median(o for o, _ in pairs):.1f} s",
                f"{statistics.median(t for _, t in pairs):.1f} s", f"{ratio:.1f}x", f"{target}x", ratio >= target)


def bench_start(rounds):
    """From the start of the process to the end of the first training step, data cache warm."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(rounds + 1):
            begin = time.monotonic()
            subprocess.run([ATHANOR, "train", ROOT / "bench/search8.yaml", "--steps", "1", "--threads", "1", "--dir",
                            f"{folder}/{i}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            times.append((time.monotonic() - begin) * 1e3)
    ms = statistics.median(times[1:])
    row("start of the process to its end after one training step", f"{ms:.0f} ms", "", f"{ms:.0f} ms", "100 ms", ms <= 100)


def memory_of(pid):
    """Megabytes: the proportional set size, and what of it is the process's own, which no other one's end can change."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return [int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) / 1024 for name in ("Pss", "Pss_Anon")]
    except (OSError, AttributeError):
        return [0.0, 0.0]


def children(pid):
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def trials_done(folder):
    done = len(list(Path(folder, "trials").glob("*/*/log.jsonl"))) if Path(folder, "trials").exists() else 0
    return done


def bench_memory(_rounds):
    """Proportional set sizes of worker and runner over a hundred trials; what is their own must not grow."""
    with tempfile.TemporaryDirectory() as folder:
        runner = subprocess.Popen([ATHANOR, "tune", ROOT / "bench/memory.yaml", "--dir", f"{folder}/run"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples = []  # (trials done, worker, runner)
        while runner.poll() is None:
            worker = max([memory_of(c) for c in children(runner.pid)] or [[0.0, 0.0]])
            samples.append((trials_done(f"{folder}/run"), worker, memory_of(runner.pid)))
            time.sleep(0.05)

    def peak(column, kind, low, high):
        return max((s[column][kind] for s in samples if low <= s[0] <= high), default=0.0)

    for column, name, limit in ((1, "a worker", 300), (2, "the runner", 100)):
        late = peak(column, 0, 90, 100)
        early_own, late_own = peak(column, 1, 5, 15), peak(column, 1, 90, 100)
        row(f"memory (PSS) of {name} on the MLP search, trials 90-100", f"{late:.0f} MB, {late_own:.1f} MB its own",
            f"trials 5-15: {early_own:.1f} MB its own", f"{late:.0f} MB", f"{limit} MB, flat",
            late <= limit and late_own <= early_own * 1.1 + 2)


def write_npy(path, kind, shape, data):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data)


def quantized(recipe, folder, *options, rounds=1):
    """What `athanor quantize` reports in each round of the recipe's model, which is trained on one thread; both in the
    folder: (float32, int8) pairs."""
    subprocess.run([ATHANOR, "train", recipe, "--threads", "1", "--dir", "run", *options], check=True, cwd=folder,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pairs = []
    for k in range(rounds):
        done = subprocess.run([ATHANOR, "quantize", "run/model.safetensors", "--threads", "1", "--json",
                               "--out", f"int8-{k}.safetensors"], check=True, cwd=folder, capture_output=True, text=True)
        report = json.loads(done.stdout)
        pairs.append((report["float32"], report["int8"]))
    return pairs


def row_int8_speed(name, pairs):
    sides = [[side["samples_per_second"] for side in pair] for pair in pairs]
    before, after = (statistics.median(side) for side in zip(*sides))
    ratio, target = statistics.median(a / b for b, a in sides), floor(3.5, 2.5)
    row(f"{name} as int8 against our float32, 1 thread, predictions", f"{after:.0f}/s", f"float32 {before:.0f}/s",
        f"{ratio:.2f}x", f"{target}x", ratio >= target)


def row_int8_accuracy(name, pairs):
    before, after = (side["accuracy"] for side in pairs[0])
    points = 100 * (after - before)
    row(f"{name} as int8, test accuracy", f"{after:.4f}", f"float32 {before:.4f}", f"{points:+.2f} points", "-0.3 points",
        points >= -0.3)


def bench_int8(rounds):
    """Prediction of int8 copies against the float32 models; and of one image with the model loaded. The WideResNet-16-10
    is untrained, which changes nothing of its speed; the accuracy is that of a small trained one."""
    build("bench_predict")
    with tempfile.TemporaryDirectory() as folder:
        pairs = quantized(ROOT / "bench/int8.yaml", folder, rounds=rounds)
        one = json.loads(subprocess.run([BUILD / "bench/bench_predict", f"{folder}/run/model.safetensors"], check=True,
                                        capture_output=True, text=True).stdout)
    over = one["predict_us"] - one["kernels_us"]
    row("predict one image, CNN loaded, 1 thread", f"{one['predict_us']:.1f} us", f"its kernels {one['kernels_us']:.1f} us",
        f"{over:.1f} us over", "20 us", over <= 20)
    row_int8_speed("CNN 32-64-dense 128", pairs)
    row_int8_accuracy("CNN 32-64-dense 128", pairs)
    with tempfile.TemporaryDirectory() as folder:
        images = 256
        write_npy(f"{folder}/x.npy", "|u1", (images, 28, 28), random.Random(1).randbytes(images * 28 * 28))
        write_npy(f"{folder}/y.npy", "|u1", (images,), bytes(i % 10 for i in range(images)))
        shutil.copy(ROOT / "bench/int8-wrn.yaml", folder)
        row_int8_speed("WideResNet-16-10 (untrained)", quantized("int8-wrn.yaml", folder, "--steps", "1", rounds=rounds))
    with tempfile.TemporaryDirectory() as folder:
        row_int8_accuracy("WideResNet-10-2 (8 epochs of 10,000 images)",
                          quantized(ROOT / "bench/int8-wrn-small.yaml", folder))


BENCHES = {"step": bench_step, "keras": bench_keras, "batch": bench_batch, "jobs": bench_jobs, "int8": bench_int8,
           "augment": bench_augment, "search": bench_search, "start": bench_start, "memory": bench_memory}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {**BENCHES, **accuracy.BENCHES}
    arguments.add_argument("parts", nargs="*", choices=[*parts, "accuracy", []])
    arguments.add_argument("--rounds", type=int, default=9, help="of timings in turn")
    arguments.add_argument("--seeds", type=int, default=3, help="trainings of each recipe whose accuracy is measured")
    arguments.add_argument("--readme", action="store_true", help="keeps the rows, and writes them into README.md")
    options = arguments.parse_args()
    if not PYTHON.exists():
        sys.exit(f"bench: no virtual environment at {PYTHON.parent.parent}; run bench/peers/setup")
    print(MACHINE, flush=True)
    named = [p for name in options.parts for p in (accuracy.BENCHES if name == "accuracy" else [name])]
    for part in named or BENCHES:
        parts[part](options.seeds if part in accuracy.BENCHES else options.rounds)
        if options.readme:  # after each part, so that an interrupted run keeps what it had
            keep(part, parts)
            write_readme()
        rows.clear()


if __name__ == "__main__":
    main()
