"""optimizers.json: 12 updates of two variables by every optimiser, and schedules.json: every schedule's values."""
from common import keras, np, numbers, short, tensor, tf, write

STEPS = 12
LR = {"learning_rate": 0.05}
COSINE = {"initial_learning_rate": 0.1, "decay_steps": 8, "alpha": 0.1}



class Lars(keras.optimizers.Optimizer):
    """Not in Keras: the formula of tf.contrib.opt.LARSOptimizer over Keras's clipping and schedules. weight_decay
    enters the trust ratio only, so the base class does not get it."""

    def __init__(self, learning_rate=0.01, weight_decay=1e-4, momentum=0.9, eeta=0.001, epsilon=0.0, nesterov=False,
                 **common):
        super().__init__(learning_rate=learning_rate, name="lars", **common)
        self.decay, self.momentum, self.eeta, self.eps = weight_decay, momentum, eeta, epsilon
        self.nesterov = nesterov

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.velocities = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        w, v = tf.convert_to_tensor(variable), self.velocities[self._get_variable_index(variable)]
        w_norm, g_norm = tf.norm(w), tf.norm(gradient)
        trust = self.eeta * w_norm / (g_norm + self.decay * w_norm + self.eps)
        trust = tf.where(w_norm > 0, tf.where(g_norm > 0, trust, 1.0), 1.0)
        v.assign(self.momentum * v + gradient)
        step = self.momentum * v + gradient if self.nesterov else v
        variable.assign(w - tf.cast(learning_rate, w.dtype) * trust * step)


OWN = {"Lars": Lars}

# name, Keras class, options
OPTIMIZERS = [
    ("sgd", "SGD", {}),
    ("sgd_momentum", "SGD", {**LR, "momentum": 0.9}),
    ("sgd_nesterov", "SGD", {**LR, "momentum": 0.9, "nesterov": True}),
    ("sgd_weight_decay", "SGD", {**LR, "weight_decay": 0.1}),
    ("sgd_clipnorm", "SGD", {**LR, "clipnorm": 0.5}),
    ("sgd_clipvalue", "SGD", {**LR, "clipvalue": 0.3}),
    ("sgd_global_clipnorm", "SGD", {**LR, "momentum": 0.9, "global_clipnorm": 0.5}),
    ("sgd_momentum_schedule", "SGD", {"learning_rate": {"cosine_decay": COSINE}, "momentum": 0.9}),
    ("sgd_nesterov_schedule", "SGD", {"learning_rate": {"cosine_decay": COSINE}, "momentum": 0.9, "nesterov": True}),
    ("rmsprop", "RMSprop", {}),
    ("rmsprop_momentum", "RMSprop", {**LR, "momentum": 0.8}),
    ("rmsprop_centered", "RMSprop", {**LR, "centered": True, "rho": 0.95}),
    ("rmsprop_centered_momentum", "RMSprop", {**LR, "centered": True, "momentum": 0.5, "epsilon": 0.01}),
    ("adam", "Adam", {}),
    ("adam_options", "Adam", {**LR, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.001}),
    ("adam_amsgrad", "Adam", {**LR, "amsgrad": True, "beta_2": 0.7}),
    ("adam_weight_decay", "Adam", {**LR, "weight_decay": 0.1}),
    ("adam_clipnorm", "Adam", {**LR, "clipnorm": 0.5}),
    ("adam_clipvalue", "Adam", {**LR, "clipvalue": 0.3}),
    ("adam_global_clipnorm", "Adam", {**LR, "global_clipnorm": 0.5}),
    ("adam_schedule", "Adam", {"learning_rate": {"cosine_decay": COSINE}}),
    ("adamw", "AdamW", {}),
    ("adamw_options", "AdamW", {**LR, "weight_decay": 0.2}),
    ("nadam", "Nadam", {}),
    ("nadam_options", "Nadam", {**LR, "beta_1": 0.8, "beta_2": 0.95}),
    ("adamax", "Adamax", {}),
    ("adamax_options", "Adamax", {**LR, "beta_1": 0.8, "beta_2": 0.5}),
    ("adagrad", "Adagrad", {}),
    ("adagrad_options", "Adagrad", {**LR, "initial_accumulator_value": 0.5}),
    ("adadelta", "Adadelta", {}),
    ("adadelta_options", "Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 0.001}),
    ("ftrl", "Ftrl", {}),
    ("ftrl_l1_l2", "Ftrl", {**LR, "l1_regularization_strength": 0.05, "l2_regularization_strength": 0.1}),
    ("ftrl_options", "Ftrl", {**LR, "learning_rate_power": -0.7, "beta": 0.2,
                              "l2_shrinkage_regularization_strength": 0.1, "initial_accumulator_value": 0.2}),
    ("lion", "Lion", {}),
    ("lion_options", "Lion", {**LR, "beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    ("lamb", "Lamb", {}),
    ("lamb_options", "Lamb", {**LR, "beta_1": 0.8, "weight_decay": 0.1}),
    ("lars", "Lars", {}),
    ("lars_options", "Lars", {"learning_rate": 2.0, "momentum": 0.8, "eeta": 0.02, "epsilon": 0.1, "weight_decay": 0.5,
                              "clipnorm": 0.5}),
    ("lars_nesterov_schedule", "Lars", {"learning_rate": {"cosine_decay": COSINE}, "eeta": 0.5, "nesterov": True}),
]

SCHEDULES = [
    ("exponential", "ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("exponential_staircase", "ExponentialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("inverse_time", "InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("inverse_time_staircase", "InverseTimeDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("polynomial", "PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 25}),
    ("polynomial_power", "PolynomialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 25, "end_learning_rate": 0.01, "power": 2.0}),
    ("polynomial_cycle", "PolynomialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 25, "end_learning_rate": 0.01, "power": 2.0, "cycle": True}),
    ("piecewise", "PiecewiseConstantDecay", {"boundaries": [9, 30, 45], "values": [0.1, 0.05, 0.02, 0.001]}),
    ("cosine", "CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40}),
    ("cosine_alpha", "CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40, "alpha": 0.2}),
    ("cosine_warmup", "CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 30, "alpha": 0.1,
                                      "warmup_target": 0.1, "warmup_steps": 12}),
    ("cosine_restarts", "CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 8}),
    ("cosine_restarts_options", "CosineDecayRestarts",
     {"initial_learning_rate": 0.1, "first_decay_steps": 10, "t_mul": 1.5, "m_mul": 0.7, "alpha": 0.05}),
]
SNAKE = {"ExponentialDecay": "exponential_decay", "InverseTimeDecay": "inverse_time_decay",
         "PolynomialDecay": "polynomial_decay", "PiecewiseConstantDecay": "piecewise_constant_decay",
         "CosineDecay": "cosine_decay", "CosineDecayRestarts": "cosine_decay_restarts"}


def trajectory(name, cls, options, init, grads):
    given = dict(options)
    if isinstance(given.get("learning_rate"), dict):
        given["learning_rate"] = keras.optimizers.schedules.CosineDecay(**given["learning_rate"]["cosine_decay"])
    optimizer = (OWN.get(cls) or getattr(keras.optimizers, cls))(**given)
    variables = [keras.Variable(w, name=f"w{i}") for i, w in enumerate(init)]
    after = []
    for step in grads:
        optimizer.apply([tf.constant(g) for g in step], variables)
        after.append([[short(x) for x in np.asarray(v).ravel()] for v in variables])
    return {"name": name, "optimizer": cls.lower(), "options": options, "after": after}


def main():
    rng = np.random.default_rng(3)
    init = [numbers(rng, (3, 4)), numbers(rng, (4,))]
    grads = [[numbers(rng, (3, 4)), numbers(rng, (4,), 0.5)] for _ in range(STEPS)]
    grads[4][0][1, 2] = 0.0  # an exact zero: sign(0) and divisions by a small root
    grads[7][0][0, 0] = 30.0  # an outlier: clipping and amsgrad
    cases = [trajectory(*row, init, grads) for row in OPTIMIZERS]
    write("optimizers.json", cases, init=[tensor(w) for w in init],
          grads=[[[short(x) for x in g.ravel()] for g in step] for step in grads])

    steps = list(range(0, 61, 3))
    cases = []
    for name, cls, options in SCHEDULES:
        schedule = getattr(keras.optimizers.schedules, cls)(**options)
        values = [short(schedule(tf.constant(float(t)))) for t in steps]
        cases.append({"name": name, "schedule": SNAKE[cls], "options": options, "values": values})
    write("schedules.json", cases, steps=steps)


if __name__ == "__main__":
    main()
