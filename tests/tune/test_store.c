/* The study store: what goes in comes out, nothing is torn by a kill, others may look and add, foreign files
 * are refused with a sentence. */
#include "tune/study_test.h"

#include "tune/store_internal.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static const double with_sgd[] = {32, 0.01, 1, 0.5}, with_adam[] = {48, 0.002, 0, NAN};

static void trials_round_trip(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    ath_ctx *ctx = t->f.ctx;
    int64_t a, b, c;
    double before = (double)time(NULL), value = 0.75;
    assert_ok(ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    assert_ok(ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam, .seen = 0}, &b));
    assert_ok(ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam, .seen = 1}, &c));
    assert_int_equal(a, 0);
    assert_int_equal(c, 2);
    assert_ok(ctx, athi_store_report(t->store, a, 0, (athi_report){1, 0.5}, "{\"score\":0.5,\"loss\":2}"));
    assert_ok(ctx, athi_store_report(t->store, a, 0, (athi_report){2, NAN}, "{\"score\":\"nan\"}"));
    assert_ok(ctx, athi_store_report(t->store, a, 0, (athi_report){3, INFINITY}, "{}"));
    assert_ok(ctx, athi_store_report(t->store, a, 1, (athi_report){1, 0.25}, "{\"score\":0.25}"));
    assert_ok(ctx, athi_store_execution(t->store, a, 1, &(double){0.25}, 1));
    assert_true(isnan(study_trial(t, a)->execution_values[0])); /* the second finished first */
    assert_ok(ctx, athi_store_execution(t->store, a, 0, &(double){1.25}, 3));
    assert_ok(ctx, athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}));
    assert_ok(ctx, athi_store_finish(t->store, b,
                                     &(athi_outcome){.state = ATHI_TRIAL_FAILED,
                                                     .reason = ATHI_REASON_MEMORY,
                                                     .message = "killed: \"out\" of memory"}));
    for (int pass = 0; pass < 2; pass++) {
        const athi_trial *x = study_trial(t, a);
        assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
        assert_true(x->values[0] == 0.75);
        assert_memory_equal(x->point, with_sgd, sizeof with_sgd);
        assert_int_equal(x->n_reports, 3);
        assert_true(x->reports[0].value == 0.5 && isnan(x->reports[1].value) && isinf(x->reports[2].value));
        assert_int_equal(x->n_executions, 2);
        assert_true(x->execution_values[0] == 1.25 && x->execution_values[1] == 0.25);
        assert_int_equal(x->execution_best[0], 3);
        assert_true(x->started >= before && x->ended >= x->started && x->ended < before + 60);
        x = study_trial(t, b);
        assert_int_equal(x->state, ATHI_TRIAL_FAILED);
        assert_int_equal(x->reason, ATHI_REASON_MEMORY);
        assert_string_equal(x->message, "killed: \"out\" of memory");
        assert_true(isnan(x->point[3]) && isnan(x->values[0]));
        x = study_trial(t, c);
        assert_int_equal(x->state, ATHI_TRIAL_RUNNING);
        assert_int_equal(x->seen, 1);
        athi_report *reports;
        const char **json;
        int64_t n;
        assert_ok(ctx, athi_store_reports(t->store, t->f.arena, a, 1, &reports, &json, &n));
        assert_int_equal(n, 1);
        assert_string_equal(json[0], "{\"score\":0.25}");
        study_reopen(t);
    }
}

static void finished_trials_do_not_change(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    int64_t a;
    double value = 1;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    assert_fails(t->f.ctx,
                 athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = NULL}),
                 ATH_E_STATE, "needs a value of 'score'");
    assert_ok(t->f.ctx,
              athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}));
    value = 2;
    assert_fails(t->f.ctx,
                 athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}),
                 ATH_E_STATE, "trial 0 is not running");
    assert_fails(t->f.ctx, athi_store_report(t->store, a, 0, (athi_report){1, 1}, "{}"), ATH_E_STATE, "not running");
    assert_fails(t->f.ctx, athi_store_report(t->store, 7, 0, (athi_report){1, 1}, "{}"), ATH_E_NOTFOUND,
                 "no trial 7");
    assert_true(study_trial(t, a)->values[0] == 1);
}

static void rewinding_and_texts(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    int64_t a;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    for (int64_t step = 1; step <= 5; step++)
        assert_ok(t->f.ctx, athi_store_report(t->store, a, 0, (athi_report){step, 1}, "{}"));
    assert_ok(t->f.ctx, athi_store_rewind(t->store, a, 0, 2));
    assert_int_equal(study_trial(t, a)->n_reports, 2);
    const double other[] = {64, 0.1, 0, NAN};
    assert_ok(t->f.ctx, athi_store_point(t->store, t->f.space, a, other));
    assert_true(study_trial(t, a)->point[0] == 64 && isnan(study_trial(t, a)->point[3]));
    const char *text;
    assert_ok(t->f.ctx, athi_store_get(t->store, t->f.arena, "stage", &text));
    assert_null(text);
    assert_ok(t->f.ctx, athi_store_put(t->store, "stage", "tune"));
    assert_ok(t->f.ctx, athi_store_put(t->store, "stage", "retrain"));
    study_reopen(t);
    assert_ok(t->f.ctx, athi_store_get(t->store, t->f.arena, "stage", &text));
    assert_string_equal(text, "retrain");
    assert_ok(t->f.ctx, athi_store_put(t->store, "stage", NULL));
    assert_ok(t->f.ctx, athi_store_get(t->store, t->f.arena, "stage", &text));
    assert_null(text);
}

static void another_definition_is_refused(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_store_close(t->store);
    t->store = NULL;
    athi_value *tune = athi_value_get(t->definition, "tune");
    athi_value_set(t->f.arena, tune, "seed", athi_value_int(t->f.arena, 2));
    athi_study_info info = study_info(t);
    assert_fails(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &t->store), ATH_E_STATE,
                 "tune.seed was 1, is 2");
    athi_value_set(t->f.arena, tune, "seed", athi_value_int(t->f.arena, 1));
    athi_value_set(t->f.arena, tune, "top", athi_value_int(t->f.arena, 4));
    assert_fails(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &t->store), ATH_E_STATE,
                 "tune.top was absent, is 4");
    bool minimize[] = {false};
    info.maximize = minimize;
    assert_fails(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &t->store), ATH_E_STATE, "to maximize 'score'");
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void foreign_files_are_refused(void **state) {
    study *t = *state;
    athi_study_info info = study_info(t);
    ath_ctx *ctx = t->f.ctx;
    assert_fails(ctx, athi_store_open_existing(ctx, t->path, NULL, &t->store), ATH_E_NOTFOUND, "no such file");
    assert_fails(ctx, athi_store_open(ctx, t->folder, &info, &t->store), ATH_E_IO, "this is a folder");
    assert_fails(ctx, athi_store_open(ctx, "/tmp/none/such/study.db", &info, &t->store), ATH_E_IO,
                 "folder must exist");
    write_text(t->path, "This is a letter, not a database, though it is long enough to be taken for a header of one, "
                        "which has one hundred bytes.\n");
    assert_fails(ctx, athi_store_open(ctx, t->path, &info, &t->store), ATH_E_SYNTAX, "not an SQLite database");
    unlink(t->path);
    study_sql(t, "CREATE TABLE recipes(name TEXT)");
    assert_fails(ctx, athi_store_open(ctx, t->path, &info, &t->store), ATH_E_STATE, "a table 'recipes'");
    unlink(t->path);
    study_sql(t, "CREATE TABLE alembic_version(version_num TEXT); INSERT INTO alembic_version VALUES('v2.6.0.a')");
    assert_fails(ctx, athi_store_open(ctx, t->path, &info, &t->store), ATH_E_STATE, "have version 'v2.6.0.a'");
    unlink(t->path);
    study_open(t);
    athi_store_close(t->store);
    assert_fails(ctx, athi_store_open_existing(ctx, t->path, "other", &t->store), ATH_E_NOTFOUND, "it holds 'test'");
    assert_ok(ctx, athi_store_open_existing(ctx, t->path, NULL, &t->store));
    assert_string_equal(athi_store_info(t->store)->objective_names[0], "score");
    assert_int_equal(athi_value_get(athi_value_get(athi_store_info(t->store)->definition, "tune"), "seed")->integer,
                     1);
}

static void a_held_database_is_busy(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_store_patience(t->store, 50);
    sqlite3 *other;
    int64_t number;
    assert_int_equal(sqlite3_open(t->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_fails(t->f.ctx,
                 athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &number),
                 ATH_E_BUSY, "another process");
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_ok(t->f.ctx,
              athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &number));
}

/* A file size limit is a disk that is full: the call fails with a sentence, and what was there stays. */
static void a_full_disk(void **state) {
    study *t = *state;
    study_space(t);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {400000, 400000};
        setrlimit(RLIMIT_FSIZE, &limit);
        study_open(t);
        int64_t a;
        ath_status status = ATH_OK;
        for (int i = 0; i < 20000 && status == ATH_OK; i++)
            status = athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a);
        _exit(status == ATH_E_IO && strlen(ath_errmsg(t->f.ctx)) > 10 ? 0 : 1);
    }
    int how;
    waitpid(child, &how, 0);
    assert_int_equal(how, 0);
    study_open(t);
    int64_t n = study_count(t);
    assert_true(n > 5);
    for (int64_t i = 0; i < n; i++) assert_true(study_trial(t, i)->point[0] == 32);
}

static void a_folder_that_cannot_be_written_can_be_read(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    int64_t a;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    athi_store_close(t->store);
    t->store = NULL;
    chmod(t->path, 0444);
    chmod(t->folder, 0555);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534)) _exit(2);
        athi_study_info info = study_info(t);
        athi_store *s;
        ath_status write = athi_store_open(t->f.ctx, t->path, &info, &s);
        if (write != ATH_E_IO || !strstr(ath_errmsg(t->f.ctx), "cannot be")) _exit(3);
        if (athi_store_open_existing(t->f.ctx, t->path, NULL, &t->store)) _exit(4);
        _exit(study_trial(t, 0)->point[0] == 32 ? 0 : 5);
    }
    int how;
    waitpid(child, &how, 0);
    chmod(t->folder, 0755);
    assert_int_equal(how, 0);
}

/* One trial after another, each with three reports, an execution and an end. */
static void write_forever(study *t, int64_t most) {
    int64_t a;
    for (int64_t i = 0; i < most; i++) {
        double value = 3;
        if (athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a)) _exit(1);
        for (int64_t step = 1; step <= 3; step++)
            if (athi_store_report(t->store, a, 0, (athi_report){step, (double)step}, "{}")) _exit(1);
        if (athi_store_execution(t->store, a, 0, &value, 3)) _exit(1);
        if (athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value})) _exit(1);
    }
    _exit(0);
}

static void assert_whole(const athi_trial *x) {
    assert_memory_equal(x->point, with_sgd, sizeof with_sgd);
    for (int64_t k = 0; k < x->n_reports; k++) assert_true(x->reports[k].step == k + 1);
    if (x->state == ATHI_TRIAL_RUNNING) return;
    assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
    assert_true(x->values[0] == 3 && x->n_reports == 3 && x->n_executions == 1 && x->ended > 0);
}

static void nothing_is_torn_by_a_kill(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    int64_t before = 0;
    for (int round = 0; round < 25 || (before <= 25 && round < 500); round++) { /* longer on a busy machine */
        athi_store_close(t->store);
        t->store = NULL;
        pid_t child = fork();
        if (child == 0) {
            study_open(t);
            write_forever(t, INT64_MAX);
        }
        struct timespec pause = {0, 2000000 + round * 1700000};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        study_open(t);
        int64_t n = study_count(t);
        assert_true(n >= before);
        for (int64_t i = 0; i < n; i++) assert_whole(study_trial(t, i));
        before = n;
    }
    assert_true(before > 25);
}

static void others_read_while_one_writes(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_store_close(t->store);
    t->store = NULL;
    pid_t readers[2], writer = fork();
    if (writer == 0) {
        study_open(t);
        write_forever(t, 150);
    }
    for (int i = 0; i < 2; i++) {
        readers[i] = fork();
        if (readers[i] != 0) continue;
        if (athi_store_open_existing(t->f.ctx, t->path, NULL, &t->store)) _exit(1);
        for (int64_t n = 0, ended = 0; ended < 150;) {
            const athi_trial *const *trials;
            if (athi_store_trials(t->store, t->f.space, &trials, &n)) _exit(2);
            ended = 0;
            for (int64_t k = 0; k < n; k++) {
                if (trials[k]->point[0] != 32) _exit(3);
                if (trials[k]->state != ATHI_TRIAL_COMPLETE) continue;
                if (trials[k]->n_reports != 3 || trials[k]->values[0] != 3) _exit(4);
                ended++;
            }
        }
        _exit(0);
    }
    int how;
    waitpid(writer, &how, 0);
    assert_int_equal(how, 0);
    for (int i = 0; i < 2; i++) {
        waitpid(readers[i], &how, 0);
        assert_int_equal(how, 0);
    }
}

/* What another program adds appears at the next reading: in its own order of choices, states and forms. */
static void foreign_trials_are_read(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    int64_t a;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
    assert_int_equal(study_count(t), 1);
    study_sql(t, "INSERT INTO trials VALUES(2,1,1,'COMPLETE','2026-01-01 12:00:00.250000','2026-01-01 "
                 "12:00:02.000000');"
                 "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(2,0,NULL,'INF_NEG');"
                 "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) "
                 "VALUES(2,'units',48.0,'{\"name\": \"IntDistribution\", "
                 "\"attributes\": "
                 "{\"step\": 16, \"log\": false, \"low\": 16, \"high\": 64}}');"
                 "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) "
                 "VALUES(2,'optimizer',0.0,'{\"name\": \"CategoricalDistribution\", "
                 "\"attributes\": {\"choices\": [\"sgd\", \"adam\"]}}');"
                 "INSERT INTO trials VALUES(3,2,1,'COMPLETE','2026-01-01 12:00:00','2026-01-01 12:00:02');"
                 "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) "
                 "VALUES(3,'units',256.0,'{\"name\": \"IntDistribution\", "
                 "\"attributes\": "
                 "{\"step\": 16, \"log\": false, \"low\": 16, \"high\": 256}}');");
    if (getenv("ATHANOR_TEST_POSTGRES")) study_sql(t, "SELECT setval('trials_trial_id_seq', 3)");
    const athi_trial *x = study_trial(t, 1);
    assert_int_equal(study_count(t), 3);
    assert_true(x->point[0] == 48 && isnan(x->point[1]) && x->point[2] == 1);
    assert_true(isinf(x->values[0]) && x->values[0] < 0);
    assert_true(fabs(x->ended - x->started - 1.75) < 1e-5);
    assert_false(x->outside);
    assert_int_equal(x->seen, -1);
    assert_true(study_trial(t, 2)->outside);
    int64_t b;
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam, .seen = 2}, &b));
    assert_int_equal(b, 3);
    assert_true(study_trial(t, 3)->point[0] == 48);
}

static void distributions_are_optunas(void **state) {
    study *t = *state;
    athi_value half = {.type = ATHI_FLOAT, .number = 2}, list = {.type = ATHI_LIST}, null = {.type = ATHI_NULL};
    athi_value word = {.type = ATHI_STRING, .text = "a\"b"};
    athi_branch branches[] = {{.key = "null", .value = &null},
                              {.key = "2.0", .value = &half},
                              {.key = "[1,2]", .value = &list},
                              {.key = "a\"b", .value = &word}};
    const struct {
        athi_space_param p;
        const char *json;
    } rows[] = {
        {int_param("a", 16, 70, 16, ATHI_PRIOR_UNIFORM),
         "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 16, \"low\": 16, "
         "\"high\": 64}}"},
        {int_param("b", 1, 128, 2, ATHI_PRIOR_LOG),
         "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": true, \"step\": 1, \"low\": 1, \"high\": "
         "128}}"},
        {float_param("c", 0, 0.5, 0.1, ATHI_PRIOR_UNIFORM),
         "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.1, \"low\": 0.0, \"high\": 0.5, "
         "\"log\": false}}"},
        {float_param("d", 1e-4, 0.1, 0, ATHI_PRIOR_LOG),
         "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0001, \"high\": 0.1, "
         "\"log\": true}}"},
        {float_param("e", 0.5, 0.9, 0, ATHI_PRIOR_REVERSE_LOG),
         "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.5, \"high\": 0.9, "
         "\"log\": false}}"},
        {{.name = "f", .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = 4},
         "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [null, 2.0, \"[1,2]\", "
         "\"a\\\"b\"]}}"},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        char *json;
        assert_ok(t->f.ctx, athi_optuna_distribution(t->f.ctx, &rows[i].p, &json));
        assert_string_equal(json, rows[i].json);
        athi_free(t->f.ctx, json);
    }
}

static void assert_alike(const athi_trial *a, const athi_trial *b) {
    assert_int_equal(a->state, b->state);
    assert_true(a->seen == b->seen && a->relation == b->relation && a->relative == b->relative);
    assert_true(a->relative_step == b->relative_step && a->n_reports == b->n_reports);
    assert_true(a->started == b->started && a->ended == b->ended && a->finished == b->finished);
    assert_memory_equal(a->point, b->point, 3 * sizeof *a->point);
    assert_true(isnan(a->point[3]) && isnan(b->point[3]) && isnan(a->values[0]) && isnan(b->values[0]));
}

/* A trial that was just begun is not read, yet it is what the study says of it. */
static void what_was_begun_is_what_is_read(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    const athi_beginning beginnings[] = {
        {.point = with_adam, .seen = 0},
        {.point = with_adam, .seen = -1},
        {.point = with_adam, .seen = 1, .relation = ATHI_RELATION_REPEAT, .relative = 0},
        {.point = with_adam, .seen = 2, .relation = ATHI_RELATION_CHILD, .relative = 0, .relative_step = 1}};
    for (int i = 0; i < ATHI_COUNT(beginnings); i++) {
        int64_t number;
        assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &beginnings[i], &number));
        athi_trial begun = *study_trial(t, number);
        double points[4], value = begun.values[0];
        memcpy(points, begun.point, sizeof points);
        begun.point = points, begun.values = &value;
        study_reopen(t);
        assert_alike(&begun, study_trial(t, number));
        if (i == 0) assert_ok(t->f.ctx, athi_store_report(t->store, 0, 0, (athi_report){1, 0.5}, "{\"score\":0.5}"));
    }
    assert_int_equal(study_trial(t, 3)->n_reports, 1); /* its parent's */
}

/* A finished trial costs nothing at the next reading. */
static void reading_again_is_incremental(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    double value = 1;
    int64_t a;
    for (int i = 0; i < 300; i++) {
        assert_ok(t->f.ctx,
                  athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd, .seen = 0}, &a));
        assert_ok(t->f.ctx,
                  athi_store_finish(t->store, a, &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}));
    }
    const athi_trial *first = study_trial(t, 0);
    assert_ok(t->f.ctx,
              athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam, .seen = 300}, &a));
    study_sql(t, "INSERT INTO trials VALUES(900,301,1,'RUNNING',NULL,NULL)");
    assert_int_equal(study_count(t), 302);
    assert_ptr_equal(study_trial(t, 0), first);
}

/* A study of version 0.1.0 is looked at as it is, and brought up when it is gone on with. */
static void a_study_of_the_version_before(void **state) {
    study *t = *state;
    int64_t a, c;
    study_space(t);
    study_open(t);
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd}, &a));
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_adam}, &c));
    assert_ok(t->f.ctx, athi_store_execution(t->store, a, 0, &(double){1.25}, 3));
    assert_ok(t->f.ctx, athi_store_execution(t->store, a, 1, &(double){0.25}, 1));
    assert_ok(t->f.ctx, athi_store_finish(t->store, a,
                                          &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &(double){0.75}}));
    athi_store_close(t->store);
    t->store = NULL;
    study_sql(t,
              "CREATE TABLE old(trial_id INTEGER NOT NULL, execution INTEGER NOT NULL, value REAL, best_step INTEGER,"
              " PRIMARY KEY(trial_id, execution)) WITHOUT ROWID;"
              "INSERT INTO old SELECT trial_id, execution, value, best_step FROM athanor_executions;"
              "DROP TABLE athanor_executions; ALTER TABLE old RENAME TO athanor_executions;"
              "ALTER TABLE athanor_trials DROP COLUMN relation; ALTER TABLE athanor_trials DROP COLUMN relative;"
              "ALTER TABLE athanor_trials DROP COLUMN relative_step;"
              "ALTER TABLE athanor_reports DROP COLUMN seconds;"
              "DROP TABLE IF EXISTS athanor_leases;");
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            study_open(t);
        else
            assert_ok(t->f.ctx, athi_store_open_existing(t->f.ctx, t->path, NULL, &t->store));
        const athi_trial *x = study_trial(t, a);
        assert_int_equal(x->state, ATHI_TRIAL_COMPLETE);
        assert_int_equal(x->n_executions, 2);
        assert_true(x->execution_values[0] == 1.25 && x->execution_values[1] == 0.25);
        assert_int_equal(x->relation, ATHI_RELATION_NONE);
        athi_store_close(t->store);
        t->store = NULL;
    }
    study_open(t); /* again: nothing is left to do */
    assert_ok(t->f.ctx, athi_store_execution(t->store, c, 0, &(double){0.5}, 1));
}

/* A child's curve begins with its parent's, up to where it begins; a study whose trials had none before is brought up. */
static void children(void **state) {
    study *t = *state;
    int64_t parent, child;
    study_space(t);
    study_open(t);
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = with_sgd}, &parent));
    for (int64_t step = 1; step <= 3; step++)
        assert_ok(t->f.ctx,
                  athi_store_report(t->store, parent, 0, (athi_report){step, (double)step}, "{\"score\": 1}"));
    athi_store_close(t->store);
    t->store = NULL;
    study_sql(t, "ALTER TABLE athanor_trials DROP COLUMN relative_step;"
                 "ALTER TABLE athanor_reports DROP COLUMN seconds");
    assert_ok(t->f.ctx, athi_store_open_existing(t->f.ctx, t->path, NULL, &t->store));
    assert_int_equal(study_trial(t, parent)->n_reports, 3);
    study_reopen(t);
    athi_beginning b = {.point = with_adam, .relation = ATHI_RELATION_CHILD, .relative = parent, .relative_step = 2};
    assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &b, &child));
    for (int pass = 0; pass < 2; pass++) {
        const athi_trial *x = study_trial(t, child);
        assert_int_equal(x->relation, ATHI_RELATION_CHILD);
        assert_true(x->relative == parent && x->relative_step == 2 && x->n_reports == 2);
        assert_true(x->reports[0].value == 1 && x->reports[1].step == 2 && x->reports[1].value == 2);
        study_reopen(t);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(trials_round_trip),
        TEST(finished_trials_do_not_change),
        TEST(a_study_of_the_version_before),
        TEST(children),
        TEST(rewinding_and_texts),
        TEST(another_definition_is_refused),
        TEST(foreign_files_are_refused),
        TEST(a_held_database_is_busy),
        TEST(a_full_disk),
        TEST(a_folder_that_cannot_be_written_can_be_read),
        TEST(nothing_is_torn_by_a_kill),
        TEST(others_read_while_one_writes),
        TEST(foreign_trials_are_read),
        TEST(distributions_are_optunas),
        TEST(reading_again_is_incremental),
        TEST(what_was_begun_is_what_is_read),
    };
    const struct CMUnitTest shared[] = {
        /* what does not depend on a file */
        TEST(children),
        TEST(trials_round_trip),
        TEST(finished_trials_do_not_change),
        TEST(rewinding_and_texts),
        TEST(another_definition_is_refused),
        TEST(nothing_is_torn_by_a_kill),
        TEST(others_read_while_one_writes),
        TEST(foreign_trials_are_read),
        TEST(reading_again_is_incremental),
        TEST(what_was_begun_is_what_is_read),
    };
    if (getenv("ATHANOR_TEST_POSTGRES"))
        return cmocka_run_group_tests_name("store on PostgreSQL", shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
