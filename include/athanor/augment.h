/* Augmentation: random changes of images, in training only.
 *
 *     ath_tensor *x = ath_reshape(ath_input(model, .shape = ATH_INTS(28, 28)), .target_shape = ATH_INTS(28, 28, 1));
 *     x = ath_random_translation(x, .height_factor = ATH_FLOATS(0.1), .width_factor = ATH_FLOATS(0.1));
 *     x = ath_random_flip(x, .mode = ATH_FLIP_HORIZONTAL);
 *
 * x is [batch, height, width, channels] f32 and comes back in the same shape but for random_crop. What happens to an
 * image is a function of (seed, step, layer, its place in the batch). Outside training all but random_crop give x back.
 * They have no gradient: they stand before the first layer with weights. Names, defaults and semantics are those of Keras
 * 3. Where a factor is one number f, it stands for the range of the layer's comment; two numbers are its ends.
 * Errors of all: ATH_E_SHAPE x of another rank, or with sizes that vary. */
#ifndef ATHANOR_AUGMENT_H
#define ATHANOR_AUGMENT_H

#include "athanor/activations.h"
#include "athanor/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What lies beyond the border of an image a b c d. */
typedef enum ath_fill_mode {
    ATH_FILL_REFLECT,  /* d c b a | a b c d | d c b a */
    ATH_FILL_CONSTANT, /* fill_value */
    ATH_FILL_WRAP,     /* a b c d | a b c d | a b c d */
    ATH_FILL_NEAREST,  /* a a a a | a b c d | d d d d */
} ath_fill_mode;

typedef enum ath_interpolation { ATH_BILINEAR, ATH_NEAREST } ath_interpolation;

typedef enum ath_flip_mode { ATH_FLIP_HORIZONTAL_AND_VERTICAL, ATH_FLIP_HORIZONTAL, ATH_FLIP_VERTICAL } ath_flip_mode;

/** Mirrors every second image on the average. Of horizontal_and_vertical one coin drives both: a half turn or nothing. */
typedef struct ath_random_flip_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_flip_mode mode; /* horizontal_and_vertical */
} ath_random_flip_opts;
ATH_API ath_tensor *ath_random_flip_with(ath_tensor *x, const ath_random_flip_opts *opts);
#define ath_random_flip(x, ...)                                                                                      \
    ath_random_flip_with((x), &(ath_random_flip_opts){.struct_size = sizeof(ath_random_flip_opts), __VA_ARGS__})

/** Turns by factor x 360 degrees, f: -f to f. */
typedef struct ath_random_rotation_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats factor;               /* required, -1 to 1 */
    ath_fill_mode fill_mode;         /* reflect */
    ath_interpolation interpolation; /* bilinear */
    double fill_value;               /* 0 */
} ath_random_rotation_opts;
ATH_API ath_tensor *ath_random_rotation_with(ath_tensor *x, const ath_random_rotation_opts *opts);
#define ath_random_rotation(x, ...)                                                                                  \
    ath_random_rotation_with((x), &(ath_random_rotation_opts){.struct_size = sizeof(ath_random_rotation_opts),       \
                                                              __VA_ARGS__})

/** Zooms by 1 + factor, f: -f to f; below 0 zooms in. */
typedef struct ath_random_zoom_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats height_factor;        /* required, above -1 and up to 1 */
    ath_floats width_factor;         /* none: what was drawn for the height */
    ath_fill_mode fill_mode;         /* reflect */
    ath_interpolation interpolation; /* bilinear */
    double fill_value;               /* 0 */
} ath_random_zoom_opts;
ATH_API ath_tensor *ath_random_zoom_with(ath_tensor *x, const ath_random_zoom_opts *opts);
#define ath_random_zoom(x, ...)                                                                                      \
    ath_random_zoom_with((x), &(ath_random_zoom_opts){.struct_size = sizeof(ath_random_zoom_opts), __VA_ARGS__})

/** Moves down and right by parts of height and width, f: -f to f. */
typedef struct ath_random_translation_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats height_factor;        /* required, -1 to 1 */
    ath_floats width_factor;         /* required, -1 to 1 */
    ath_fill_mode fill_mode;         /* reflect */
    ath_interpolation interpolation; /* bilinear */
    double fill_value;               /* 0 */
} ath_random_translation_opts;
ATH_API ath_tensor *ath_random_translation_with(ath_tensor *x, const ath_random_translation_opts *opts);
#define ath_random_translation(x, ...)                                                                               \
    ath_random_translation_with((x),                                                                                 \
                                &(ath_random_translation_opts){.struct_size = sizeof(ath_random_translation_opts),   \
                                                               __VA_ARGS__})

/** In training a window of this size at a random place of each image; otherwise the largest window of these proportions in
 *  the middle, resized. Returns [batch, height, width, channels].
 *  Errors: ATH_E_SHAPE x is smaller than the window. */
typedef struct ath_random_crop_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t height, width; /* required, >= 1 */
} ath_random_crop_opts;
ATH_API ath_tensor *ath_random_crop_with(ath_tensor *x, const ath_random_crop_opts *opts);
#define ath_random_crop(x, ...)                                                                                      \
    ath_random_crop_with((x), &(ath_random_crop_opts){.struct_size = sizeof(ath_random_crop_opts), __VA_ARGS__})

/** (x - mean) c + mean, the mean of each channel of the image; c from 1 - factor to 1 + factor, of two numbers (a, b) from
 *  1 - a to 1 + b. The result is cut at value_range. */
typedef struct ath_random_contrast_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats factor;      /* required, 0 to 1 */
    ath_floats value_range; /* (0, 255) */
} ath_random_contrast_opts;
ATH_API ath_tensor *ath_random_contrast_with(ath_tensor *x, const ath_random_contrast_opts *opts);
#define ath_random_contrast(x, ...)                                                                                  \
    ath_random_contrast_with((x), &(ath_random_contrast_opts){.struct_size = sizeof(ath_random_contrast_opts),       \
                                                              __VA_ARGS__})

/** Adds factor x the width of value_range to all pixels of an image, f: -f to f. The result is cut at value_range. */
typedef struct ath_random_brightness_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats factor;      /* required, -1 to 1 */
    ath_floats value_range; /* (0, 255) */
} ath_random_brightness_opts;
ATH_API ath_tensor *ath_random_brightness_with(ath_tensor *x, const ath_random_brightness_opts *opts);
#define ath_random_brightness(x, ...)                                                                                \
    ath_random_brightness_with((x), &(ath_random_brightness_opts){.struct_size = sizeof(ath_random_brightness_opts), \
                                                                  __VA_ARGS__})

/** Random erasing (Zhong et al., arXiv:1708.04896): with a probability drawn from `factor` (f: 0 to f) a rectangle becomes
 *  fill_value, or noise. Its sides are the roots of two draws from `scale` (f: 0 to f) times the image's. */
typedef struct ath_random_erasing_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    ath_floats factor;      /* 1; 0 to 1 */
    ath_floats scale;       /* (0.02, 0.33); 0 to 1 */
    ath_floats fill_value;  /* one number, or one a channel; none: normal noise times the upper value */
    ath_floats value_range; /* (0, 255): where the filling is cut */
} ath_random_erasing_opts;
ATH_API ath_tensor *ath_random_erasing_with(ath_tensor *x, const ath_random_erasing_opts *opts);
#define ath_random_erasing(x, ...)                                                                                   \
    ath_random_erasing_with((x),                                                                                     \
                            &(ath_random_erasing_opts){.struct_size = sizeof(ath_random_erasing_opts), __VA_ARGS__})

/** Cutout (DeVries and Taylor, arXiv:1708.04552): a square around a random pixel becomes fill_value; it may reach over the
 *  border. */
typedef struct ath_cutout_opts {
    size_t struct_size;
    bool exact;
    const char *name;
    int64_t size;      /* required, >= 1: pixels of a side */
    double fill_value; /* 0 */
} ath_cutout_opts;
ATH_API ath_tensor *ath_cutout_with(ath_tensor *x, const ath_cutout_opts *opts);
#define ath_cutout(x, ...)                                                                                           \
    ath_cutout_with((x), &(ath_cutout_opts){.struct_size = sizeof(ath_cutout_opts), __VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
