/* The suggestions of a study done again from what it says that they had seen, whoever ran it and in whatever order. */
#include "tune/study_test.h"

#include <math.h>

enum { DRIVERS = 3, TRIALS = 36, HELD = 8 };

static const char *const samplers[] = {"random", "sobol", "tpe",    "bayesian", "auto",
                                       "cmaes",  "nsga2", "forest", "de"};

static double objective(const double *x) {
    return -fabs(x[0] - 48) - fabs(log10(x[1]) + 2) - (x[2] == 1 ? x[3] : 0.2);
}

static athi_search_opts options(study *t, const char *sampler, int jobs, bool deterministic) {
    athi_search_opts o = {.space = t->f.space,
                          .sampler = athi_row_find(&athi_samplers, sampler),
                          .store = t->store,
                          .seed = 7,
                          .max_trials = TRIALS,
                          .executions = 1,
                          .jobs = jobs,
                          .deterministic = deterministic};
    if (o.sampler->opts_size) {
        void *opts = athi_arena_alloc(t->f.arena, (int64_t)o.sampler->opts_size);
        assert_ok(t->f.ctx, athi_options_read(t->f.ctx, t->f.arena, o.sampler, NULL, NULL, sampler, opts));
        o.sampler_opts = opts;
    }
    return o;
}

static void tell(study *t, athi_search *s, const athi_task *task) {
    athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, map, "score", athi_value_float(t->f.arena, objective(task->point)));
    if (task->trial % 7 == 3) {
        assert_ok(t->f.ctx, athi_search_fail(s, task, ATHI_REASON_MEMORY, "too large"));
        return;
    }
    assert_ok(t->f.ctx, athi_search_report(s, task, 0, map));
    assert_ok(t->f.ctx, athi_search_finish(s, task));
}

/* Up to so many trials under way, of which any ends next: an order that no two runs share. */
static void run(study *t, athi_search *s, int held, uint64_t order, int64_t most) {
    athi_task tasks[HELD];
    int n = 0;
    for (int64_t begun = 0;;) {
        athi_next next = ATHI_NEXT_DONE;
        const char *why;
        if (n < held && begun < most) assert_ok(t->f.ctx, athi_search_next(s, &tasks[n], &next, &why));
        if (next == ATHI_NEXT_TASK) {
            n++, begun++;
            if (n < held) continue;
        }
        if (n == 0) return;
        order = order * 6364136223846793005u + 1442695040888963407u;
        int i = (int)((order >> 33) % (uint64_t)n);
        tell(t, s, &tasks[i]);
        tasks[i] = tasks[--n];
    }
}

static athi_replay replay(study *t) {
    athi_replay r;
    assert_ok(t->f.ctx, athi_search_replay(t->f.ctx, t->f.arena, t->store, t->f.space, &r));
    for (int64_t i = 0; i < r.n; i++)
        if (r.verdicts[i] == ATHI_REPLAYED_DIFFERENT)
            print_message("trial %d: %.17g was %.17g\n", (int)i, r.points[i * t->f.space->n],
                          study_trial(t, i)->point[0]);
    return r;
}

static void begin_study(study *t) {
    study_space(t);
    study_open(t);
}

/* One search of a kind, alone or with several trials under way, in two starts. */
static void search_twice(study *t, const char *sampler, int jobs, bool deterministic) {
    athi_search_opts opts = options(t, sampler, jobs, deterministic);
    for (int start = 0; start < 2; start++) {
        athi_search *s;
        opts.store = t->store;
        assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s));
        run(t, s, jobs, (uint64_t)jobs + (uint64_t)start, start ? INT64_MAX : TRIALS / 2);
        athi_search_close(s);
        study_reopen(t);
    }
    athi_replay r = replay(t);
    assert_int_equal(r.n, TRIALS);
    if (r.count[ATHI_REPLAYED_SAME] != TRIALS)
        fail_msg("%s, %d jobs: %d of %d suggestions have the same bits", sampler, jobs,
                 (int)r.count[ATHI_REPLAYED_SAME], TRIALS);
}

static void every_sampler(void **state) {
    study *t = *state;
    const int jobs[] = {1, 4};
    for (int i = 0; i < ATHI_COUNT(samplers); i++)
        for (int k = 0; k < ATHI_COUNT(jobs); k++) {
            void *fresh = NULL;
            assert_true(study_setup(&fresh) == 0 && fresh);
            study_space(fresh);
            study_open(fresh);
            search_twice(fresh, samplers[i], jobs[k], false);
            study_teardown(&fresh);
        }
    begin_study(t);
    search_twice(t, "tpe", 4, true);
}

/* Drivers that know nothing of each other, each with its own trials under way. */
static void several_drivers(void **state) {
    study *t = *state;
    begin_study(t);
    athi_search *s[DRIVERS];
    athi_store *stores[DRIVERS];
    athi_study_info info = study_info(t);
    athi_search_opts opts = options(t, "tpe", 2, false);
    for (int i = 0; i < DRIVERS; i++) {
        assert_ok(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &stores[i]));
        opts.store = stores[i], opts.owner = athi_arena_printf(t->f.arena, "driver %d", i);
        assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s[i]));
    }
    for (int round = 0; round < TRIALS; round++)
        run(t, s[round % DRIVERS], 1 + round % 2, (uint64_t)round, 1 + round % 3);
    for (int i = 0; i < DRIVERS; i++) athi_search_close(s[i]), athi_store_close(stores[i]);
    athi_replay r = replay(t);
    assert_int_equal(r.count[ATHI_REPLAYED_SAME], TRIALS);
}

/* Another sampler from the middle on, given points, trials of others, and one that was changed by hand. */
static void what_changes_between_starts(void **state) {
    study *t = *state;
    begin_study(t);
    athi_search *s;
    int64_t number;
    double points[2 * 4] = {16, 0.1, 1, 0.25, 64, 0.02, 0, NAN}, values = 0.5;
    athi_search_opts opts = options(t, "tpe", 2, false);
    opts.points = points, opts.n_points = 2;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s));
    run(t, s, 2, 1, 12);
    assert_ok(t->f.ctx, athi_search_add(s, points, &values, NULL, 0, &number));
    run(t, s, 2, 2, 6);
    athi_search_close(s);
    opts = options(t, "cmaes", 3, false);
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s));
    run(t, s, 3, 3, 10);
    athi_search_close(s);
    athi_replay r = replay(t);
    assert_int_equal(r.n, 29);
    assert_int_equal(r.count[ATHI_REPLAYED_NONE], 1);
    assert_int_equal(r.count[ATHI_REPLAYED_SAME], 28);
    study_sql(t,
              "UPDATE trial_params SET param_value=32.0 WHERE param_name='units' AND param_value<>32.0 AND trial_id="
              "(SELECT MAX(trial_id) FROM trial_params WHERE param_name='units' AND param_value<>32.0)");
    study_reopen(t);
    r = replay(t);
    assert_int_equal(r.count[ATHI_REPLAYED_DIFFERENT], 1);
    study_sql(t, "DELETE FROM athanor_study WHERE key='starts'"); /* as an earlier version would have left it */
    assert_int_equal(replay(t).count[ATHI_REPLAYED_UNKNOWN], 28);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {TEST(every_sampler), TEST(several_drivers), TEST(what_changes_between_starts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
