/* Parzen estimates: widths against sorting, a density that is one over a conditional space, draws that follow it, and
 * what the tpe sampler makes of failed and running trials. */
#include "tune/parzen.h"
#include "tune/space_test.h"

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void widths(void **state) {
    (void)state;
    athi_rng rng = athi_rng_at(1, ATHI_PURPOSE(ATHI_RNG_TEST, 20));
    for (int round = 0; round < 200; round++) {
        double places[300], sorted[300], got[300];
        int n = 1 + (int)athi_rng_below(&rng, 300);
        for (int i = 0; i < n; i++) places[i] = pow(athi_rng_uniform(&rng), round % 3 ? 1 : 6);
        memcpy(sorted, places, sizeof places);
        qsort(sorted, (size_t)n, sizeof *sorted, by_size);
        athi_parzen_widths(places, n, got);
        for (int i = 0; i < n; i++) {
            int k = 0;
            while (sorted[k] != places[i]) k++;
            double left = k ? sorted[k] - sorted[k - 1] : 0, right = k < n - 1 ? sorted[k + 1] - sorted[k] : 0;
            double gap = n == 1 ? fmax(places[i], 1 - places[i]) : fmax(left, right);
            assert_true(fabs(got[i] - fmax(gap, 1.0 / fmin(100, n + 2))) < 1e-11);
        }
    }
}

enum { TRIALS = 12, POINTS = 1000, DRAWS = 50000 };

/* c of two branches, n of 1..4, x under the second branch. */
static void density(void **state) {
    fixture *f = *state;
    athi_branch branches[6];
    int c = add(f, choice_param("c", 2, branches));
    add(f, int_param("n", 1, 4, 0, ATHI_PRIOR_UNIFORM));
    add_under(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM), c, 1, 1);
    athi_rng rng = athi_rng_at(2, ATHI_PURPOSE(ATHI_RNG_TEST, 21));
    double points[TRIALS][3], weights[TRIALS];
    int64_t index[TRIALS], n = 4 + 4 * POINTS, q = 0;
    athi_trial trials[TRIALS];
    const athi_trial *list[TRIALS];
    for (int i = 0; i < TRIALS; i++) {
        athi_space_sample(f->space, &rng, points[i]);
        trials[i] = (athi_trial){.number = i, .point = points[i]};
        list[i] = &trials[i], index[i] = i, weights[i] = 0.3 + 0.05 * i;
    }
    athi_view view = {.space = f->space, .trials = list, .n = TRIALS};
    athi_axes axes;
    assert_ok(f->ctx, athi_axes_create(f->arena, &view, &axes));
    assert_int_equal(axes.n_groups, 2);
    athi_parzen p = {.axes = &axes, .trials = index, .weights = weights, .n = TRIALS};
    athi_candidates grid = {.n = n, .points = calloc((size_t)n * 3, 8), .places = calloc((size_t)n * 3, 8)}, drawn;
    double *log_density = calloc((size_t)n, sizeof *log_density), mass[2] = {0};
    for (int k = 1; k <= 4; k++)
        for (int x = -1; x < POINTS; x++, q++) {
            double *point = grid.points + q * 3;
            point[0] = x >= 0, point[1] = k, point[2] = x < 0 ? NAN : (x + 0.5) / POINTS;
            for (int i = 0; i < 3; i++) grid.places[axes.axis_of[i] * n + q] = i == 1 ? (k - 0.5) / 4 : point[i];
        }
    assert_ok(f->ctx, athi_parzen_score(f->arena, &p, &grid, log_density));
    for (q = 0; q < n; q++) { /* lines leave out the root of 2 pi */
        bool line = grid.points[q * 3] == 1;
        mass[line] += exp(log_density[q]) * (line ? 1 / (POINTS * sqrt(2 * M_PI)) : 1);
    }
    assert_true(fabs(mass[0] + mass[1] - 1) < 1e-5);
    assert_ok(f->ctx, athi_parzen_draw(f->arena, &p, &rng, DRAWS, &drawn));
    double first = 0;
    for (q = 0; q < DRAWS; q++) {
        assert_valid(f->space, drawn.points + q * 3);
        first += drawn.points[q * 3] == 0;
    }
    assert_true(fabs(first / DRAWS - mass[0]) < 0.01); /* 4.5 deviations */
    free(grid.points);
    free(grid.places);
    free(log_density);
}

enum { STUDIES = 200 };

/* Twenty finished trials on a line, the best near 0.5, and ten more of a state right of it: how many of the next
 * suggestions, over the seeds, lie there. */
static int right_of_the_best(fixture *f, athi_trial_state more, athi_reason reason) {
    const athi_sampler_impl *impl = athi_row_find(&athi_samplers, "tpe")->impl;
    double points[30], values[30];
    athi_trial trials[30];
    const athi_trial *list[30];
    int right = 0;
    for (int i = 0; i < 30; i++) {
        points[i] = i < 20 ? (i + 0.5) / 20 : 0.53 + 0.02 * (i - 20);
        values[i] = i < 20 ? fabs(points[i] - 0.5) : NAN;
        trials[i] = (athi_trial){.number = i, .point = &points[i], .values = &values[i]};
        trials[i].state = i < 20 ? ATHI_TRIAL_COMPLETE : more;
        trials[i].reason = i < 20 ? ATHI_REASON_NONE : reason;
        list[i] = &trials[i];
    }
    for (uint64_t seed = 0; seed < STUDIES; seed++) {
        athi_view view = {.space = f->space,
                          .trials = list,
                          .n = 30,
                          .n_objectives = 1,
                          .maximize = &(bool){false},
                          .seed = seed,
                          .trial = 30};
        double point;
        bool exhausted;
        assert_ok(f->ctx, impl->suggest(f->ctx, NULL, &view, &point, &exhausted));
        right += point > 0.52 && point < 0.72;
    }
    return right;
}

static void bad_trials(void **state) {
    fixture *f = *state;
    add(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    int lost = right_of_the_best(f, ATHI_TRIAL_FAILED, ATHI_REASON_LOST);
    int failed = right_of_the_best(f, ATHI_TRIAL_FAILED, ATHI_REASON_MEMORY);
    int running = right_of_the_best(f, ATHI_TRIAL_RUNNING, ATHI_REASON_NONE);
    print_message("right of the best: lost %d, failed %d, running %d of %d\n", lost, failed, running, STUDIES);
    assert_true(failed < lost / 2 && running < lost / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths),
        cmocka_unit_test_setup_teardown(density, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_trials, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
