/* A study in a temporary folder, for the tests of store, search, runner and tuner; in a schema of its own in the database
 * that ATHANOR_TEST_POSTGRES names, where with_postgres.sh runs the test. */
#ifndef ATH_STUDY_TEST_H
#define ATH_STUDY_TEST_H

#include "tune/space_test.h"

#include "base/file.h"
#include "tune/search.h"

#ifdef ATHI_POSTGRES
#include <libpq-fe.h>
#endif
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct study {
    fixture f;
    char folder[64], path[256]; /* path: the study's file, or its URL */
    athi_value *definition;
    athi_store *store;
} study;

static const bool study_maximize[] = {true};
static const char *const study_names[] = {"score"};

/* The options of a row, such as a scheduler's, from JSON. */
static inline const void *study_options(study *t, const athi_row *row, const char *json) {
    athi_value *map;
    void *opts = athi_arena_alloc(t->f.arena, (int64_t)row->opts_size);
    assert_ok(t->f.ctx, athi_json_read(t->f.ctx, t->f.arena, json, (int64_t)strlen(json), &map));
    assert_ok(t->f.ctx, athi_options_read(t->f.ctx, t->f.arena, row, map, NULL, row->name, opts));
    return opts;
}

static inline athi_study_info study_info(const study *t) {
    return (athi_study_info){.name = "test",
                             .n_objectives = 1,
                             .maximize = study_maximize,
                             .objective_names = study_names,
                             .definition = t->definition};
}

#ifdef ATHI_POSTGRES
static inline void study_server(const char *url, const char *sql) {
    PGconn *db = PQconnectdb(url);
    if (PQstatus(db) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(db));
    PGresult *result = PQexec(db, sql);
    if (PQresultStatus(result) > PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(db));
    PQclear(result);
    PQfinish(db);
}

static inline void study_schema(study *t, const char *server) {
    static int n;
    char sql[64];
    snprintf(sql, sizeof sql, "CREATE SCHEMA s%d_%d", (int)getpid(), ++n);
    study_server(server, sql);
    snprintf(t->path, sizeof t->path, "%s?options=-csearch_path%%3Ds%d_%d", server, (int)getpid(), n);
}
#endif

static inline int study_setup(void **state) {
    study *t = calloc(1, sizeof *t);
    void *f;
    if (setup(&f)) return 1;
    t->f = *(fixture *)f;
    free(f);
    snprintf(t->folder, sizeof t->folder, "/tmp/ath_study_XXXXXX");
    if (!mkdtemp(t->folder)) return 1;
    snprintf(t->path, sizeof t->path, "%s/study.db", t->folder);
#ifdef ATHI_POSTGRES
    if (getenv("ATHANOR_TEST_POSTGRES")) study_schema(t, getenv("ATHANOR_TEST_POSTGRES"));
#endif
    t->definition = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value *tune = athi_value_new(t->f.arena, ATHI_MAP);
    athi_value_set(t->f.arena, tune, "seed", athi_value_int(t->f.arena, 1));
    athi_value_set(t->f.arena, t->definition, "tune", tune);
    *state = t;
    return 0;
}

static inline int study_teardown(void **state) {
    study *t = *state;
    athi_store_close(t->store);
    athi_remove_tree(t->f.ctx, t->folder);
    athi_arena_destroy(t->f.arena);
    ath_ctx_destroy(t->f.ctx);
    free(t);
    return 0;
}

static inline void study_open(study *t) {
    athi_study_info info = study_info(t);
    assert_ok(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &t->store));
}

static inline void study_reopen(study *t) {
    athi_store_close(t->store);
    t->store = NULL;
    study_open(t);
}

/* units 16..64 by 16, lr log, optimizer of two, momentum below the second of them. */
static inline void study_space(study *t) {
    athi_branch branches[2] = {{.key = "adam"}, {.key = "sgd"}};
    add(&t->f, int_param("units", 16, 64, 16, ATHI_PRIOR_UNIFORM));
    add(&t->f, float_param("lr", 1e-4, 1e-1, 0, ATHI_PRIOR_LOG));
    int parent = add(&t->f, (athi_space_param){.name = "optimizer",
                                               .type = ATHI_PARAM_CHOICE,
                                               .branches = branches,
                                               .n_branches = 2,
                                               .fallback = NAN});
    add_under(&t->f, float_param("momentum", 0, 0.99, 0, ATHI_PRIOR_UNIFORM), parent, 1, 1);
}

static inline const athi_trial *study_trial(study *t, int64_t number) {
    const athi_trial *const *trials;
    int64_t n;
    assert_ok(t->f.ctx, athi_store_trials(t->store, t->f.space, &trials, &n));
    assert_true(number < n);
    return trials[number];
}

static inline int64_t study_count(study *t) {
    const athi_trial *const *trials;
    int64_t n;
    assert_ok(t->f.ctx, athi_store_trials(t->store, t->f.space, &trials, &n));
    return n;
}

static inline void study_sql(const study *t, const char *sql) {
#ifdef ATHI_POSTGRES
    if (!strncmp(t->path, "postgresql:", 11)) {
        study_server(t->path, sql);
        return;
    }
#endif
    sqlite3 *db;
    assert_int_equal(sqlite3_open(t->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

#endif
