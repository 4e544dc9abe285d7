/* Every sampler: valid points on random conditional spaces, no point twice, finite spaces exhausted exactly,
 * and the same suggestion again from the same (seed, number, trials). */
#include "tune/space_test.h"

enum { MOST = 400 };

typedef struct study {
    const athi_space *space;
    athi_trial trials[MOST];
    const athi_trial *view[MOST];
    double points[MOST][6], values[MOST];
    int64_t n;
    uint64_t seed;
    bool maximize;
} study;

static athi_view view_of(const study *s) {
    return (athi_view){.space = s->space,
                       .trials = s->view,
                       .n = s->n,
                       .n_objectives = 1,
                       .maximize = &s->maximize,
                       .seed = s->seed,
                       .trial = s->n,
                       .budget = 0};
}

/* Records the point; its state by turns: complete, failed with each reason, running. */
static void record(study *s, const double *point, double value, bool troubled) {
    int64_t n = s->n++;
    memcpy(s->points[n], point, (size_t)s->space->n * sizeof *point);
    s->values[n] = value;
    s->trials[n] = (athi_trial){.number = n,
                                .state = ATHI_TRIAL_COMPLETE,
                                .point = s->points[n],
                                .values = &s->values[n]};
    s->view[n] = &s->trials[n];
    if (!troubled || n % 3 == 0) return;
    s->values[n] = NAN;
    s->trials[n].state = n % 3 == 1 ? ATHI_TRIAL_FAILED : ATHI_TRIAL_RUNNING;
    s->trials[n].reason = n % 3 == 1 ? (athi_reason)(ATHI_REASON_CRASH + n % 5) : ATHI_REASON_NONE;
}

static double bowl(const athi_space *space, const double *point) {
    double sum = 0;
    for (int64_t i = 0; i < space->n; i++) {
        double u = isnan(point[i]) ? 0.3 : athi_param_to_unit(&space->params[i], point[i]);
        sum += (u - 0.6) * (u - 0.6) * (double)(i + 1);
    }
    return sum;
}

static void *options_of(fixture *f, const athi_row *row) {
    void *opts = NULL;
    if (row->options)
        assert_ok(f->ctx, athi_options_read(f->ctx, f->arena, row, NULL, NULL, row->name,
                                            (opts = athi_arena_alloc(f->arena, (int64_t)row->opts_size))));
    return opts;
}

static void suggest(fixture *f, const athi_row *row, const void *opts, const study *s, double *point,
                    bool *exhausted) {
    const athi_sampler_impl *impl = row->impl;
    athi_view view = view_of(s);
    double again[6];
    bool exhausted_again;
    assert_ok(f->ctx, impl->suggest(f->ctx, opts, &view, point, exhausted));
    assert_ok(f->ctx, impl->suggest(f->ctx, opts, &view, again, &exhausted_again));
    assert_int_equal(*exhausted, exhausted_again);
    if (*exhausted) return;
    for (int64_t i = 0; i < s->space->n; i++)
        assert_true(point[i] == again[i] || (isnan(point[i]) && isnan(again[i])));
    assert_valid(s->space, point);
}

static void exhausts(void **state) {
    fixture *f = *state;
    study *s = calloc(1, sizeof *s);
    for (const athi_row *row = athi_samplers.rows; row->name; row++) {
        athi_rng rng = athi_rng_at(11, ATHI_PURPOSE(ATHI_RNG_TEST, 4));
        const void *opts = options_of(f, row);
        for (int round = 0; round < 16;) {
            assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
            random_space(f, &rng, true);
            double size = athi_space_size(f->space);
            if (size > 80) continue;
            *s = (study){.space = f->space, .seed = (uint64_t)round, .maximize = round % 2};
            for (;;) {
                double point[6];
                bool exhausted;
                suggest(f, row, opts, s, point, &exhausted);
                if (exhausted) break;
                athi_view view = view_of(s);
                if (athi_tried(&view, point)) fail_msg("%s: a point came twice, round %d", row->name, round);
                record(s, point, bowl(f->space, point), round % 3 != 0);
            }
            assert_true((double)s->n == size);
            round++;
        }
    }
    free(s);
}

/* What the constraint leaves is visited, every point once, and nothing else. */
static void keeps_constraints(void **state) {
    fixture *f = *state;
    study *s = calloc(1, sizeof *s);
    for (const athi_row *row = athi_samplers.rows; row->name; row++) {
        assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
        athi_branch branches[6];
        add(f, int_param("units", 1, 4, 1, ATHI_PRIOR_UNIFORM));
        int kind = add(f, choice_param("kind", 3, branches));
        add_under(f, int_param("layers", 1, 4, 1, ATHI_PRIOR_UNIFORM), kind, 1, 1);
        assert_ok(f->ctx, athi_space_rule(f->ctx, f->space, "units * layers <= 4 or units == 4"));
        assert_ok(f->ctx, athi_space_rule(f->ctx, f->space, "not (kind == 'c' and units > 1)"));
        const void *opts = options_of(f, row);
        *s = (study){.space = f->space, .seed = 5};
        for (bool exhausted = false;;) {
            double point[6];
            suggest(f, row, opts, s, point, &exhausted);
            if (exhausted) break;
            assert_true(athi_space_allows(f->space, point));
            record(s, point, bowl(f->space, point), false);
            assert_true(s->n < MOST);
        }
        assert_int_equal(s->n, 4 + 11 + 1); /* a: 4 units; b: 4 + 2 + 1 products up to 4, and 4 with units 4; c: 1 */
    }
    free(s);
}

static void infinite_spaces(void **state) {
    fixture *f = *state;
    study *s = calloc(1, sizeof *s);
    for (const athi_row *row = athi_samplers.rows; row->name; row++) {
        if (!strcmp(row->name, "grid")) continue;
        athi_rng rng = athi_rng_at(13, ATHI_PURPOSE(ATHI_RNG_TEST, 5));
        const void *opts = options_of(f, row);
        for (int round = 0; round < 8;) {
            assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
            random_space(f, &rng, false);
            if (isfinite(athi_space_size(f->space))) continue;
            *s = (study){.space = f->space, .seed = (uint64_t)round};
            for (int i = 0; i < 30; i++) {
                double point[6];
                bool exhausted;
                suggest(f, row, opts, s, point, &exhausted);
                assert_false(exhausted);
                athi_view view = view_of(s);
                assert_false(athi_tried(&view, point));
                record(s, point, bowl(f->space, point), round % 2);
            }
            round++;
        }
    }
    free(s);
}

static void grid_order(void **state) {
    fixture *f = *state;
    athi_branch b[6];
    athi_space_param units = int_param("units", 16, 48, 16, ATHI_PRIOR_UNIFORM);
    units.fallback = 32;
    add(f, units);
    int c = add(f, choice_param("c", 2, b));
    add_under(f, float_param("lr", 0.1, 1, 0, ATHI_PRIOR_LOG), c, 1, 1);
    study *s = calloc(1, sizeof *s);
    *s = (study){.space = f->space};
    const athi_row *row = athi_row_find(&athi_samplers, "grid");
    double point[6];
    bool exhausted;
    for (;;) {
        suggest(f, row, NULL, s, point, &exhausted);
        if (exhausted) break;
        record(s, point, 0, false);
    }
    assert_int_equal(s->n, 3 * (1 + 10));
    assert_true(s->points[0][0] == 32 && s->points[0][1] == 0 && isnan(s->points[0][2]));
    assert_true(s->points[1][1] == 1 && s->points[1][2] == 0.1 && s->points[11][0] == 16 &&
                s->points[22][0] == 48);
    free(s);
}

/* Different numbers and seeds give different points, seed 0 included; equal ones the same (checked in
 * suggest). */
static void seeds(void **state) {
    fixture *f = *state;
    add(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    const athi_row *row = athi_row_find(&athi_samplers, "random");
    study *s = calloc(1, sizeof *s);
    double seen[20][6];
    for (int i = 0; i < 20; i++) {
        bool exhausted;
        *s = (study){.space = f->space, .seed = (uint64_t)i};
        suggest(f, row, NULL, s, seen[i], &exhausted);
        for (int k = 0; k < i; k++) assert_true(seen[k][0] != seen[i][0]);
    }
    free(s);
}

/* Point n of sobol in the unit cube of d parameters. */
static void sobol_point(fixture *f, uint64_t seed, int64_t n, double *point) {
    const athi_sampler_impl *impl = athi_row_find(&athi_samplers, "sobol")->impl;
    const athi_view view = {.space = f->space, .n_objectives = 1, .maximize = &(bool){false}, .seed = seed, .trial = n};
    bool exhausted;
    assert_ok(f->ctx, impl->suggest(f->ctx, NULL, &view, point, &exhausted));
    assert_false(exhausted);
}

/* Of 64 points that follow an aligned number one lies in each 64th of every dimension, and of the first two
 * dimensions in each box of 1/64, 2^-k by 2^(k - 6); with draws alone not even one dimension would be so even.
 * Fixed parameters take no dimension; beyond 64 dimensions there are plain draws. */
static void sobol_is_even(void **state) {
    fixture *f = *state;
    enum { POINTS = 64, D = 70, SEEDS = 3 };
    static char names[D + 1][8];
    static double points[POINTS][D + 1], other[D + 1];
    for (int d = 0; d <= D; d++) {
        snprintf(names[d], sizeof names[d], "x%d", d);
        add(f, float_param(names[d], 0, d == 1 ? 0 : 1, 0, ATHI_PRIOR_UNIFORM));
    }
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (int n = 0; n < POINTS; n++) sobol_point(f, seed, POINTS + n, points[n]);
        int even = 0;
        for (int d = 0; d <= D; d++) {
            uint64_t met = 0;
            for (int n = 0; n < POINTS; n++) met |= (uint64_t)1 << (int)(points[n][d] * POINTS);
            even += met == UINT64_MAX;
            if (d > 1 && d <= 64 && met != UINT64_MAX) fail_msg("seed %d: dimension %d is not even", (int)seed, d);
        }
        assert_int_equal(even, 64);
        for (int k = 0; k <= 6; k++) {
            uint64_t met = 0;
            for (int n = 0; n < POINTS; n++) {
                const int row = (int)(points[n][0] * (1 << k)), column = (int)(points[n][2] * (64 >> k));
                met |= (uint64_t)1 << (row * (64 >> k) + column);
            }
            assert_true(met == UINT64_MAX);
        }
        sobol_point(f, seed + SEEDS, POINTS, other);
        for (int d = 0; d <= D; d++) assert_true((points[0][d] == other[d]) == (d == 1));
    }
}

static void nearest_untried(void **state) {
    fixture *f = *state;
    add(f, int_param("x", 0, 10, 0, ATHI_PRIOR_UNIFORM));
    study *s = calloc(1, sizeof *s);
    *s = (study){.space = f->space};
    for (double x = 3; x <= 7; x++) record(s, &x, 0, false);
    athi_view view = view_of(s);
    double point[1] = {6};
    bool exhausted;
    assert_ok(f->ctx, athi_avoid_duplicate(f->ctx, &view, point, &exhausted));
    assert_true(point[0] == 8 && !exhausted);
    point[0] = 1;
    assert_ok(f->ctx, athi_avoid_duplicate(f->ctx, &view, point, &exhausted));
    assert_true(point[0] == 1);
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exhausts, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_constraints, setup, teardown),
        cmocka_unit_test_setup_teardown(infinite_spaces, setup, teardown),
        cmocka_unit_test_setup_teardown(grid_order, setup, teardown),
        cmocka_unit_test_setup_teardown(seeds, setup, teardown),
        cmocka_unit_test_setup_teardown(sobol_is_even, setup, teardown),
        cmocka_unit_test_setup_teardown(nearest_untried, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
