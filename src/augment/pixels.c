/* Changes of value: contrast, brightness, rectangles that are erased. */
#include "augment/options.h"

#include <math.h>

static float cut(double value, athi_ends e) {
    return (float)(value < e.low ? e.low : value > e.high ? e.high : value);
}

/* The ends of a value range as they were written. */
static athi_ends value_ends(ath_floats range) { return athi_ends_of(range, 0); }

/* ---- random_contrast --------------------------------------------------------------------------------- */

static bool contrast(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_contrast_opts *o = opts;
    (void)out;
    /* Keras's documentation: one factor f is (f, f), and the contrast lies in [1 - a, 1 + b] */
    double lower = o->factor.v[0], upper = o->factor.v[o->factor.n - 1];
    double c = athi_draw_between(rng, (athi_ends){1 - ATHI_MIN(lower, upper), 1 + ATHI_MAX(lower, upper)});
    int64_t n = in.height * in.width;
    athi_ends ends = value_ends(o->value_range);
    for (int64_t k = 0; k < in.channels; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (double)x[i * in.channels + k];
        double mean = sum / (double)n;
        for (int64_t i = k; i < n * in.channels; i += in.channels) y[i] = cut(((double)x[i] - mean) * c + mean, ends);
    }
    return true;
}
const athi_augment_impl athi_augment_random_contrast = {.image = contrast};
const athi_option athi_options_random_contrast[] = {
    ATHI_ROW_RANGE(ath_random_contrast_opts, factor, NULL, 0, 1,
                   "contrast is 1 - f to 1 + f, or [a, b]: 1 - a to 1 + b"),
    ATHI_ROW_VALUE_RANGE(ath_random_contrast_opts),
    {0},
};

/* ---- random_brightness ------------------------------------------------------------------------------- */

static bool brighten(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_brightness_opts *o = opts;
    (void)out;
    athi_ends ends = value_ends(o->value_range);
    double more = athi_draw_between(rng, athi_ends_of(o->factor, -1)) * (ends.high - ends.low);
    for (int64_t i = 0, n = athi_frame_count(in); i < n; i++) y[i] = cut((double)x[i] + more, ends);
    return true;
}
const athi_augment_impl athi_augment_random_brightness = {.image = brighten};
const athi_option athi_options_random_brightness[] = {
    ATHI_ROW_RANGE(ath_random_brightness_opts, factor, NULL, -1, 1,
                   "of the width of value_range, added to all pixels: f is -f to f, or [from, to]"),
    ATHI_ROW_VALUE_RANGE(ath_random_brightness_opts),
    {0},
};

/* ---- random_erasing ---------------------------------------------------------------------------------- */

static ath_status check_erasing(ath_ctx *ctx, const void *opts, athi_frame frame, const char *where) {
    const ath_random_erasing_opts *o = opts;
    if (o->fill_value.n <= 1 || o->fill_value.n == frame.channels) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "%s: fill_value must be one number or one a channel (%lld), got %lld", where,
                     (long long)frame.channels, (long long)o->fill_value.n);
}

static bool erase(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_erasing_opts *o = opts;
    (void)out;
    athi_ends scale = athi_ends_of(o->scale, 0), ends = value_ends(o->value_range);
    double wide = sqrt(athi_draw_between(rng, scale)), tall = sqrt(athi_draw_between(rng, scale));
    int64_t left, right, top, bottom;
    athi_draw_stretch(rng, wide, in.width, &left, &right);
    athi_draw_stretch(rng, tall, in.height, &top, &bottom);
    double probability = athi_draw_between(rng, athi_ends_of(o->factor, 0));
    if (athi_rng_uniform(rng) >= probability || left >= right || top >= bottom) return false;
    memcpy(y, x, (size_t)athi_frame_count(in) * sizeof *y);
    double noise = o->value_range.v[o->value_range.n - 1];
    for (int64_t r = top; r < bottom; r++)
        for (int64_t i = left * in.channels; i < right * in.channels; i++) {
            double value = o->fill_value.n == 0   ? athi_rng_normal(rng) * noise
                           : o->fill_value.n == 1 ? o->fill_value.v[0]
                                                  : o->fill_value.v[i % in.channels];
            y[r * in.width * in.channels + i] = cut(value, ends);
        }
    return true;
}
const athi_augment_impl athi_augment_random_erasing = {.check = check_erasing, .image = erase};
const athi_option athi_options_random_erasing[] = {
    ATHI_ROW_RANGE(ath_random_erasing_opts, factor, "1", 0, 1,
                   "probability of erasing, drawn for each image: f is 0 to f, or [from, to]"),
    ATHI_ROW_RANGE(ath_random_erasing_opts, scale, "[0.02, 0.33]", 0, 1,
                   "of which the roots are the rectangle's parts of width and height: f is 0 to f, or [from, to]"),
    {"fill_value", ATHI_OPT_FLOATS, offsetof(ath_random_erasing_opts, fill_value), "null", .nullable = true,
     .doc = "what the rectangle becomes, or one number a channel; null: normal noise times the larger value of "
            "value_range"},
    ATHI_ROW_RANGE(ath_random_erasing_opts, value_range, "[0, 255]", 0, 0, "where the filling is cut"),
    {0},
};

/* ---- cutout ------------------------------------------------------------------------------------------ */

static bool cut_out(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_cutout_opts *o = opts;
    (void)out;
    int64_t top = (int64_t)athi_rng_below(rng, (uint64_t)in.height) - o->size / 2,
            left = (int64_t)athi_rng_below(rng, (uint64_t)in.width) - o->size / 2;
    int64_t bottom = ATHI_MIN(top + o->size, in.height), right = ATHI_MIN(left + o->size, in.width);
    top = ATHI_MAX(top, 0), left = ATHI_MAX(left, 0);
    memcpy(y, x, (size_t)athi_frame_count(in) * sizeof *y);
    for (int64_t r = top; r < bottom; r++)
        for (int64_t i = left * in.channels; i < right * in.channels; i++)
            y[r * in.width * in.channels + i] = (float)o->fill_value;
    return true;
}
const athi_augment_impl athi_augment_cutout = {.image = cut_out};
const athi_option athi_options_cutout[] = {
    {"size", ATHI_OPT_INT, offsetof(ath_cutout_opts, size), NULL, .min = 1, .max = 1 << 20, .search_min = 4,
     .search_max = 16, .doc = "side of the square in pixels"},
    ATHI_ROW_NUMBER(ath_cutout_opts, fill_value, "0", 0, 0, "what its pixels become"),
    {0},
};
