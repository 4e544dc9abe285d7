/* When a search ends, and what it says of its winner: budgets, stop rules, fresh seeds, the posterior. */
#include "tune/posterior.h"
#include "tune/stop_rules.h"
#include "tune/study_test.h"

#include <math.h>
#include <time.h>

static athi_search *begin(study *t, athi_search_opts opts) {
    athi_search *s;
    opts.space = t->f.space, opts.store = t->store, opts.seed = 3;
    opts.sampler = opts.sampler ? opts.sampler : athi_row_find(&athi_samplers, "random");
    opts.executions = ATHI_MAX(opts.executions, 1), opts.jobs = ATHI_MAX(opts.jobs, 1);
    opts.max_trials = opts.max_trials ? opts.max_trials : 1000;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s));
    return s;
}

static void one_parameter(study *t) {
    add(&t->f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    study_open(t);
}

/* Noise that is a function of the trial's seed. */
static double noisy(const athi_task *task) {
    athi_rng rng = athi_rng_at(task->seed, ATHI_PURPOSE(ATHI_RNG_TEST, 9));
    double x = task->point[0], noise = 0;
    for (int i = 0; i < 12; i++) noise += athi_rng_uniform(&rng) - 0.5;
    return -(x - 0.3) * (x - 0.3) + 0.02 * noise; /* "score" is made large */
}

static void finish(study *t, athi_search *s, const athi_task *task, double value) {
    athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, map, "score", athi_value_float(t->f.arena, value));
    assert_ok(t->f.ctx, athi_search_report(s, task, 0, map));
    assert_ok(t->f.ctx, athi_search_finish(s, task));
}

/* To the end; why it ended. */
static const char *run(study *t, athi_search *s, double (*objective)(const athi_task *)) {
    for (int i = 0; i < 500; i++) {
        athi_task task;
        athi_next next;
        const char *why;
        assert_ok(t->f.ctx, athi_search_next(s, &task, &next, &why));
        if (next == ATHI_NEXT_DONE) return why;
        assert_int_equal(next, ATHI_NEXT_TASK);
        finish(t, s, &task, objective(&task));
    }
    fail_msg("the search does not end");
    return NULL;
}

static const void *options(study *t, const char *rule, const char *json, athi_search_opts *opts) {
    athi_value *map;
    opts->stop = athi_row_find(&athi_stop_rules, rule);
    assert_non_null(opts->stop);
    void *o = athi_arena_alloc(t->f.arena, (int64_t)opts->stop->opts_size);
    assert_ok(t->f.ctx, athi_json_read(t->f.ctx, t->f.arena, json, (int64_t)strlen(json), &map));
    assert_ok(t->f.ctx, athi_options_read(t->f.ctx, t->f.arena, opts->stop, map, NULL, rule, o));
    return opts->stop_opts = o;
}

static void target_is_reached(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search_opts opts = {0};
    options(t, "target", "{\"value\": -0.05}", &opts);
    athi_search *s = begin(t, opts);
    assert_string_equal(run(t, s, noisy), "target");
    for (int64_t i = 0; i < study_count(t); i++)
        assert_true((study_trial(t, i)->values[0] >= -0.05) == (i == study_count(t) - 1));
    athi_search_close(s);
}

static double stairs(const athi_task *task) { return task->trial < 4 ? (double)task->trial : 2.5; }

static void stagnation_ends_it(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search_opts opts = {0};
    options(t, "stagnation", "{\"patience\": 6}", &opts);
    athi_search *s = begin(t, opts);
    assert_string_equal(run(t, s, stairs), "stagnation");
    assert_int_equal(study_count(t), 4 + 6);
    athi_search_close(s);
}

/* It ends when the gain left is below the noise, long before the budget, near the best point. */
static void regret_bound_ends_it(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search_opts opts = {.max_trials = 120, .sampler = athi_row_find(&athi_samplers, "bayesian")};
    options(t, "regret_bound", "{}", &opts);
    athi_search *s = begin(t, opts);
    assert_string_equal(run(t, s, noisy), "regret_bound");
    assert_true(study_count(t) >= 20 && study_count(t) < 120);
    athi_incumbent best;
    assert_ok(t->f.ctx, athi_search_incumbent(s, &best));
    assert_true(fabs(best.trial->point[0] - 0.3) < 0.1);
    assert_true(fabs(best.mean) < 0.02 && best.noise > 0.01 && best.noise < 0.04); /* 0.02 went in */
    athi_search_close(s);
}

static void seconds_are_counted_over_starts(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search_opts opts = {.max_seconds = 0.05};
    athi_search *s = begin(t, opts);
    athi_task task;
    athi_next next;
    const char *why;
    assert_ok(t->f.ctx, athi_search_next(s, &task, &next, &why));
    struct timespec moment = {.tv_nsec = 60000000};
    nanosleep(&moment, NULL);
    finish(t, s, &task, 1);
    assert_string_equal(run(t, s, noisy), "max_seconds");
    athi_search_close(s);
    s = begin(t, opts); /* spent is spent */
    assert_string_equal(run(t, s, noisy), "max_seconds");
    assert_int_equal(study_count(t), 1);
    athi_search_close(s);
    opts.max_seconds = 1000, opts.max_trials = 3;
    s = begin(t, opts); /* more is given */
    assert_string_equal(run(t, s, noisy), "max_trials");
    athi_search_close(s);
}

static void no_more_than_pending(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search *s = begin(t, (athi_search_opts){.max_pending = 2, .jobs = 8});
    athi_task tasks[3];
    athi_next next;
    const char *why;
    for (int i = 0; i < 2; i++) {
        assert_ok(t->f.ctx, athi_search_next(s, &tasks[i], &next, &why));
        assert_int_equal(next, ATHI_NEXT_TASK);
    }
    assert_ok(t->f.ctx, athi_search_next(s, &tasks[2], &next, &why));
    assert_int_equal(next, ATHI_NEXT_WAIT);
    finish(t, s, &tasks[0], 1);
    assert_ok(t->f.ctx, athi_search_next(s, &tasks[2], &next, &why));
    assert_int_equal(next, ATHI_NEXT_TASK);
    athi_search_close(s);
}

/* The winner's fresh trials use other seeds, take nothing from the budget, and count with it in the ranking. */
static void winner_is_scored_again(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search *s = begin(t, (athi_search_opts){.max_trials = 10, .rescore = 5});
    assert_string_equal(run(t, s, noisy), "max_trials");
    assert_int_equal(study_count(t), 15);
    athi_rescored r;
    assert_ok(t->f.ctx, athi_search_rescored(s, &r));
    assert_int_equal(r.n, 5);
    double sum = 0;
    for (int64_t i = 10; i < 15; i++) {
        const athi_trial *again = study_trial(t, i);
        assert_int_equal(again->relation, ATHI_RELATION_RESCORE);
        assert_int_equal(again->relative, r.trial->number);
        assert_true(again->point[0] == r.trial->point[0]);
        assert_true(again->values[0] != r.trial->values[0]);
        sum += again->values[0];
    }
    assert_true(fabs(r.mean - sum / 5) < 1e-12 && r.deviation > 0);
    const athi_trial **ranking;
    int64_t n;
    assert_ok(t->f.ctx, athi_search_ranking(s, t->f.arena, &ranking, &n));
    assert_int_equal(n, 10);
    athi_search_close(s);
    s = begin(t, (athi_search_opts){.max_trials = 10, .rescore = 5}); /* it is done */
    assert_string_equal(run(t, s, noisy), "max_trials");
    athi_search_close(s);
}

/* The search's value was luck that never comes again: that is said. */
static double lucky(const athi_task *task) {
    if (task->trial == 4) return 5;
    return task->trial < 10 ? 0 : 1 + 0.01 * (double)task->trial;
}

static void luck_is_told(void **state) {
    study *t = *state;
    one_parameter(t);
    athi_search *s = begin(t, (athi_search_opts){.max_trials = 10, .rescore = 4});
    run(t, s, lucky);
    athi_rescored r;
    assert_ok(t->f.ctx, athi_search_rescored(s, &r));
    assert_int_equal(r.trial->number, 4);
    assert_true(r.fitted && r.mean < 2);
    athi_search_close(s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(target_is_reached),    TEST(stagnation_ends_it),     TEST(regret_bound_ends_it),
        TEST(no_more_than_pending), TEST(winner_is_scored_again), TEST(seconds_are_counted_over_starts),
        TEST(luck_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
