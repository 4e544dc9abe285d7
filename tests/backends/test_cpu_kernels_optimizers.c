/* The optimisers: the formulas against Keras 3's, written a second time in double and run for some steps;
 * every instance and number of threads against the plain loop over the same element functions. */
#include "kernels_test.h"
#include "graph/optimizer_math.h"

static const athi_opt_hyper hyper = {.learning_rate = 0.01,
                                     .weight_decay = 0.1,
                                     .gradient_scale = 0.5,
                                     .momentum = 0.8,
                                     .rho = 0.9,
                                     .beta_1 = 0.9,
                                     .beta_2 = 0.99,
                                     .epsilon = 1e-3,
                                     .learning_rate_power = -0.5,
                                     .l1 = 0.02,
                                     .l2 = 0.03,
                                     .l2_shrinkage = 0.04,
                                     .beta = 0.05,
                                     .eeta = 0.02,
                                     .nesterov = 1};

enum { N = 33003, STEPS = 5, SLOTS = 3 };

/* One element, one step, in double: the texts of keras/src/optimizers. s: slots. t: from 1. */
static void k_sgd(double *w, double g, double *s, double t) {
    (void)s, (void)t, *w -= hyper.learning_rate * g;
}
static void k_momentum(double *w, double g, double *s, double t) {
    (void)t;
    s[0] = hyper.momentum * s[0] - hyper.learning_rate * g, *w += s[0];
}
static void k_nesterov(double *w, double g, double *s, double t) {
    (void)t;
    s[0] = hyper.momentum * s[0] - hyper.learning_rate * g;
    *w += hyper.momentum * s[0] - hyper.learning_rate * g;
}
static double rms(double g, double *v, double mean) {
    *v = hyper.rho * *v + (1 - hyper.rho) * g * g;
    return hyper.learning_rate * g / sqrt(*v - mean * mean + hyper.epsilon);
}
static void k_rmsprop(double *w, double g, double *s, double t) { (void)t, *w -= rms(g, &s[0], 0); }
static void k_rmsprop_momentum(double *w, double g, double *s, double t) {
    (void)t;
    s[1] = hyper.momentum * s[1] + rms(g, &s[0], 0), *w -= s[1];
}
static void k_rmsprop_centered(double *w, double g, double *s, double t) {
    (void)t;
    s[1] = hyper.rho * s[1] + (1 - hyper.rho) * g, *w -= rms(g, &s[0], s[1]);
}
static void k_rmsprop_centered_momentum(double *w, double g, double *s, double t) {
    (void)t;
    s[1] = hyper.rho * s[1] + (1 - hyper.rho) * g;
    s[2] = hyper.momentum * s[2] + rms(g, &s[0], s[1]), *w -= s[2];
}
static double adam_rate(double t) {
    return hyper.learning_rate * sqrt(1 - pow(hyper.beta_2, t)) / (1 - pow(hyper.beta_1, t));
}
static void moments(double g, double *s) {
    s[0] = hyper.beta_1 * s[0] + (1 - hyper.beta_1) * g,
    s[1] = hyper.beta_2 * s[1] + (1 - hyper.beta_2) * g * g;
}
static void k_adam(double *w, double g, double *s, double t) {
    moments(g, s), *w -= adam_rate(t) * s[0] / (sqrt(s[1]) + hyper.epsilon);
}
static void k_amsgrad(double *w, double g, double *s, double t) {
    moments(g, s), s[2] = fmax(s[2], s[1]), *w -= adam_rate(t) * s[0] / (sqrt(s[2]) + hyper.epsilon);
}
static void k_nadam(double *w, double g, double *s, double t) {
    double u = hyper.beta_1 * (1 - 0.5 * pow(0.96, t)), next = hyper.beta_1 * (1 - 0.5 * pow(0.96, t + 1)),
           product = 1;
    for (int i = 1; i <= (int)t; i++) product *= hyper.beta_1 * (1 - 0.5 * pow(0.96, i));
    moments(g, s);
    double m = next * s[0] / (1 - product * next) + (1 - u) * g / (1 - product);
    *w -= m * hyper.learning_rate / (sqrt(s[1] / (1 - pow(hyper.beta_2, t))) + hyper.epsilon);
}
static void k_adamax(double *w, double g, double *s, double t) {
    s[0] = hyper.beta_1 * s[0] + (1 - hyper.beta_1) * g, s[1] = fmax(hyper.beta_2 * s[1], fabs(g));
    *w -= hyper.learning_rate * s[0] / ((1 - pow(hyper.beta_1, t)) * (s[1] + hyper.epsilon));
}
static void k_adagrad(double *w, double g, double *s, double t) {
    (void)t;
    s[0] += g * g, *w -= hyper.learning_rate * g / sqrt(s[0] + hyper.epsilon);
}
static void k_adadelta(double *w, double g, double *s, double t) {
    (void)t;
    s[0] = hyper.rho * s[0] + (1 - hyper.rho) * g * g;
    double delta = -sqrt(s[1] + hyper.epsilon) * g / sqrt(s[0] + hyper.epsilon);
    s[1] = hyper.rho * s[1] + (1 - hyper.rho) * delta * delta, *w += hyper.learning_rate * delta;
}
static void k_ftrl(double *w, double g, double *s, double t) {
    (void)t;
    double l2 = hyper.l2 + hyper.beta / (2 * hyper.learning_rate), old = s[0],
           power = -hyper.learning_rate_power;
    s[0] += g * g;
    s[1] += g + 2 * hyper.l2_shrinkage * *w - (pow(s[0], power) - pow(old, power)) / hyper.learning_rate * *w;
    double clipped = fmin(fmax(s[1], -hyper.l1), hyper.l1);
    *w = (clipped - s[1]) / (pow(s[0], power) / hyper.learning_rate + 2 * l2);
}
static void k_lion(double *w, double g, double *s, double t) {
    (void)t;
    double c = hyper.beta_1 * s[0] + (1 - hyper.beta_1) * g;
    *w -= hyper.learning_rate * ((c > 0) - (c < 0)), s[0] = hyper.beta_2 * s[0] + (1 - hyper.beta_2) * g;
}

/* One variable, one step: what takes norms. s: slots [n][SLOTS]. */
static void k_lamb(int64_t n, double *w, const double *g, double (*s)[SLOTS], double t) {
    double w2 = 0, r2 = 0;
    for (int64_t i = 0; i < n; i++) {
        w[i] -= w[i] * hyper.weight_decay * hyper.learning_rate;
        moments(g[i], s[i]);
        double m_hat = s[i][0] / (1 - pow(hyper.beta_1, t));
        s[i][2] = m_hat / (sqrt(s[i][1] / (1 - pow(hyper.beta_2, t))) + hyper.epsilon);
        w2 += w[i] * w[i], r2 += s[i][2] * s[i][2];
    }
    double ratio = w2 > 0 && r2 > 0 ? sqrt(w2) / sqrt(r2) : 1;
    for (int64_t i = 0; i < n; i++) w[i] -= hyper.learning_rate * ratio * s[i][2];
}

static void k_lars(int64_t n, double *w, const double *g, double (*s)[SLOTS], double t) {
    double w2 = 0, g2 = 0;
    (void)t;
    for (int64_t i = 0; i < n; i++) w2 += w[i] * w[i], g2 += g[i] * g[i];
    double trust = hyper.eeta * sqrt(w2) / (sqrt(g2) + hyper.weight_decay * sqrt(w2) + hyper.epsilon);
    for (int64_t i = 0; i < n; i++) {
        s[i][0] = hyper.momentum * s[i][0] + g[i];
        w[i] -= hyper.learning_rate * trust * (hyper.momentum * s[i][0] + g[i]);
    }
}

static const struct {
    const char *name;
    void (*keras)(double *w, double g, double *s, double t);
    void (*prepare)(const athi_opt_hyper *o, int64_t step, float *h);
    void (*variable)(int64_t n, double *w, const double *g, double (*s)[SLOTS], double t); /* in place of keras */
} optimizers[ATHI_STEP_COUNT] = {
    [ATHI_STEP_SGD] = {"sgd", k_sgd, .prepare = athi_sgd_prepare},
    [ATHI_STEP_SGD_MOMENTUM] = {"sgd momentum", k_momentum, .prepare = athi_sgd_prepare},
    [ATHI_STEP_SGD_NESTEROV] = {"sgd nesterov", k_nesterov, .prepare = athi_sgd_prepare},
    [ATHI_STEP_RMSPROP] = {"rmsprop", k_rmsprop, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_MOMENTUM] = {"rmsprop momentum", k_rmsprop_momentum, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_CENTERED] = {"rmsprop centered", k_rmsprop_centered, .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_RMSPROP_CENTERED_MOMENTUM] = {"rmsprop centered momentum", k_rmsprop_centered_momentum,
                                             .prepare = athi_rmsprop_prepare},
    [ATHI_STEP_ADAM] = {"adam", k_adam, .prepare = athi_adam_prepare},
    [ATHI_STEP_AMSGRAD] = {"amsgrad", k_amsgrad, .prepare = athi_adam_prepare},
    [ATHI_STEP_NADAM] = {"nadam", k_nadam, .prepare = athi_nadam_prepare},
    [ATHI_STEP_ADAMAX] = {"adamax", k_adamax, .prepare = athi_adamax_prepare},
    [ATHI_STEP_ADAGRAD] = {"adagrad", k_adagrad, .prepare = athi_adagrad_prepare},
    [ATHI_STEP_ADADELTA] = {"adadelta", k_adadelta, .prepare = athi_adadelta_prepare},
    [ATHI_STEP_FTRL] = {"ftrl", k_ftrl, .prepare = athi_ftrl_prepare},
    [ATHI_STEP_FTRL_ANY_POWER] = {"ftrl any power", k_ftrl, .prepare = athi_ftrl_prepare},
    [ATHI_STEP_LION] = {"lion", k_lion, .prepare = athi_lion_prepare},
    [ATHI_STEP_LAMB] = {"lamb", NULL, .prepare = athi_lamb_prepare, .variable = k_lamb},
    [ATHI_STEP_LARS] = {"lars", NULL, .prepare = athi_lars_prepare, .variable = k_lars},
};

/* STEPS steps of one optimiser by the kernel, beside the double form; accumulators start at 0.1 as Keras's
 * adagrad and ftrl do, the second slot of ftrl (linear) and all others at 0. */
static void check_step(const athi_cpu_kernels *k, int which) {
    float *w = random_floats(N, -1, 1), *g = floats(N), *want = floats(N), h[ATHI_OPT_SCALARS];
    float *slots[SLOTS], *other[SLOTS], *w_other = floats(N);
    double *exact = malloc(N * sizeof *exact), *exact_slots = calloc(N * SLOTS, sizeof *exact_slots);
    double initial =
        which == ATHI_STEP_ADAGRAD || which == ATHI_STEP_FTRL || which == ATHI_STEP_FTRL_ANY_POWER ? 0.1 : 0;
    for (int s = 0; s < SLOTS; s++) slots[s] = floats(N), other[s] = floats(N);
    for (int i = 0; i < N; i++) {
        exact[i] = (double)w[i], w_other[i] = w[i];
        for (int s = 0; s < SLOTS; s++) slots[s][i] = other[s][i] = 0;
        slots[0][i] = other[0][i] = (float)initial, exact_slots[i * SLOTS] = initial;
    }
    for (int64_t t = 1; t <= STEPS; t++) {
        for (int i = 0; i < N; i++) g[i] = random_float(-1, 1);
        optimizers[which].prepare(&hyper, t, h);
        k->step[which](1, N, w, g, slots, h);
        k->step[which](3, N, w_other, g, other, h);
        for (int i = 0; i < N; i++) {
            exact[i] -= exact[i] * hyper.weight_decay * hyper.learning_rate;
            optimizers[which].keras(&exact[i], (double)g[i] * hyper.gradient_scale, exact_slots + i * SLOTS,
                                    (double)t);
            want[i] = (float)exact[i];
        }
    }
    /* Lion's sign may fall either way where its argument is rounded to the other side of zero. */
    double tolerance = which == ATHI_STEP_LION ? 2.1 * hyper.learning_rate : 1e-5;
    assert_close(optimizers[which].name, k, w, want, N, tolerance, 1);
    assert_memory_equal(w, w_other, N * sizeof *w);
    if (which == ATHI_STEP_LION) {
        int off = 0;
        for (int i = 0; i < N; i++) off += fabsf(w[i] - want[i]) > 1e-5f;
        assert_true(off < N / 1000);
    }
    for (int s = 0; s < SLOTS; s++) free_floats(slots[s], N), free_floats(other[s], N);
    free_floats(w, N), free_floats(g, N), free_floats(want, N), free_floats(w_other, N);
    free(exact), free(exact_slots);
}

/* The same where a call is one variable. */
static void check_variable(const athi_cpu_kernels *k, int which, int64_t n) {
    float *w = random_floats(n, -1, 1), *g = floats(n), *want = floats(n), h[ATHI_OPT_SCALARS], *slots[SLOTS];
    double *exact = malloc((size_t)n * sizeof *exact), *exact_g = malloc((size_t)n * sizeof *exact_g);
    double(*exact_slots)[SLOTS] = calloc((size_t)n, sizeof *exact_slots);
    for (int s = 0; s < SLOTS; s++) slots[s] = floats(n), memset(slots[s], 0, (size_t)n * sizeof *slots[s]);
    for (int64_t i = 0; i < n; i++) exact[i] = (double)w[i];
    for (int64_t t = 1; t <= STEPS; t++) {
        for (int64_t i = 0; i < n; i++) {
            g[i] = random_float(-1, 1);
            exact_g[i] = (double)g[i] * hyper.gradient_scale;
        }
        optimizers[which].variable(n, exact, exact_g, exact_slots, (double)t);
        optimizers[which].prepare(&hyper, t, h);
        k->step[which](2, n, w, g, slots, h);
    }
    for (int64_t i = 0; i < n; i++) want[i] = (float)exact[i];
    assert_close(optimizers[which].name, k, w, want, n, 1e-5, 1);
    for (int s = 0; s < SLOTS; s++) free_floats(slots[s], n);
    free_floats(w, n), free_floats(g, n), free_floats(want, n);
    free(exact), free(exact_g), free(exact_slots);
}

static void steps(const athi_cpu_kernels *k) {
    for (int which = 0; which < ATHI_STEP_COUNT; which++) {
        assert_non_null(k->step[which]);
        if (optimizers[which].variable)
            check_variable(k, which, 10), check_variable(k, which, 10007);
        else
            check_step(k, which);
    }
}

static void steps_follow_keras(void **state) {
    (void)state;
    for_each_instance(steps);
}

/* Denormals vanish on the thread that asked for it. */
static void denormals_are_flushed(void **state) {
    (void)state;
    athi_cpu_flush_denormals();
    volatile float tiny = 1e-38f, tenth = 0.1f;
    assert_true(tiny * tenth == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_follow_keras),
                                       cmocka_unit_test(denormals_are_flushed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
