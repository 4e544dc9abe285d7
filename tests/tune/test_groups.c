/* Groups: several changes in one commit, which happen together or are taken back together, in the study and in the
 * search that made them. */
#include "tune/study_test.h"

#include <math.h>

static const double point[] = {32, 0.01, 1, 0.5};

typedef struct work {
    study *t;
    athi_search *search;
    athi_task tasks[4];
    int64_t n, undone;
    ath_status verdict;
} work;

static int64_t begin_one(study *t) {
    int64_t number;
    assert_ok(t->f.ctx,
              athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = point, .seen = 0}, &number));
    return number;
}

/* Ends trial 0, begins two and ends the second, and reads in between. */
static ath_status change_much(void *user) {
    work *w = user;
    double value = 0.5;
    const athi_outcome outcome = {.state = ATHI_TRIAL_COMPLETE, .values = &value};
    assert_ok(w->t->f.ctx, athi_store_finish(w->t->store, 0, &outcome));
    assert_int_equal(begin_one(w->t), 1);
    assert_int_equal(study_trial(w->t, 0)->state, ATHI_TRIAL_COMPLETE); /* what the group did is seen in it */
    assert_int_equal(begin_one(w->t), 2);
    assert_ok(w->t->f.ctx, athi_store_finish(w->t->store, 2, &outcome));
    assert_int_equal(study_count(w->t), 3);
    return w->verdict;
}

static void count_undone(void *user) { ((work *)user)->undone++; }

static void a_group_of_changes(void **state) {
    study *t = *state;
    work w = {.t = t, .verdict = ATH_E_OPTION};
    const athi_group group = {.work = change_much, .undo = count_undone, .user = &w, .durable = true};
    study_space(t);
    study_open(t);
    assert_int_equal(begin_one(t), 0);
    assert_int_equal(athi_store_group(t->store, &group), ATH_E_OPTION);
    assert_int_equal(w.undone, 1);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(study_count(t), 1);
        assert_int_equal(study_trial(t, 0)->state, ATHI_TRIAL_RUNNING);
        if (!pass) study_reopen(t);
    }
    w.verdict = ATH_OK;
    assert_ok(t->f.ctx, athi_store_group(t->store, &group));
    assert_int_equal(w.undone, 1);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(study_count(t), 3);
        assert_int_equal(study_trial(t, 0)->state, ATHI_TRIAL_COMPLETE);
        assert_int_equal(study_trial(t, 1)->state, ATHI_TRIAL_RUNNING);
        assert_true(study_trial(t, 2)->values[0] == 0.5);
        if (!pass) study_reopen(t);
    }
}

static ath_status ask_all(void *user) {
    work *w = user;
    for (w->n = 0; w->n < ATHI_COUNT(w->tasks); w->n++) {
        athi_next next;
        const char *why;
        assert_ok(w->t->f.ctx, athi_search_next(w->search, &w->tasks[w->n], &next, &why));
        assert_int_equal(next, ATHI_NEXT_TASK);
    }
    return w->verdict;
}

static ath_status tell_all(void *user) {
    work *w = user;
    athi_value *map = athi_value_new(w->t->f.arena, ATHI_MAP);
    assert_ok(w->t->f.ctx, athi_value_set(w->t->f.arena, map, "score", athi_value_float(w->t->f.arena, 2)));
    for (int64_t i = 0; i < w->n; i++) {
        ATH_TRY(athi_search_report(w->search, &w->tasks[i], 0, map));
        ATH_TRY(i == 2 ? athi_search_fail(w->search, &w->tasks[i], ATHI_REASON_CRASH, "why not")
                       : athi_search_finish(w->search, &w->tasks[i]));
    }
    return w->verdict;
}

static int64_t reports_of(study *t, int64_t number) {
    athi_report *reports;
    const char **json;
    int64_t n;
    assert_ok(t->f.ctx, athi_store_reports(t->store, t->f.arena, number, 0, &reports, &json, &n));
    return n;
}

/* A search whose calls were taken back is where it was before them. */
static void a_group_of_a_search(void **state) {
    study *t = *state;
    work w = {.t = t};
    study_space(t);
    study_open(t);
    athi_search_opts opts = {.space = t->f.space,
                             .sampler = athi_row_find(&athi_samplers, "tpe"),
                             .store = t->store,
                             .max_trials = 100,
                             .executions = 1,
                             .jobs = 2,
                             .owner = "one"};
    void *tpe = athi_arena_alloc(t->f.arena, (int64_t)opts.sampler->opts_size);
    assert_ok(t->f.ctx, athi_options_read(t->f.ctx, t->f.arena, opts.sampler, NULL, NULL, "tpe", tpe));
    opts.sampler_opts = tpe;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &w.search));
    assert_ok(t->f.ctx, athi_search_enqueue(w.search, point));
    w.verdict = ATH_E_IO;
    assert_int_equal(athi_search_group(w.search, false, ask_all, &w), ATH_E_IO);
    assert_int_equal(study_count(t), 0);
    assert_int_equal(athi_search_handed_out(w.search), 0);
    w.verdict = ATH_OK;
    assert_ok(t->f.ctx, athi_search_group(w.search, false, ask_all, &w));
    assert_int_equal(study_count(t), 4);
    assert_memory_equal(w.tasks[0].point, point, sizeof point); /* what was enqueued was not lost */
    w.verdict = ATH_E_IO;
    assert_int_equal(athi_search_group(w.search, true, tell_all, &w), ATH_E_IO);
    for (int64_t i = 0; i < w.n; i++) {
        assert_true(athi_search_wanted(w.search, &w.tasks[i]));
        assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_RUNNING);
        assert_int_equal(reports_of(t, i), 0);
    }
    w.verdict = ATH_OK;
    assert_ok(t->f.ctx, athi_search_group(w.search, true, tell_all, &w));
    for (int64_t i = 0; i < w.n; i++) {
        assert_int_equal(study_trial(t, i)->state, i == 2 ? ATHI_TRIAL_FAILED : ATHI_TRIAL_COMPLETE);
        assert_int_equal(reports_of(t, i), 1);
    }
    athi_search_close(w.search);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {TEST(a_group_of_changes), TEST(a_group_of_a_search)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
