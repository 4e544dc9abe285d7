"""How fast PyTorch trains the benchmark nets, with the fastest of its own settings.

    torch_train.py CASE THREADS ROUNDS [--settings NAME] [--wait]        CASE: mlp64, mlp512, cnn, wrn; with -bf16
behind it under autocast to bfloat16

Every setting is tried first, the fastest is kept. One JSON line a round; with --wait a first line {"ready": …}, and
each round starts when a line "go" arrives on standard input, so that a driver can let two programs take turns."""
import argparse
import json
import os
import sys
import time

ARGS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGS.add_argument("case", choices=[c + p for c in ("mlp64", "mlp512", "cnn", "wrn") for p in ("", "-bf16")])
ARGS.add_argument("threads", type=int)
ARGS.add_argument("rounds", type=int)
ARGS.add_argument("--settings", help="one of the settings instead of the fastest: eager, fused, channels_last, compiled, …")
ARGS.add_argument("--wait", action="store_true")
ARGS = ARGS.parse_args()
NET, BF16 = ARGS.case.removesuffix("-bf16"), ARGS.case.endswith("-bf16")
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(ARGS.threads)

import torch
from torch import nn
import torch.nn.functional as F

from common import fashion


def mlp(*sizes):
    layers = []
    for i, o in zip(sizes, sizes[1:]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10))


def conv_bn_relu(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())


class Block(nn.Module):
    """The lab's residual block: convolution, batch normalisation, ReLU, twice, and no ReLU behind the sum."""

    def __init__(self, i, o):
        super().__init__()
        self.shortcut = nn.Conv2d(i, o, 1) if i != o else nn.Identity()
        self.body = nn.Sequential(conv_bn_relu(i, o), nn.Dropout(0.01), conv_bn_relu(o, o))

    def forward(self, x):
        return self.shortcut(x) + self.body(x)


def wrn():
    """WideResNet-16-10 with pooling between the groups."""
    return nn.Sequential(conv_bn_relu(1, 16), Block(16, 160), Block(160, 160), nn.MaxPool2d(2), Block(160, 320),
                         Block(320, 320), nn.MaxPool2d(2), Block(320, 640), Block(640, 640), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(640, 10))


CASES = {  # net, optimiser, batch, steps a round, settings worth trying
    "mlp64": (lambda: mlp(784, 64, 10), torch.optim.RMSprop, 128, 1200, ["eager", "for_loop", "compiled"]),
    "mlp512": (lambda: mlp(784, 512, 512, 10), torch.optim.Adam, 128, 150, ["eager", "for_loop", "fused", "compiled"]),
    "cnn": (cnn, torch.optim.Adam, 64, 50, ["eager", "fused", "channels_last", "compiled", "compiled_channels_last"]),
    "wrn": (wrn, torch.optim.SGD, 32, 2, ["eager", "channels_last", "compiled", "compiled_channels_last"]),
}
OPTIMIZER_OPTIONS = {"for_loop": {"foreach": False}, "fused": {"fused": True}, "channels_last": {"fused": True},
                     "compiled_channels_last": {"fused": True}}


class Training:
    """One net in training under one setting; the data stays the same."""

    def __init__(self, case, setting, x, y):
        make, optimizer, self.batch, self.steps, _ = CASES[case]
        torch.manual_seed(0)
        self.x, self.y, self.at, self.channels_last = x, y, 0, "channels_last" in setting
        self.order = torch.randperm(len(x))
        net = make().to(memory_format=torch.channels_last) if self.channels_last else make()
        options = dict(OPTIMIZER_OPTIONS.get(setting, {"foreach": True}))
        if optimizer is torch.optim.RMSprop:
            options.pop("fused", None)
        self.optimizer = optimizer(net.parameters(), 1e-3, **options)

        def loss(inputs, labels):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BF16):
                logits = net(inputs)
            return F.cross_entropy(logits.float(), labels)

        self.loss = torch.compile(loss) if "compiled" in setting else loss

    def step(self):
        if self.at + self.batch > len(self.x):
            self.at = 0
        rows = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        inputs = self.x[rows]
        if self.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = self.loss(inputs, self.y[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def seconds_per_step(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            loss = self.step()
        loss.item()
        return (time.perf_counter() - start) / steps


def choose(case, wanted, x, y):
    """The fastest setting that works here, and what each took."""
    tried, best = {}, None
    for setting in [wanted] if wanted else CASES[case][4]:
        try:
            training = Training(case, setting, x, y)
            training.seconds_per_step(min(10, training.steps))
            seconds = min(training.seconds_per_step(max(1, training.steps // 6)) for _ in range(3))
        except Exception as e:  # torch.compile needs a C++ compiler, for one
            tried[setting] = f"{type(e).__name__}: {e}".splitlines()[0]
            continue
        tried[setting] = round(seconds * 1e3, 4)
        if best is None or seconds < best[0]:
            best = (seconds, setting, training)
    if best is None:
        raise SystemExit(f"torch_train.py: no setting works: {tried}")
    return best[1], best[2], tried


def main():
    torch.set_num_threads(ARGS.threads)
    torch.set_flush_denormal(True)
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":  # held to it: what torch.compile writes too
        from torch._inductor import config
        config.cpp.simdlen = 256
    x, y = fashion()
    x = torch.from_numpy(x.astype("float32") / 255)
    y = torch.from_numpy(y.astype("int64"))
    if NET in ("cnn", "wrn"):
        x = x.view(-1, 1, 28, 28)
    setting, training, tried = choose(NET, ARGS.settings, x, y)
    if ARGS.wait:
        print(json.dumps({"ready": ARGS.case, "settings": setting, "tried_ms": tried,
                          "capability": torch.backends.cpu.get_cpu_capability()}), flush=True)
    for _ in range(ARGS.rounds):
        if ARGS.wait and sys.stdin.readline().strip() != "go":
            break
        seconds = training.seconds_per_step(training.steps)
        print(json.dumps({"case": ARGS.case, "threads": ARGS.threads, "ms_per_step": round(seconds * 1e3, 4),
                          "samples_per_second": round(training.batch / seconds), "settings": setting,
                          "tried_ms": tried, "versions": {"torch": torch.__version__}}), flush=True)


if __name__ == "__main__":
    main()
