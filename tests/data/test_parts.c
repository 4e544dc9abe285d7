/* Parts of a data set: validation, labels against classes, normalisation. */
#include "data_test.h"

#include <math.h>

static const char files[] = "\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}";

static ath_status open_more(const char *more, athi_data **d) {
    char json[256];
    snprintf(json, sizeof json, "{%s%s}", files, more);
    return open_json(json, d);
}

static void put_ten(void) {
    float x[20];
    int32_t y[10];
    for (int i = 0; i < 20; i++) x[i] = (float)i;
    for (int i = 0; i < 10; i++) y[i] = i % 3;
    put_npy("x.npy", "<f4", "False", "(10, 2)", x, sizeof x);
    put_npy("y.npy", "<i4", "False", "(10,)", y, sizeof y);
}

/* Keras: floor(n (1 - f)) samples stay in training. */
static void validation_rules(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t train;
    } good[] = {{", \"validation\": 0", 10},    {", \"validation\": 9", 1},    {", \"validation\": 0.25", 7},
                {", \"validation\": 0.0", 10},  {", \"validation\": 0.01", 9}, {", \"validation\": 0.8", 1},
                {", \"validation\": null", 10}, {", \"validation\": 0.5", 5}};
    static const struct {
        const char *text, *part;
    } bad[] = {{", \"validation\": 10", "leave nothing to train on"},
               {", \"validation\": 11", "leave nothing to train on"},
               {", \"validation\": 0.9", "0.9 of 10 samples leave nothing"},
               {", \"validation\": 1.0", "a fraction < 1"},
               {", \"validation\": 1.5", "a fraction < 1"},
               {", \"validation\": -1", "expected a number of samples"},
               {", \"validation\": -0.1", "expected a number"},
               {", \"validation\": \"half\"", "expected a number"},
               {", \"validation\": {\"x\": \"x.npy\"}", "{x: FILE, y: FILE}"},
               {", \"samples\": 11", "11 asked for, but there are 10"}};
    put_ten();
    for (int i = 0; i < ATHI_COUNT(good); i++) {
        athi_data *d = NULL;
        assert_ok(ctx, open_more(good[i].text, &d));
        if (d->train.n != good[i].train || d->validation.n != 10 - good[i].train ||
            (d->validation.n && d->validation.begin != good[i].train))
            fail_msg("%s: %lld and %lld samples", good[i].text, (long long)d->train.n, (long long)d->validation.n);
        athi_data_close(d);
    }
    for (int i = 0; i < ATHI_COUNT(bad); i++) {
        athi_data *d = NULL;
        assert_fails(ctx, open_more(bad[i].text, &d), ATH_E_OPTION, bad[i].part);
    }
}

/* Every sample is in one fold; those of training are the others, in order. */
static void folds(void **state) {
    (void)state;
    put_ten();
    for (int64_t k = 2; k <= 10; k++) {
        int seen[10] = {0};
        for (int64_t i = 0; i < k; i++) {
            char text[64];
            athi_data *d = NULL;
            athi_part joined;
            int32_t y[10], whole[10];
            int64_t order[10];
            snprintf(text, sizeof text, ", \"validation\": {\"fold\": %lld, \"of\": %lld}", (long long)i, (long long)k);
            assert_ok(ctx, open_more(text, &d));
            assert_int_equal(d->train.n + d->validation.n, 10);
            assert_true(d->validation.n == 10 / k || d->validation.n == 10 / k + 1);
            assert_ok(ctx, athi_data_join(ctx, d, &joined));
            assert_int_equal(joined.n, 10);
            athi_epoch_order(0, 0, 10, false, order);
            athi_batch_classes(&joined, order, 10, whole);
            athi_batch_classes(&d->train, order, d->train.n, y);
            for (int64_t s = 0, t = 0; s < 10; s++) {
                bool held = s >= d->validation.begin && s < d->validation.begin + d->validation.n;
                seen[s] += held;
                if (!held) assert_int_equal(y[t++], whole[s]);
            }
            float x[10 * 64], all[10 * 64];
            int64_t row = athi_shape_count(d->sample_shape);
            assert_true(row <= 64);
            athi_batch_x(&joined, &d->preprocess, order, 10, all);
            athi_batch_x(&d->train, &d->preprocess, order, d->train.n, x);
            if (d->train.n > d->validation.begin) /* the first sample behind the hole */
                assert_memory_equal(x + d->validation.begin * row, all + (d->validation.begin + d->validation.n) * row,
                                    (size_t)row * sizeof *x);
            athi_data_close(d);
        }
        for (int s = 0; s < 10; s++) assert_int_equal(seen[s], 1);
    }
    athi_data *d = NULL;
    assert_fails(ctx, open_more(", \"validation\": {\"fold\": 2, \"of\": 2}", &d), ATH_E_OPTION, "0 <= I < K");
    assert_fails(ctx, open_more(", \"validation\": {\"fold\": 0, \"of\": 11}", &d), ATH_E_OPTION, "2 <= K <= 10");
}

static void validation_files_of_their_own(void **state) {
    (void)state;
    athi_data *d = NULL;
    athi_part joined;
    put_ten();
    put_npy("vx.npy", "<f4", "False", "(1, 2)", (float[]){7, 8}, 8);
    put_npy("vy.npy", "<i4", "False", "(1,)", (int32_t[]){2}, 4);
    assert_ok(ctx, open_more(", \"validation\": {\"x\": \"vx.npy\", \"y\": \"vy.npy\"}", &d));
    assert_int_equal(d->train.n, 10);
    assert_int_equal(d->validation.n, 1);
    assert_ok(ctx, athi_data_join(ctx, d, &joined));
    assert_int_equal(joined.n, 11);
    assert_float_equal(((const float *)joined.x.data)[2 * 10 + 1], 8, 0);
    assert_int_equal(((const int32_t *)joined.y.data)[10], 2);
    athi_data_close(d);
    d = NULL;
    put_npy("vy.npy", "<i8", "False", "(1,)", (int64_t[]){2}, 8);
    assert_ok(ctx, open_more(", \"validation\": {\"x\": \"vx.npy\", \"y\": \"vy.npy\"}", &d));
    assert_fails(ctx, athi_data_join(ctx, d, &joined), ATH_E_UNSUPPORTED, "their targets are i32 [] and i64 []");
    athi_data_close(d);
    d = NULL;
    put_npy("vx.npy", "<f4", "False", "(1, 3)", (float[]){7, 8, 9}, 12);
    assert_fails(ctx, open_more(", \"validation\": {\"x\": \"vx.npy\", \"y\": \"vy.npy\"}", &d), ATH_E_SHAPE,
                 "data.validation: its samples are [3], the training samples [2]");
}

static void labels_outside_the_classes(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_ten();
    assert_ok(ctx, open_more(", \"validation\": 5", &d));
    assert_int_equal(d->n_classes, 3);
    athi_data_close(d);
    assert_ok(ctx, open_more(", \"validation\": 8", &d)); /* the third class is in the validation part alone */
    assert_int_equal(d->n_classes, 3);
    athi_data_close(d);
    assert_ok(ctx, open_more(", \"validation\": 5", &d));
    assert_ok(ctx, athi_part_check_classes(ctx, &d->train, "train", 3));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->validation, "validation", 2), ATH_E_DATA,
                 "sample 0 has the label 2, but the model gives classes 0..1"); /* counted within the part */
    athi_data_close(d);
    put_npy("y.npy", "<i4", "False", "(10,)", (int32_t[]){0, 1, 2, -1, 0, 0, 0, 0, 0, 0}, 40);
    assert_ok(ctx, open_more("", &d));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 3), ATH_E_DATA, "sample 3 has the label -1");
    athi_data_close(d);
    put_npy("y.npy", "<i8", "False", "(10,)", (int64_t[]){0, 1, (int64_t)1 << 32, 0, 0, 0, 0, 0, 0, 0}, 80);
    assert_ok(ctx, open_more("", &d));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 3), ATH_E_DATA,
                 "sample 2 has the label 4294967296");
    athi_data_close(d);
    put_npy("y.npy", "<f4", "False", "(10,)", (float[]){0, 1, 2, 1.5f, 0, 0, 0, 0, 0, 0}, 40);
    assert_ok(ctx, open_more("", &d));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 3), ATH_E_DATA,
                 "the label of sample 3 is not a whole number");
    athi_data_close(d);
    put_npy("y.npy", "<f8", "False", "(10, 4)", (double[40]){0}, 320); /* one-hot of four */
    assert_ok(ctx, open_more("", &d));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 3), ATH_E_SHAPE,
                 "each target has 4 numbers, but the model gives 3 classes");
    athi_data_close(d);
}

/* Vectors by feature, images by channel, from the training part alone. */
static void featurewise(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_ten();
    assert_ok(ctx, open_more(", \"validation\": 5, \"normalize\": \"featurewise\"", &d));
    assert_int_equal(d->preprocess.n, 2);
    assert_float_equal(d->preprocess.mean[0], 4, 1e-12); /* 0 2 4 6 8 */
    assert_float_equal(d->preprocess.mean[1], 5, 1e-12);
    assert_float_equal(d->preprocess.std[0], sqrt(8), 1e-12);
    float x[2];
    athi_batch_x(&d->validation, &d->preprocess, (int64_t[]){0}, 1, x);
    assert_float_equal(x[0], (10 - 4) / sqrt(8), 1e-5);
    athi_data_close(d);

    /* two images of 1 x 2 pixels and three channels; the last channel is constant */
    put_npy("x.npy", "|u1", "False", "(2, 1, 2, 3)", (unsigned char[]){0, 10, 5, 255, 20, 5, 0, 30, 5, 255, 40, 5},
            12);
    put_npy("y.npy", "<i4", "False", "(2,)", (int32_t[]){0, 1}, 8);
    assert_ok(ctx, open_more(", \"normalize\": \"featurewise\"", &d));
    assert_int_equal(d->preprocess.n, 3);
    assert_float_equal(d->preprocess.scale, 1.0 / 255, 0);
    assert_float_equal(d->preprocess.mean[0], 0.5, 1e-7);
    assert_float_equal(d->preprocess.mean[1], 25.0 / 255, 1e-7);
    assert_float_equal(d->preprocess.std[1], sqrt(125.0) / 255, 1e-7);
    float image[6];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){1}, 1, image);
    assert_float_equal(image[3], 1, 1e-5);
    assert_float_equal(image[5], 0, 1e-3);
    athi_arena *arena = athi_arena_create(ctx); /* and as it travels with a model */
    athi_value *v = NULL;
    athi_preprocess back;
    float again[6];
    assert_ok(ctx, athi_preprocess_write(arena, &d->preprocess, &v));
    assert_ok(ctx, athi_preprocess_read(ctx, arena, v, &back));
    athi_batch_x(&d->train, &back, (int64_t[]){1}, 1, again);
    assert_memory_equal(image, again, sizeof image);
    athi_arena_destroy(arena);
    athi_data_close(d);
}

static void samplewise(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_npy("x.npy", "<f4", "False", "(2, 4)", (float[]){1, 2, 3, 4, 7, 7, 7, 7}, 32);
    put_npy("y.npy", "<i4", "False", "(2,)", (int32_t[]){0, 1}, 8);
    assert_ok(ctx, open_more(", \"normalize\": \"samplewise\", \"scale\": 2", &d));
    float x[8];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){0, 1}, 2, x);
    double deviation = 2 * sqrt(1.25);
    for (int i = 0; i < 4; i++) {
        assert_float_equal(x[i], (2 * (i + 1) - 5) / deviation, 1e-5);
        assert_float_equal(x[4 + i], 0, 0); /* all alike: no division by zero */
    }
    athi_data_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validation_rules), cmocka_unit_test(folds),
        cmocka_unit_test(validation_files_of_their_own),
        cmocka_unit_test(labels_outside_the_classes),
        cmocka_unit_test(featurewise),
        cmocka_unit_test(samplewise),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
