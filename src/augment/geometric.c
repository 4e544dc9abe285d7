/* Changes of place: flips, rotations, zooms, translations, crops. */
#include "augment/options.h"

#include <math.h>

static const char *const fill_modes[] = {"reflect", "constant", "wrap", "nearest", NULL};
static const char *const interpolations[] = {"bilinear", "nearest", NULL};

#define ROWS_OF_MAPS(T)                                                                                              \
    ATHI_ROW_CHOICE(T, fill_mode, "reflect", fill_modes, "what lies beyond the border"),                             \
        ATHI_ROW_CHOICE(T, interpolation, "bilinear", interpolations, "of four pixels, or the nearest one"),         \
        ATHI_ROW_NUMBER(T, fill_value, "0", 0, 0, "beyond the border when fill_mode is constant")

static bool apply_map(athi_affine_map a, ath_fill_mode fill, ath_interpolation interpolation, double value,
                      const float *x, athi_frame in, float *y, athi_frame out) {
    static const athi_border borders[] = {[ATH_FILL_REFLECT] = ATHI_BORDER_REFLECT,
                                          [ATH_FILL_CONSTANT] = ATHI_BORDER_BLEND,
                                          [ATH_FILL_WRAP] = ATHI_BORDER_WRAP,
                                          [ATH_FILL_NEAREST] = ATHI_BORDER_NEAREST};
    if (athi_affine_is_identity(&a)) return false;
    a.border = borders[fill], a.value = (float)value, a.nearest = interpolation == ATH_NEAREST;
    athi_affine_apply(&a, x, in, y, out);
    return true;
}

/* ---- random_flip ------------------------------------------------------------------------------------- */

static bool flip(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    ath_flip_mode mode = ((const ath_random_flip_opts *)opts)->mode;
    double last_row = (double)(in.height - 1), last_column = (double)(in.width - 1);
    athi_affine_map a = {.m = {1, 0, 0, 0, 1, 0}};
    if (athi_rng_uniform(rng) > 0.5) return false;
    if (mode != ATH_FLIP_HORIZONTAL) a.m[0] = -1, a.m[2] = last_row;
    if (mode != ATH_FLIP_VERTICAL) a.m[4] = -1, a.m[5] = last_column;
    athi_affine_apply(&a, x, in, y, out);
    return true;
}
const athi_augment_impl athi_augment_random_flip = {.image = flip};
static const char *const flip_modes[] = {"horizontal_and_vertical", "horizontal", "vertical", NULL};
const athi_option athi_options_random_flip[] = {
    ATHI_ROW_CHOICE(ath_random_flip_opts, mode, "horizontal_and_vertical", flip_modes,
                    "the axes that one coin for all of them mirrors"),
    {0},
};

/* ---- random_rotation --------------------------------------------------------------------------------- */

static bool rotate(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_rotation_opts *o = opts;
    double turns = athi_draw_between(rng, athi_ends_of(o->factor, -INFINITY));
    return apply_map(athi_affine_rotation(turns * 360, in), o->fill_mode, o->interpolation, o->fill_value, x, in, y,
                     out);
}
const athi_augment_impl athi_augment_random_rotation = {.image = rotate};
const athi_option athi_options_random_rotation[] = {
    ATHI_ROW_RANGE(ath_random_rotation_opts, factor, NULL, -1, 1, "of full turns: f is -f to f, or [from, to]"),
    ROWS_OF_MAPS(ath_random_rotation_opts),
    {0},
};

/* ---- random_zoom ------------------------------------------------------------------------------------- */

static ath_status check_zoom(ath_ctx *ctx, const void *opts, athi_frame frame, const char *where) {
    const ath_random_zoom_opts *o = opts;
    const ath_floats factors[] = {o->height_factor, o->width_factor};
    (void)frame;
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < factors[i].n; k++)
            if (factors[i].v[k] <= -1)
                return athi_fail(ctx, ATH_E_OPTION,
                                 "%s: %s must be above -1, which would show a single pixel, got %s", where,
                                 i ? "width_factor" : "height_factor", ATHI_SHORTEST(factors[i].v[k]));
    return ATH_OK;
}
static bool zoom(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_zoom_opts *o = opts;
    double height = 1 + athi_draw_between(rng, athi_ends_of(o->height_factor, -INFINITY)), width = height;
    if (o->width_factor.n) width = 1 + athi_draw_between(rng, athi_ends_of(o->width_factor, -INFINITY));
    return apply_map(athi_affine_zoom(height, width, in), o->fill_mode, o->interpolation, o->fill_value, x, in, y,
                     out);
}
const athi_augment_impl athi_augment_random_zoom = {.check = check_zoom, .image = zoom};
const athi_option athi_options_random_zoom[] = {
    ATHI_ROW_RANGE(ath_random_zoom_opts, height_factor, NULL, -1, 1,
                   "added to 1: f is -f to f, or [from, to]; below 0 zooms in"),
    {"width_factor", ATHI_OPT_FLOATS, offsetof(ath_random_zoom_opts, width_factor), "null", .nullable = true,
     .min = -1, .max = 1, .doc = "the same for the width; null: what was drawn for the height"},
    ROWS_OF_MAPS(ath_random_zoom_opts),
    {0},
};

/* ---- random_translation ------------------------------------------------------------------------------ */

static bool translate(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    const ath_random_translation_opts *o = opts;
    double down = athi_draw_between(rng, athi_ends_of(o->height_factor, -INFINITY)) * (double)in.height,
           right = athi_draw_between(rng, athi_ends_of(o->width_factor, -INFINITY)) * (double)in.width;
    return apply_map(athi_affine_translation(down, right), o->fill_mode, o->interpolation, o->fill_value, x, in, y,
                     out);
}
const athi_augment_impl athi_augment_random_translation = {.image = translate};
const athi_option athi_options_random_translation[] = {
    ATHI_ROW_RANGE(ath_random_translation_opts, height_factor, NULL, -1, 1,
                   "down, as a part of the height: f is -f to f, or [from, to]"),
    ATHI_ROW_RANGE(ath_random_translation_opts, width_factor, NULL, -1, 1,
                   "to the right, as a part of the width: f is -f to f, or [from, to]"),
    ROWS_OF_MAPS(ath_random_translation_opts),
    {0},
};

/* ---- random_crop ------------------------------------------------------------------------------------- */

static ath_status check_crop(ath_ctx *ctx, const void *opts, athi_frame frame, const char *where) {
    const ath_random_crop_opts *o = opts;
    if (o->height <= frame.height && o->width <= frame.width) return ATH_OK;
    return athi_fail(ctx, ATH_E_SHAPE, "%s: a window of %lld x %lld does not fit into images of %lld x %lld", where,
                     (long long)o->height, (long long)o->width, (long long)frame.height, (long long)frame.width);
}
static athi_frame crop_size(const void *opts, athi_frame frame) {
    const ath_random_crop_opts *o = opts;
    return (athi_frame){o->height, o->width, frame.channels};
}

/* The largest window of the output's proportions in the middle, resized as Keras's bilinear resize does. It is never
 * enlarged, since the output fits into the image, so that no pixel around the window counts. */
static void resize_middle(const float *x, athi_frame in, float *y, athi_frame out) {
    int64_t height = ATHI_MIN(in.height, in.width * out.height / out.width),
            width = ATHI_MIN(in.width, in.height * out.width / out.height);
    double top = (double)((in.height - height) / 2), left = (double)((in.width - width) / 2);
    double tall = (double)height / (double)out.height, wide = (double)width / (double)out.width;
    athi_affine_map a = {.m = {tall, 0, top + tall / 2 - 0.5, 0, wide, left + wide / 2 - 0.5},
                         .border = ATHI_BORDER_NEAREST};
    athi_affine_apply(&a, x, in, y, out);
}

static bool crop(const void *opts, athi_rng *rng, const float *x, athi_frame in, float *y, athi_frame out) {
    (void)opts;
    if (!rng) {
        resize_middle(x, in, y, out);
        return true;
    }
    int64_t top = (int64_t)athi_rng_below(rng, (uint64_t)(in.height - out.height) + 1),
            left = (int64_t)athi_rng_below(rng, (uint64_t)(in.width - out.width) + 1);
    for (int64_t r = 0; r < out.height; r++)
        memcpy(y + r * out.width * out.channels, x + ((top + r) * in.width + left) * in.channels,
               (size_t)(out.width * out.channels) * sizeof *y);
    return true;
}
const athi_augment_impl athi_augment_random_crop = {.check = check_crop, .size = crop_size, .image = crop};
const athi_option athi_options_random_crop[] = {
    {"height", ATHI_OPT_INT, offsetof(ath_random_crop_opts, height), NULL, .min = 1, .max = 1 << 20,
     .doc = "of the window, in pixels"},
    {"width", ATHI_OPT_INT, offsetof(ath_random_crop_opts, width), NULL, .min = 1, .max = 1 << 20,
     .doc = "of the window, in pixels"},
    {0},
};
