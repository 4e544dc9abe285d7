/* Readers, splits, statistics and batches, on Fashion-MNIST and on small files of all kinds. */
#include "test.h"

#include "base/file.h"
#include "data/data.h"

#include <math.h>
#include <unistd.h>

static ath_ctx *ctx;
static char folder[64];

static int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/athanor-test-XXXXXX");
    return ath_ctx_create(NULL, &ctx) || !mkdtemp(folder);
}
static int teardown(void **state) {
    (void)state;
    athi_remove_tree(ctx, folder);
    ath_ctx_destroy(ctx);
    return 0;
}

static const char *put(const char *name, const void *data, int64_t size) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(ctx, athi_file_write(ctx, path, data, size));
    return path;
}

/* Opens what a `data:` section in JSON describes. */
static ath_status open_json(const char *json, athi_data **data) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *map = NULL;
    athi_data_opts opts;
    ath_status status = athi_json_read(ctx, arena, json, (int64_t)strlen(json), &map);
    if (status == ATH_OK) status = athi_options_read(ctx, arena, &athi_data_row, map, NULL, "data", &opts);
    if (status == ATH_OK) status = athi_data_open(ctx, &opts, folder, NULL, data);
    athi_arena_destroy(arena);
    return status;
}

static void fashion_mnist_has_its_known_statistics(void **state) {
    (void)state;
    athi_data *d = NULL;
    assert_ok(ctx,
              open_json("{\"source\": \"fashion-mnist\", \"samples\": 10000, \"scale\": 1, \"normalize\": "
                        "\"featurewise\", \"batch\": 32}",
                        &d));
    assert_int_equal(d->train.n, 10000);
    assert_int_equal(d->test.n, 10000);
    assert_int_equal(d->n_classes, 10);
    assert_float_equal(d->preprocess.mean[0], 73.008774, 1e-5); /* notes: recomputed from the files */
    assert_float_equal(d->preprocess.std[0], 90.274581, 1e-5);
    float x[2 * 784];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){0, 9999}, 2, x);
    assert_float_equal(x[0], -73.008774 / 90.274581, 1e-5);
    athi_data_close(d);
}

static void validation_is_taken_from_the_end(void **state) {
    (void)state;
    athi_data *d = NULL;
    assert_ok(ctx, open_json("{\"source\": \"fashion-mnist\", \"validation\": 10000}", &d));
    assert_int_equal(d->train.n, 50000);
    assert_int_equal(d->validation.begin, 50000);
    assert_int_equal(d->validation.n, 10000);
    athi_part all;
    assert_ok(ctx, athi_data_join(ctx, d, &all));
    assert_int_equal(all.n, 60000);
    athi_data_close(d);
    assert_ok(ctx, open_json("{\"source\": \"fashion-mnist\", \"samples\": 7, \"validation\": 0.3}", &d));
    assert_int_equal(d->train.n, 4); /* floor(7 * 0.7) */
    assert_int_equal(d->validation.n, 3);
    athi_data_close(d);
}

static void an_epoch_is_a_permutation_of_its_own(void **state) {
    (void)state;
    int64_t a[1000], b[1000], seen[1000] = {0};
    athi_epoch_order(1, 0, 1000, true, a);
    athi_epoch_order(1, 1, 1000, true, b);
    for (int i = 0; i < 1000; i++) seen[a[i]]++;
    for (int i = 0; i < 1000; i++) assert_int_equal(seen[i], 1);
    assert_memory_not_equal(a, b, sizeof a);
    athi_epoch_order(1, 0, 1000, true, b);
    assert_memory_equal(a, b, sizeof a);
    athi_epoch_order(1, 0, 1000, false, b);
    for (int i = 0; i < 1000; i++) assert_int_equal(b[i], i);
}

static void csv_labels_may_be_text(void **state) {
    (void)state;
    const char csv[] = "a,kind,b\n1,\"x, y\",2\r\n3,\"said \"\"no\"\"\",4\n\n5,\"x, y\",6";
    put("t.csv", csv, sizeof csv - 1);
    athi_data *d = NULL;
    assert_ok(ctx, open_json("{\"train\": {\"file\": \"t.csv\", \"label\": \"kind\"}}", &d));
    assert_int_equal(d->train.n, 3);
    assert_int_equal(d->n_classes, 2);
    assert_string_equal(d->class_names[0], "said \"no\"");
    float x[6];
    int32_t y[3];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){2, 0, 1}, 3, x);
    athi_batch_classes(&d->train, (int64_t[]){2, 0, 1}, 3, y);
    const float want[] = {5, 6, 1, 2, 3, 4};
    assert_memory_equal(x, want, sizeof want);
    assert_int_equal(y[0], 1);
    assert_int_equal(y[2], 0);
    athi_data_close(d);
    assert_fails(ctx, open_json("{\"train\": {\"file\": \"t.csv\", \"label\": \"knd\"}}", &d), ATH_E_OPTION,
                 "did you mean 'kind'");
    const char bad[] = "a,y\n1,0\nwhat,1\n";
    put("bad.csv", bad, sizeof bad - 1);
    assert_fails(ctx, open_json("{\"train\": {\"file\": \"bad.csv\", \"label\": \"y\"}}", &d), ATH_E_DATA,
                 "line 3, column 'a': expected a number, got \"what\"");
    const char nan[] = "a,y\n1,0\nnan,1\n";
    put("nan.csv", nan, sizeof nan - 1);
    assert_fails(ctx, open_json("{\"train\": {\"file\": \"nan.csv\", \"label\": \"y\"}}", &d), ATH_E_DATA,
                 "sample 1 holds NaN");
}

static void make_npy(char *file, const char *descr, const char *shape) {
    memset(file, ' ', 128);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(file + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    file[10 + n] = ' ';
    file[127] = '\n';
}

static void npy_targets_become_classes_or_rows(void **state) {
    (void)state;
    char file[256];
    make_npy(file, "<f4", "(3, 2)");
    memcpy(file + 128, (float[]){1, 2, 3, 4, 5, 6}, 24);
    put("x.npy", file, 128 + 24);
    make_npy(file, "<i8", "(3,)");
    memcpy(file + 128, (int64_t[]){2, 0, 1}, 24);
    put("y.npy", file, 128 + 24);
    athi_data *d = NULL;
    assert_ok(ctx, open_json("{\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}}", &d));
    float y[9];
    athi_batch_targets(&d->train, (int64_t[]){0, 1, 2}, 3, 3, y);
    const float want[] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
    assert_memory_equal(y, want, sizeof want);
    assert_ok(ctx, athi_part_check_classes(ctx, &d->train, "train", 3));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 2), ATH_E_DATA,
                 "sample 0 has the label 2");
    athi_data_close(d);
    put("short.npy", file, 128 + 20);
    assert_fails(ctx, open_json("{\"train\": {\"x\": \"x.npy\", \"y\": \"short.npy\"}}", &d), ATH_E_DATA,
                 "cut short");
    assert_fails(ctx, open_json("{\"train\": {\"x\": \"x.npy\", \"y\": \"gone.npy\"}}", &d), ATH_E_NOTFOUND,
                 "gone.npy");
}

static void the_cache_gives_the_same_arrays(void **state) {
    (void)state;
    const char csv[] = "a,y\n1,cat\n2,dog\n";
    char path[160], cache[160];
    snprintf(path, sizeof path, "%s", put("c.csv", csv, sizeof csv - 1));
    snprintf(cache, sizeof cache, "%s/cache", folder);
    for (int round = 0; round < 2; round++) { /* decoded, then mapped */
        athi_arena *arena = athi_arena_create(ctx);
        athi_map map;
        athi_table t;
        assert_ok(ctx, athi_table_load(ctx, arena, path, "y", cache, &map, &t));
        assert_non_null(map.data);
        assert_int_equal(t.x.shape.dim[0], 2);
        assert_float_equal(((const float *)t.x.data)[1], 2, 0);
        assert_string_equal(t.class_names[1], "dog");
        athi_file_unmap(&map);
        athi_arena_destroy(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fashion_mnist_has_its_known_statistics),
        cmocka_unit_test(validation_is_taken_from_the_end),
        cmocka_unit_test(an_epoch_is_a_permutation_of_its_own),
        cmocka_unit_test(csv_labels_may_be_text),
        cmocka_unit_test(npy_targets_become_classes_or_rows),
        cmocka_unit_test(the_cache_gives_the_same_arrays),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
