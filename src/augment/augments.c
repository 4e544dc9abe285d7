/* The table of augmentations, and the check that all have in common. */
#include "augment/options.h"

#define ROW(name_, main, T, doc_)                                                                                    \
    {                                                                                                                \
        .name = #name_, .doc = doc_, .options = athi_options_##name_, .opts_size = sizeof(T),                        \
        .impl = &athi_augment_##name_, .main_option = main                                                           \
    }
static const athi_row rows[] = {
    {.name = "image_data_generator",
     .doc =
         "Keras's ImageDataGenerator: rotation, shifts, shear, zoom, channel shift, flips, brightness, in this order",
     .options = athi_options_generator,
     .opts_size = sizeof(athi_generator_opts),
     .impl = &athi_augment_generator},
    ROW(random_flip, "mode", ath_random_flip_opts, "mirrors every second image; of both axes together"),
    ROW(random_rotation, "factor", ath_random_rotation_opts, "turns"),
    ROW(random_zoom, "height_factor", ath_random_zoom_opts, "zooms in and out"),
    ROW(random_translation, NULL, ath_random_translation_opts, "moves"),
    ROW(random_crop, NULL, ath_random_crop_opts,
        "a window at a random place; a layer only, since it changes the size"),
    ROW(random_contrast, "factor", ath_random_contrast_opts, "draws each channel towards its mean, or away from it"),
    ROW(random_brightness, "factor", ath_random_brightness_opts, "adds one number to all values of an image"),
    ROW(random_erasing, "factor", ath_random_erasing_opts,
        "fills a rectangle with noise or a value (Zhong et al. 2017)"),
    ROW(cutout, "size", ath_cutout_opts, "fills a square (DeVries and Taylor 2017)"),
    ROW(mix_up, "alpha", athi_mix_up_opts,
        "each image and target blended with another of the batch (Zhang et al. 2017)"),
    ROW(cut_mix, "factor", athi_cut_mix_opts,
        "a rectangle of another image of the batch, targets by area (Yun et al. 2019)"),
    {0},
};
const athi_kind athi_augments = {"augmentation", "augmentations", rows};

/* A range is one or two numbers; how many a filling may have is its row's affair. */
static ath_status check_ranges(ath_ctx *ctx, const athi_row *row, const void *opts) {
    for (const athi_option *o = row->options; o->name; o++) {
        const ath_floats *f = (const ath_floats *)(const void *)((const char *)opts + o->offset);
        if (o->type != ATHI_OPT_FLOATS || strcmp(o->name, "fill_value") == 0) continue;
        if ((f->n == 0 && o->nullable) || f->n == 1 || f->n == 2) continue;
        return athi_fail(ctx, ATH_E_OPTION, "%s: %s must be one number or two, [from, to], got %lld", row->name,
                         o->name, (long long)f->n);
    }
    return ATH_OK;
}

static ath_status check_value_range(ath_ctx *ctx, const athi_row *row, const void *opts) {
    for (const athi_option *o = row->options; o->name; o++) {
        const ath_floats *f = (const ath_floats *)(const void *)((const char *)opts + o->offset);
        if (strcmp(o->name, "value_range") != 0 || (f->n == 2 && f->v[0] < f->v[1])) continue;
        return athi_fail(ctx, ATH_E_OPTION,
                         "%s: value_range must be the smallest and the largest value, such as [0, 255]", row->name);
    }
    return ATH_OK;
}

ath_status athi_augment_check(ath_ctx *ctx, const athi_row *row, const void *opts, athi_frame frame) {
    const athi_augment_impl *impl = row->impl;
    ATH_TRY(check_ranges(ctx, row, opts));
    ATH_TRY(check_value_range(ctx, row, opts));
    return impl->check ? impl->check(ctx, opts, frame, row->name) : ATH_OK;
}

void athi_augment_images(const athi_row *row, const void *opts, const int64_t *counters, int64_t id, const float *x,
                         athi_frame in, float *y, int64_t from, int64_t to) {
    const athi_augment_impl *impl = row->impl;
    athi_frame out = impl->size ? impl->size(opts, in) : in;
    int64_t n = athi_frame_count(in), m = athi_frame_count(out);
    /* the upper half of the identities, of which epochs have the lower one */
    uint64_t purpose = ATHI_PURPOSE(ATHI_RNG_AUGMENT, (uint64_t)1 << 39 | (uint64_t)id);
    for (int64_t i = from; i < to; i++) {
        athi_rng rng;
        if (counters) /* a batch has 2^24 samples at most */
            rng = athi_augment_rng((uint64_t)counters[0], purpose, (uint64_t)counters[1] << 24 | (uint64_t)i, 0);
        if (!impl->image(opts, counters ? &rng : NULL, x + i * n, in, y + i * m, out))
            memcpy(y + i * m, x + i * n, (size_t)n * sizeof *y);
    }
}
