/* A space that grows between two starts: what may change, and that a study's trials become points of the new space, all
 * of them or none. */
#include "tune/study_test.h"

#include "tune/store_internal.h"

#include <math.h>
#include <signal.h>
#include <time.h>

/* ---- spaces -------------------------------------------------------------------------------------- */

static athi_space *space_of(study *t, const athi_space_param *params, int n) {
    int index;
    athi_space *space;
    assert_ok(t->f.ctx, athi_space_create(t->f.arena, &space));
    for (int i = 0; i < n; i++) assert_ok(t->f.ctx, athi_space_add(t->f.ctx, space, &params[i], &index));
    return space;
}

static void what_may_change(void **state) {
    study *t = *state;
    athi_value two = {.type = ATHI_INT, .integer = 2, .number = 2}, text = {.type = ATHI_STRING, .text = "2"};
    athi_branch ab[] = {{.key = "a"}, {.key = "b"}}, cab[] = {{.key = "c"}, {.key = "a"}, {.key = "b"}},
                ints[] = {{.key = "2", .value = &two}}, texts[] = {{.key = "2", .value = &text}};
    const athi_space_param is_ab = {.name = "p", .type = ATHI_PARAM_CHOICE, .branches = ab, .n_branches = 2},
                           is_cab = {.name = "p", .type = ATHI_PARAM_CHOICE, .branches = cab, .n_branches = 3},
                           is_int = {.name = "p", .type = ATHI_PARAM_CHOICE, .branches = ints, .n_branches = 1},
                           is_text = {.name = "p", .type = ATHI_PARAM_CHOICE, .branches = texts, .n_branches = 1};
    const athi_prior U = ATHI_PRIOR_UNIFORM, L = ATHI_PRIOR_LOG, R = ATHI_PRIOR_REVERSE_LOG;
#define F(min, max, step, prior) float_param("p", min, max, step, prior)
#define I(min, max, step, prior) int_param("p", min, max, step, prior)
    const struct {
        athi_space_param was, is;
        const char *says; /* the difference, or what has grown */
        bool refused;
    } rows[] = {
        {F(0, 1, 0, U), F(-1, 2, 0, U), "p: 0..1 became -1..2", false},
        {F(1, 2, 0, U), F(1, 2, 0, L), "", false},
        {F(0, 1, 0, U), F(0, 0.5, 0, U), "parameter 'p': max was 1, is 0.5", true},
        {F(0, 1, 0, U), F(0.5, 1, 0, U), "parameter 'p': min was 0, is 0.5", true},
        {F(0, 1, 0, U), F(0, 1, 0.5, U), "parameter 'p': it was any number, is a grid of step 0.5", true},
        {F(0, 1, 0.5, U), F(0, 1, 0, U), "", false},
        {F(0, 1, 0.5, U), F(-0.5, 2, 0.25, U), "p: 0..1 became -0.5..2", false},
        {F(0, 0.6, 0.2, U), F(0, 0.9, 0.1, U), "p: 0..0.6 became 0..0.9", false},
        {F(0, 1, 0.5, U), F(0, 1, 0.3, U), "parameter 'p': its values leave out 0.5", true},
        {F(0, 1, 0.5, U), F(-0.1, 1, 0.5, U), "parameter 'p': its values leave out 0,", true},
        {F(0, 1, 0.4, U), F(0, 1, 0.3, U), "parameter 'p': its values leave out 0.4", true},
        {I(16, 64, 16, U), I(8, 128, 8, U), "p: 16..64 became 8..128", false},
        {I(16, 64, 16, U), I(10, 70, 16, U),
         "parameter 'p': its values leave out 16, which was one of them; keep the "
         "step 16, or a part of it from the same min",
         true},
        {I(1, 64, 2, L), I(1, 128, 2, L), "p: 1..64 became 1..128", false},
        {I(1, 64, 2, L), I(1, 64, 0, L), "", false},
        {I(1, 64, 0, L), I(1, 64, 2, L), "parameter 'p': its values leave out 3", true},
        {I(1, 100, 3, L), I(1, 100, 1, U), "", false},
        {I(1, 64, 2, R), I(1, 65, 2, R), "parameter 'p': its values leave out", true},
        {F(1, 4, 0, U), I(1, 4, 1, U), "parameter 'p' was a float, is an int", true},
        {is_ab, is_cab, "p: c is new", false},
        {is_cab, is_ab, "parameter 'p': the choice 'c' is gone", true},
        {is_int, is_text, "parameter 'p': another value is called '2'", true},
        {is_ab, F(0, 1, 0, U), "parameter 'p' was a choice, is a float", true},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        athi_text changes = {.ctx = t->f.ctx};
        ath_status status =
            athi_space_extends(t->f.ctx, space_of(t, &rows[i].was, 1), space_of(t, &rows[i].is, 1), &changes);
        const char *said = status == ATH_OK ? (changes.text ? changes.text : "") : ath_errmsg(t->f.ctx);
        if ((status == ATH_E_STATE) != rows[i].refused || !strstr(said, rows[i].says) || (!*rows[i].says && *said))
            fail_msg("row %d: %s: '%s', wanted '%s'", i, ath_status_text(status), said, rows[i].says);
        athi_text_free(&changes);
    }
}

static void parameters_and_constraints(void **state) {
    study *t = *state;
    ath_ctx *ctx = t->f.ctx;
    const athi_space_param both[] = {float_param("x", 0, 1, 0, ATHI_PRIOR_UNIFORM),
                                     float_param("y", 0, 1, 0, ATHI_PRIOR_UNIFORM)};
    athi_space *one = space_of(t, both, 1), *two = space_of(t, both, 2), *ruled = space_of(t, both, 2);
    assert_ok(ctx, athi_space_rule(ctx, ruled, "x + y < 1"));
    athi_text changes = {.ctx = ctx};
    assert_ok(ctx, athi_space_extends(ctx, one, two, &changes));
    assert_string_equal(changes.text, "y is new");
    assert_fails(ctx, athi_space_extends(ctx, two, one, &changes), ATH_E_STATE, "parameter 'y' is gone");
    assert_fails(ctx, athi_space_extends(ctx, two, ruled, &changes), ATH_E_STATE,
                 "the constraint \"x + y < 1\" is new");
    assert_ok(ctx, athi_space_extends(ctx, ruled, two, &changes));
    athi_text_free(&changes);
}

/* ---- studies ------------------------------------------------------------------------------------- */

/* The next start: units finer and wider, sgd no longer the last, momentum for every optimizer but adam, layers new. */
static athi_space *larger(study *t) {
    static athi_branch branches[] = {{.key = "sgd"}, {.key = "nadam"}, {.key = "adam"}};
    athi_condition stochastic = {2, 0, 1};
    athi_space_param params[] = {
        int_param("layers", 1, 4, 1, ATHI_PRIOR_UNIFORM),
        int_param("units", 8, 128, 8, ATHI_PRIOR_UNIFORM),
        {.name = "optimizer", .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = 3, .fallback = NAN},
        float_param("momentum", 0, 0.999, 0, ATHI_PRIOR_UNIFORM),
        float_param("lr", 1e-5, 1e-1, 0, ATHI_PRIOR_LOG)};
    params[3].conditions = &stochastic, params[3].n_conditions = 1;
    return space_of(t, params, ATHI_COUNT(params));
}

/* Layers were 3. */
static const double past[] = {3, NAN, NAN, NAN, NAN};
static ath_status grown(const void *user, athi_arena *arena, const athi_value *was, athi_growth *growth) {
    (void)arena, (void)was;
    *growth = (athi_growth){.was = ((const study *)user)->f.space, .past = past};
    return ATH_OK;
}

static const double with_sgd[] = {32, 0.01, 1, 0.5}, with_adam[] = {48, 0.002, 0, NAN};

static athi_study_info next_info(study *t, const athi_space *space) {
    athi_study_info info = study_info(t);
    athi_value *other = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, other, "space", athi_value_int(t->f.arena, 2));
    info.definition = other, info.space = space, info.grown = grown, info.user = t, info.owner = "ours";
    return info;
}

static void begin_two(study *t) {
    int64_t a, b;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    assert_ok(t->f.ctx, athi_store_finish(t->store, a,
                                          &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &(double){0.5}}));
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam, .seen = 1}, &b));
}

/* Of Optuna, which lists choices in its own order: one that lies inside, and one outside. */
static void add_foreign(study *t) {
    study_sql(t, "INSERT INTO trials VALUES(3,2,1,'COMPLETE','2026-01-01 12:00:00','2026-01-01 12:00:02');"
                 "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES"
                 "(3,'optimizer',0.0,'{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": "
                 "[\"sgd\", \"adam\"]}}');"
                 "INSERT INTO trials VALUES(4,3,1,'COMPLETE','2026-01-01 12:00:00','2026-01-01 12:00:02');"
                 "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES"
                 "(4,'units',999.0,'{\"name\": \"IntDistribution\", \"attributes\": {\"step\": 1, \"log\": false, "
                 "\"low\": 1, \"high\": 999}}');"
                 "INSERT INTO trials VALUES(5,4,1,'WAITING',NULL,NULL);");
    if (getenv("ATHANOR_TEST_POSTGRES")) study_sql(t, "SELECT setval('trials_trial_id_seq', 5)");
}

static void assert_point(study *t, const athi_space *space, int64_t number, const double *expected) {
    const athi_trial *const *trials;
    int64_t n;
    assert_ok(t->f.ctx, athi_store_trials(t->store, space, &trials, &n));
    for (int64_t i = 0; i < space->n; i++)
        if (!(isnan(expected[i]) ? isnan(trials[number]->point[i]) : trials[number]->point[i] == expected[i]))
            fail_msg("trial %d, %s: %g, expected %g", (int)number, space->params[i].name, trials[number]->point[i],
                     expected[i]);
}

static void trials_become_points_of_the_new_space(void **state) {
    study *t = *state;
    ath_ctx *ctx = t->f.ctx;
    study_space(t);
    study_open(t);
    begin_two(t);
    add_foreign(t);
    athi_space *next = larger(t);
    athi_study_info info = next_info(t, next);
    athi_store *before = t->store;
    t->store = NULL;
    assert_ok(ctx, athi_store_open(ctx, t->path, &info, &t->store));
    assert_string_equal(athi_store_changes(t->store),
                        "units: 16..64 became 8..128; lr: 0.0001..0.1 became 1e-05..0.1; "
                        "optimizer: nadam is new; momentum: 0..0.99 became 0..0.999; "
                        "layers is new");
    for (int pass = 0; pass < 2; pass++) {
        assert_point(t, next, 0, (double[]){3, 32, 0, 0.5, 0.01});
        assert_point(t, next, 1, (double[]){3, 48, 2, NAN, 0.002}); /* adam has none still */
        assert_point(t, next, 2, (double[]){3, NAN, 0, NAN, NAN});
        athi_rows *q;
        bool row;
        int64_t n = 0;
        assert_ok(ctx, athi_sql_query(t->store, SQL_DISTRIBUTIONS, &q, "i", t->store->study_id));
        for (;;) {
            assert_ok(ctx, athi_sql_step(t->store, q, &row));
            if (!row) break;
            n++;
        }
        assert_int_equal(n, 5 + 1); /* one a name, and that of the trial that lies outside */
        const char *text;
        assert_ok(ctx, athi_store_get(t->store, t->f.arena, "space", &text));
        assert_non_null(strstr(text, "nadam"));
        athi_store_close(t->store); /* the same again changes nothing */
        assert_ok(ctx, athi_store_open(ctx, t->path, &info, &t->store));
        assert_null(athi_store_changes(t->store));
    }
    int64_t number;
    assert_fails(ctx, athi_store_begin(before, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 1}, &number),
                 ATH_E_STATE, "another program has changed the study's space meanwhile; start again");
    athi_store_close(before);
    assert_ok(ctx, athi_store_begin(t->store, next,
                                    &(athi_beginning){.point = (double[]){1, 8, 1, 0, 1e-5}, .seen = 1}, &number));
    assert_int_equal(number, 5);
}

static void refused_changes_nothing(void **state) {
    study *t = *state;
    ath_ctx *ctx = t->f.ctx;
    study_space(t);
    study_open(t);
    begin_two(t);
    assert_ok(ctx, athi_store_own(t->store, "another", 10));
    bool taken;
    assert_ok(ctx, athi_store_take(t->store, 1, &taken));
    assert_true(taken);
    athi_study_info info = next_info(t, larger(t));
    athi_store *other = NULL;
    assert_fails(
        ctx, athi_store_open(ctx, t->path, &info, &other), ATH_E_BUSY,
        "trial 1 is under way in another program (another), and a space can change only while nobody works on "
        "its study; end that program, or if it is dead wait ten seconds");
    assert_ok(ctx, athi_store_release(t->store));
    info.space = space_of(t, t->f.space->params, 2); /* optimizer and momentum left out */
    assert_fails(ctx, athi_store_open(ctx, t->path, &info, &other), ATH_E_STATE,
                 "the space of a study can only grow: parameter 'optimizer' is gone; change it back, choose another "
                 "folder (--dir, or --set name=NAME), or start over with --overwrite");
    info = next_info(t, larger(t));
    info.grown = NULL;
    assert_fails(ctx, athi_store_open(ctx, t->path, &info, &other), ATH_E_STATE, "tune was {\"seed\":1}, is absent");
    assert_point(t, t->f.space, 0, with_sgd);
    assert_point(t, t->f.space, 1, with_adam);
    study_reopen(t);
}

/* Killed in the middle of the rewriting of many trials, a study is as it was or as it should be. */
static void a_kill_leaves_one_or_the_other(void **state) {
    study *t = *state;
    ath_ctx *ctx = t->f.ctx;
    study_space(t);
    study_open(t);
    enum { TRIALS = 100, ROUNDS = 16 };
    for (int i = 0; i < TRIALS; i++) begin_two(t);
    athi_store_close(t->store);
    t->store = NULL;
    athi_space *next = larger(t);
    athi_study_info old = study_info(t), new = next_info(t, next);
    bool done = false;
    for (int round = 0; !done && round < ROUNDS; round++) {
        pid_t child = fork();
        if (child == 0) _exit(athi_store_open(ctx, t->path, &new, &t->store) != ATH_OK);
        const int ms = 1 << ATHI_MIN(round, 11);
        struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ath_status status = athi_store_open(ctx, t->path, &old, &t->store);
        done = status == ATH_E_STATE;
        if (done) assert_ok(ctx, athi_store_open(ctx, t->path, &new, &t->store));
        for (int64_t i = 0; i < 2 * TRIALS; i += 2) {
            assert_point(t, done ? next : t->f.space, i, done ? (double[]){3, 32, 0, 0.5, 0.01} : with_sgd);
            assert_point(t, done ? next : t->f.space, i + 1, done ? (double[]){3, 48, 2, NAN, 0.002} : with_adam);
        }
        athi_store_close(t->store);
        t->store = NULL;
    }
    assert_true(done);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_may_change),
        TEST(parameters_and_constraints),
        TEST(trials_become_points_of_the_new_space),
        TEST(refused_changes_nothing),
        TEST(a_kill_leaves_one_or_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
