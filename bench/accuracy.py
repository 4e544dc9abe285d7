"""How good the recipes for Fashion-MNIST are: trained with seeds 1, 2, …, measured on the test images."""
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from rows import ATHANOR, BF16, ROOT, row


def athanor(verb, recipe, seed, folder, sets):
    """What the verb says as JSON, and the seconds that it took."""
    sets = [word for s in (*sets, f"seed={seed}") for word in ("--set", s)]
    begin = time.monotonic()
    done = subprocess.run([ATHANOR, verb, ROOT / "recipes" / recipe, "--dir", folder, "--json", *sets], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout), time.monotonic() - begin


def each_seed(verb, recipe, seeds, sets=()):
    """(report, seconds, lines of its log if it is a training) of every seed."""
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            report, seconds = athanor(verb, recipe, seed, folder, sets)
            log = Path(folder, "log.jsonl")
            yield report, seconds, [json.loads(l) for l in log.read_text().splitlines()] if log.exists() else []


def bench_test(verb, recipe, what, seeds, least, minutes=None, sets=()):
    results = list(each_seed(verb, recipe, seeds, sets))
    found = [100 * (report.get("ensemble") or report)["test"]["accuracy"] for report, _, _ in results]
    mean, longest = statistics.mean(found), max(seconds / 60 for _, seconds, _ in results)
    row(f"{recipe[:-5]}: {what}, test accuracy, seeds: {seeds}", ", ".join(f"{f:.2f} %" for f in found),
        f"{longest:.1f} minutes at most", f"{mean:.2f} %", f"{least} %" + (f" in {minutes} minutes" if minutes else ""),
        mean >= least and (not minutes or longest <= minutes))


def bench_mlp(seeds):
    """On all 60,000 images, since its constants were chosen with 50,000."""
    bench_test("train", "fashion-mlp-256.yaml", "MLP 256-128-100", seeds, 89.5,
               sets=["data.validation=0", "train.optimizer.adamw.learning_rate.cosine_decay.decay_steps=18760"])


def bench_cnn(seeds):
    bench_test("train", "fashion-cnn-100k.yaml", "CNN of fewer than 100,000 parameters", seeds, 92.7)


def bench_ten_minutes(seeds):
    bench_test("run", "fashion-ten-minutes.yaml", "ensemble", seeds, 93.6, minutes=10)


def bench_lab(seeds):
    """Until 85 % of the validation images are right, in the precision that this processor is fastest in."""
    sets = ["train.callbacks.1.stop_at_accuracy.patience=1"] + ["dtype_policy=mixed_bfloat16"] * BF16
    results = list(each_seed("train", "fashion-wrn-lab.yaml", seeds, sets))
    reached, longest = [100 * log[-1]["val_accuracy"] for _, _, log in results], max(s / 60 for _, s, _ in results)
    row(f"fashion-wrn-lab: WRN-16-10{' in mixed_bfloat16' * BF16} on 10,000 images, validation accuracy, seeds: {seeds}",
        ", ".join(f"{r:.1f} %" for r in reached), f"in {', '.join(str(len(log)) for _, _, log in results)} epochs",
        f"{longest:.0f} minutes at most", "85 % in 60 minutes", min(reached) >= 85 and longest <= 60)


BENCHES = {"accuracy-mlp": bench_mlp, "accuracy-cnn": bench_cnn, "accuracy-ten-minutes": bench_ten_minutes,
           "accuracy-lab": bench_lab}
