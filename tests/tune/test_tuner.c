/* The public define-by-run search, on functions whose best point is known. */
#include "athanor/tune.h"
#include "tune/study_test.h"

#include <math.h>

typedef struct calls {
    study *t;
    int n, fail_from, stop_at, wrong_at;
    double best;
} calls;

/* Best at units 48, lr 0.01, adam; momentum is asked for below sgd only. */
static double score(ath_hp *hp) {
    double units = (double)ath_hp_int(hp, "units", .min = 16, .max = 64, .step = 16);
    double lr = ath_hp_float(hp, "lr", .min = 1e-4, .max = 1, .prior = ATH_PRIOR_LOG);
    const char *optimizer = ath_hp_choice(hp, "optimizer", .values = {"adam", "sgd"});
    bool nesterov = ath_hp_bool(hp, "nesterov");
    double y = -fabs(units - 48) / 16 - fabs(log10(lr) + 2) - 0.1 * nesterov;
    if (strcmp(optimizer, "sgd")) return y;
    return y - 0.5 - ath_hp_float(hp, "momentum", .min = 0, .max = 0.99, .fallback = 0.9);
}

static ath_status run(ath_hp *hp, ath_trial *trial, void *user) {
    calls *c = user;
    c->n++;
    if (c->stop_at == c->n) return ATH_E_INTERRUPTED;
    if (c->fail_from && c->n >= c->fail_from) return athi_fail(c->t->f.ctx, ATH_E_FAILED, "the pump is dry");
    if (c->wrong_at == c->n) ath_hp_int(hp, "units", .min = 1, .max = 2);
    double y = score(hp);
    for (int step = 1; step <= 3; step++)
        if (ath_trial_report(trial, step, y - abs(step - 2)) != ATH_OK) return ATH_E_FAILED;
    return ATH_OK;
}

static ath_tuner *create(study *t, int64_t max_trials, int64_t executions) {
    ath_tuner *tuner;
    assert_ok(t->f.ctx,
              ath_tuner_create(t->f.ctx, &tuner, .directory = t->folder, .objective = "score", .seed = 3,
                               .max_trials = max_trials, .sampler = "random", .executions_per_trial = executions));
    return tuner;
}

static void finds_the_best(void **state) {
    study *t = *state;
    calls c = {.t = t};
    ath_tuner *tuner = create(t, 30, 1);
    assert_ok(t->f.ctx, ath_tuner_search(tuner, run, &c));
    assert_int_equal(c.n, 30);
    ath_tuner_result best, second;
    assert_ok(t->f.ctx, ath_tuner_best(tuner, 0, &best));
    assert_ok(t->f.ctx, ath_tuner_best(tuner, 1, &second));
    assert_true(best.value >= second.value && best.value > -2.5);
    assert_int_equal(best.best_step, 2);
    assert_true(score(best.hp) == best.value); /* the same function reads the values back */
    assert_non_null(strstr(ath_hp_json(best.hp), "\"optimizer\""));
    assert_fails(t->f.ctx, ath_tuner_best(tuner, 30, &second), ATH_E_NOTFOUND, "30 are complete");
    ath_tuner_destroy(tuner);
}

static void the_first_trial_has_the_defaults(void **state) {
    study *t = *state;
    calls c = {.t = t};
    ath_tuner *tuner = create(t, 1, 1);
    assert_ok(t->f.ctx, ath_tuner_search(tuner, run, &c));
    ath_tuner_result best;
    assert_ok(t->f.ctx, ath_tuner_best(tuner, 0, &best));
    assert_int_equal(ath_hp_int(best.hp, "units", .min = 16, .max = 64, .step = 16), 16);
    assert_string_equal(ath_hp_choice(best.hp, "optimizer", .values = {"adam", "sgd"}), "adam");
    assert_null(strstr(ath_hp_json(best.hp), "momentum"));
    ath_tuner_destroy(tuner);
}

/* A parameter that was not asked for does not stand in the study. */
static void branches_have_their_own_parameters(void **state) {
    study *t = *state;
    calls c = {.t = t};
    ath_tuner *tuner = create(t, 20, 1);
    assert_ok(t->f.ctx, ath_tuner_search(tuner, run, &c));
    ath_tuner_destroy(tuner);
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(t->path, &db), SQLITE_OK);
    sqlite3_prepare_v2(
        db,
        "SELECT SUM(p.param_value=1), SUM(m.param_id IS NOT NULL), SUM((p.param_value=1)=(m.param_id IS "
        "NOT NULL)) FROM trial_params p LEFT JOIN trial_params m ON m.trial_id=p.trial_id AND "
        "m.param_name='momentum' WHERE p.param_name='optimizer'",
        -1, &q, NULL);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_true(sqlite3_column_int(q, 0) > 3);
    assert_int_equal(sqlite3_column_int(q, 0), sqlite3_column_int(q, 1));
    assert_int_equal(sqlite3_column_int(q, 2), 20);
    sqlite3_finalize(q);
    sqlite3_close(db);
}

/* Interrupted and started again, the trials are those of one run. */
static void goes_on(void **state) {
    study *t = *state;
    calls whole = {.t = t}, first = {.t = t, .stop_at = 8}, rest = {.t = t};
    ath_tuner *tuner = create(t, 12, 2);
    ath_tuner_result a, b;
    assert_ok(t->f.ctx, ath_tuner_search(tuner, run, &whole));
    assert_ok(t->f.ctx, ath_tuner_best(tuner, 3, &a));
    double value = a.value;
    int64_t number = a.trial;
    ath_tuner_destroy(tuner);
    assert_ok(t->f.ctx,
              ath_tuner_create(t->f.ctx, &tuner, .directory = t->folder, .objective = "score", .seed = 3,
                               .max_trials = 12, .sampler = "random", .executions_per_trial = 2, .overwrite = true));
    assert_fails(t->f.ctx, ath_tuner_search(tuner, run, &first), ATH_E_INTERRUPTED, "");
    ath_tuner_destroy(tuner);
    tuner = create(t, 12, 2);
    assert_ok(t->f.ctx, ath_tuner_search(tuner, run, &rest));
    assert_int_equal(first.n - 1 + rest.n, 24);
    assert_ok(t->f.ctx, ath_tuner_best(tuner, 3, &b));
    assert_true(b.value == value && b.trial == number);
    ath_tuner_destroy(tuner);
}

static void what_goes_wrong_is_told(void **state) {
    study *t = *state;
    ath_ctx *ctx = t->f.ctx;
    ath_tuner *tuner, *other;
    assert_fails(ctx, ath_tuner_create(ctx, &tuner, .directory = t->folder, .objective = "flow"), ATH_E_OPTION,
                 "nothing is known of the objective 'flow'");
    assert_fails(ctx, ath_tuner_create(ctx, &tuner, .objective = "loss"), ATH_E_OPTION, ".directory is missing");
    assert_fails(ctx, ath_tuner_create(ctx, &tuner, .directory = t->folder, .objective = "loss", .sampler = "randon"),
                 ATH_E_OPTION, "did you mean random");
    calls dry = {.t = t, .fail_from = 1}, wrong = {.t = t, .wrong_at = 2};
    tuner = create(t, 10, 1);
    assert_fails(ctx, ath_tuner_create(ctx, &other, .directory = t->folder, .objective = "score"), ATH_E_BUSY, "");
    assert_fails(ctx, ath_tuner_search(tuner, run, &wrong), ATH_E_OPTION, "units");
    ath_tuner_destroy(tuner);
    assert_fails(ctx, ath_tuner_create(ctx, &tuner, .directory = t->folder, .objective = "score", .seed = 4),
                 ATH_E_STATE, "seed was 3, is 4");
    assert_ok(ctx, ath_tuner_create(ctx, &tuner, .directory = t->folder, .objective = "score", .overwrite = true,
                                    .sampler = "random"));
    assert_fails(ctx, ath_tuner_search(tuner, run, &dry), ATH_E_FAILED, "the pump is dry");
    ath_tuner_destroy(tuner);
}

/* Two objectives that want opposite things of x; z should be 0 for both. */
static ath_status two(ath_hp *hp, ath_trial *trial, void *user) {
    calls *c = user;
    const double x = ath_hp_float(hp, "x", .min = 0, .max = 1, .step = 0.125);
    const int64_t z = ath_hp_int(hp, "z", .min = 0, .max = 1);
    if (++c->n == c->wrong_at) return ath_trial_report(trial, 1, x);
    ath_status status = ath_trial_report_values(trial, 1, (double[]){9, 0});
    return status != ATH_OK ? status : ath_trial_report_values(trial, 2, (double[]){x + (double)z, x - (double)z});
}

static void several_objectives(void **state) {
    study *t = *state;
    calls c = {.t = t};
    ath_tuner *tuner;
    int64_t front, x[2];
    double values[2], before = -1;
    ath_tuner_result result;
    for (int start = 0; start < 2; start++) { /* the second time the study is there */
        assert_ok(t->f.ctx,
                  ath_tuner_create(t->f.ctx, &tuner, .directory = t->folder, .objectives = {"loss", "speed"},
                                   .directions = {[1] = ATH_MAXIMIZE}, .max_trials = 18, .sampler = "random"));
        assert_ok(t->f.ctx, ath_tuner_front(tuner, &front));
        assert_int_equal(front, start ? 9 : 0);
        assert_ok(t->f.ctx, ath_tuner_search(tuner, two, &c));
        assert_int_equal(c.n, 18);
        assert_ok(t->f.ctx, ath_tuner_front(tuner, &front));
        assert_int_equal(front, 9); /* x from 0 to 1 by 1/8, z = 0 */
        for (int64_t rank = 0; rank < 18; rank++) {
            assert_ok(t->f.ctx, ath_tuner_best(tuner, rank, &result));
            assert_ok(t->f.ctx, ath_tuner_values(tuner, rank, values));
            assert_true(result.value == values[0]); /* the last report, not the best of each */
            x[0] = ath_hp_int(result.hp, "z", .min = 0, .max = 1);
            assert_int_equal(x[0], rank >= front);
            assert_true(values[0] - values[1] == 2.0 * (double)x[0]);
            if (rank > 0 && rank < front) assert_true((double)result.trial > before);
            before = (double)result.trial;
        }
        assert_fails(t->f.ctx, ath_tuner_values(tuner, 18, values), ATH_E_NOTFOUND, "18 are complete");
        ath_tuner_destroy(tuner);
    }
    c = (calls){.t = t, .wrong_at = 1};
    assert_ok(t->f.ctx, ath_tuner_create(t->f.ctx, &tuner, .directory = t->folder, .objectives = {"loss", "score"},
                                         .max_trials = 1, .overwrite = true, .sampler = "random"));
    assert_ok(t->f.ctx, ath_tuner_search(tuner, two, &c));
    assert_fails(t->f.ctx, ath_tuner_best(tuner, 0, &result), ATH_E_NOTFOUND, "0 are complete");
    ath_tuner_destroy(tuner);
    assert_fails(t->f.ctx,
                 ath_tuner_create(t->f.ctx, &tuner, .directory = t->folder, .objective = "loss", .max_trials = 1),
                 ATH_E_STATE, "has 2 objectives, expected 1");
}

static void wrong_objectives(void **state) {
    study *t = *state;
    ath_tuner *tuner;
    const struct {
        const char *objective, *objectives[3], *says;
    } rows[] = {{NULL, {NULL}, ".objective is missing"},
                {"loss", {"score"}, "both .objective and .objectives are given"},
                {NULL, {"loss", "loss"}, "the objective 'loss' stands twice"},
                {NULL, {"loss", "flow"}, "nothing is known of the objective 'flow'; give its direction"}};
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        ath_tuner_opts o = {.struct_size = sizeof o, .directory = t->folder, .objective = rows[i].objective};
        memcpy(o.objectives, rows[i].objectives, sizeof rows[i].objectives);
        assert_fails(t->f.ctx, ath_tuner_create_with(t->f.ctx, &tuner, &o), ATH_E_OPTION, rows[i].says);
    }
    /* A program that was built before there were several. */
    ath_tuner_opts old = {.struct_size = offsetof(ath_tuner_opts, objectives),
                          .directory = t->folder,
                          .objective = "loss"};
    old.objectives[0] = "never read";
    assert_ok(t->f.ctx, ath_tuner_create_with(t->f.ctx, &tuner, &old));
    ath_tuner_destroy(tuner);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(finds_the_best),   TEST(the_first_trial_has_the_defaults), TEST(branches_have_their_own_parameters),
        TEST(goes_on),          TEST(what_goes_wrong_is_told),          TEST(several_objectives),
        TEST(wrong_objectives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
