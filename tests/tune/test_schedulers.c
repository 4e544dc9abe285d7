/* Schedulers on synthetic curves: who survives, the sizes of brackets, never a stop before the grace period, the same
 * decisions after a start in the middle. */
#include "tune/scheduler_internal.h"
#include "tune/study_test.h"

#include <math.h>

/* ---- a search over curves ------------------------------------------------------------------------- */

typedef struct campaign {
    study *t;
    athi_search *search;
    athi_search_opts opts;
    double (*curve)(const double *point, int64_t step); /* "score" is made large */
    double (*pace)(const double *point);                /* seconds of a step; NULL: no matter */
    double clock;
    int64_t steps, most; /* taken in all; of a whole trial */
    int64_t killed;      /* after every so many reports, before what follows from them; 0: never */
    int64_t at[400];     /* steps of each trial */
} campaign;

static void begin(campaign *c, study *t, const char *scheduler, const char *json) {
    *c = (campaign){.t = t, .most = 27};
    c->opts = (athi_search_opts){.space = t->f.space,
                                 .sampler = athi_row_find(&athi_samplers, "random"),
                                 .store = t->store,
                                 .seed = 11,
                                 .max_trials = 60,
                                 .executions = 1,
                                 .jobs = 1,
                                 .max_t = 27,
                                 .scheduler = athi_row_find(&athi_schedulers, scheduler)};
    assert_non_null(c->opts.scheduler);
    c->opts.scheduler_opts = study_options(t, c->opts.scheduler, json);
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c->opts, &c->search));
}

static ath_status report(campaign *c, const athi_task *task, int64_t step, double value) {
    athi_value *map = athi_value_new(c->t->f.arena, ATHI_MAP);
    athi_value_set(c->t->f.arena, map, "score", athi_value_float(c->t->f.arena, value));
    return athi_search_report(c->search, task, step, map);
}

/* Another start of the same study. */
static void start_again(campaign *c) {
    athi_search_close(c->search);
    study_reopen(c->t);
    c->opts.store = c->t->store;
    assert_ok(c->t->f.ctx, athi_search_open(c->t->f.ctx, &c->opts, &c->search));
}

/* One stretch of one trial. */
static void run_task(campaign *c, const athi_task *task) {
    for (;;) {
        athi_action action;
        int64_t step = ++c->at[task->trial];
        c->steps++;
        if (c->pace) c->clock += c->pace(task->point);
        assert_ok(c->t->f.ctx, report(c, task, step, c->curve(task->point, step)));
        if (c->killed && c->steps % c->killed == 0 && step < c->most) {
            start_again(c);
            return;
        }
        assert_ok(c->t->f.ctx, athi_search_action(c->search, task, &action));
        if (action == ATHI_ACTION_PRUNE) assert_ok(c->t->f.ctx, athi_search_prune(c->search, task, NULL));
        if (action == ATHI_ACTION_PAUSE) assert_ok(c->t->f.ctx, athi_search_pause(c->search, task));
        if (action == ATHI_ACTION_PRUNE || action == ATHI_ACTION_PAUSE) return;
        if (step == c->most || (c->pace && action == ATHI_ACTION_FINISH)) break;
        assert_int_equal(action, ATHI_ACTION_CONTINUE);
    }
    assert_ok(c->t->f.ctx, athi_search_finish(c->search, task));
}

static void run(campaign *c, int64_t tasks) {
    for (int64_t i = 0; i < tasks; i++) {
        athi_task task;
        athi_next next;
        const char *why;
        assert_ok(c->t->f.ctx, athi_search_next(c->search, &task, &next, &why));
        if (next == ATHI_NEXT_DONE) return;
        assert_int_equal(next, ATHI_NEXT_TASK);
        assert_int_equal(task.resumed, c->at[task.trial] > 0);
        run_task(c, &task);
    }
}

static double level(const double *point, int64_t step) { return point[0] + 0.001 * (double)step; }

static void one_parameter(study *t) {
    add(&t->f, float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM));
    study_open(t);
}

static int64_t count(study *t, int64_t n, athi_trial_state state) {
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) k += study_trial(t, i)->state == state;
    return k;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void asha_promotes_the_best(void **state) {
    study *t = *state;
    campaign c;
    one_parameter(t);
    begin(&c, t, "asha", "{}");
    c.curve = level;
    run(&c, 1000);
    assert_int_equal(study_count(t), 60);
    int64_t reached[3] = {0}, best = 0;
    for (int64_t i = 0; i < 60; i++) {
        assert_true(c.at[i] == 1 || c.at[i] == 3 || c.at[i] == 9 || c.at[i] == 27);
        for (int k = 0, rung = 3; k < 3; k++, rung *= 3) reached[k] += c.at[i] >= rung;
        if (study_trial(t, i)->point[0] > study_trial(t, best)->point[0]) best = i;
    }
    assert_true(reached[0] >= 20 && reached[0] <= 30); /* a third, and who looked good early */
    assert_true(reached[1] >= 6 && reached[2] >= 2);
    assert_int_equal(c.at[best], 27);
    assert_int_equal(study_trial(t, best)->state, ATHI_TRIAL_COMPLETE);
    assert_int_equal(count(t, 60, ATHI_TRIAL_PAUSED), 0); /* who waited was given up at the end */
    assert_int_equal(count(t, 60, ATHI_TRIAL_COMPLETE) + count(t, 60, ATHI_TRIAL_PRUNED), 60);
    assert_true(c.steps < 60 * 27 / 4);
    athi_search_close(c.search);
}

/* Eight trials, of which two would come to the second rung and none beyond: the best of them is trained to its end. */
static void a_small_search_has_a_winner(void **state) {
    study *t = *state;
    campaign c;
    one_parameter(t);
    begin(&c, t, "asha", "{}");
    athi_search_close(c.search);
    c.opts.max_trials = 8;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
    c.curve = level;
    run(&c, 1000);
    int64_t best = 0;
    for (int64_t i = 0; i < 8; i++)
        if (study_trial(t, i)->point[0] > study_trial(t, best)->point[0]) best = i;
    assert_int_equal(count(t, 8, ATHI_TRIAL_COMPLETE), 1);
    assert_int_equal(study_trial(t, best)->state, ATHI_TRIAL_COMPLETE);
    assert_int_equal(c.at[best], 27);
    athi_search_close(c.search);
}

static void asha_stops_without_pauses(void **state) {
    study *t = *state;
    campaign c;
    one_parameter(t);
    begin(&c, t, "asha", "{\"grace_period\": 3, \"type\": \"stopping\"}");
    c.curve = level;
    run(&c, 1000);
    for (int64_t i = 0; i < 60; i++) assert_true(c.at[i] >= 3);
    assert_int_equal(c.at[0], 27); /* nobody to compare with */
    assert_true(count(t, 60, ATHI_TRIAL_PRUNED) >= 30);
    athi_search_close(c.search);
}

static void keras_tuner_brackets(void **state) {
    study *t = *state;
    one_parameter(t);
    const athi_rung_opts *o =
        study_options(t, athi_row_find(&athi_schedulers, "hyperband"), "{\"brackets\": \"kerastuner\"}");
    /* KerasTuner 1.4 with max_epochs 100 and factor 3: 254 trial records */
    static const int64_t sizes[5][5] = {{98, 33, 11, 4, 2}, {41, 14, 5, 2}, {18, 6, 2}, {9, 3}, {6}};
    static const int64_t epochs[5] = {2, 4, 12, 34, 100};
    int64_t records = 0, n, steps;
    for (int64_t b = 0; b < 5; b++)
        for (int64_t r = 0; r < 5 - b; r++) {
            athi_hyperband_rung(o, 100, b, r, &n, &steps);
            assert_int_equal(n, sizes[b][r]);
            assert_int_equal(steps, epochs[b + r]);
            records += n;
        }
    assert_int_equal(records, 254);
    athi_hyperband_rung(o, 100, 5, 0, &n, &steps);
    assert_int_equal(n, 0);
    o = study_options(t, athi_row_find(&athi_schedulers, "hyperband"), "{}");
    static const int64_t paper[5] = {81, 34, 15, 8, 5}; /* Li et al. 2018, table 1: R = 81, eta = 3 */
    for (int64_t b = 0, j = 0; b < 5; b++) {
        athi_hyperband_rung(o, 81, b, 0, &n, &steps);
        assert_int_equal(n, paper[b]);
        for (int64_t k = 0; k < n; k++) assert_int_equal(athi_hyperband_bracket(o, 81, j++), b);
    }
}

static void hyperband_fills_its_brackets(void **state) {
    study *t = *state;
    campaign c;
    one_parameter(t);
    begin(&c, t, "hyperband", "{}");
    athi_search_close(c.search);
    c.opts.max_trials = 27 + 12 + 6 + 4; /* a round for R = 27 */
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
    c.curve = level;
    run(&c, 1000);
    const athi_rung_opts *o = c.opts.scheduler_opts;
    for (int64_t b = 0; b < 4; b++)
        for (int64_t r = 0; r < 4 - b; r++) {
            int64_t n, steps, came = 0;
            athi_hyperband_rung(o, 27, b, r, &n, &steps);
            for (int64_t i = 0; i < c.opts.max_trials; i++)
                came += athi_hyperband_bracket(o, 27, i) == b && c.at[i] >= steps;
            assert_int_equal(came, n);
        }
    athi_search_close(c.search);
}

/* What a scheduler may stop as soon as it may at all: falls forever, or rises more slowly than others. */
static double sinking(const double *point, int64_t step) { return point[0] - (double)step; }
static double rising(const double *point, int64_t step) { return point[0] * (double)step; }

static void nobody_is_stopped_in_grace(void **state) {
    static const char *const grace[] = {"asha", "median", "percentile", "patience", "threshold"};
    for (int k = 0; k < ATHI_COUNT(grace); k++) {
        study *t = *state;
        campaign c;
        one_parameter(t);
        begin(&c, t, grace[k],
              !strcmp(grace[k], "threshold")  ? "{\"grace_period\": 7, \"lower\": 100}"
              : !strcmp(grace[k], "patience") ? "{\"grace_period\": 7, \"patience\": 1}"
                                              : "{\"grace_period\": 7}");
        c.curve = !strcmp(grace[k], "threshold") || !strcmp(grace[k], "patience") ? sinking : rising;
        run(&c, 1000);
        int64_t early = 0;
        for (int64_t i = 0; i < 60; i++) {
            assert_true(c.at[i] >= 7);
            early += c.at[i] < 27;
        }
        assert_true(early > 20); /* each of them did stop some */
        athi_search_close(c.search);
        void *next = t;
        study_teardown(&next);
        assert_int_equal(study_setup(state), 0);
    }
}

/* The study is closed and opened again after every few tasks; or after every few reports, before anybody has judged them. */
static void a_start_in_the_middle_decides_the_same(void **state) {
    static const struct {
        const char *scheduler, *prune;
    } cases[] = {{"asha", NULL}, {"asha", "percentile"}, {"hyperband", NULL}, {"median", NULL}};
    for (int k = 0; k < ATHI_COUNT(cases); k++) {
        int64_t steps[60] = {0};
        for (int pass = 0; pass < 4; pass++) {
            study *t = *state;
            campaign c;
            one_parameter(t);
            begin(&c, t, cases[k].scheduler, "{}");
            if (cases[k].prune) {
                c.opts.prune = athi_row_find(&athi_schedulers, cases[k].prune);
                c.opts.prune_opts = study_options(t, c.opts.prune, "{}");
                start_again(&c);
            }
            c.curve = level;
            c.killed = (int64_t[]){0, 0, 2, 7}[pass];
            for (int i = 0; i < (pass == 1 ? 100 : 1); i++) {
                if (i) start_again(&c);
                run(&c, pass == 1 ? 3 : 10000);
            }
            for (int64_t i = 0; i < 60; i++) {
                if (pass) assert_int_equal(c.at[i], steps[i]);
                steps[i] = c.at[i];
            }
            athi_search_close(c.search);
            void *next = t;
            study_teardown(&next);
            assert_int_equal(study_setup(state), 0);
        }
    }
}

/* Trials below 0.5 take four times as long for a step: seconds let them go less far. */
static double slow_and_quick(const double *point) { return point[0] < 0.5 ? 2 : 0.5; }

static double run_time(study *t, int64_t number) {
    const athi_trial *x = study_trial(t, number);
    return x->n_reports ? x->reports[x->n_reports - 1].seconds : 0;
}

static void seconds_instead_of_steps(void **state) {
    static const char *const schedulers[] = {"asha", "hyperband", "bohb", "median", "percentile"};
    static const char *const options[] = {"{\"time_attr\": \"seconds\", \"max_t\": 27, \"grace_period\": 3}",
                                          "{\"time_attr\": \"seconds\", \"max_t\": 27}",
                                          "{\"time_attr\": \"seconds\", \"max_t\": 27}",
                                          "{\"time_attr\": \"seconds\", \"grace_period\": 3}",
                                          "{\"time_attr\": \"seconds\", \"grace_period\": 3}"};
    for (int k = 0; k < ATHI_COUNT(schedulers); k++) {
        study *t = *state;
        campaign c;
        int64_t early = 0, whole = 0;
        one_parameter(t);
        begin(&c, t, schedulers[k], options[k]);
        athi_search_close(c.search);
        c.opts.clock = &c.clock;
        c.curve = level, c.pace = slow_and_quick, c.most = 60;
        assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
        for (int stretch = 0; stretch < 100; stretch++) { /* started again and again: run times go on */
            run(&c, 5);
            athi_search_close(c.search);
            study_reopen(t);
            c.opts.store = t->store, c.clock += 1000;
            assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
        }
        for (int64_t i = 0; i < study_count(t); i++) {
            const athi_trial *x = study_trial(t, i);
            bool slow = x->point[0] < 0.5;
            double pace = slow ? 2 : 0.5;
            assert_true(fabs(run_time(t, i) - pace * (double)c.at[i]) < 1e-6);
            bool halves = k == 0 || k > 2;
            if (halves) assert_true(run_time(t, i) >= 3);
            early += x->state == ATHI_TRIAL_PRUNED;
            if (x->state != ATHI_TRIAL_COMPLETE) continue;
            whole++;
            if (k < 3) assert_true(run_time(t, i) >= 27 && run_time(t, i) < 27 + pace);
        }
        assert_true(early > 15 && whole > 0);
        athi_search_close(c.search);
        void *next = t;
        study_teardown(&next);
        assert_int_equal(study_setup(state), 0);
    }
}

/* The text's smoke test: 1 / (0.1 + w s / 100) + 0.1 h, made small: h near -100 wins. */
static double smoke(const double *point, int64_t step) {
    return -(1 / (0.1 + point[0] * (double)step / 100) + 0.1 * point[1]);
}

static void the_smoke_test(void **state) {
    static const struct {
        const char *sampler, *scheduler;
    } pairs[] = {{"random", "asha"}, {"tpe", "asha"}, {"tpe", "bohb"}, {"random", "median"}};
    for (int k = 0; k < ATHI_COUNT(pairs); k++) {
        study *t = *state;
        campaign c;
        add(&t->f, float_param("w", 0, 20, 0, ATHI_PRIOR_UNIFORM));
        add(&t->f, float_param("h", -100, 100, 0, ATHI_PRIOR_UNIFORM));
        study_open(t);
        begin(&c, t, pairs[k].scheduler, "{}");
        athi_search_close(c.search);
        c.opts.sampler = athi_row_find(&athi_samplers, pairs[k].sampler), c.opts.max_trials = 100;
        c.opts.max_t = c.most = 100;
        assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
        c.curve = smoke;
        run(&c, 2000);
        const athi_trial **ranking;
        int64_t n;
        assert_ok(t->f.ctx, athi_search_ranking(c.search, t->f.arena, &ranking, &n));
        assert_true(n > 0 && ranking[0]->point[1] < -85);
        assert_true(c.steps < 100 * 100 / 2);
        athi_search_close(c.search);
        void *next = t;
        study_teardown(&next);
        assert_int_equal(study_setup(state), 0);
    }
}

/* asha with patience beside it: who sinks is stopped before its rung, the others as without. */
static double mixed(const double *point, int64_t step) {
    return point[0] > 0.5 ? level(point, step) : sinking(point, step);
}

static void two_side_by_side(void **state) {
    study *t = *state;
    campaign c;
    one_parameter(t);
    begin(&c, t, "asha", "{\"grace_period\": 9}");
    athi_search_close(c.search);
    c.opts.prune = athi_row_find(&athi_schedulers, "patience");
    c.opts.prune_opts = study_options(t, c.opts.prune, "{\"patience\": 3}");
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
    c.curve = mixed;
    run(&c, 1000);
    int64_t sunk = 0;
    for (int64_t i = 0; i < 60; i++) {
        bool sinks = study_trial(t, i)->point[0] <= 0.5;
        sunk += sinks;
        assert_true(sinks ? c.at[i] == 4 && study_trial(t, i)->state == ATHI_TRIAL_PRUNED : c.at[i] >= 9);
    }
    assert_true(sunk > 15 && sunk < 45);
    athi_search_close(c.search);
}

/* Two slots, of which now one and now the other is the quicker; what median stops is the same. */
static void median_in_order(void **state) {
    int64_t first[60] = {0}, stopped = 0;
    for (uint64_t pass = 0; pass < 3; pass++) {
        study *t = *state;
        campaign c;
        athi_task tasks[2];
        bool busy[2] = {false};
        one_parameter(t);
        begin(&c, t, "median", "{\"grace_period\": 2}");
        athi_search_close(c.search);
        c.opts.jobs = 2, c.opts.deterministic = true, c.opts.max_trials = 30;
        assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &c.opts, &c.search));
        for (uint64_t i = 0;; i++) {
            athi_next next = ATHI_NEXT_TASK;
            const char *why;
            uint32_t words[4];
            athi_philox(pass, ATHI_PURPOSE(ATHI_RNG_TEST, 0), i, words);
            for (int k = 0; k < 2 && next == ATHI_NEXT_TASK; k++) {
                if (busy[k]) continue;
                assert_ok(t->f.ctx, athi_search_next(c.search, &tasks[k], &next, &why));
                busy[k] = next == ATHI_NEXT_TASK;
            }
            if (!busy[0] && !busy[1]) break;
            int k = busy[0] && (!busy[1] || words[0] % (pass + 2)) ? 0 : 1;
            athi_action action;
            int64_t step = ++c.at[tasks[k].trial];
            assert_ok(t->f.ctx, report(&c, &tasks[k], step, level(tasks[k].point, step)));
            assert_ok(t->f.ctx, athi_search_action(c.search, &tasks[k], &action));
            if (action == ATHI_ACTION_PRUNE) assert_ok(t->f.ctx, athi_search_prune(c.search, &tasks[k], NULL));
            if (action == ATHI_ACTION_FINISH) assert_ok(t->f.ctx, athi_search_finish(c.search, &tasks[k]));
            busy[k] = action == ATHI_ACTION_CONTINUE;
            stopped += action == ATHI_ACTION_PRUNE;
        }
        for (int64_t i = 0; i < 30; i++) {
            if (pass) assert_int_equal(c.at[i], first[i]);
            first[i] = c.at[i];
        }
        athi_search_close(c.search);
        void *next = t;
        study_teardown(&next);
        assert_int_equal(study_setup(state), 0);
    }
    assert_true(stopped > 15);
}

static void what_does_not_fit(void **state) {
    study *t = *state;
    athi_search *s;
    one_parameter(t);
    athi_search_opts opts = {.space = t->f.space,
                             .sampler = athi_row_find(&athi_samplers, "random"),
                             .store = t->store,
                             .max_trials = 3,
                             .executions = 1,
                             .jobs = 1,
                             .scheduler = athi_row_find(&athi_schedulers, "asha")};
    opts.scheduler_opts = study_options(t, opts.scheduler, "{}");
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION,
                 "asha: how many steps a whole trial takes is unknown; give scheduler: {asha: {max_t: 27}}");
    opts.max_t = 27, opts.jobs = 2, opts.deterministic = true;
    opts.prune = athi_row_find(&athi_schedulers, "median"), opts.prune_opts = study_options(t, opts.prune, "{}");
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION,
                 "what prune decides beside asha depends on who was quicker; take one job, or leave out prune");
    opts.prune = NULL;
    opts.scheduler_opts = study_options(t, opts.scheduler, "{\"time_attr\": \"seconds\", \"max_t\": 60}");
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION, "the machine's pace decides");
    opts.deterministic = false;
    opts.scheduler_opts = study_options(t, opts.scheduler, "{\"time_attr\": \"seconds\"}");
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION, "whole trial takes is unknown");
    opts.scheduler_opts = study_options(t, opts.scheduler, "{}");
    opts.jobs = 1, opts.prune = opts.scheduler, opts.prune_opts = opts.scheduler_opts;
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION,
                 "prune: asha says how far trials go, which is for `scheduler`");
    opts.prune = NULL;
    opts.deterministic = false, opts.no_pause = true;
    opts.scheduler = athi_row_find(&athi_schedulers, "hyperband");
    opts.scheduler_opts = study_options(t, opts.scheduler, "{}");
    assert_fails(t->f.ctx, athi_search_open(t->f.ctx, &opts, &s), ATH_E_OPTION, "resumable: true");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_small_search_has_a_winner),
        TEST(asha_promotes_the_best),
        TEST(asha_stops_without_pauses),
        TEST(keras_tuner_brackets),
        TEST(hyperband_fills_its_brackets),
        TEST(nobody_is_stopped_in_grace),
        TEST(a_start_in_the_middle_decides_the_same),
        TEST(seconds_instead_of_steps),
        TEST(the_smoke_test),
        TEST(two_side_by_side),
        TEST(median_in_order),
        TEST(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
