/* The default sampler: better than random search, away from what fails or breaks a constraint, repeats only at the end of a
 * noisy study, and others where they are better. */
#include "tune/sampler_test.h"

static void better_than_random(void **state) { assert_true(wins_of(*state, "auto", 26) >= 19); }

/* Beyond 0.7 trials fail, or break a constraint, and less is better towards 1: how many of 40 lie beyond 0.8. */
static int beyond(fixture *f, study *s, const char *sampler, bool told, double *best) {
    static double slack[MOST];
    int count = 0;
    begin(s, f->space, 3, false);
    for (int i = 0; i < 40; i++) {
        athi_trial *t = ask(f, s, sampler, NULL);
        double value = -t->point[0] + pow(t->point[1] - 0.4, 2);
        slack[i] = t->point[0] - 0.7;
        if (told || slack[i] <= 0) tell(t, value);
        if (told) t->constraints = &slack[i], t->n_constraints = 1;
        if (!told && slack[i] > 0) t->state = ATHI_TRIAL_FAILED, t->reason = ATHI_REASON_MEMORY;
        if (slack[i] <= 0) *best = fmin(*best, value);
        count += t->point[0] > 0.8;
    }
    return count;
}

static void limits(void **state) {
    fixture *f = *state;
    add(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    add(f, float_param("y", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    study *s = malloc(sizeof *s);
    static const char *const samplers[] = {"auto", "bayesian"};
    for (int k = 0; k < 4; k++) {
        double best = INFINITY;
        int count = beyond(f, s, samplers[k / 2], k % 2, &best);
        print_message("%s, %s: %d of 40 beyond, best %.4f\n", samplers[k / 2], k % 2 ? "told" : "failed", count,
                      best);
        assert_true(count <= 6 && best < (k % 2 ? -0.69 : -0.65)); /* a told constraint says how far the edge is */
    }
    free(s);
}

/* A slope under noise of its height, or none, on a grid: how many of the 40 points came twice. */
static int repeats(fixture *f, study *s, double noise, int64_t *first) {
    int count = 0;
    begin(s, f->space, 5, false);
    *first = 40;
    for (int i = 0; i < 40; i++) {
        athi_trial *t = ask(f, s, "auto", NULL);
        athi_rng rng = athi_rng_at(9, ATHI_PURPOSE(ATHI_RNG_TEST, i));
        tell(t, 0.1 * t->point[0] + noise * athi_rng_normal(&rng));
        bool again = false;
        for (int k = 0; k < i; k++) again |= athi_point_distance(f->space, s->points[k], t->point) == 0;
        if (again) *first = ATHI_MIN(*first, i);
        count += again;
    }
    return count;
}

static void repeats_at_the_end(void **state) {
    fixture *f = *state;
    int64_t first;
    add(f, int_param("x", 1, 12, 0, ATHI_PRIOR_UNIFORM));
    add(f, int_param("y", 1, 12, 0, ATHI_PRIOR_UNIFORM));
    study *s = malloc(sizeof *s);
    assert_int_equal(repeats(f, s, 0, &first), 0);
    assert_int_equal(repeats(f, s, 1, &first), 2); /* a twentieth of the budget */
    assert_int_equal(first, 38);
    free(s);
}

static void same_as(fixture *f, const athi_view *view, const char *other) {
    double *a = athi_arena_array(f->arena, view->space->n, sizeof *a),
           *b = athi_arena_array(f->arena, view->space->n, 8);
    bool exhausted;
    const athi_sampler_impl *impl = athi_row_find(&athi_samplers, "auto")->impl;
    assert_ok(f->ctx, impl->suggest(f->ctx, NULL, view, a, &exhausted));
    impl = athi_row_find(&athi_samplers, other)->impl;
    assert_ok(f->ctx, impl->suggest(f->ctx, NULL, view, b, &exhausted));
    for (int64_t i = 0; i < view->space->n; i++)
        if (a[i] != b[i]) fail_msg("%s: parameter %d is %g and %g", other, (int)i, a[i], b[i]);
}

/* After 500 trials with a value tpe, from 301 numbers on cmaes, for two objectives ehvi, and nsga2
 * after as many. */
static void others(void **state) {
    enum { TRIALS = 501, NUMBERS = 301 };
    fixture *f = *state;
    add(f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    athi_trial *trials = athi_arena_array(f->arena, TRIALS, sizeof *trials);
    const athi_trial **list = athi_arena_array(f->arena, TRIALS, sizeof *list);
    double *points = athi_arena_array(f->arena, TRIALS, 8), *values = athi_arena_array(f->arena, 2 * TRIALS, 8);
    for (int i = 0; i < TRIALS; i++) {
        points[i] = (i + 0.5) / TRIALS, values[2 * i] = fabs(points[i] - 0.3), values[2 * i + 1] = points[i];
        trials[i] =
            (athi_trial){.number = i, .state = ATHI_TRIAL_COMPLETE, .point = &points[i], .values = &values[2 * i]};
        list[i] = &trials[i];
    }
    athi_view view = {.space = f->space,
                      .trials = list,
                      .n = TRIALS,
                      .n_objectives = 1,
                      .maximize = &(bool){false},
                      .seed = 4,
                      .trial = TRIALS};
    same_as(f, &view, "tpe");
    view.n_objectives = 2, view.maximize = (const bool[]){false, true};
    same_as(f, &view, "nsga2");
    view.n = 0;
    same_as(f, &view, "ehvi");
    static char names[NUMBERS][8];
    assert_ok(f->ctx, athi_space_create(f->arena, &f->space));
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(names[i], sizeof names[i], "x%d", i);
        add(f, float_param(names[i], 0, 1, 0, ATHI_PRIOR_UNIFORM));
    }
    view = (athi_view){
        .space = f->space, .trials = list, .n_objectives = 1, .maximize = &(bool){false}, .seed = 4, .trial = 3};
    same_as(f, &view, "cmaes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(better_than_random, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(repeats_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
