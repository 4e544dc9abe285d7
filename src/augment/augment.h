/* Augmentations: rows of random changes to images, one function each.
 *
 *   data.augment (data/augment.c) ─┐                        ┌─> an image in, an image out
 *   layers, op `augment` (nn, ref) ─┴─ row + options + rng ─┴─> or a batch with its targets: mix_up, cut_mix
 *
 * What happens to an image is a function of the options and of the generator alone, and that one is keyed by who asks:
 * (seed, epoch, sample) in the data, (seed, step, layer, place in the batch) in a model. Nothing is kept. */
#ifndef ATHI_AUGMENT_H
#define ATHI_AUGMENT_H

#include "athanor/augment.h"
#include "base/options.h"
#include "base/philox.h"

/* The size of an image, whose pixels lie [height, width, channels]. */
typedef struct athi_frame {
    int64_t height, width, channels;
} athi_frame;
static inline int64_t athi_frame_count(athi_frame f) { return f.height * f.width * f.channels; }

/* A batch that is mixed: images and targets in and out, which do not overlap. */
typedef struct athi_mixing {
    int64_t n, classes;
    athi_frame frame;
    const float *x, *targets; /* [n, frame], [n, classes] */
    float *mixed, *mixed_targets;
    const int64_t *partner; /* whom each one is mixed with: a permutation */
} athi_mixing;

/* impl of a row: either `image` or `mix`. */
typedef struct athi_augment_impl {
    /** What option rows cannot say; `where` begins the sentence. */
    ath_status (*check)(ath_ctx *ctx, const void *opts, athi_frame frame, const char *where);
    /** The size of what comes out; NULL: as it came. */
    athi_frame (*size)(const void *opts, athi_frame frame);
    /** x -> y, which do not overlap; false: nothing was to be done, and y was not written. rng NULL, only for rows with a
     * `size`: what is done outside training. */
    bool (*image)(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out);
    void (*mix)(const void *opts, athi_rng *rng, const athi_mixing *m);
} athi_augment_impl;
extern const athi_kind athi_augments;

/** The generator of one image (or batch) for the k-th of several augmentations. */
static inline athi_rng athi_augment_rng(uint64_t seed, uint64_t purpose, uint64_t index, int k) {
    uint32_t w[4];
    athi_philox(seed, purpose, index, w);
    return athi_rng_at((uint64_t)w[0] << 32 | w[1], ATHI_PURPOSE(ATHI_RNG_AUGMENT, k));
}
/** impl->check of a row, whose ranges must also have one or two numbers. */
ath_status athi_augment_check(ath_ctx *ctx, const athi_row *row, const void *opts, athi_frame frame);

/** Images [from, to) of a batch x -> y, whose first is image 0. counters {seed, step}: each image has a generator of its own,
 * keyed by them, by `id` and by its number; NULL: what is done outside training. */
void athi_augment_images(const athi_row *row, const void *opts, const int64_t *counters, int64_t id, const float *x,
                         athi_frame in, float *y, int64_t from, int64_t to);

/* The option rows, which the layers of the same names share. */
extern const athi_option athi_options_random_flip[], athi_options_random_rotation[], athi_options_random_zoom[],
    athi_options_random_translation[], athi_options_random_crop[], athi_options_random_contrast[],
    athi_options_random_brightness[], athi_options_random_erasing[], athi_options_cutout[];

/* ---- the affine map (affine.c) ------------------------------------------------------------------- */

/* What lies beyond the border. Keras's layers and SciPy, which ImageDataGenerator uses, differ in two of four. At a wrap the
 * layers follow Keras on JAX, where the two pixels at the seam mix as any others do; on TensorFlow it jumps. */
typedef enum athi_border {
    ATHI_BORDER_NEAREST,
    ATHI_BORDER_REFLECT,
    ATHI_BORDER_WRAP,      /* the period is the size: the first pixel follows the last one */
    ATHI_BORDER_BLEND,     /* the value; between the last pixel and the next one both count */
    ATHI_BORDER_WRAP_LAST, /* SciPy: the last pixel is the first of the next period */
    ATHI_BORDER_CUT,       /* SciPy: the value beyond the last pixel's middle */
} athi_border;

/* Row and column of the input for those of the output:
 *   row = m[0] r + m[1] c + m[2], column = m[3] r + m[4] c + m[5] */
typedef struct athi_affine_map {
    double m[6];
    athi_border border;
    float value;  /* beyond the border */
    bool nearest; /* the nearest pixel, not the bilinear mixture of four */
} athi_affine_map;
bool athi_affine_is_identity(const athi_affine_map *a);
void athi_affine_apply(const athi_affine_map *a, const float *x, athi_frame in, float *y, athi_frame out);

/* Maps of Keras's layers, without border and value. */
athi_affine_map athi_affine_rotation(double degrees, athi_frame frame);
athi_affine_map athi_affine_zoom(double height, double width, athi_frame frame);
/** By pixels, downwards and to the right. */
athi_affine_map athi_affine_translation(double down, double right);

/* What ImageDataGenerator draws for an image. */
typedef struct athi_transform {
    double theta, shear, tx, ty, zx, zy; /* of the map from output to input: degrees, pixels, factors along x and y */
    bool flip_horizontal, flip_vertical, shifts_channels, brightens;
    double channel_shift, brightness;
} athi_transform;
struct athi_generator_opts;
/** The image after its transform; x and y do not overlap. */
void athi_transform_apply(const struct athi_generator_opts *o, const athi_transform *t, const float *x,
                          athi_frame frame, float *y);

/* ---- the rows without a layer ---------------------------------------------------------------------- */

/* ImageDataGenerator's options. */
typedef struct athi_generator_opts {
    size_t struct_size;
    bool exact;
    bool featurewise_center, featurewise_std_normalization, samplewise_center, samplewise_std_normalization;
    double rotation_range;
    const athi_value *width_shift_range, *height_shift_range;
    ath_floats brightness_range;
    double shear_range;
    ath_floats zoom_range;
    double channel_shift_range;
    int fill_mode;
    double cval;
    bool horizontal_flip, vertical_flip;
} athi_generator_opts;

typedef struct athi_mix_up_opts {
    size_t struct_size;
    bool exact;
    double alpha;
} athi_mix_up_opts;

typedef struct athi_cut_mix_opts {
    size_t struct_size;
    bool exact;
    ath_floats factor;
} athi_cut_mix_opts;

#endif
