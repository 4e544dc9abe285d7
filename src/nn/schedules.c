/* Learning-rate schedules: functions of the number of updates made (0-based), in double. */
#include "athanor/optimizers.h"
#include "nn/rows.h"

#include <math.h>

double athi_learning_rate(const athi_net *net, int64_t step) {
    if (!net->schedule) return 0;
    return ((const athi_schedule_impl *)net->schedule->impl)->rate(net->schedule_opts, step);
}

static double constant(const void *opts, int64_t step) {
    (void)step;
    return ((const ath_constant_rate_opts *)opts)->value;
}

static double exponential_decay(const void *opts, int64_t step) {
    const ath_exponential_decay_opts *o = opts;
    double p = (double)step / (double)o->decay_steps;
    return o->initial_learning_rate * pow(o->decay_rate, o->staircase ? floor(p) : p);
}

static double inverse_time_decay(const void *opts, int64_t step) {
    const ath_inverse_time_decay_opts *o = opts;
    double p = (double)step / (double)o->decay_steps;
    return o->initial_learning_rate / (1 + o->decay_rate * (o->staircase ? floor(p) : p));
}

static double polynomial_decay(const void *opts, int64_t step) {
    const ath_polynomial_decay_opts *o = opts;
    double t = (double)step, steps = (double)o->decay_steps;
    if (o->cycle)
        steps *= step == 0 ? 1 : ceil(t / steps);
    else
        t = fmin(t, steps);
    return (o->initial_learning_rate - o->end_learning_rate) * pow(1 - t / steps, o->power) +
           o->end_learning_rate;
}

static double piecewise_constant_decay(const void *opts, int64_t step) {
    const ath_piecewise_constant_decay_opts *o = opts;
    int64_t i = 0;
    while (i < o->boundaries.n && (double)step > o->boundaries.v[i]) i++;
    return o->values.v[i];
}

static ath_status piecewise_check(ath_ctx *ctx, const void *opts) {
    const ath_piecewise_constant_decay_opts *o = opts;
    if (o->values.n != o->boundaries.n + 1)
        return athi_fail(
            ctx, ATH_E_OPTION,
            "piecewise_constant_decay: expected one value more than boundaries, got %lld values and %lld "
            "boundaries; the last value holds after the last boundary",
            (long long)o->values.n, (long long)o->boundaries.n);
    for (int64_t i = 1; i < o->boundaries.n; i++)
        if (o->boundaries.v[i] <= o->boundaries.v[i - 1])
            return athi_fail(ctx, ATH_E_OPTION,
                             "piecewise_constant_decay: boundaries must ascend, got %g after %g; sort them",
                             o->boundaries.v[i], o->boundaries.v[i - 1]);
    return ATH_OK;
}

/* From 1 at p = 0 to alpha at p = 1. */
static double half_cosine(double p, double alpha) { return (1 - alpha) * 0.5 * (1 + cos(M_PI * p)) + alpha; }

static double cosine_decay(const void *opts, int64_t step) {
    const ath_cosine_decay_opts *o = opts;
    double t = (double)step, steps = (double)o->decay_steps, warm = (double)o->warmup_steps;
    if (o->warmup_target == 0) return o->initial_learning_rate * half_cosine(fmin(t / steps, 1), o->alpha);
    if (t < warm) return o->initial_learning_rate + (o->warmup_target - o->initial_learning_rate) * t / warm;
    return o->warmup_target * half_cosine(fmin((t - warm) / steps, 1), o->alpha);
}

static double cosine_decay_restarts(const void *opts, int64_t step) {
    const ath_cosine_decay_restarts_opts *o = opts;
    double done = (double)step / (double)o->first_decay_steps, restart;
    if (o->t_mul == 1) {
        restart = floor(done);
        done -= restart;
    } else { /* restarts lie where (1 - t_mul^i) / (1 - t_mul) first periods have passed */
        restart = floor(log(1 - done * (1 - o->t_mul)) / log(o->t_mul));
        done = (done - (1 - pow(o->t_mul, restart)) / (1 - o->t_mul)) / pow(o->t_mul, restart);
    }
    double height = pow(o->m_mul, restart);
    return o->initial_learning_rate * ((1 - o->alpha) * 0.5 * height * (1 + cos(M_PI * done)) + o->alpha);
}

/* ---- the rows ------------------------------------------------------------------------------------ */

#define INITIAL(T)                                                                                           \
    ATHI_ROW_FLOAT(T, initial_learning_rate, NULL, 0, -1, 1e-5, 1, ATHI_LOG,                                 \
                   "learning rate at the first update")
#define STEPS(T, field, text) ATHI_ROW_INT(T, field, NULL, 1, 0, 100, 1e5, ATHI_LOG, text)
#define STAIRCASE(T)          ATHI_ROW_BOOL(T, staircase, "decay in steps, not at every update")

static const athi_option constant_options[] = {
    ATHI_ROW_FLOAT(ath_constant_rate_opts, value, NULL, 0, -1, 1e-5, 1, ATHI_LOG, "the learning rate"),
    {0},
};
static const athi_option exponential_options[] = {
    INITIAL(ath_exponential_decay_opts),
    STEPS(ath_exponential_decay_opts, decay_steps, "updates in which it decays by decay_rate"),
    ATHI_ROW_FLOAT(ath_exponential_decay_opts, decay_rate, NULL, 0, -1, 0.1, 1, ATHI_LINEAR,
                   "factor of the decay"),
    STAIRCASE(ath_exponential_decay_opts),
    {0},
};
static const athi_option polynomial_options[] = {
    INITIAL(ath_polynomial_decay_opts),
    STEPS(ath_polynomial_decay_opts, decay_steps, "updates until the end is reached"),
    ATHI_ROW_FLOAT(ath_polynomial_decay_opts, end_learning_rate, "0.0001", 0, -1, 1e-6, 1e-2, ATHI_LOG,
                   "learning rate after decay_steps"),
    ATHI_ROW_FLOAT(ath_polynomial_decay_opts, power, "1", 0, -1, 0.5, 3, ATHI_LINEAR, "1 is a straight line"),
    ATHI_ROW_BOOL(ath_polynomial_decay_opts, cycle, "start again after decay_steps, from a longer decay"),
    {0},
};
static const athi_option piecewise_options[] = {
    {.name = "boundaries",
     .type = ATHI_OPT_FLOATS,
     .offset = offsetof(ath_piecewise_constant_decay_opts, boundaries),
     .fallback = NULL,
     .min = 0,
     .max = -1,
     .doc = "numbers of updates up to which (inclusive) each value holds"},
    {.name = "values",
     .type = ATHI_OPT_FLOATS,
     .offset = offsetof(ath_piecewise_constant_decay_opts, values),
     .fallback = NULL,
     .min = 0,
     .max = -1,
     .doc = "learning rates, one more than boundaries"},
    {0},
};
static const athi_option cosine_options[] = {
    INITIAL(ath_cosine_decay_opts),
    STEPS(ath_cosine_decay_opts, decay_steps, "updates of the decay, after the warm-up"),
    ATHI_ROW_FLOAT(ath_cosine_decay_opts, alpha, "0", 0, 1, 0, 0.2, ATHI_LINEAR,
                   "lowest rate, as a part of the highest"),
    ATHI_ROW_FLOAT(ath_cosine_decay_opts, warmup_target, "null", 0, -1, 1e-5, 1, ATHI_LOG,
                   "learning rate after the warm-up; null: no warm-up"),
    ATHI_ROW_INT(ath_cosine_decay_opts, warmup_steps, "0", 0, -1, 0, 2000, ATHI_LINEAR,
                 "updates of the warm-up"),
    {0},
};
static const athi_option restarts_options[] = {
    INITIAL(ath_cosine_decay_restarts_opts),
    STEPS(ath_cosine_decay_restarts_opts, first_decay_steps, "updates of the first decay"),
    ATHI_ROW_FLOAT(ath_cosine_decay_restarts_opts, t_mul, "2", 1, -1, 1, 3, ATHI_LINEAR,
                   "how many times as long each decay is as the one before"),
    ATHI_ROW_FLOAT(ath_cosine_decay_restarts_opts, m_mul, "1", 0, -1, 0.5, 1, ATHI_LINEAR,
                   "how many times as high each decay starts as the one before"),
    ATHI_ROW_FLOAT(ath_cosine_decay_restarts_opts, alpha, "0", 0, 1, 0, 0.2, ATHI_LINEAR,
                   "lowest rate, as a part of the initial one"),
    {0},
};

#define ROW(name_, rows_, T, doc_)                                                                           \
    .name = #name_, .doc = doc_, .options = rows_##_options, .opts_size = sizeof(T),                         \
    .impl = &(const athi_schedule_impl) {                                                                    \
        .rate = name_                                                                                        \
    }
static const athi_row rows[] = {
    {ROW(constant, constant, ath_constant_rate_opts, "the same rate always; a plain number means this"),
     .main_option = "value"},
    {ROW(exponential_decay, exponential, ath_exponential_decay_opts, "initial decay_rate^(t / decay_steps)")},
    {ROW(inverse_time_decay, exponential, ath_inverse_time_decay_opts,
         "initial / (1 + decay_rate t / decay_steps)")},
    {ROW(polynomial_decay, polynomial, ath_polynomial_decay_opts,
         "(initial - end) (1 - t / decay_steps)^power + end")},
    {.name = "piecewise_constant_decay",
     .doc = "one value up to each boundary, another after it",
     .options = piecewise_options,
     .opts_size = sizeof(ath_piecewise_constant_decay_opts),
     .impl = &(const athi_schedule_impl){piecewise_constant_decay, piecewise_check}},
    {ROW(cosine_decay, cosine, ath_cosine_decay_opts,
         "a linear warm-up, if wanted, then half a cosine (Loshchilov and Hutter 2016)")},
    {ROW(cosine_decay_restarts, restarts, ath_cosine_decay_restarts_opts,
         "half cosines again and again (Loshchilov and Hutter 2016)")},
    {0},
};
#undef ROW

const athi_kind athi_schedules = {"schedule", "schedules", rows};
