/* data.augment: its forms and sentences, standardisation, and what batches are made of. */
#include "oom.h" /* before the test's own ctx */

#include "data_test.h"

#include <math.h>

enum { IMAGES = 6, SIZE = 4 * 4 };

/* Six grey images of 4 x 4 with classes 0 to 2. */
static void put_images(void) {
    unsigned char x[IMAGES * SIZE];
    int32_t y[IMAGES];
    for (int i = 0; i < IMAGES * SIZE; i++) x[i] = (unsigned char)(i * 37 % 251);
    for (int i = 0; i < IMAGES; i++) y[i] = i % 3;
    put_npy("x.npy", "|u1", "False", "(6, 4, 4)", x, sizeof x);
    put_npy("y.npy", "<i4", "False", "(6,)", y, sizeof y);
}

static ath_status open_images(const char *more, athi_data **d) {
    char json[512];
    put_images();
    snprintf(json, sizeof json, "{\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}%s}", more);
    return open_json(json, d);
}

/* The batch of these samples, for losses that take rows of `classes`. */
static void batch_of(const athi_data *d, const athi_batch_key *key, const int64_t *order, int64_t n, float *x,
                     float *y) {
    float *scratch = athi_alloc_array(ctx, athi_augment_scratch(&d->augment, n, 3), sizeof *scratch);
    assert_non_null(scratch);
    athi_batch_targets(&d->train, order, n, 3, y);
    athi_batch_augmented(&d->train, &d->preprocess, &d->augment, key, order, n, x, y, 3, scratch);
    athi_free(ctx, scratch);
}

/* Augmentations that change nothing leave what the plain gather gives: u8, scaled and normalised. */
static void without_effect(void **state) {
    (void)state;
    static const char *const more[] = {
        ", \"augment\": {\"rotation_range\": 0}, \"normalize\": \"featurewise\"",
        ", \"normalize\": \"samplewise\", \"scale\": 0, \"augment\": [{\"cutout\": {\"size\": 1, \"fill_value\": 9}}]",
        ", \"augment\": {\"zoom_range\": [1, 1]}, \"normalize\": \"featurewise_center\"",
        ", \"augment\": {\"cval\": 1}, \"normalize\": \"samplewise_center\", \"scale\": 2",
    };
    for (int i = 0; i < ATHI_COUNT(more); i++) {
        athi_data *d = NULL;
        float x[IMAGES * SIZE], y[IMAGES * 3], plain[IMAGES * SIZE];
        const int64_t order[] = {4, 0, 5, 2, 1, 3};
        assert_ok(ctx, open_images(more[i], &d));
        batch_of(d, &(athi_batch_key){1, 0, 0}, order, IMAGES, x, y);
        athi_batch_x(&d->train, &d->preprocess, order, IMAGES, plain);
        int changed = 0;
        for (int j = 0; j < IMAGES * SIZE; j++) changed += fabsf(x[j] - plain[j]) > 1e-4f;
        if (i == 1)
            assert_true(changed > 0); /* cutout has an effect: the comparison can fail */
        else
            assert_int_equal(changed, 0);
        athi_data_close(d);
    }
}

/* An image depends on seed, epoch and sample, not on its place or its neighbours. */
static void keyed_by_sample(void **state) {
    (void)state;
    athi_data *d = NULL;
    float a[IMAGES * SIZE], b[IMAGES * SIZE], y[IMAGES * 3];
    assert_ok(ctx,
              open_images(", \"augment\": [{\"random_rotation\": 0.2}, {\"random_erasing\": 0.5}, {\"cutout\": 2}]",
                          &d));
    batch_of(d, &(athi_batch_key){7, 3, 0}, (int64_t[]){0, 1, 2, 3, 4, 5}, 6, a, y);
    batch_of(d, &(athi_batch_key){7, 3, 128}, (int64_t[]){5, 3}, 2, b, y);
    assert_memory_equal(a + 5 * SIZE, b, SIZE * sizeof *a);
    assert_memory_equal(a + 3 * SIZE, b + SIZE, SIZE * sizeof *a);
    batch_of(d, &(athi_batch_key){7, 4, 0}, (int64_t[]){0, 1, 2, 3, 4, 5}, 6, b, y);
    assert_memory_not_equal(a, b, sizeof a);
    batch_of(d, &(athi_batch_key){8, 3, 0}, (int64_t[]){0, 1, 2, 3, 4, 5}, 6, b, y);
    assert_memory_not_equal(a, b, sizeof a);
    athi_data_close(d);
}

/* Mixed images keep the mean of the batch's targets at 1, and go through what follows; the key is the batch. */
static void mixed(void **state) {
    (void)state;
    athi_data *d = NULL;
    float a[IMAGES * SIZE], b[IMAGES * SIZE], y[IMAGES * 3], z[IMAGES * 3], plain[IMAGES * SIZE];
    const int64_t order[] = {0, 1, 2, 3, 4, 5};
    assert_ok(ctx, open_images(", \"augment\": [{\"random_flip\": \"horizontal\"}, null, {\"mix_up\": 0.8}, \"cut_mix\", "
                               "{\"random_flip\": \"vertical\"}]",
                               &d));
    assert_true(d->augment.mixes);
    assert_int_equal(d->augment.n, 4); /* null is nothing */
    batch_of(d, &(athi_batch_key){7, 3, 0}, order, 6, a, y);
    batch_of(d, &(athi_batch_key){7, 3, 0}, order, 6, b, z);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(y, z, sizeof y);
    batch_of(d, &(athi_batch_key){7, 3, 6}, order, 6, b, z);
    assert_memory_not_equal(a, b, sizeof a);
    athi_batch_x(&d->train, &d->preprocess, order, 6, plain);
    assert_memory_not_equal(a, plain, sizeof a);
    bool soft = false;
    for (int i = 0; i < IMAGES; i++) {
        assert_float_equal(y[3 * i] + y[3 * i + 1] + y[3 * i + 2], 1, 1e-5);
        for (int c = 0; c < 3; c++) soft = soft || (y[3 * i + c] > 0.01f && y[3 * i + c] < 0.99f);
    }
    assert_true(soft);
    for (int j = 0; j < IMAGES * SIZE; j++) assert_true(a[j] >= 0 && a[j] <= 1.0001f); /* still scaled pixels */
    athi_data_close(d);
}

/* ImageDataGenerator's flags are data.normalize. */
static void standardization(void **state) {
    (void)state;
    static const struct {
        const char *flags;
        athi_normalize normalize;
    } cases[] = {{"{\"featurewise_center\": true}", ATHI_NORMALIZE_FEATUREWISE_CENTER},
                 {"{\"featurewise_std_normalization\": true}", ATHI_NORMALIZE_FEATUREWISE},
                 {"{\"featurewise_center\": true, \"featurewise_std_normalization\": true}",
                  ATHI_NORMALIZE_FEATUREWISE},
                 {"{\"samplewise_center\": true}", ATHI_NORMALIZE_SAMPLEWISE_CENTER},
                 {"{\"samplewise_std_normalization\": true}", ATHI_NORMALIZE_SAMPLEWISE}};
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        athi_data *d = NULL;
        char more[160];
        float x[SIZE];
        double sum = 0, squares = 0;
        snprintf(more, sizeof more, ", \"augment\": %s", cases[i].flags);
        assert_ok(ctx, open_images(more, &d));
        assert_int_equal(d->preprocess.normalize, cases[i].normalize);
        for (int64_t k = 0; k < IMAGES; k++) {
            athi_batch_x(&d->train, &d->preprocess, &k, 1, x);
            double mean = 0;
            for (int j = 0; j < SIZE; j++) mean += (double)x[j] / SIZE, squares += (double)x[j] * (double)x[j];
            if (cases[i].normalize == ATHI_NORMALIZE_SAMPLEWISE_CENTER) assert_float_equal(mean, 0, 1e-6);
            sum += mean;
        }
        assert_float_equal(sum, 0, 1e-5);
        bool divided =
            cases[i].normalize == ATHI_NORMALIZE_FEATUREWISE || cases[i].normalize == ATHI_NORMALIZE_SAMPLEWISE;
        assert_true((fabs(squares / (IMAGES * SIZE) - 1) < 1e-3) == divided);
        athi_arena *arena = athi_arena_create(ctx); /* and as it travels with a model */
        athi_value *v = NULL;
        athi_preprocess back;
        float again[SIZE];
        assert_ok(ctx, athi_preprocess_write(arena, &d->preprocess, &v));
        assert_ok(ctx, athi_preprocess_read(ctx, arena, v, &back));
        athi_batch_x(&d->train, &back, (int64_t[]){5}, 1, again);
        assert_memory_equal(x, again, sizeof x);
        athi_arena_destroy(arena);
        athi_data_close(d);
    }
}

static void one_hot(void **state) {
    (void)state;
    athi_data *d = NULL;
    float y[6];
    assert_ok(ctx, open_images(", \"one_hot\": true", &d));
    assert_int_equal(d->target_shape.rank, 1);
    assert_int_equal(d->target_shape.dim[0], 3);
    athi_batch_targets(&d->train, (int64_t[]){2, 0}, 2, 3, y);
    assert_memory_equal(y, ((float[]){0, 0, 1, 1, 0, 0}), sizeof y);
    athi_data_close(d);
}

static void sentences(void **state) {
    (void)state;
    static const struct {
        const char *more, *part;
    } cases[] = {
        {", \"augment\": [\"mixup\"]", "'mixup' is not an augmentation; did you mean 'mix_up'?"},
        {", \"augment\": {\"rotation\": 3}", "did you mean 'rotation_range'?"},
        {", \"augment\": {\"rotation_range\": 400}", "rotation_range must be a number in 0..360, got 400"},
        {", \"augment\": [{\"random_crop\": {\"height\": 2, \"width\": 2}}]", "write it as a layer of the model"},
        {", \"augment\": [{\"random_erasing\": {\"fill_value\": [1, 2]}}]",
         "fill_value must be one number or one a channel"},
        {", \"augment\": {\"featurewise_center\": true, \"samplewise_center\": true}", "exclude each other"},
        {", \"augment\": {\"featurewise_center\": true}, \"normalize\": \"samplewise\"",
         "asks for the standardisation 'featurewise_center', but data.normalize is 'samplewise'"},
    };
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        athi_data *d = NULL;
        assert_true(open_images(cases[i].more, &d) != ATH_OK);
        if (!strstr(ath_errmsg(ctx), cases[i].part)) fail_msg("%s: '%s'", cases[i].more, ath_errmsg(ctx));
    }
    athi_data *d = NULL;
    put_npy("x.npy", "<f4", "False", "(2, 3)", (float[6]){1, 2, 3, 4, 5, 6}, 24);
    put_npy("y.npy", "<f4", "False", "(2,)", (float[2]){0.5f, 1.5f}, 8);
    const char *files = "\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}";
    char json[200];
    snprintf(json, sizeof json, "{%s, \"augment\": [\"random_flip\"]}", files);
    assert_fails(ctx, open_json(json, &d), ATH_E_SHAPE, "expected images [height, width] or");
    snprintf(json, sizeof json, "{%s, \"one_hot\": true}", files);
    assert_fails(ctx, open_json(json, &d), ATH_E_OPTION, "data.one_hot: the targets are no class numbers");
}

static ath_status open_augmented(ath_ctx *c) {
    athi_data *d = NULL;
    ath_status status =
        open_with(c,
                  "{\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}, \"one_hot\": true, \"augment\": "
                  "[{\"image_data_generator\": {\"width_shift_range\": [1, 2], \"zoom_range\": [0.5, 1], "
                  "\"featurewise_center\": true}}, \"mix_up\", {\"random_erasing\": 0.5}]}",
                  NULL, &d);
    if (status == ATH_OK) athi_data_close(d);
    return status;
}
static void every_allocation_may_fail(void **state) {
    (void)state;
    put_images();
    oom_sweep(open_augmented);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_effect),
        cmocka_unit_test(keyed_by_sample),
        cmocka_unit_test(mixed),
        cmocka_unit_test(standardization),
        cmocka_unit_test(one_hot),
        cmocka_unit_test(sentences),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
