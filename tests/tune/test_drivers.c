/* Several drivers on one study: leases, what a dead one leaves, budgets that hold over all of them, and processes that
 * work side by side. */
#include "tune/study_test.h"

/* Each has a connection of its own, as a process would. */
typedef struct driver {
    athi_search *search;
    athi_store *store;
} driver;

static driver open_driver(study *t, const char *owner, int64_t max_trials) {
    driver d = {0};
    athi_study_info info = study_info(t);
    athi_search_opts opts = {.space = t->f.space,
                             .owner = owner,
                             .seed = 7,
                             .sampler = athi_row_find(&athi_samplers, "random"),
                             .max_trials = max_trials,
                             .executions = 1,
                             .jobs = 2};
    assert_ok(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &d.store));
    opts.store = d.store;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &d.search));
    return d;
}

static void close_driver(driver d) {
    athi_search_close(d.search);
    athi_store_close(d.store);
}

static athi_next next(study *t, driver d, athi_task *task) {
    athi_next what;
    const char *why;
    assert_ok(t->f.ctx, athi_search_next(d.search, task, &what, &why));
    return what;
}

static void end_well(study *t, driver d, const athi_task *task, double value) {
    athi_value *map = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, map, "score", athi_value_float(t->f.arena, value));
    assert_ok(t->f.ctx, athi_search_report(d.search, task, 0, map));
    assert_ok(t->f.ctx, athi_search_finish(d.search, task));
}

/* Makes all leases run out at once, as if their holders had been silent. */
static void let_leases_run_out(study *t) {
    study_sql(t, "UPDATE athanor_leases SET expires=1");
}

enum { MANY = 100 };

static void begin(study *t) {
    study_space(t);
    study_open(t);
}

static void each_has_its_own(void **state) {
    study *t = *state;
    begin(t);
    athi_task a0, b0, a1;
    driver a = open_driver(t, "a", MANY), b = open_driver(t, "b", MANY);
    assert_int_equal(next(t, a, &a0), ATHI_NEXT_TASK);
    assert_int_equal(next(t, b, &b0), ATHI_NEXT_TASK);
    assert_int_equal(next(t, a, &a1), ATHI_NEXT_TASK);
    assert_int_equal(a0.trial, 0);
    assert_int_equal(b0.trial, 1);
    assert_int_equal(a1.trial, 2);
    end_well(t, b, &b0, 1);
    end_well(t, a, &a1, 2);
    end_well(t, a, &a0, 3);
    close_driver(a), close_driver(b);
    for (int i = 0; i < 3; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
}

/* A driver that does not renew its leases is taken for dead; when it comes back, it loses what was taken. */
static void a_silent_driver_loses_its_trials(void **state) {
    study *t = *state;
    begin(t);
    athi_task a0, b0;
    driver a = open_driver(t, "a", MANY);
    assert_int_equal(next(t, a, &a0), ATHI_NEXT_TASK);
    driver b = open_driver(t, "b", 1);
    assert_int_equal(next(t, b, &b0), ATHI_NEXT_WAIT); /* it is leased, and nothing else may begin */
    close_driver(b);
    let_leases_run_out(t);
    b = open_driver(t, "b", 1);
    assert_int_equal(next(t, b, &b0), ATHI_NEXT_TASK);
    assert_int_equal(b0.trial, 0);
    assert_true(b0.resumed);
    assert_true(athi_search_wanted(a.search, &a0)); /* it does not know yet */
    end_well(t, a, &a0, 9);                         /* and is not heard */
    assert_false(athi_search_wanted(a.search, &a0));
    end_well(t, b, &b0, 1);
    assert_true(study_trial(t, 0)->values[0] == 1);
    assert_int_equal(next(t, a, &a0), ATHI_NEXT_TASK);
    assert_int_equal(a0.trial, 1);
    close_driver(a), close_driver(b);
}

/* One that renews keeps them; one that was taken over learns it when it renews. */
static void leases_are_renewed(void **state) {
    study *t = *state;
    begin(t);
    athi_task a0, b0;
    driver a = open_driver(t, "a", MANY);
    assert_int_equal(next(t, a, &a0), ATHI_NEXT_TASK);
    let_leases_run_out(t);
    assert_ok(t->f.ctx, athi_search_renew(a.search));
    driver b = open_driver(t, "b", 1);
    assert_int_equal(next(t, b, &b0), ATHI_NEXT_WAIT);
    close_driver(b);
    close_driver(a); /* its leases go with it */
    b = open_driver(t, "b", 1);
    assert_int_equal(next(t, b, &b0), ATHI_NEXT_TASK);
    a = open_driver(t, "a", 1);
    assert_int_equal(next(t, a, &a0), ATHI_NEXT_WAIT);
    let_leases_run_out(t);
    driver c = open_driver(t, "c", 1);
    assert_ok(t->f.ctx, athi_search_renew(b.search));
    assert_false(athi_search_wanted(b.search, &b0));
    assert_int_equal(next(t, c, &a0), ATHI_NEXT_TASK);
    close_driver(a), close_driver(b), close_driver(c);
}

/* The same driver again (a folder's lock says so) does not wait for its own leases. */
static void started_again(void **state) {
    study *t = *state;
    begin(t);
    athi_task task;
    pid_t child = fork();
    if (child == 0) {
        driver a = open_driver(t, "a", MANY);
        _exit(next(t, a, &task) != ATHI_NEXT_TASK); /* killed */
    }
    int how;
    waitpid(child, &how, 0);
    assert_int_equal(how, 0);
    driver a = open_driver(t, "a", 1);
    assert_int_equal(next(t, a, &task), ATHI_NEXT_TASK);
    assert_true(task.resumed);
    close_driver(a);
}

/* Eight processes, 400 trials, some of which end badly and some whose driver dies: each trial runs to its end once, and
 * there are exactly as many as were asked for. */
static void side_by_side(void **state) {
    enum { DRIVERS = 8, TRIALS = 400 };
    study *t = *state;
    begin(t);
    athi_store_close(t->store);
    t->store = NULL;
    for (int k = 0; k < DRIVERS; k++) {
        if (fork()) continue;
        char owner[16];
        snprintf(owner, sizeof owner, "driver %d", k);
        driver d = open_driver(t, owner, TRIALS);
        athi_task task;
        int64_t done = 0;
        for (athi_next what; (what = next(t, d, &task)) != ATHI_NEXT_DONE;) {
            if (what == ATHI_NEXT_WAIT) {
                usleep(2000);
                continue;
            }
            if (k < 2 && ++done == 20) _exit(0); /* dies with a trial under way */
            if (task.trial % 10 == 3)
                assert_ok(t->f.ctx, athi_search_fail(d.search, &task, ATHI_REASON_CRASH, "so it goes"));
            else
                end_well(t, d, &task, (double)task.trial);
            assert_ok(t->f.ctx, athi_search_renew(d.search));
        }
        close_driver(d);
        _exit(0);
    }
    for (int k = 0, how; k < DRIVERS; k++) {
        assert_true(waitpid(-1, &how, 0) > 0);
        assert_int_equal(how, 0);
        if (k == 1) let_leases_run_out(t); /* the two that died, or those that live: it must not matter */
    }
    study_open(t);
    assert_int_equal(study_count(t), TRIALS);
    for (int i = 0; i < TRIALS; i++) {
        const athi_trial *x = study_trial(t, i);
        assert_int_equal(x->state, i % 10 == 3 ? ATHI_TRIAL_FAILED : ATHI_TRIAL_COMPLETE);
        if (x->state == ATHI_TRIAL_COMPLETE) assert_true(x->values[0] == i);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_has_its_own), TEST(a_silent_driver_loses_its_trials), TEST(leases_are_renewed), TEST(started_again),
        TEST(side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
