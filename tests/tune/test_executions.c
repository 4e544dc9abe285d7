/* Schedulers over trials of several executions: the first one decides, the others are spent on trials that came to their
 * end, and a search that was killed anywhere decides the same. */
#include "tune/study_test.h"

#include <math.h>

enum { TRIALS = 30, EXECUTIONS = 3, MOST = 27, JOBS = 2 };

typedef struct campaign {
    study *t;
    athi_search *search;
    athi_search_opts opts;
    athi_task tasks[JOBS];
    bool busy[JOBS];
    int64_t at[TRIALS][EXECUTIONS]; /* steps that each has taken */
    int64_t steps;
    double clock; /* a second a step */
} campaign;

static void begin(campaign *c, study *t, const char *scheduler, const char *json) {
    *c = (campaign){.t = t};
    c->opts = (athi_search_opts){.space = t->f.space,
                                 .sampler = athi_row_find(&athi_samplers, "random"),
                                 .store = t->store,
                                 .seed = 11,
                                 .max_trials = TRIALS,
                                 .executions = EXECUTIONS,
                                 .jobs = 1,
                                 .max_t = MOST,
                                 .scheduler = athi_row_find(&athi_schedulers, scheduler)};
    assert_non_null(c->opts.scheduler);
    c->opts.scheduler_opts = study_options(t, c->opts.scheduler, json);
}

static void open_search(campaign *c) { assert_ok(c->t->f.ctx, athi_search_open(c->t->f.ctx, &c->opts, &c->search)); }

static void reopen(campaign *c) {
    athi_search_close(c->search);
    study_reopen(c->t);
    c->opts.store = c->t->store;
    memset(c->busy, 0, sizeof c->busy);
    open_search(c);
}

/* Executions after the first are so bad that a scheduler which looked at them would stop them. */
static double curve(const athi_task *task, int64_t step) {
    return task->point[0] + 0.001 * (double)step - 10 * (double)task->execution;
}

/* One step of a task; false: its task has ended or pauses. */
static bool take_step(campaign *c, const athi_task *task) {
    ath_ctx *ctx = c->t->f.ctx;
    athi_action action;
    c->steps++, c->clock++;
    int64_t step = ++c->at[task->trial][task->execution];
    athi_value *map = athi_value_new(c->t->f.arena, ATHI_MAP);
    athi_value_set(c->t->f.arena, map, "score", athi_value_float(c->t->f.arena, curve(task, step)));
    assert_ok(ctx, athi_search_report(c->search, task, step, map));
    assert_ok(ctx, athi_search_action(c->search, task, &action));
    if (step == MOST && action == ATHI_ACTION_CONTINUE)
        action = ATHI_ACTION_FINISH; /* `prune` alone knows no max_t */
    if (task->execution > 0) assert_int_equal(action, step < MOST ? ATHI_ACTION_CONTINUE : ATHI_ACTION_FINISH);
    if (action == ATHI_ACTION_PRUNE) assert_ok(ctx, athi_search_prune(c->search, task, NULL));
    if (action == ATHI_ACTION_PAUSE) assert_ok(ctx, athi_search_pause(c->search, task));
    if (action == ATHI_ACTION_FINISH) assert_ok(ctx, athi_search_finish(c->search, task));
    return action == ATHI_ACTION_CONTINUE;
}

/* Gives tasks to those that are idle; false: nobody has one any more. */
static bool give_tasks(campaign *c) {
    athi_next next = ATHI_NEXT_TASK;
    const char *why;
    bool any = false;
    for (int k = 0; k < c->opts.jobs; k++) {
        athi_task *task = &c->tasks[k];
        if (!c->busy[k] && next == ATHI_NEXT_TASK) {
            assert_ok(c->t->f.ctx, athi_search_next(c->search, task, &next, &why));
            c->busy[k] = next == ATHI_NEXT_TASK;
            if (c->busy[k] && task->execution > 0) {
                if (task->trial < c->opts.max_trials) assert_int_equal(c->at[task->trial][0], MOST);
                assert_int_equal(task->until, 0);
                assert_int_equal(task->budget, c->opts.clock ? 0 : MOST);
            }
        }
        any |= c->busy[k];
    }
    return any;
}

/* One step after the other, of the task whose turn it is; a new start after every `lives` steps, 0: none. */
static void run(campaign *c, uint64_t pace, int64_t lives) {
    for (uint64_t i = 0; give_tasks(c); i++) {
        uint32_t words[4];
        athi_philox(pace, ATHI_PURPOSE(ATHI_RNG_TEST, 0), i, words);
        int k = !c->busy[0] || (c->busy[1] && words[0] % 3 == 0);
        c->busy[k] = take_step(c, &c->tasks[k]);
        if (lives && c->steps % lives == 0) reopen(c);
    }
}

/* Stopped trials have spent a part of one execution, complete ones all of every one. */
static void check_values(campaign *c, int64_t executions, int64_t *stopped) {
    for (int64_t i = 0; i < TRIALS; i++) {
        const athi_trial *t = study_trial(c->t, i);
        bool complete = t->state == ATHI_TRIAL_COMPLETE;
        double mean = 0;
        if (!complete) assert_int_equal(t->state, ATHI_TRIAL_PRUNED);
        for (int64_t k = 0; k < executions; k++) {
            const athi_task task = {.execution = k, .point = t->point};
            if (complete) assert_int_equal(c->at[i][k], MOST);
            if (!complete && k > 0) assert_int_equal(c->at[i][k], 0);
            mean += curve(&task, MOST) / (double)executions;
        }
        const athi_task first = {.point = t->point};
        assert_true(fabs(t->values[0] - (complete ? mean : curve(&first, c->at[i][0]))) < 1e-9);
        *stopped += !complete;
    }
}

static void renew(void **state) {
    assert_int_equal(study_teardown(state), 0);
    assert_int_equal(study_setup(state), 0);
}

static study *one_parameter(void **state) {
    study *t = *state;
    add(&t->f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    study_open(t);
    return t;
}

enum { ASHA, STOPPING, HYPERBAND, BOHB };
static const struct {
    const char *scheduler, *options;
} cases[] = {[ASHA] = {"asha", "{}"},
             [STOPPING] = {"asha", "{\"type\": \"stopping\"}"},
             [HYPERBAND] = {"hyperband", "{}"},
             [BOHB] = {"bohb", "{}"},
             {"median", "{}"},
             {"percentile", "{}"},
             {"threshold", "{\"lower\": 0.5, \"grace_period\": 3}"}};

/* As with one execution a trial, then as started again every few steps. */
static void the_first_decides(void **state) {
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        int64_t first[TRIALS], stopped[3] = {0};
        for (int pass = 0; pass < 3; pass++) {
            campaign c;
            begin(&c, one_parameter(state), cases[i].scheduler, cases[i].options);
            c.opts.executions = pass ? EXECUTIONS : 1;
            open_search(&c);
            run(&c, 0, pass == 2 ? 25 : 0);
            check_values(&c, c.opts.executions, &stopped[pass]);
            for (int64_t k = 0; k < TRIALS; k++) {
                if (pass) assert_int_equal(c.at[k][0], first[k]);
                first[k] = c.at[k][0];
            }
            athi_search_close(c.search);
            renew(state);
        }
        assert_true(stopped[0] > 10 && stopped[0] < TRIALS);
        assert_true(stopped[1] == stopped[0] && stopped[2] == stopped[0]);
    }
}

/* Better trials that come while its other executions run do not stop one: `take_step` and `check_values` would see it. */
static void who_came_through_is_judged_no_more(void **state) {
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        campaign c;
        int64_t stopped = 0;
        begin(&c, one_parameter(state), cases[i].scheduler, cases[i].options);
        c.opts.jobs = JOBS;
        open_search(&c);
        run(&c, 0, 0);
        check_values(&c, EXECUTIONS, &stopped);
        assert_true(stopped > 10 && stopped < TRIALS);
        athi_search_close(c.search);
        renew(state);
    }
}

/* Each execution has max_t seconds of its own. */
static void seconds_instead_of_steps(void **state) {
    campaign c;
    int64_t stopped = 0;
    begin(&c, one_parameter(state), "hyperband", "{\"time_attr\": \"seconds\", \"max_t\": 27}");
    c.opts.clock = &c.clock, c.opts.max_t = 2 * MOST;
    open_search(&c);
    run(&c, 0, 25);
    check_values(&c, EXECUTIONS, &stopped);
    assert_true(stopped > 10 && stopped < TRIALS);
    athi_search_close(c.search);
}

/* Whoever is quicker, two jobs stop the same trials; so they do where `prune` alone decides. */
static void two_jobs_in_order(void **state) {
    for (int prune = 0; prune < 2; prune++) {
        int64_t first[TRIALS], stopped = 0;
        for (uint64_t pace = 0; pace < 3; pace++) {
            campaign c;
            begin(&c, one_parameter(state), "median", "{\"grace_period\": 2}");
            c.opts.jobs = JOBS, c.opts.deterministic = true;
            if (prune) c.opts.prune = c.opts.scheduler, c.opts.prune_opts = c.opts.scheduler_opts;
            if (prune) c.opts.scheduler = NULL;
            open_search(&c);
            run(&c, pace, 0);
            check_values(&c, EXECUTIONS, &stopped);
            for (int64_t k = 0; k < TRIALS; k++) {
                if (pace) assert_int_equal(c.at[k][0], first[k]);
                first[k] = c.at[k][0];
            }
            athi_search_close(c.search);
            renew(state);
        }
        assert_true(stopped > 15);
    }
}

typedef struct record {
    double point, value;
    int64_t steps[EXECUTIONS];
    athi_trial_state state;
} record;

static void take_records(campaign *c, record records[TRIALS]) {
    for (int64_t i = 0; i < TRIALS; i++) {
        const athi_trial *t = study_trial(c->t, i);
        records[i] = (record){.point = t->point[0], .value = t->values[0], .state = t->state};
        memcpy(records[i].steps, c->at[i], sizeof records[i].steps);
    }
}

static void assert_same(const record a[TRIALS], const record b[TRIALS]) {
    for (int64_t i = 0; i < TRIALS; i++) {
        if (a[i].point != b[i].point || a[i].value != b[i].value)
            fail_msg("trial %lld: %.17g gave %.17g; then %.17g gave %.17g", (long long)i, a[i].point, a[i].value,
                     b[i].point, b[i].value);
        assert_int_equal(a[i].state, b[i].state);
        assert_memory_equal(a[i].steps, b[i].steps, sizeof a[i].steps);
    }
}

/* In order a search gives the same trials whoever is quicker, and where it is started anew now and then. */
static void in_order(void **state, int which, const char *sampler, int jobs, int64_t executions) {
    static const int64_t lives[] = {0, 7, 31};
    record first[TRIALS], other[TRIALS];
    for (uint64_t pace = 0; pace < ATHI_COUNT(lives); pace++) {
        campaign c;
        int64_t stopped = 0;
        begin(&c, one_parameter(state), cases[which].scheduler, cases[which].options);
        c.opts.jobs = jobs, c.opts.deterministic = true, c.opts.executions = executions;
        c.opts.sampler = athi_row_find(&athi_samplers, sampler);
        open_search(&c);
        run(&c, pace, lives[pace]);
        check_values(&c, executions, &stopped);
        assert_true(stopped > 0 && stopped < TRIALS);
        take_records(&c, pace ? other : first);
        if (pace) assert_same(first, other);
        athi_search_close(c.search);
        renew(state);
    }
}

static void schedulers_in_order(void **state) {
    for (int i = 0; i < ATHI_COUNT(cases); i++) in_order(state, i, "tpe", JOBS, 1);
}

static void schedulers_in_order_over_executions(void **state) {
    in_order(state, ASHA, "tpe", JOBS, EXECUTIONS);
    in_order(state, BOHB, "tpe", JOBS, EXECUTIONS);
}

/* Of asha and bohb samplers learn from a step, which rises: what they remember of a lower one is no longer so. */
static void samplers_with_a_memory_in_order(void **state) {
    static const char *const samplers[] = {"cmaes", "de", "nsga2"};
    for (int k = 0; k < ATHI_COUNT(samplers); k++) in_order(state, BOHB, samplers[k], 1, 1);
    in_order(state, ASHA, "de", JOBS, 1);
}

/* A round in asha's rungs: two begin together, and nobody else before both have come. */
static void nothing_is_decided_in_a_round(void **state) {
    campaign c;
    athi_task task;
    athi_next next;
    const char *why;
    begin(&c, one_parameter(state), "asha", "{}");
    c.opts.jobs = JOBS, c.opts.deterministic = true, c.opts.executions = 1;
    open_search(&c);
    assert_true(give_tasks(&c));
    assert_true(c.busy[0] && c.busy[1]);
    assert_int_equal(study_count(c.t), 2);
    c.busy[0] = take_step(&c, &c.tasks[0]);
    assert_false(c.busy[0]); /* it waits at the first rung */
    assert_ok(c.t->f.ctx, athi_search_next(c.search, &task, &next, &why));
    assert_int_equal(next, ATHI_NEXT_WAIT);
    assert_int_equal(study_count(c.t), 2);
    reopen(&c); /* killed here: the other goes on, alone */
    assert_ok(c.t->f.ctx, athi_search_next(c.search, &c.tasks[1], &next, &why));
    assert_int_equal(next, ATHI_NEXT_TASK);
    assert_int_equal(c.tasks[1].trial, 1);
    assert_ok(c.t->f.ctx, athi_search_next(c.search, &task, &next, &why));
    assert_int_equal(next, ATHI_NEXT_WAIT);
    c.busy[1] = take_step(&c, &c.tasks[1]);
    assert_false(c.busy[1]);
    assert_true(give_tasks(&c));
    assert_true(c.busy[0] && c.busy[1]);
    assert_int_equal(study_count(c.t), 4);
    athi_search_close(c.search);
}

/* What waits is the first driver's: another would begin trials where that one promotes some. */
static void one_driver_has_the_rounds(void **state) {
    for (int dead = 0; dead < 2; dead++) {
        campaign c, other;
        athi_task task;
        athi_next next;
        const char *why;
        begin(&c, one_parameter(state), "asha", "{}");
        c.opts.jobs = JOBS, c.opts.deterministic = true, c.opts.executions = 1, c.opts.owner = "first";
        open_search(&c);
        assert_true(give_tasks(&c));
        for (int k = 0; k < JOBS; k++) assert_false(take_step(&c, &c.tasks[k]));
        if (dead) study_sql(c.t, "UPDATE athanor_leases SET expires=1");
        other = c;
        athi_study_info info = study_info(c.t);
        assert_ok(c.t->f.ctx, athi_store_open(c.t->f.ctx, c.t->path, &info, &other.opts.store));
        other.opts.owner = "second";
        open_search(&other);
        assert_ok(c.t->f.ctx, athi_search_next(other.search, &task, &next, &why));
        assert_int_equal(next, dead ? ATHI_NEXT_TASK : ATHI_NEXT_WAIT);
        assert_int_equal(study_count(c.t), dead ? 2 + JOBS : 2);
        athi_search_close(other.search);
        athi_store_close(other.opts.store);
        athi_search_close(c.search);
        renew(state);
    }
}

/* Nobody judges trials that score the winner again: their executions need not wait for the first. */
static void executions_of_a_rescoring_run_together(void **state) {
    campaign c;
    begin(&c, one_parameter(state), "median", "{}");
    c.opts.max_trials = 1, c.opts.rescore = 1;
    open_search(&c);
    while (c.at[0][EXECUTIONS - 1] < MOST) {
        assert_true(give_tasks(&c));
        c.busy[0] = take_step(&c, &c.tasks[0]);
    }
    c.opts.jobs = JOBS;
    assert_true(give_tasks(&c));
    for (int k = 0; k < JOBS; k++) {
        assert_true(c.busy[k]);
        assert_int_equal(c.tasks[k].trial, 1);
        assert_int_equal(c.tasks[k].execution, k);
    }
    athi_search_close(c.search);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_decides),
        TEST(who_came_through_is_judged_no_more),
        TEST(seconds_instead_of_steps),
        TEST(two_jobs_in_order),
        TEST(executions_of_a_rescoring_run_together),
        TEST(schedulers_in_order),
        TEST(schedulers_in_order_over_executions),
        TEST(samplers_with_a_memory_in_order),
        TEST(nothing_is_decided_in_a_round),
        TEST(one_driver_has_the_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
