/* Images mixed with others of their batch, and their targets with them. */
#include "augment/options.h"

#include <math.h>

/* The logarithm of a Gamma(shape, 1) number: Marsaglia and Tsang 2000 for shape + 1, made smaller by U^(1 / shape). The
 * logarithm, since small shapes give numbers that no double holds. */
static double log_gamma_number(athi_rng *rng, double shape) {
    double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double z = athi_rng_normal(rng), v = 1 + c * z;
        double u = 1 - athi_rng_uniform(rng); /* never 0 */
        if (v <= 0) continue;
        v = v * v * v;
        if (log(u) < z * z / 2 + d - d * v + d * log(v))
            return log(d) + log(v) + log(1 - athi_rng_uniform(rng)) / shape;
    }
}

static double beta_number(athi_rng *rng, double alpha) {
    double a = log_gamma_number(rng, alpha), b = log_gamma_number(rng, alpha);
    return 1 / (1 + exp(b - a));
}

/* weight x own + (1 - weight) x the partner's */
static void blend(const float *own, const float *other, double weight, int64_t n, float *out) {
    float w = (float)weight;
    for (int64_t j = 0; j < n; j++) out[j] = other[j] + w * (own[j] - other[j]);
}

static void blend_targets(const athi_mixing *m, int64_t i, double weight) {
    blend(m->targets + i * m->classes, m->targets + m->partner[i] * m->classes, weight, m->classes,
          m->mixed_targets + i * m->classes);
}

/* ---- mix_up ------------------------------------------------------------------------------------------ */

static void mix_up(const void *opts, athi_rng *rng, const athi_mixing *m) {
    int64_t size = athi_frame_count(m->frame);
    for (int64_t i = 0; i < m->n; i++) {
        double weight = beta_number(rng, ((const athi_mix_up_opts *)opts)->alpha);
        blend(m->x + i * size, m->x + m->partner[i] * size, weight, size, m->mixed + i * size);
        blend_targets(m, i, weight);
    }
}
const athi_augment_impl athi_augment_mix_up = {.mix = mix_up};
const athi_option athi_options_mix_up[] = {
    {"alpha", ATHI_OPT_FLOAT, offsetof(athi_mix_up_opts, alpha), "0.2", .min = 1e-6, .max = 1e6, .search_min = 0.05,
     .search_max = 1, .scale = ATHI_LOG, .doc = "each image's own weight is drawn from Beta(alpha, alpha)"},
    {0},
};

/* ---- cut_mix ----------------------------------------------------------------------------------------- */

static void cut_mix_one(athi_rng *rng, const athi_mixing *m, int64_t i, double alpha) {
    athi_frame f = m->frame;
    int64_t size = athi_frame_count(f), left, right, top, bottom;
    double part = sqrt(1 - beta_number(rng, alpha));
    double area = athi_draw_stretch(rng, part, f.width, &left, &right);
    area *= athi_draw_stretch(rng, part, f.height, &top, &bottom);
    const float *other = m->x + m->partner[i] * size;
    float *y = m->mixed + i * size;
    memcpy(y, m->x + i * size, (size_t)size * sizeof *y);
    for (int64_t r = top; r < bottom && left < right; r++)
        memcpy(y + (r * f.width + left) * f.channels, other + (r * f.width + left) * f.channels,
               (size_t)((right - left) * f.channels) * sizeof *y);
    blend_targets(m, i, 1 - area / (double)(f.width * f.height));
}

static void cut_mix(const void *opts, athi_rng *rng, const athi_mixing *m) {
    double alpha = athi_draw_between(rng, athi_ends_of(((const athi_cut_mix_opts *)opts)->factor, 0)) + 1e-6;
    for (int64_t i = 0; i < m->n; i++) cut_mix_one(rng, m, i, alpha);
}
const athi_augment_impl athi_augment_cut_mix = {.mix = cut_mix};
const athi_option athi_options_cut_mix[] = {
    ATHI_ROW_RANGE(
        athi_cut_mix_opts, factor, "1", 0, 1,
        "alpha, drawn for each batch (f is 0 to f, or [from, to]); Beta(alpha, alpha) is an image's own part"),
    {0},
};
