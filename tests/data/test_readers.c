/* Readers on files that are wrong, unusual or damaged, and the cache under bad conditions. */
#include "oom.h"

#include "data_test.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

/* Reading `x` (with four labels beside) fails with this sentence. */
static void assert_refused(const char *x, ath_status status, const char *part) {
    char json[160];
    athi_data *d = NULL;
    put_npy("y4.npy", "<i4", "False", "(4,)", (int32_t[]){0, 1, 1, 0}, 16);
    snprintf(json, sizeof json, "{\"train\": {\"x\": \"%s\", \"y\": \"y4.npy\"}}", x);
    assert_fails(ctx, open_json(json, &d), status, part);
    assert_null(d);
}

/* ---- IDX ----------------------------------------------------------------------------------------- */

static const unsigned char images[] = {0, 0, 8, 3, 0,  0,  0,  4,  0,  0,  0,  1,
                                       0, 0, 0, 2, 10, 20, 30, 40, 50, 60, 70, 255};

static void put_gz(const char *name, const void *data, unsigned size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, size), (int)size);
    assert_int_equal(gzclose(f), Z_OK);
}

static void idx_whole_cut_and_damaged(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_gz("x-ubyte.gz", images, sizeof images);
    put_npy("y4.npy", "<i4", "False", "(4,)", (int32_t[]){0, 1, 1, 0}, 16);
    assert_ok(ctx, open_json("{\"train\": {\"x\": \"x-ubyte.gz\", \"y\": \"y4.npy\"}, \"scale\": 1}", &d));
    assert_int_equal(d->sample_shape.rank, 2);
    float x[8];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){3, 0, 1, 2}, 4, x);
    assert_float_equal(x[1], 255, 0);
    assert_float_equal(x[2], 10, 0);
    athi_data_close(d);

    put("cut-ubyte", images, sizeof images - 1);
    assert_refused("cut-ubyte", ATH_E_DATA, "cut short: its header promises 8 elements of 1 bytes, but only 7 bytes");
    unsigned char longer[sizeof images + 1] = {0};
    memcpy(longer, images, sizeof images);
    put("longer-ubyte", longer, sizeof longer);
    assert_refused("longer-ubyte", ATH_E_DATA, "1 bytes follow the last element");
    memcpy(longer, images, sizeof images);
    longer[3] = 200;
    put("rank-ubyte", longer, sizeof images);
    assert_refused("rank-ubyte", ATH_E_DATA, "IDX rank 200 does not fit");
    longer[3] = 3, longer[2] = 11;
    put("type-ubyte", longer, sizeof images);
    assert_refused("type-ubyte", ATH_E_SYNTAX, "element type 0x0b is not supported");
    put("text-ubyte", "hello, world", 12);
    assert_refused("text-ubyte", ATH_E_SYNTAX, "not an IDX file");
    longer[2] = 8, memset(longer + 4, 0, 4);
    put("none-ubyte", longer, 16);
    assert_refused("none-ubyte", ATH_E_DATA, "its shape is [0, 1, 2]");
}

static void gz_cut_or_damaged(void **state) {
    (void)state;
    char path[128], *file = NULL;
    int64_t size = 0;
    put_gz("x-ubyte.gz", images, sizeof images);
    snprintf(path, sizeof path, "%s/x-ubyte.gz", folder);
    assert_ok(ctx, athi_file_read(ctx, path, false, 0, &file, &size));
    put("cut-ubyte.gz", file, size - 9);
    assert_refused("cut-ubyte.gz", ATH_E_DATA, "the gzip file is cut short; fetch it again");
    file[size - 7] ^= 1; /* of the checksum */
    put("bad-ubyte.gz", file, size);
    assert_refused("bad-ubyte.gz", ATH_E_DATA, "the gzip file is damaged");
    athi_free(ctx, file);
}

/* ---- NPY ----------------------------------------------------------------------------------------- */

static void npy_of_other_kinds(void **state) {
    (void)state;
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    athi_data *d = NULL;
    put_npy("fortran.npy", "<f4", "True", "(4, 2)", x, 32);
    assert_refused("fortran.npy", ATH_E_SYNTAX, "saved in Fortran order; save numpy.ascontiguousarray(x)");
    put_npy("big.npy", ">f4", "False", "(4, 2)", x, 32);
    assert_refused("big.npy", ATH_E_SYNTAX, "element type '>f4' is not one that can be read");
    put_npy("cut.npy", "<f4", "False", "(4, 3)", x, 32);
    assert_refused("cut.npy", ATH_E_DATA, "promises 12 elements of 4 bytes, but 32 bytes follow");
    put_npy("rows.npy", "<f4", "False", "(3, 2)", x, 24);
    assert_refused("rows.npy", ATH_E_DATA, "3 inputs but 4 targets");
    put_npy("none.npy", "<f4", "False", "(4, 0)", x, 0);
    assert_refused("none.npy", ATH_E_DATA, "its shape is [4, 0]");
    put_npy("scalar.npy", "<f4", "False", "()", x, 4);
    assert_refused("scalar.npy", ATH_E_DATA, "a single number");
    put_npy("inf.npy", "<f4", "False", "(4, 1)", (float[]){1, 2, -INFINITY, 4}, 16);
    assert_refused("inf.npy", ATH_E_DATA, "sample 2 holds an infinity at element 0");
    /* halves: 1, -2.5, the largest, the smallest */
    put_npy("half.npy", "<f2", "False", "(4, 1)", (uint16_t[]){0x3c00, 0xc100, 0x7bff, 0x0001}, 8);
    put_npy("y4.npy", "<i4", "False", "(4,)", (int32_t[]){0, 1, 1, 0}, 16);
    assert_ok(ctx, open_json("{\"train\": {\"x\": \"half.npy\", \"y\": \"y4.npy\"}}", &d));
    float y[4];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){0, 1, 2, 3}, 4, y);
    const float want[4] = {1, -2.5f, 65504, 0x1p-24f};
    assert_memory_equal(y, want, sizeof want);
    athi_data_close(d);
}

/* ---- CSV ----------------------------------------------------------------------------------------- */

static void csv_columns(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_text("n.csv", "\xEF\xBB\xBFq,a,b\n1.5,1,2\n-3,3,4\n"); /* with a spreadsheet's mark */
    assert_ok(ctx, open_json("{\"train\": {\"file\": \"n.csv\", \"label\": 0}}", &d));
    float x[4], y[2];
    athi_batch_x(&d->train, &d->preprocess, (int64_t[]){0, 1}, 2, x);
    athi_batch_targets(&d->train, (int64_t[]){0, 1}, 2, 1, y);
    const float want[] = {1, 2, 3, 4};
    assert_memory_equal(x, want, sizeof want);
    assert_float_equal(y[0], 1.5, 0);
    assert_int_equal(d->n_classes, 0); /* floats */
    athi_data_close(d);
    assert_ok(ctx, open_json("{\"train\": {\"file\": \"n.csv\", \"label\": \"q\"}}", &d));
    athi_data_close(d);
    d = NULL;
    assert_fails(ctx, open_json("{\"train\": {\"file\": \"n.csv\", \"label\": 3}}", &d), ATH_E_OPTION,
                 "no column '3'; there are ");
    static const struct {
        const char *text;
        ath_status status;
        const char *part;
    } bad[] = {
        {"y\n1\n", ATH_E_DATA, "its only column is the label"},
        {"a,y\n1\n", ATH_E_DATA, "line 2 has 1 fields, the header has 2"},
        {"a,y\n1,2,3\n", ATH_E_DATA, "line 2 has 3 fields, the header has 2"},
        {"a,y\n1,\"x\n\n", ATH_E_SYNTAX, "line 4: a quoted field is never closed"},
        {"a,y\n1,\"x\"z\n", ATH_E_SYNTAX, "line 2: expected a comma after a quoted field"},
        {"a,y\n\n\n", ATH_E_DATA, "no sample follows the header"},
        {"a,y\n1,nan\n2,0\n", ATH_E_DATA, "sample 0 holds NaN"},
        {"", ATH_E_DATA, "empty"},
    };
    for (int i = 0; i < ATHI_COUNT(bad); i++) {
        put_text("bad.csv", bad[i].text);
        assert_fails(ctx, open_json("{\"train\": {\"file\": \"bad.csv\", \"label\": \"y\"}}", &d), bad[i].status,
                     bad[i].part);
    }
    put("zero.csv", "a,y\n1\0,2\n", 9);
    assert_fails(ctx, open_json("{\"train\": {\"file\": \"zero.csv\", \"label\": \"y\"}}", &d), ATH_E_SYNTAX,
                 "holds zero bytes");
}

/* A test file that lacks the first class must not number the others anew. */
static void text_labels_keep_the_training_files_numbers(void **state) {
    (void)state;
    athi_data *d = NULL;
    put_text("train.csv", "a,y\n1,emu\n2,cat\n3,dog\n");
    put_text("test.csv", "a,y\n1,emu\n2,dog\n");
    assert_ok(ctx, open_json("{\"train\": {\"file\": \"train.csv\", \"label\": \"y\"},"
                             " \"test\": {\"file\": \"test.csv\", \"label\": \"y\"}}",
                             &d));
    int32_t y[2];
    athi_batch_classes(&d->test, (int64_t[]){0, 1}, 2, y);
    assert_int_equal(y[0], 2);
    assert_int_equal(y[1], 1);
    assert_int_equal(d->n_classes, 3);
    athi_data_close(d);
    d = NULL;
    put_text("test.csv", "a,y\n1,emu\n2,fox\n");
    assert_fails(ctx,
                 open_json("{\"train\": {\"file\": \"train.csv\", \"label\": \"y\"},"
                           " \"test\": {\"file\": \"test.csv\", \"label\": \"y\"}}",
                           &d),
                 ATH_E_DATA, "data.test: sample 1 has the label 'fox', which no training sample has");
    put_text("test.csv", "a,y\n1,0\n2,1\n");
    assert_fails(ctx,
                 open_json("{\"train\": {\"file\": \"train.csv\", \"label\": \"y\"},"
                           " \"validation\": {\"file\": \"test.csv\", \"label\": \"y\"}}",
                           &d),
                 ATH_E_DATA, "its labels are numbers, but those of the training file are texts");
}

/* ---- allocation failures ------------------------------------------------------------------------- */

static ath_status open_small(ath_ctx *c) {
    athi_data *d = NULL;
    ath_status status =
        open_with(c,
                  "{\"train\": {\"file\": \"train.csv\", \"label\": \"y\"}, \"test\": {\"file\": "
                  "\"test.csv\", \"label\": \"y\"}, \"validation\": 1, \"normalize\": \"featurewise\"}",
                  NULL, &d);
    if (status == ATH_OK) athi_data_close(d);
    return status;
}
static ath_status open_binary(ath_ctx *c) {
    athi_data *d = NULL;
    char cache[96];
    snprintf(cache, sizeof cache, "%s/oom-cache", folder);
    athi_remove_tree(ctx, cache);
    ath_status status =
        open_with(c,
                  "{\"train\": {\"x\": \"x-ubyte.gz\", \"y\": \"y4.npy\"}, \"test\": {\"x\": \"half.npy\", "
                  "\"y\": \"y4.npy\"}}",
                  cache, &d);
    if (status == ATH_OK) athi_data_close(d);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    put_text("train.csv", "a,b,y\n1,4,emu\n2,5,cat\n3,6,dog\n");
    put_text("test.csv", "a,b,y\n1,2,emu\n2,3,dog\n");
    oom_sweep(open_small);
    put_gz("x-ubyte.gz", images, sizeof images);
    put_npy("half.npy", "<f2", "False", "(4, 1, 2)", (uint16_t[8]){0}, 16);
    put_npy("y4.npy", "<i4", "False", "(4,)", (int32_t[]){0, 1, 1, 0}, 16);
    oom_sweep(open_binary);
}

/* ---- the cache ----------------------------------------------------------------------------------- */

static int count_files(const char *path) {
    char command[160];
    int n = -1;
    snprintf(command, sizeof command, "ls '%s' | wc -l", path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static int check_table(const athi_table *t, const athi_map *map, int64_t n) {
    if (t->x.shape.dim[0] != n || !map->data) return 4;
    for (int64_t i = 0; i < n; i++)
        if (((const float *)t->x.data)[i] != (float)i || ((const int32_t *)t->y.data)[i] != (int32_t)(i % 7))
            return 5;
    return 0;
}

/* Loads with a context of its own, as another process does: 0 if the table that comes out is right. */
static int load_alone(const char *path, const char *cache, int64_t n) {
    ath_ctx *c = NULL;
    athi_map map = {0};
    athi_table t;
    if (ath_ctx_create(NULL, &c) != ATH_OK) return 2;
    athi_arena *a = athi_arena_create(c);
    int result = !a || athi_table_load(c, a, path, "y", cache, &map, &t) != ATH_OK ? 3 : check_table(&t, &map, n);
    athi_file_unmap(&map);
    athi_arena_destroy(a);
    ath_ctx_destroy(c);
    return result;
}

static void processes_may_decode_into_one_cache_at_once(void **state) {
    (void)state;
    enum { N = 20000, CHILDREN = 4 };
    char cache[96], path[128];
    athi_text csv = {.ctx = ctx};
    athi_text_printf(&csv, "a,y\n");
    for (int i = 0; i < N; i++) athi_text_printf(&csv, "%d,%d\n", i, i % 7);
    snprintf(path, sizeof path, "%s", put("many.csv", csv.text, csv.length));
    athi_text_free(&csv);
    snprintf(cache, sizeof cache, "%s/shared/cache", folder);
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (!pids[i]) _exit(load_alone(path, cache, N));
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_files(cache), 1); /* and nothing unfinished beside it */
}

static void a_cache_that_cannot_be_written_is_done_without(void **state) {
    (void)state;
    char path[128], cache[160];
    snprintf(path, sizeof path, "%s", put_text("c.csv", "a,y\n0,0\n1,1\n"));
    snprintf(cache, sizeof cache, "%s/cache", path); /* below a file */
    athi_arena *arena = athi_arena_create(ctx);
    athi_map map;
    athi_table t;
    assert_ok(ctx, athi_table_load(ctx, arena, path, "y", cache, &map, &t));
    assert_null(map.data);
    assert_float_equal(((const float *)t.x.data)[1], 1, 0);
    athi_arena_destroy(arena);
}

static void a_damaged_or_old_cache_is_made_again(void **state) {
    (void)state;
    char path[128], cache[96], command[256];
    snprintf(path, sizeof path, "%s", put_text("d.csv", "a,y\n0,0\n1,1\n"));
    snprintf(cache, sizeof cache, "%s/dcache", folder);
    assert_int_equal(load_alone(path, cache, 2), 0);
    snprintf(command, sizeof command, "for f in %s/*; do head -c 100 $f > $f.x; mv $f.x $f; done", cache);
    assert_int_equal(system(command), 0);
    assert_int_equal(load_alone(path, cache, 2), 0);
    put_text("d.csv", "a,y\n0,0\n1,1\n2,2\n3,3\n"); /* another file under the same path */
    assert_int_equal(load_alone(path, cache, 4), 0);
    assert_int_equal(count_files(cache), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_whole_cut_and_damaged),
        cmocka_unit_test(gz_cut_or_damaged),
        cmocka_unit_test(npy_of_other_kinds),
        cmocka_unit_test(csv_columns),
        cmocka_unit_test(text_labels_keep_the_training_files_numbers),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(processes_may_decode_into_one_cache_at_once),
        cmocka_unit_test(a_cache_that_cannot_be_written_is_done_without),
        cmocka_unit_test(a_damaged_or_old_cache_is_made_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
