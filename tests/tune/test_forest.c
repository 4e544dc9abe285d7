/* The forest: how well it predicts rows it did not see, categories and absence, and that nothing but rows and key counts. */
#include "tune/space_test.h"

#include "base/file.h"
#include "oom.h"
#include "tune/forest.h"

enum { D = 6 };

static const athi_gp_dim dims[D] = {{0}, {0}, {.category = true}, {.category = true}, {.optional = true}, {0}};

/* A bowl of two numbers, a parity of five branches, a number that exists under branch 0 of another category. */
static double truth(const double *row) {
    double y = 2 * pow(row[0] - 0.3, 2) + pow(row[1] - 0.6, 2) + ((int)row[2] % 2 ? 0.7 : 0);
    return y + (isnan(row[4]) ? 0.4 : fabs(row[4] - 0.5));
}

static void draw_rows(uint64_t seed, int64_t n, double *x, double *y) {
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_TEST, 31));
    for (int64_t i = 0; i < n; i++) {
        double *row = x + i * D;
        row[0] = athi_rng_uniform(&rng), row[1] = athi_rng_uniform(&rng), row[5] = athi_rng_uniform(&rng);
        row[2] = (double)athi_rng_below(&rng, 5), row[3] = (double)athi_rng_below(&rng, 2);
        row[4] = row[3] == 0 ? athi_rng_uniform(&rng) : NAN;
        y[i] = truth(row);
    }
}

/* Of the variance of y, how much the means explain. */
static double explained(const double *y, const double *mean, int64_t n) {
    double center = 0, left = 0, all = 0;
    for (int64_t i = 0; i < n; i++) center += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) left += pow(y[i] - mean[i], 2), all += pow(y[i] - center, 2);
    return 1 - left / all;
}

typedef struct sample {
    double *x, *y, *mean, *variance;
    int64_t n;
} sample;

static sample make_sample(fixture *f, uint64_t seed, int64_t n) {
    sample s = {.n = n};
    s.x = athi_arena_array(f->arena, n * D, sizeof(double));
    s.y = athi_arena_array(f->arena, n, sizeof(double));
    s.mean = athi_arena_array(f->arena, n, sizeof(double));
    s.variance = athi_arena_array(f->arena, n, sizeof(double));
    draw_rows(seed, n, s.x, s.y);
    return s;
}

static athi_forest fit(fixture *f, const sample *s, uint64_t seed) {
    athi_forest forest;
    assert_ok(f->ctx,
              athi_forest_fit(f->arena, dims, D, s->x, s->y, s->n, &(athi_forest_opts){.seed = seed}, &forest));
    return forest;
}

static void predicts(void **state) {
    fixture *f = *state;
    sample seen = make_sample(f, 1, 500), other = make_sample(f, 2, 3000);
    athi_forest forest = fit(f, &seen, 7);
    athi_forest_predict(&forest, other.x, other.n, other.mean, other.variance);
    double new_rows = explained(other.y, other.mean, other.n), inside = 0, spread = 0;
    for (int64_t i = 0; i < other.n; i++) {
        double sd = sqrt(other.variance[i]);
        assert_true(sd > 0);
        inside += fabs(other.y[i] - other.mean[i]) < 2 * sd;
        spread += sd / (double)other.n;
    }
    athi_forest_oob(&forest, seen.mean, seen.variance);
    double out_of_bag = explained(seen.y, seen.mean, seen.n);
    print_message("explains %.3f of new rows, %.3f out of bag; %.3f within two deviations (mean %.3f)\n", new_rows,
                  out_of_bag, inside / (double)other.n, spread);
    assert_true(new_rows > 0.9);
    assert_true(fabs(new_rows - out_of_bag) < 0.04); /* that is what out of bag is for */
    assert_true(inside / (double)other.n > 0.9);
}

/* Noise is predicted as variance, where it is. */
static void variance(void **state) {
    fixture *f = *state;
    sample s = make_sample(f, 3, 400);
    athi_rng rng = athi_rng_at(5, ATHI_PURPOSE(ATHI_RNG_TEST, 32));
    for (int64_t i = 0; i < s.n; i++)
        s.y[i] = s.x[i * D] < 0.5 ? 0.5 * athi_rng_normal(&rng) : 0.01 * athi_rng_normal(&rng);
    athi_forest forest = fit(f, &s, 7);
    double rows[2][D] = {{0.2, 0.5, 1, 0, 0.5, 0.5}, {0.9, 0.5, 1, 0, 0.5, 0.5}}, mean[2], v[2];
    athi_forest_predict(&forest, rows[0], 2, mean, v);
    print_message("noise: deviation %.3f where it is 0.5, %.3f where it is 0.01\n", sqrt(v[0]), sqrt(v[1]));
    assert_true(v[0] > 0.09 && v[0] < 0.5 && v[1] < v[0] / 8);
    assert_true(fabs(mean[1]) < 0.1);
}

/* Bits depend on rows and key alone; another key gives another forest; rows one by one or in blocks the same. */
static void deterministic(void **state) {
    fixture *f = *state;
    sample s = make_sample(f, 4, 150), a = make_sample(f, 6, 200), b = make_sample(f, 6, 200);
    athi_forest one = fit(f, &s, 7), two = fit(f, &s, 7), other = fit(f, &s, 8);
    athi_forest_predict(&one, a.x, a.n, a.mean, a.variance);
    for (int64_t i = 0; i < b.n; i++) athi_forest_predict(&two, b.x + i * D, 1, b.mean + i, b.variance + i);
    assert_memory_equal(a.mean, b.mean, a.n * (int64_t)sizeof(double));
    assert_memory_equal(a.variance, b.variance, a.n * (int64_t)sizeof(double));
    athi_forest_predict(&other, b.x, b.n, b.mean, b.variance);
    assert_memory_not_equal(a.mean, b.mean, a.n * (int64_t)sizeof(double));
}

/* One row, equal values, equal rows of different values, a branch and an absence that no row had: all have an answer. */
static void edges(void **state) {
    fixture *f = *state;
    athi_forest forest;
    const athi_forest_opts opts = {.seed = 1};
    double x[8][2] = {{0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}, {0.5, 1}};
    double y[8] = {0, 1, 2, 3, 4, 5, 6, 7}, same[8] = {3, 3, 3, 3, 3, 3, 3, 3},
           rows[3][2] = {{0.5, 1}, {NAN, 1}, {0.9, 77}};
    const athi_gp_dim two[2] = {{.optional = true}, {.category = true}};
    double mean[3], v[3];
    assert_ok(f->ctx, athi_forest_fit(f->arena, two, 2, x[0], y + 5, 1, &opts, &forest));
    athi_forest_predict(&forest, rows[0], 3, mean, v);
    for (int i = 0; i < 3; i++) assert_true(mean[i] == 5 && v[i] == 0);
    athi_forest_oob(&forest, mean, v);
    assert_true(isnan(mean[0]) && isnan(v[0])); /* every tree saw it */
    assert_ok(f->ctx, athi_forest_fit(f->arena, two, 2, x[0], y, 8, &opts, &forest));
    athi_forest_predict(&forest, rows[0], 3, mean, v);
    for (int i = 0; i < 3; i++) assert_true(fabs(mean[i] - 3.5) < 1 && fabs(v[i] - 5.25) < 2);
    for (int i = 0; i < 8; i++) x[i][0] = i / 8.0, x[i][1] = i % 2;
    assert_ok(f->ctx, athi_forest_fit(f->arena, two, 2, x[0], same, 8, &opts, &forest));
    athi_forest_predict(&forest, rows[0], 3, mean, v);
    for (int i = 0; i < 3; i++) assert_true(mean[i] == 3 && v[i] == 0);
}

/* 500 rows of 10 dimensions; the limit is far above what an idle machine takes, to find a change of kind. */
static void fast(void **state) {
    fixture *f = *state;
    enum { N = 500, W = 10, M = 5000 };
    athi_gp_dim plain[W] = {{0}};
    double *x = athi_arena_array(f->arena, M * W, sizeof *x), *y = athi_arena_array(f->arena, M, sizeof *y);
    double *v = athi_arena_array(f->arena, M, sizeof *v), fitted = INFINITY, predicted = INFINITY;
    athi_rng rng = athi_rng_at(5, ATHI_PURPOSE(ATHI_RNG_TEST, 33));
    for (int64_t i = 0; i < M * W; i++) x[i] = athi_rng_uniform(&rng), y[i / W] += pow(x[i] - 0.4, 2);
    for (int round = 0; round < 5; round++) {
        athi_forest forest;
        double begin = athi_now();
        assert_ok(f->ctx, athi_forest_fit(f->arena, plain, W, x, y, N, &(athi_forest_opts){.seed = 1}, &forest));
        double middle = athi_now();
        athi_forest_predict(&forest, x, M, y, v);
        fitted = fmin(fitted, middle - begin), predicted = fmin(predicted, athi_now() - middle);
    }
    print_message("fit of 500 x 10: %.2f ms; 5000 predictions: %.2f ms\n", 1000 * fitted, 1000 * predicted);
    assert_true(fitted < 0.2 && predicted < 0.4);
}

static ath_status fit_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    double x[40 * D], y[40];
    athi_forest forest;
    draw_rows(1, 40, x, y);
    ath_status status = athi_forest_fit(arena, dims, D, x, y, 40, &(athi_forest_opts){.seed = 1}, &forest);
    athi_arena_destroy(arena);
    return status;
}

static void out_of_memory(void **state) {
    (void)state;
    oom_sweep(fit_once);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(predicts, setup, teardown),
        cmocka_unit_test_setup_teardown(variance, setup, teardown),
        cmocka_unit_test_setup_teardown(deterministic, setup, teardown),
        cmocka_unit_test_setup_teardown(edges, setup, teardown),
        cmocka_unit_test_setup_teardown(fast, setup, teardown),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
