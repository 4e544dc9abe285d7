/* What the option rows of augmentations share: ranges, and how they are drawn from. */
#ifndef ATHI_AUGMENT_OPTIONS_H
#define ATHI_AUGMENT_OPTIONS_H

#include "augment/augment.h"

#include <math.h>

/* A number or a list, within [low, high]. */
#define ATHI_ROW_RANGE(T, field, value, low, high, text)                                                             \
    {                                                                                                                \
        .name = #field, .type = ATHI_OPT_FLOATS, .offset = offsetof(T, field), .fallback = (value), .min = (low),    \
        .max = (high), .doc = (text)                                                                                 \
    }
#define ATHI_ROW_NUMBER(T, field, value, low, high, text)                                                            \
    {                                                                                                                \
        .name = #field, .type = ATHI_OPT_FLOAT, .offset = offsetof(T, field), .fallback = (value), .min = (low),     \
        .max = (high), .doc = (text)                                                                                 \
    }
#define ATHI_ROW_CHOICE(T, field, value, list, text)                                                                 \
    {                                                                                                                \
        .name = #field, .type = ATHI_OPT_ENUM, .offset = offsetof(T, field), .fallback = (value), .names = (list),   \
        .doc = (text)                                                                                                \
    }
#define ATHI_ROW_FLAG(T, field, text)                                                                                \
    { .name = #field, .type = ATHI_OPT_BOOL, .offset = offsetof(T, field), .fallback = "false", .doc = (text) }
#define ATHI_ROW_VALUE_RANGE(T)                                                                                      \
    ATHI_ROW_RANGE(T, value_range, "[0, 255]", 0, 0, "the smallest and the largest value of a pixel")

typedef struct athi_ends {
    double low, high;
} athi_ends;

/** The ends of a range: two numbers in any order, or one, which stands for max(-|f|, least) to |f|. */
static inline athi_ends athi_ends_of(ath_floats f, double least) {
    if (f.n == 1) {
        double far = f.v[0] < 0 ? -f.v[0] : f.v[0];
        return (athi_ends){ATHI_MAX(-far, least), far};
    }
    return (athi_ends){ATHI_MIN(f.v[0], f.v[1]), ATHI_MAX(f.v[0], f.v[1])};
}

static inline double athi_draw_between(athi_rng *rng, athi_ends e) {
    return e.low + (e.high - e.low) * athi_rng_uniform(rng);
}

/** A random stretch of length part x n within [0, n]: the pixels [low, high) whose numbers lie in it. Returns its length. */
static inline double athi_draw_stretch(athi_rng *rng, double part, int64_t n, int64_t *low, int64_t *high) {
    double length = part * (double)n, begin = athi_rng_uniform(rng) * ((double)n - length);
    *low = (int64_t)ceil(begin), *high = ATHI_MIN((int64_t)ceil(begin + length), n);
    return length;
}

extern const athi_augment_impl athi_augment_random_flip, athi_augment_random_rotation, athi_augment_random_zoom,
    athi_augment_random_translation, athi_augment_random_crop, athi_augment_random_contrast,
    athi_augment_random_brightness, athi_augment_random_erasing, athi_augment_cutout, athi_augment_generator,
    athi_augment_mix_up, athi_augment_cut_mix;
extern const athi_option athi_options_generator[], athi_options_mix_up[], athi_options_cut_mix[];

#endif
