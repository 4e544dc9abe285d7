/* The search against an objective in this process: order, parallel runs, executions, failures, exhaustion,
 * going on. */
#include "tune/study_test.h"

#include <math.h>

static athi_search_opts search_opts(study *t) {
    return (athi_search_opts){.space = t->f.space,
                              .sampler = athi_row_find(&athi_samplers, "random"),
                              .store = t->store,
                              .seed = 7,
                              .max_trials = 12,
                              .executions = 1,
                              .jobs = 1};
}

static athi_search *begin(study *t, const athi_search_opts *opts) {
    athi_search *s;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, opts, &s));
    return s;
}

static ath_status report(study *t, athi_search *s, const athi_task *task, int64_t step, double value) {
    athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, map, "score",
                   isnan(value) ? athi_value_string(t->f.arena, "nan") : athi_value_float(t->f.arena, value));
    return athi_search_report(s, task, step, map);
}

/* A smooth function of the point; executions differ by their number. */
static double objective(const athi_task *task) {
    const double *x = task->point;
    return -fabs(x[0] - 48) - fabs(log10(x[1]) + 2) - (x[2] == 1 ? x[3] : 0.2) + (double)task->execution;
}

static athi_next step(study *t, athi_search *s, athi_task *task, const char **why) {
    athi_next next;
    assert_ok(t->f.ctx, athi_search_next(s, task, &next, why));
    return next;
}

static void one_after_the_other(study *t, athi_search *s, int64_t most) {
    athi_task task;
    const char *why;
    for (int64_t i = 0; i < most && step(t, s, &task, &why) == ATHI_NEXT_TASK; i++) {
        assert_ok(t->f.ctx, report(t, s, &task, 1, objective(&task)));
        assert_ok(t->f.ctx, athi_search_finish(s, &task));
    }
}

/* An infinite report is no success, however large: it is never the best of a curve, nor a trial the best of a study. */
static void infinity_is_never_the_best(void **state) {
    study *t = *state;
    athi_task task;
    const char *why;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    athi_search *s = begin(t, &opts);
    static const struct {
        int64_t steps[2];
        double values[2];
        athi_trial_state ends;
    } cases[] = {{{1, 2}, {INFINITY, 0.5}, ATHI_TRIAL_COMPLETE},
                 {{1, 0}, {0.25, INFINITY}, ATHI_TRIAL_COMPLETE}, /* said to be its final value */
                 {{1, 2}, {INFINITY, INFINITY}, ATHI_TRIAL_FAILED}};
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_TASK);
        for (int k = 0; k < 2; k++) assert_ok(t->f.ctx, report(t, s, &task, cases[i].steps[k], cases[i].values[k]));
        assert_ok(t->f.ctx, athi_search_finish(s, &task));
        assert_int_equal(study_trial(t, i)->state, cases[i].ends);
    }
    assert_true(study_trial(t, 0)->values[0] == 0.5 && study_trial(t, 0)->execution_best[0] == 2);
    assert_int_equal(study_trial(t, 2)->reason, ATHI_REASON_NAN);
    const athi_trial **ranking;
    int64_t n;
    assert_ok(t->f.ctx, athi_search_ranking(s, t->f.arena, &ranking, &n));
    assert_int_equal(n, 1);
    assert_int_equal(ranking[0]->number, 0);
    athi_search_close(s);
}

static void given_points_come_first(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    double points[2 * 4];
    athi_space_default(t->f.space, points);
    athi_space_default(t->f.space, points + t->f.space->n);
    points[0] = 32, points[t->f.space->n] = 64;
    assert_int_equal(t->f.space->n, 4);
    opts.points = points, opts.n_points = 2;
    athi_search *s = begin(t, &opts);
    one_after_the_other(t, s, 1);
    athi_search_close(s);
    s = begin(t, &opts); /* a start goes on with the second */
    one_after_the_other(t, s, 2);
    assert_true(study_trial(t, 0)->point[0] == 32);
    assert_true(study_trial(t, 1)->point[0] == 64);
    assert_true(study_trial(t, 1)->point[1] == points[1]);
    assert_false(study_trial(t, 2)->point[1] == points[1]); /* the sampler's */
    athi_search_close(s);
}

static void runs_to_max_trials(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    athi_search *s = begin(t, &opts);
    one_after_the_other(t, s, 1000);
    athi_task task;
    const char *why;
    assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_DONE);
    assert_string_equal(why, "max_trials");
    assert_int_equal(study_count(t), 12);
    const athi_trial **ranking;
    int64_t n;
    assert_ok(t->f.ctx, athi_search_ranking(s, t->f.arena, &ranking, &n));
    assert_int_equal(n, 12);
    for (int64_t i = 1; i < n; i++) assert_true(ranking[i - 1]->values[0] >= ranking[i]->values[0]);
    athi_search_close(s);
}

static void a_value_is_the_mean_of_the_bests(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.executions = 2, opts.jobs = 2;
    athi_search *s = begin(t, &opts);
    athi_task a, b;
    const char *why;
    assert_int_equal(step(t, s, &a, &why), ATHI_NEXT_TASK);
    assert_int_equal(step(t, s, &b, &why), ATHI_NEXT_TASK); /* in parallel */
    assert_true(a.trial == 0 && b.trial == 0 && a.execution == 0 && b.execution == 1);
    assert_true(a.seed == athi_seed_derive(7, 0, 0) && a.seed != b.seed);
    const double first[] = {0.5, 0.9, 0.7}, second[] = {NAN, 0.1, 0.3};
    for (int i = 0; i < 3; i++) assert_ok(t->f.ctx, report(t, s, &b, i + 1, second[i]));
    assert_ok(t->f.ctx, athi_search_finish(s, &b));
    assert_int_equal(study_trial(t, 0)->state, ATHI_TRIAL_RUNNING);
    for (int i = 0; i < 3; i++) assert_ok(t->f.ctx, report(t, s, &a, i + 1, first[i]));
    assert_ok(t->f.ctx, report(t, s, &a, 2, 99)); /* a step that was seen: replayed, dropped */
    assert_ok(t->f.ctx, athi_search_finish(s, &a));
    const athi_trial *x = study_trial(t, 0);
    assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
    assert_true(fabs(x->values[0] - 0.6) < 1e-15);
    assert_int_equal(x->execution_best[0], 2);
    assert_int_equal(x->execution_best[1], 3);
    assert_int_equal(x->n_reports, 3);
    athi_search_close(s);
}

static void constrain(study *t, athi_search *s, const athi_task *task, double first, double second) {
    assert_ok(t->f.ctx, athi_search_constrain(s, task, (double[]){first, second}, 2));
}

/* Whoever speaks last, of each execution its last word. */
static void the_worst_execution_s_constraints_are_the_trial_s(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.executions = 2, opts.jobs = 2;
    athi_search *s = begin(t, &opts);
    athi_task a, b;
    const char *why;
    step(t, s, &a, &why), step(t, s, &b, &why);
    constrain(t, s, &b, 9, 9);
    constrain(t, s, &b, 2, -3);
    constrain(t, s, &a, -1, -1);
    assert_ok(t->f.ctx, report(t, s, &a, 1, 0.5));
    assert_ok(t->f.ctx, report(t, s, &b, 1, 0.5));
    assert_ok(t->f.ctx, athi_search_finish(s, &b));
    assert_ok(t->f.ctx, athi_search_finish(s, &a));
    const athi_trial *x = study_trial(t, 0);
    assert_int_equal(x->n_constraints, 2);
    assert_true(x->constraints[0] == 2 && x->constraints[1] == -1);
    athi_search_close(s);
}

static void last_and_final_values(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.last_value = true;
    athi_search *s = begin(t, &opts);
    athi_task task;
    const char *why;
    step(t, s, &task, &why);
    assert_ok(t->f.ctx, report(t, s, &task, 1, 0.9));
    assert_ok(t->f.ctx, report(t, s, &task, 2, 0.4));
    assert_ok(t->f.ctx, athi_search_finish(s, &task));
    assert_true(study_trial(t, 0)->values[0] == 0.4);
    step(t, s, &task, &why);
    assert_ok(t->f.ctx, report(t, s, &task, 1, 0.9));
    assert_ok(t->f.ctx, report(t, s, &task, 0, 0.25)); /* the final value of a command */
    assert_ok(t->f.ctx, athi_search_finish(s, &task));
    assert_true(study_trial(t, 1)->values[0] == 0.25);
    assert_int_equal(study_trial(t, 1)->n_reports, 1);
    athi_search_close(s);
}

static void failures_are_results(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    athi_search *s = begin(t, &opts);
    athi_task task;
    const char *why;
    step(t, s, &task, &why);
    assert_ok(t->f.ctx, report(t, s, &task, 1, NAN));
    assert_ok(t->f.ctx, athi_search_finish(s, &task));
    assert_int_equal(study_trial(t, 0)->reason, ATHI_REASON_NAN);
    step(t, s, &task, &why);
    athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, map, "loss", athi_value_float(t->f.arena, 1));
    athi_value_set(t->f.arena, map, "accuracy", athi_value_float(t->f.arena, 1));
    assert_fails(t->f.ctx, athi_search_report(s, &task, 1, map), ATH_E_DATA, "no 'score'; it has: loss, accuracy");
    athi_value_set(t->f.arena, map, "score", athi_value_string(t->f.arena, "high"));
    assert_fails(t->f.ctx, athi_search_report(s, &task, 1, map), ATH_E_DATA, "'score' as a");
    assert_ok(t->f.ctx, athi_search_finish(s, &task)); /* nothing was reported */
    assert_string_equal(study_trial(t, 1)->message, "it ended without a report of 'score'");
    step(t, s, &task, &why);
    assert_true(athi_search_wanted(s, &task));
    assert_ok(t->f.ctx, athi_search_fail(s, &task, ATHI_REASON_MEMORY, "out of memory"));
    assert_false(athi_search_wanted(s, &task));
    assert_ok(t->f.ctx, report(t, s, &task, 1, 1)); /* too late: dropped */
    assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_DONE);
    assert_string_equal(why, "failures");
    assert_string_equal(athi_search_last_failure(s), "out of memory");
    athi_search_close(s);
    s = begin(t, &opts); /* whoever starts again gets new attempts */
    assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_TASK);
    assert_ok(t->f.ctx, report(t, s, &task, 1, 1));
    assert_ok(t->f.ctx, athi_search_finish(s, &task));
    for (int i = 0; i < 8; i++) { /* failures after a success do not end it */
        assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_TASK);
        assert_ok(t->f.ctx, athi_search_fail(s, &task, ATHI_REASON_CRASH, "x"));
    }
    assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_DONE);
    assert_string_equal(why, "max_trials");
    athi_search_close(s);
}

static void a_failed_execution_ends_its_trial(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.executions = 3, opts.jobs = 2;
    athi_search *s = begin(t, &opts);
    athi_task a, b, c;
    const char *why;
    step(t, s, &a, &why);
    step(t, s, &b, &why);
    assert_ok(t->f.ctx, athi_search_fail(s, &a, ATHI_REASON_CRASH, "x"));
    assert_false(athi_search_wanted(s, &b));
    assert_ok(t->f.ctx, athi_search_finish(s, &b));
    assert_int_equal(step(t, s, &c, &why), ATHI_NEXT_TASK);
    assert_true(c.trial == 1 && c.execution == 0);
    athi_search_close(s);
}

static void a_small_space_is_exhausted(void **state) {
    study *t = *state;
    add(&t->f, int_param("units", 1, 3, 1, ATHI_PRIOR_UNIFORM));
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.jobs = 2;
    athi_search *s = begin(t, &opts);
    athi_task task[3];
    const char *why;
    for (int i = 0; i < 3; i++) assert_int_equal(step(t, s, &task[i], &why), ATHI_NEXT_TASK);
    assert_int_equal(step(t, s, &task[0], &why), ATHI_NEXT_WAIT);
    for (int i = 0; i < 3; i++) {
        athi_task each = {.trial = i};
        assert_ok(t->f.ctx, report(t, s, &each, 1, 1));
        assert_ok(t->f.ctx, athi_search_finish(s, &each));
    }
    assert_int_equal(step(t, s, &task[0], &why), ATHI_NEXT_DONE);
    assert_string_equal(why, "exhausted");
    assert_int_equal(study_count(t), 3);
    athi_search_close(s);
}

/* Four workers whose tasks end in an order drawn from `order`; interrupted: closed and opened again every few
 * events. */
static void in_parallel(study *t, uint64_t order, bool interrupted, double points[12][4]) {
    athi_search_opts opts = search_opts(t);
    opts.jobs = 4, opts.deterministic = true, opts.sampler = athi_row_find(&athi_samplers, "random");
    athi_search *s = begin(t, &opts);
    athi_rng rng = athi_rng_at(order, ATHI_PURPOSE(ATHI_RNG_TEST, 0));
    athi_task tasks[4];
    int busy = 0;
    const char *why;
    for (;;) {
        athi_next next = ATHI_NEXT_TASK;
        while (busy < 4 && (next = step(t, s, &tasks[busy], &why)) == ATHI_NEXT_TASK) busy++;
        if (!busy) break;
        if (interrupted && athi_rng_below(&rng, 3) == 0) {
            athi_search_close(s);
            s = begin(t, &opts);
            busy = 0;
            continue;
        }
        int i = (int)athi_rng_below(&rng, (uint64_t)busy);
        assert_ok(t->f.ctx, report(t, s, &tasks[i], 1, objective(&tasks[i])));
        assert_ok(t->f.ctx, athi_search_finish(s, &tasks[i]));
        tasks[i] = tasks[--busy];
    }
    athi_search_close(s);
    for (int i = 0; i < 12; i++) memcpy(points[i], study_trial(t, i)->point, sizeof points[i]);
    for (int i = 4; i < 12; i++) assert_int_equal(study_trial(t, i)->seen, i - 3);
}

static void deterministic_whatever_the_order(void **state) {
    study *t = *state;
    study_space(t);
    double first[12][4], other[12][4];
    study_open(t);
    in_parallel(t, 1, false, first);
    for (uint64_t order = 2; order < 8; order++) {
        athi_store_close(t->store);
        unlink(t->path);
        study_open(t);
        in_parallel(t, order, order > 4, other);
        assert_memory_equal(first, other, sizeof first);
    }
}

static void what_was_running_goes_on(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    opts.executions = 2;
    athi_search *s = begin(t, &opts);
    athi_task a, b;
    const char *why;
    one_after_the_other(t, s, 3); /* trial 0, and the first half of trial 1 */
    step(t, s, &a, &why);
    assert_false(a.resumed);
    assert_ok(t->f.ctx, report(t, s, &a, 1, 0.9));
    assert_ok(t->f.ctx, report(t, s, &a, 2, 0.3));
    double point[4];
    memcpy(point, a.point, sizeof point);
    athi_search_close(s);
    study_reopen(t);
    opts.store = t->store;
    s = begin(t, &opts);
    step(t, s, &b, &why);
    assert_true(b.resumed && b.trial == 1 && b.execution == 1 && b.seed == a.seed);
    assert_memory_equal(b.point, point, sizeof point);
    assert_ok(t->f.ctx, report(t, s, &b, 2, 5)); /* replayed */
    assert_ok(t->f.ctx, report(t, s, &b, 3, 0.5));
    assert_ok(t->f.ctx, athi_search_finish(s, &b));
    const athi_trial *x = study_trial(t, 1);
    assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
    assert_true(x->execution_values[1] == 0.9 && x->execution_best[1] == 1);
    assert_false(step(t, s, &b, &why) != ATHI_NEXT_TASK || b.resumed);
    athi_search_close(s);
}

static void trials_of_others_count(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    study_sql(t, "INSERT INTO trials VALUES(1,0,1,'RUNNING','2026-01-01 12:00:00',NULL);"
                 "INSERT INTO trials VALUES(2,1,1,'WAITING',NULL,NULL);");
    athi_search_opts opts = search_opts(t);
    opts.max_trials = 3;
    athi_search *s = begin(t, &opts);
    athi_task task;
    const char *why;
    assert_int_equal(step(t, s, &task, &why), ATHI_NEXT_TASK);
    assert_true(task.trial == 2 && !task.resumed); /* theirs is not ours to run */
    athi_search_close(s);
    s = begin(t, &opts);
    one_after_the_other(t, s, 100);
    assert_int_equal(study_count(t), 4);
    athi_search_close(s);
}

static void enqueued_points_come_first(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    athi_search *s = begin(t, &opts);
    const double wanted[] = {64, 0.05, 1, 0.25};
    assert_ok(t->f.ctx, athi_search_enqueue(s, wanted));
    athi_task task;
    const char *why;
    step(t, s, &task, &why);
    assert_memory_equal(task.point, wanted, sizeof wanted);
    const double other[] = {16, 0.05, 0, NAN};
    assert_ok(t->f.ctx, athi_search_set_point(s, &task, other));
    assert_true(study_trial(t, 0)->point[0] == 16 && isnan(study_trial(t, 0)->point[3]));
    athi_search_close(s);
}

static void options_are_checked(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_search_opts opts = search_opts(t);
    athi_search *s;
    opts.max_trials = 0;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION,
                 "max_trials: expected at least 1, got 0");
    opts.max_trials = 1, opts.executions = 0;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION, "executions_per_trial");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(runs_to_max_trials),
        TEST(a_value_is_the_mean_of_the_bests),
        TEST(the_worst_execution_s_constraints_are_the_trial_s),
        TEST(last_and_final_values),
        TEST(failures_are_results),
        TEST(a_failed_execution_ends_its_trial),
        TEST(a_small_space_is_exhausted),
        TEST(deterministic_whatever_the_order),
        TEST(what_was_running_goes_on),
        TEST(trials_of_others_count),
        TEST(enqueued_points_come_first),
        TEST(infinity_is_never_the_best),
        TEST(given_points_come_first),
        TEST(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
