/* Augmentations: Keras's and SciPy's results, what holds for every row, what each draws, and their sentences. */
#include "test.h"

#include "augment/augment.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static ath_ctx *ctx;
static athi_arena *arena;

static int setup(void **state) {
    (void)state;
    if (ath_ctx_create(NULL, &ctx)) return 1;
    return !(arena = athi_arena_create(ctx));
}
static int teardown(void **state) {
    (void)state;
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}

/* ---- images --------------------------------------------------------------------------------------- */

typedef struct image {
    athi_frame frame;
    float *x;
} image;

static image image_new(athi_frame f) {
    image i = {f, athi_arena_array(arena, athi_frame_count(f), sizeof(float))};
    assert_non_null(i.x);
    return i;
}

/* Pixels 0 to 255, none like its neighbours. */
static image image_any(int64_t height, int64_t width, int64_t channels) {
    image i = image_new((athi_frame){height, width, channels});
    for (int64_t k = 0; k < athi_frame_count(i.frame); k++) i.x[k] = (float)((k * 89 + 17) % 256);
    return i;
}

static double number_in(const athi_value *map, const char *key, double fallback) {
    double v = fallback;
    athi_value_number(athi_value_get(map, key), &v);
    return v;
}
static bool flag_in(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_BOOL && v->boolean;
}

static image image_read(const athi_value *tensor) {
    const athi_value *shape = athi_value_get(tensor, "shape"), *data = athi_value_get(tensor, "data");
    image i = image_new((athi_frame){shape->items[0]->integer, shape->items[1]->integer, shape->items[2]->integer});
    assert_int_equal(data->n, athi_frame_count(i.frame));
    for (int64_t k = 0; k < data->n; k++) i.x[k] = (float)data->items[k]->number;
    return i;
}

static void assert_images(const char *name, image got, image want) {
    assert_memory_equal(&got.frame, &want.frame, sizeof got.frame);
    for (int64_t k = 0; k < athi_frame_count(want.frame); k++)
        if (!(fabs((double)got.x[k] - (double)want.x[k]) <= 5e-3))
            fail_msg("%s: element %lld is %.9g, expected %.9g", name, (long long)k, (double)got.x[k],
                     (double)want.x[k]);
}

/* ---- rows ----------------------------------------------------------------------------------------- */

static const athi_row *read_row(const char *name, const athi_value *options, void **opts) {
    const athi_row *row = athi_row_find(&athi_augments, name);
    assert_non_null(row);
    *opts = athi_arena_alloc(arena, (int64_t)row->opts_size);
    assert_ok(ctx, athi_options_read(ctx, arena, row, options, NULL, name, *opts));
    return row;
}
static const athi_row *read_json(const char *name, const char *json, void **opts) {
    athi_value *v;
    assert_ok(ctx, athi_json_read(ctx, arena, json, (int64_t)strlen(json), &v));
    return read_row(name, v, opts);
}

/* The image after a row; the same pixels where it does nothing. */
static image run(const athi_row *row, const void *opts, athi_rng *rng, image in) {
    const athi_augment_impl *impl = row->impl;
    image out = image_new(impl->size ? impl->size(opts, in.frame) : in.frame);
    if (!impl->image(opts, rng, in.x, in.frame, out.x, out.frame))
        memcpy(out.x, in.x, (size_t)athi_frame_count(in.frame) * sizeof(float));
    return out;
}

/* ---- what Keras and SciPy give --------------------------------------------------------------------- */

static void layer_case(const athi_value *c, const char *name, image in, image want) {
    void *opts;
    const athi_row *row = read_row(athi_value_get(c, "augmentation")->text, athi_value_get(c, "options"), &opts);
    assert_ok(ctx, athi_augment_check(ctx, row, opts, in.frame));
    athi_rng rng = athi_augment_rng(1, ATHI_PURPOSE(ATHI_RNG_TEST, 1), 2, 0);
    assert_images(name, run(row, opts, ((const athi_augment_impl *)row->impl)->size ? NULL : &rng, in), want);
}

static void generator_case(const athi_value *c, const char *name, image in, image want) {
    void *opts;
    const athi_value *t = athi_value_get(c, "transform");
    read_row("image_data_generator", athi_value_get(c, "options"), &opts);
    athi_transform transform = {.theta = number_in(t, "theta", 0),
                                .shear = number_in(t, "shear", 0),
                                .tx = number_in(t, "tx", 0),
                                .ty = number_in(t, "ty", 0),
                                .zx = number_in(t, "zx", 1),
                                .zy = number_in(t, "zy", 1),
                                .flip_horizontal = flag_in(t, "flip_horizontal"),
                                .flip_vertical = flag_in(t, "flip_vertical"),
                                .shifts_channels = athi_value_get(t, "channel_shift_intensity"),
                                .channel_shift = number_in(t, "channel_shift_intensity", 0),
                                .brightens = athi_value_get(t, "brightness"),
                                .brightness = number_in(t, "brightness", 1)};
    image out = image_new(in.frame);
    athi_transform_apply(opts, &transform, in.x, in.frame, out.x);
    assert_images(name, out, want);
}

static void scipy_case(const athi_value *c, const char *name, image in, image want) {
    static const struct {
        const char *mode;
        athi_border border;
    } modes[] = {{"nearest", ATHI_BORDER_NEAREST},
                 {"constant", ATHI_BORDER_CUT},
                 {"reflect", ATHI_BORDER_REFLECT},
                 {"wrap", ATHI_BORDER_WRAP_LAST},
                 {"grid-wrap", ATHI_BORDER_WRAP}};
    athi_affine_map a = {.value = 5};
    for (int i = 0; i < ATHI_COUNT(modes); i++)
        if (strcmp(modes[i].mode, athi_value_get(c, "mode")->text) == 0) a.border = modes[i].border;
    for (int i = 0; i < 6; i++) a.m[i] = athi_value_get(c, "matrix")->items[i]->number;
    image out = image_new(in.frame);
    athi_affine_apply(&a, in.x, in.frame, out.x, out.frame);
    assert_images(name, out, want);
}

static void test_golden(void **state) {
    (void)state;
    const char *source = getenv("ATHANOR_SOURCE");
    char path[512], *text;
    int64_t size;
    athi_value *v;
    snprintf(path, sizeof path, "%s/tests/golden/augment.json", source ? source : ".");
    assert_ok(ctx, athi_file_read(ctx, path, false, 64 << 20, &text, &size));
    assert_ok(ctx, athi_json_read(ctx, arena, text, size, &v));
    athi_free(ctx, text);
    const athi_value *cases = athi_value_get(v, "cases");
    assert_true(cases->n > 80);
    for (int64_t i = 0; i < cases->n; i++) {
        const athi_value *c = cases->items[i];
        const char *name = athi_value_get(c, "name")->text;
        image in = image_read(athi_value_get(c, "input")), want = image_read(athi_value_get(c, "output"));
        if (athi_value_get(c, "augmentation"))
            layer_case(c, name, in, want);
        else if (athi_value_get(c, "transform"))
            generator_case(c, name, in, want);
        else
            scipy_case(c, name, in, want);
    }
}

/* ---- what holds for every row ---------------------------------------------------------------------- */

static const struct {
    const char *name, *options;
} usual[] = {
    {"image_data_generator",
     "{\"rotation_range\": 20, \"width_shift_range\": 0.2, \"height_shift_range\": 3, "
     "\"zoom_range\": 0.2, \"shear_range\": 5, \"channel_shift_range\": 9, \"horizontal_flip\": true, "
     "\"vertical_flip\": true, \"brightness_range\": [0.5, 1.5]}"},
    {"random_flip", "{}"},
    {"random_rotation", "{\"factor\": 0.1}"},
    {"random_zoom", "{\"height_factor\": 0.3, \"width_factor\": [-0.2, 0.4]}"},
    {"random_translation", "{\"height_factor\": 0.3, \"width_factor\": 0.2}"},
    {"random_crop", "{\"height\": 3, \"width\": 4}"},
    {"random_contrast", "{\"factor\": 0.5}"},
    {"random_brightness", "{\"factor\": 0.4}"},
    {"random_erasing", "{}"},
    {"cutout", "{\"size\": 3}"},
    {"mix_up", "{}"},
    {"cut_mix", "{}"},
};

static void test_rows_are_sound(void **state) {
    (void)state;
    assert_ok(ctx, athi_kind_check(ctx, &athi_augments));
    for (const athi_row *r = athi_augments.rows; r->name; r++) {
        const athi_augment_impl *impl = r->impl;
        assert_true(!impl->image != !impl->mix);
        bool listed = false;
        for (int i = 0; i < ATHI_COUNT(usual); i++) listed = listed || strcmp(usual[i].name, r->name) == 0;
        if (!listed) fail_msg("%s stands in no list of this test", r->name);
    }
}

/* The same generator gives the same bits; others give other images; pixels stay finite. */
static void test_images_follow_their_generator(void **state) {
    (void)state;
    for (int i = 0; i < ATHI_COUNT(usual); i++) {
        void *opts;
        const athi_row *row = read_json(usual[i].name, usual[i].options, &opts);
        if (((const athi_augment_impl *)row->impl)->mix) continue;
        image in = image_any(9, 11, 2), first = {0};
        int different = 0;
        for (uint64_t k = 0; k < 40; k++) {
            athi_rng a = athi_augment_rng(5, 6, k, 0), b = a;
            image out = run(row, opts, &a, in), again = run(row, opts, &b, in);
            size_t bytes = (size_t)athi_frame_count(out.frame) * sizeof(float);
            assert_memory_equal(out.x, again.x, bytes);
            for (int64_t j = 0; j < athi_frame_count(out.frame); j++) assert_true(isfinite(out.x[j]));
            if (!k) first = out;
            different += memcmp(out.x, first.x, bytes) != 0;
        }
        if (different < 10) fail_msg("%s: of 40 images only %d differ from the first", row->name, different);
    }
}

/* ---- what is drawn --------------------------------------------------------------------------------- */

static void test_flips_every_second_image(void **state) {
    (void)state;
    void *opts;
    const athi_row *row = read_json("random_flip", "{\"mode\": \"horizontal\"}", &opts);
    image in = image_any(2, 3, 1);
    int flipped = 0;
    for (uint64_t k = 0; k < 2000; k++) {
        athi_rng rng = athi_augment_rng(1, 2, k, 0);
        image out = run(row, opts, &rng, in);
        bool is = out.x[0] == in.x[2];
        assert_true(out.x[0] == in.x[is ? 2 : 0] && out.x[3] == in.x[is ? 5 : 3] && out.x[4] == in.x[4]);
        flipped += is;
    }
    assert_in_range(flipped, 900, 1100);
}

/* Whole pixels in both directions and a part of the width, each to the documented ends. */
static void test_shifts_are_in_their_ranges(void **state) {
    (void)state;
    static const struct {
        const char *range;
        double largest;
        bool whole;
    } cases[] = {
        {"3", 2, true}, {"3.0", 3, false}, {"0.25", 2.5, false}, {"[4, -1]", 4, true}, {"[0.1, 0.3]", 3, true}};
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        char json[96];
        void *opts;
        snprintf(json, sizeof json, "{\"width_shift_range\": %s, \"fill_mode\": \"nearest\"}", cases[i].range);
        const athi_row *row = read_json("image_data_generator", json, &opts);
        image in = image_new((athi_frame){1, 10, 1}); /* a ramp: a pixel in the middle tells the shift */
        for (int64_t j = 0; j < 10; j++) in.x[j] = (float)j;
        double low = 0, high = 0;
        for (uint64_t k = 0; k < 300; k++) {
            athi_rng rng = athi_augment_rng(1, 2, k, 0);
            double shift = (double)run(row, opts, &rng, in).x[5] - 5;
            if (cases[i].whole) assert_true(shift == round(shift));
            low = fmin(low, shift), high = fmax(high, shift);
        }
        if (fabs(high - cases[i].largest) > 0.1 || fabs(low + cases[i].largest) > 0.1)
            fail_msg("%s: shifts lie in %g..%g, expected -%g..%g", cases[i].range, low, high, cases[i].largest,
                     cases[i].largest);
    }
}

/* The contrast of a column of one channel against its mean is the same for all pixels, within 1 - f to 1 + f. */
static void test_contrast_keeps_the_mean(void **state) {
    (void)state;
    void *opts;
    const athi_row *row = read_json("random_contrast", "{\"factor\": 0.4, \"value_range\": [-1000, 1000]}", &opts);
    image in = image_any(4, 4, 2);
    double mean[2] = {0}, low = 9, high = 0;
    for (int j = 0; j < 32; j++) mean[j % 2] += (double)in.x[j] / 16;
    for (uint64_t k = 0; k < 200; k++) {
        athi_rng rng = athi_augment_rng(3, 4, k, 0);
        image out = run(row, opts, &rng, in);
        double c = ((double)out.x[0] - mean[0]) / ((double)in.x[0] - mean[0]);
        for (int j = 0; j < 32; j++)
            assert_true(fabs(((double)in.x[j] - mean[j % 2]) * c + mean[j % 2] - (double)out.x[j]) < 1e-2);
        low = fmin(low, c), high = fmax(high, c);
    }
    assert_true(low >= 0.6 && low < 0.62 && high <= 1.4 && high > 1.38);
}

/* What is filled is a rectangle of the documented area, as often as documented. */
static void test_erasing_fills_a_rectangle(void **state) {
    (void)state;
    void *opts;
    const athi_row *row =
        read_json("random_erasing", "{\"factor\": [0.25, 0.25], \"scale\": [0.1, 0.3], \"fill_value\": [1, 2]}",
                  &opts);
    image in = image_new((athi_frame){20, 30, 2});
    int erased = 0;
    for (uint64_t k = 0; k < 1000; k++) {
        athi_rng rng = athi_augment_rng(7, 8, k, 0);
        image out = run(row, opts, &rng, in);
        int64_t top = 99, left = 99, bottom = -1, right = -1, filled = 0;
        for (int64_t p = 0; p < 600; p++) {
            if (out.x[2 * p] == 0) continue;
            assert_true(out.x[2 * p] == 1 && out.x[2 * p + 1] == 2);
            top = ATHI_MIN(top, p / 30), bottom = ATHI_MAX(bottom, p / 30), filled++;
            left = ATHI_MIN(left, p % 30), right = ATHI_MAX(right, p % 30);
        }
        if (!filled) continue;
        erased++;
        assert_int_equal(filled, (bottom - top + 1) * (right - left + 1));
        assert_in_range(bottom - top + 1, (int)(20 * sqrt(0.1)), (int)(20 * sqrt(0.3)) + 1);
        assert_in_range(right - left + 1, (int)(30 * sqrt(0.1)), (int)(30 * sqrt(0.3)) + 1);
    }
    assert_in_range(erased, 200, 300);
}

static void test_crop_shows_every_window(void **state) {
    (void)state;
    void *opts;
    const athi_row *row = read_json("random_crop", "{\"height\": 2, \"width\": 3}", &opts);
    image in = image_new((athi_frame){4, 4, 1});
    bool seen[3][2] = {{0}};
    for (int64_t j = 0; j < 16; j++) in.x[j] = (float)j;
    for (uint64_t k = 0; k < 100; k++) {
        athi_rng rng = athi_augment_rng(7, 8, k, 0);
        image out = run(row, opts, &rng, in);
        int corner = (int)out.x[0];
        for (int j = 0; j < 6; j++) assert_true(out.x[j] == (float)(corner + j / 3 * 4 + j % 3));
        seen[corner / 4][corner % 4] = true;
    }
    for (int j = 0; j < 6; j++) assert_true(seen[j / 2][j % 2]);
}

/* ---- mixing ---------------------------------------------------------------------------------------- */

enum { MIXED = 64 };
static void mix(const char *name, const char *json, uint64_t k, float *x, float *targets, int64_t partner[MIXED]) {
    void *opts;
    const athi_row *row = read_json(name, json, &opts);
    image in = image_new((athi_frame){6, MIXED, 5});
    float *own = athi_arena_array(arena, MIXED * MIXED, sizeof *own);
    int64_t size = 5 * 5 * 1;
    for (int64_t i = 0; i < MIXED; i++) {
        partner[i] = (i * 5 + 3) % MIXED;
        own[i * MIXED + i] = 1;
        for (int64_t j = 0; j < size; j++) in.x[i * size + j] = (float)i;
    }
    athi_rng rng = athi_augment_rng(9, 9, k, 0);
    athi_mixing m = {MIXED, MIXED, {5, 5, 1}, in.x, own, x, targets, partner};
    ((const athi_augment_impl *)row->impl)->mix(opts, &rng, &m);
}

/* Image and target are the same mixture, and weights are those of a Beta distribution. */
static void test_mix_up_blends_images_and_targets(void **state) {
    (void)state;
    float x[MIXED * 25], targets[MIXED * MIXED];
    int64_t partner[MIXED];
    double squares[2] = {0};
    const char *alphas[] = {"{\"alpha\": 0.2}", "{\"alpha\": 5}"};
    for (int which = 0; which < 2; which++) {
        double sum = 0;
        for (uint64_t k = 0; k < 20; k++) {
            mix("mix_up", alphas[which], k, x, targets, partner);
            for (int64_t i = 0; i < MIXED; i++) {
                double w = (double)targets[i * MIXED + i], other = (double)targets[i * MIXED + partner[i]];
                double want = w * (double)i + (1 - w) * (double)partner[i];
                assert_true(partner[i] == i || fabs(w + other - 1) < 1e-6);
                for (int64_t j = 0; j < 25; j++) assert_true(fabs((double)x[i * 25 + j] - want) < 1e-3);
                sum += w, squares[which] += (w - 0.5) * (w - 0.5) / (20 * MIXED);
            }
        }
        assert_true(fabs(sum / (20 * MIXED) - 0.5) < 0.05);
    }
    assert_true(fabs(squares[0] - 0.25 / 1.4) < 0.02); /* variance of Beta(a, a): 1 / (4 (2 a + 1)) */
    assert_true(fabs(squares[1] - 0.25 / 11) < 0.005);
}

/* A pixel is of one image or of the other; the target's part is that of the box, which pixels round. */
static void test_cut_mix_pastes_a_rectangle(void **state) {
    (void)state;
    float x[MIXED * 25], targets[MIXED * MIXED];
    int64_t partner[MIXED];
    double error = 0;
    for (uint64_t k = 0; k < 10; k++) {
        mix("cut_mix", "{}", k, x, targets, partner);
        for (int64_t i = 0; i < MIXED; i++) {
            if (partner[i] == i) continue;
            int pasted = 0;
            for (int64_t j = 0; j < 25; j++) {
                assert_true(x[i * 25 + j] == (float)i || x[i * 25 + j] == (float)partner[i]);
                pasted += x[i * 25 + j] != (float)i;
            }
            double w = (double)targets[i * MIXED + i];
            assert_true(fabs(w + (double)targets[i * MIXED + partner[i]] - 1) < 1e-6);
            assert_true(fabs(pasted / 25.0 - (1 - w)) < 0.4);
            error += pasted / 25.0 - (1 - w);
        }
    }
    error /= 10 * MIXED; /* of few pixels the first is rarely inside a box that begins behind it, as in Keras */
    if (!(error > -0.16 && error < 0.02)) fail_msg("boxes are %g too large", error);
}

/* An alpha so small that no double holds its Gamma numbers gives weights of 0 and 1, not NaN. */
static void test_mixing_with_tiny_alpha(void **state) {
    (void)state;
    float x[MIXED * 25], targets[MIXED * MIXED];
    int64_t partner[MIXED];
    mix("mix_up", "{\"alpha\": 1e-6}", 1, x, targets, partner);
    for (int64_t i = 0; i < MIXED; i++) {
        float w = targets[i * MIXED + i];
        assert_true(partner[i] == i || w < 1e-6f || w > 1 - 1e-6f);
    }
}

/* ---- sentences ------------------------------------------------------------------------------------- */

static void test_bad_options(void **state) {
    (void)state;
    static const struct {
        const char *name, *json, *part;
    } cases[] = {
        {"random_zoom", "{\"height_factor\": -1}", "height_factor must be above -1"},
        {"random_zoom", "{\"height_factor\": [0.1, 0.2, 0.3]}", "height_factor must be one number or two"},
        {"random_rotation", "{\"factor\": []}", "factor must be one number or two"},
        {"random_crop", "{\"height\": 5, \"width\": 9}", "a window of 5 x 9 does not fit into images of 8 x 8"},
        {"random_contrast", "{\"factor\": 0.1, \"value_range\": [1, 0]}",
         "value_range must be the smallest and the largest"},
        {"random_erasing", "{\"fill_value\": [1, 2]}", "fill_value must be one number or one a channel (3), got 2"},
        {"image_data_generator", "{\"zoom_range\": 1}", "zoom_range must stay above a zoom of 0"},
        {"image_data_generator", "{\"brightness_range\": 1}", "brightness_range must be two numbers"},
        {"image_data_generator", "{\"width_shift_range\": -0.1}", "width_shift_range must be a part of the size"},
        {"image_data_generator", "{\"height_shift_range\": [\"a\"]}",
         "height_shift_range must be a part of the size"},
    };
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        void *opts;
        const athi_row *row = read_json(cases[i].name, cases[i].json, &opts);
        assert_true(athi_augment_check(ctx, row, opts, (athi_frame){8, 8, 3}) != ATH_OK);
        if (!strstr(ath_errmsg(ctx), cases[i].part))
            fail_msg("%s %s: '%s'", cases[i].name, cases[i].json, ath_errmsg(ctx));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_rows_are_sound),
        cmocka_unit_test(test_images_follow_their_generator),
        cmocka_unit_test(test_flips_every_second_image),
        cmocka_unit_test(test_shifts_are_in_their_ranges),
        cmocka_unit_test(test_contrast_keeps_the_mean),
        cmocka_unit_test(test_erasing_fills_a_rectangle),
        cmocka_unit_test(test_crop_shows_every_window),
        cmocka_unit_test(test_mix_up_blends_images_and_targets),
        cmocka_unit_test(test_cut_mix_pastes_a_rectangle),
        cmocka_unit_test(test_mixing_with_tiny_alpha),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
