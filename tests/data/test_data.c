/* Readers, splits, statistics and batches, on Fashion-MNIST and on small files of all kinds. */
#include "data_test.h"

static void fashion_mnist_has_its_known_statistics(void **state) {
    (void)state;
    athi_data *d = NULL;
    assert_ok(ctx, open_json("{\"source\": \"fashion-mnist\", \"samples\": 10000, \"scale\": 1, \"normalize\": "
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
    /* the lab's: the validation part does not take part */
    assert_ok(ctx, open_json("{\"source\": \"fashion-mnist\", \"samples\": 20000, \"validation\": 10000, \"scale\": 1, "
                             "\"normalize\": \"featurewise\"}",
                             &d));
    assert_int_equal(d->train.n, 10000);
    assert_int_equal(d->validation.n, 10000);
    assert_float_equal(d->preprocess.mean[0], 73.008774, 1e-5);
    assert_float_equal(d->preprocess.std[0], 90.274581, 1e-5);
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

static void npy_targets_become_classes_or_rows(void **state) {
    (void)state;
    put_npy("x.npy", "<f4", "False", "(3, 2)", (float[]){1, 2, 3, 4, 5, 6}, 24);
    put_npy("y.npy", "<i8", "False", "(3,)", (int64_t[]){2, 0, 1}, 24);
    athi_data *d = NULL;
    assert_ok(ctx, open_json("{\"train\": {\"x\": \"x.npy\", \"y\": \"y.npy\"}}", &d));
    float y[9];
    athi_batch_targets(&d->train, (int64_t[]){0, 1, 2}, 3, 3, y);
    const float want[] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
    assert_memory_equal(y, want, sizeof want);
    assert_ok(ctx, athi_part_check_classes(ctx, &d->train, "train", 3));
    assert_fails(ctx, athi_part_check_classes(ctx, &d->train, "train", 2), ATH_E_DATA, "sample 0 has the label 2");
    athi_data_close(d);
    put_npy("short.npy", "<i8", "False", "(3,)", (int64_t[]){2, 0, 1}, 20);
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
        cmocka_unit_test(fashion_mnist_has_its_known_statistics), cmocka_unit_test(validation_is_taken_from_the_end),
        cmocka_unit_test(an_epoch_is_a_permutation_of_its_own),   cmocka_unit_test(csv_labels_may_be_text),
        cmocka_unit_test(npy_targets_become_classes_or_rows),     cmocka_unit_test(the_cache_gives_the_same_arrays),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
