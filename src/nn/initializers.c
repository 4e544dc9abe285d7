/* Initialisers: the first values of variables, as functions of (seed, number of the param) alone. Distributions and
 * corrections are Keras's; the numbers come from Philox, so they differ from Keras's own draws. */
#include "athanor/activations.h"
#include "nn/rows.h"

#include <lapacke.h>
#include <math.h>

static ath_status fill_with(int64_t n, float *w, double value) {
    for (int64_t i = 0; i < n; i++) w[i] = (float)value;
    return ATH_OK;
}
static void fill_uniform(athi_rng *rng, int64_t n, float *w, double low, double high) {
    for (int64_t i = 0; i < n; i++) w[i] = (float)(low + (high - low) * athi_rng_uniform(rng));
}
static void fill_normal(athi_rng *rng, int64_t n, float *w, double mean, double stddev) {
    for (int64_t i = 0; i < n; i++) w[i] = (float)(mean + stddev * athi_rng_normal(rng));
}
/* Draws beyond two standard deviations are drawn again. */
static void fill_truncated(athi_rng *rng, int64_t n, float *w, double mean, double stddev) {
    for (int64_t i = 0; i < n; i++) {
        double z;
        do z = athi_rng_normal(rng);
        while (fabs(z) > 2);
        w[i] = (float)(mean + stddev * z);
    }
}

/* ---- the simple ones ----------------------------------------------------------------------------- */

static ath_status zeros(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                        float *w) {
    (void)ctx, (void)opts, (void)p, (void)rng;
    return fill_with(n, w, 0);
}
static ath_status ones(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                       float *w) {
    (void)ctx, (void)opts, (void)p, (void)rng;
    return fill_with(n, w, 1);
}
static ath_status constant(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                           float *w) {
    (void)ctx, (void)p, (void)rng;
    return fill_with(n, w, ((const ath_constant_opts *)opts)->value);
}
static ath_status random_uniform(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng,
                                 int64_t n, float *w) {
    const ath_random_uniform_opts *o = opts;
    if (o->minval > o->maxval)
        return athi_fail(ctx, ATH_E_OPTION, "%s: random_uniform: minval %g is above maxval %g; swap them",
                         p->variable->name, o->minval, o->maxval);
    fill_uniform(rng, n, w, o->minval, o->maxval);
    return ATH_OK;
}
static ath_status random_normal(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                                float *w) {
    (void)ctx, (void)p;
    const ath_random_normal_opts *o = opts;
    fill_normal(rng, n, w, o->mean, o->stddev);
    return ATH_OK;
}
static ath_status truncated_normal(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng,
                                   int64_t n, float *w) {
    (void)ctx, (void)p;
    const ath_random_normal_opts *o = opts;
    fill_truncated(rng, n, w, o->mean, o->stddev);
    return ATH_OK;
}

/* ---- by the number of inputs and outputs ----------------------------------------------------------- */

enum { FAN_IN, FAN_OUT, FAN_AVG };
enum { TRUNCATED, UNTRUNCATED, UNIFORM };
/* Standard deviation of a standard normal that is cut at ±2. */
static const double truncated_stddev = 0.87962566103423978;

static void scaled(const athi_param *p, athi_rng *rng, int64_t n, float *w, double scale, int mode,
                   int distribution) {
    double fans[] = {[FAN_IN] = (double)p->fan_in,
                     [FAN_OUT] = (double)p->fan_out,
                     [FAN_AVG] = ((double)p->fan_in + (double)p->fan_out) / 2};
    double variance = scale / ATHI_MAX(1.0, fans[mode]);
    switch (distribution) {
    case TRUNCATED: fill_truncated(rng, n, w, 0, sqrt(variance) / truncated_stddev); break;
    case UNTRUNCATED: fill_normal(rng, n, w, 0, sqrt(variance)); break;
    default: fill_uniform(rng, n, w, -sqrt(3 * variance), sqrt(3 * variance));
    }
}
static ath_status variance_scaling(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng,
                                   int64_t n, float *w) {
    (void)ctx;
    const ath_variance_scaling_opts *o = opts;
    scaled(p, rng, n, w, o->scale, o->mode, o->distribution);
    return ATH_OK;
}

#define SCALED(name, scale, mode, distribution)                                                              \
    static ath_status name(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,    \
                           float *w) {                                                                       \
        (void)ctx, (void)opts;                                                                               \
        scaled(p, rng, n, w, scale, mode, distribution);                                                     \
        return ATH_OK;                                                                                       \
    }
SCALED(glorot_uniform, 1, FAN_AVG, UNIFORM)
SCALED(glorot_normal, 1, FAN_AVG, TRUNCATED)
SCALED(he_uniform, 2, FAN_IN, UNIFORM)
SCALED(he_normal, 2, FAN_IN, TRUNCATED)
SCALED(lecun_uniform, 1, FAN_IN, UNIFORM)
SCALED(lecun_normal, 1, FAN_IN, TRUNCATED)
#undef SCALED

/* ---- matrices ------------------------------------------------------------------------------------ */

static ath_status identity(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                           float *w) {
    (void)rng;
    athi_shape s = p->variable->shape;
    if (s.rank != 2) {
        char text[96];
        return athi_fail(ctx, ATH_E_SHAPE, "%s: identity: expected a matrix, got %s; use orthogonal",
                         p->variable->name, athi_shape_str(s, text));
    }
    fill_with(n, w, 0);
    for (int64_t i = 0; i < ATHI_MIN(s.dim[0], s.dim[1]); i++)
        w[i * s.dim[1] + i] = (float)((const ath_gain_opts *)opts)->gain;
    return ATH_OK;
}

/* In place: a [rows, cols] row-major, rows >= cols, becomes the Q of its QR decomposition with the signs of
 * R's diagonal, which makes it uniformly distributed (Mezzadri 2006). `tau`: cols numbers. */
static ath_status orthonormalise(ath_ctx *ctx, const athi_param *p, int64_t rows, int64_t cols, double *a,
                                 double *tau) {
    lapack_int m = (lapack_int)rows, n = (lapack_int)cols;
    lapack_int info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, m, n, a, n, tau);
    double *sign = tau + cols;
    for (int64_t i = 0; i < cols && info == 0; i++) sign[i] = a[i * cols + i] < 0 ? -1 : 1;
    if (info == 0) info = LAPACKE_dorgqr(LAPACK_ROW_MAJOR, m, n, n, a, n, tau);
    if (info != 0)
        return athi_fail(ctx, info < -1000 ? ATH_E_NOMEM : ATH_E_FAILED,
                         "%s: orthogonal: LAPACK's QR gave %d", p->variable->name, (int)info);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) a[i * cols + j] *= sign[j];
    return ATH_OK;
}

static ath_status orthogonal(ath_ctx *ctx, const void *opts, const athi_param *p, athi_rng *rng, int64_t n,
                             float *w) {
    athi_shape s = p->variable->shape;
    if (s.rank < 2) {
        char text[96];
        return athi_fail(ctx, ATH_E_SHAPE, "%s: orthogonal: expected two dimensions or more, got %s",
                         p->variable->name, athi_shape_str(s, text));
    }
    int64_t cols = s.dim[s.rank - 1], rows = n / ATHI_MAX(cols, 1);
    int64_t tall = ATHI_MAX(rows, cols), thin = ATHI_MIN(rows, cols);
    double gain = ((const ath_gain_opts *)opts)->gain;
    double *a = athi_alloc_array(ctx, n + 2 * thin, (int64_t)sizeof *a);
    if (!a) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) a[i] = athi_rng_normal(rng);
    ath_status status = orthonormalise(ctx, p, tall, thin, a, a + n);
    for (int64_t i = 0; i < rows && status == ATH_OK; i++)
        for (int64_t j = 0; j < cols; j++)
            w[i * cols + j] = (float)(gain * (rows < cols ? a[j * thin + i] : a[i * thin + j]));
    athi_free(ctx, a);
    return status;
}

/* ---- the rows ------------------------------------------------------------------------------------ */

static const athi_option constant_options[] = {
    ATHI_ROW_FLOAT(ath_constant_opts, value, "0", 0, 0, 0, 0, ATHI_LINEAR, "of every element"),
    {0},
};
static const athi_option random_uniform_options[] = {
    ATHI_ROW_FLOAT(ath_random_uniform_opts, minval, "-0.05", 0, 0, 0, 0, ATHI_LINEAR, "lower end"),
    ATHI_ROW_FLOAT(ath_random_uniform_opts, maxval, "0.05", 0, 0, 0, 0, ATHI_LINEAR, "upper end"),
    {0},
};
static const athi_option random_normal_options[] = {
    ATHI_ROW_FLOAT(ath_random_normal_opts, mean, "0", 0, 0, 0, 0, ATHI_LINEAR, "mean"),
    ATHI_ROW_FLOAT(ath_random_normal_opts, stddev, "0.05", 0, -1, 0.001, 0.5, ATHI_LOG, "standard deviation"),
    {0},
};
static const char *const modes[] = {"fan_in", "fan_out", "fan_avg", NULL};
static const char *const distributions[] = {"truncated_normal", "untruncated_normal", "uniform", NULL};
static const athi_option variance_scaling_options[] = {
    ATHI_ROW_FLOAT(ath_variance_scaling_opts, scale, "1", 0, -1, 0.1, 4, ATHI_LOG,
                   "variance times the count"),
    ATHI_ROW_ENUM(ath_variance_scaling_opts, mode, "fan_in", modes,
                  "the count: of inputs, of outputs, or their mean"),
    ATHI_ROW_ENUM(ath_variance_scaling_opts, distribution, "truncated_normal", distributions,
                  "what is drawn from"),
    {0},
};
static const athi_option gain_options[] = {
    ATHI_ROW_FLOAT(ath_gain_opts, gain, "1", 0, 0, 0, 0, ATHI_LINEAR, "factor of the matrix"),
    {0},
};

#define IMPL(function)                                                                                       \
    &(const athi_initializer_impl) { function }
#define WITH(rows_, T) .options = rows_##_options, .opts_size = sizeof(T)
static const athi_row rows[] = {
    {.name = "zeros", .doc = "0", .impl = IMPL(zeros)},
    {.name = "ones", .doc = "1", .impl = IMPL(ones)},
    {.name = "constant",
     .doc = "one value",
     .impl = IMPL(constant),
     WITH(constant, ath_constant_opts),
     .main_option = "value"},
    {.name = "random_uniform",
     .doc = "uniform in [minval, maxval)",
     .impl = IMPL(random_uniform),
     WITH(random_uniform, ath_random_uniform_opts)},
    {.name = "random_normal",
     .doc = "normal",
     .impl = IMPL(random_normal),
     WITH(random_normal, ath_random_normal_opts)},
    {.name = "truncated_normal",
     .doc = "normal, drawn again beyond two standard deviations",
     .impl = IMPL(truncated_normal),
     WITH(random_normal, ath_random_normal_opts)},
    {.name = "glorot_uniform",
     .doc = "uniform, variance 2 / (inputs + outputs) (Glorot and Bengio 2010)",
     .impl = IMPL(glorot_uniform)},
    {.name = "glorot_normal",
     .doc = "truncated normal, variance 2 / (inputs + outputs)",
     .impl = IMPL(glorot_normal)},
    {.name = "he_uniform", .doc = "uniform, variance 2 / inputs (He et al. 2015)", .impl = IMPL(he_uniform)},
    {.name = "he_normal", .doc = "truncated normal, variance 2 / inputs", .impl = IMPL(he_normal)},
    {.name = "lecun_uniform", .doc = "uniform, variance 1 / inputs", .impl = IMPL(lecun_uniform)},
    {.name = "lecun_normal", .doc = "truncated normal, variance 1 / inputs", .impl = IMPL(lecun_normal)},
    {.name = "variance_scaling",
     .doc = "variance scale / count",
     .impl = IMPL(variance_scaling),
     WITH(variance_scaling, ath_variance_scaling_opts)},
    {.name = "orthogonal",
     .doc = "a random orthogonal matrix, convolutions as [all but the last, last] (Saxe et al. 2013)",
     .impl = IMPL(orthogonal),
     WITH(gain, ath_gain_opts),
     .main_option = "gain"},
    {.name = "identity",
     .doc = "ones on the diagonal of a matrix",
     .impl = IMPL(identity),
     WITH(gain, ath_gain_opts),
     .main_option = "gain"},
    {0},
};
#undef IMPL
#undef WITH

const athi_kind athi_initializers = {"initializer", "initializers", rows};
