/* How fast trials get onto the disk: a search in this process that hands out, reports and ends its trials, and a bare
 * SQLite loop that writes the same rows in as many commits of the same kinds (a beginning synchronous=NORMAL, an end
 * FULL), in turn. One JSON line.
 *     ninja -C build bench/bench_durable && build/bench/bench_durable FOLDER TRIALS GROUP
 * GROUP: trials that begin in one commit and end in another; 1: each has two of its own. */
#include "base/file.h"
#include "tune/search.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARAMETERS = 5 };

static void check(ath_ctx *ctx, ath_status status) {
    if (status == ATH_OK) return;
    fprintf(stderr, "bench: %s\n", ath_errmsg(ctx));
    exit(1);
}

/* ---- Athanor ------------------------------------------------------------------------------------- */

static athi_space *make_space(ath_ctx *ctx, athi_arena *arena) {
    athi_space *space;
    check(ctx, athi_space_create(arena, &space));
    for (int i = 0; i < PARAMETERS; i++) {
        athi_space_param p = {.name = athi_arena_printf(arena, "x%d", i),
                              .type = ATHI_PARAM_FLOAT,
                              .min = 0,
                              .max = 1,
                              .fallback = NAN};
        check(ctx, athi_space_add(ctx, space, &p, NULL));
    }
    return space;
}

typedef struct batch {
    athi_search *search;
    const athi_value *values;
    athi_task *tasks;
    int64_t n;
} batch;

static ath_status begin_trials(void *user) {
    batch *b = user;
    for (int64_t i = 0; i < b->n; i++) {
        athi_next next;
        const char *why;
        ATH_TRY(athi_search_next(b->search, &b->tasks[i], &next, &why));
    }
    return ATH_OK;
}

static ath_status end_trials(void *user) {
    const batch *b = user;
    for (int64_t i = 0; i < b->n; i++) {
        ATH_TRY(athi_search_report(b->search, &b->tasks[i], 0, b->values));
        ATH_TRY(athi_search_finish(b->search, &b->tasks[i]));
    }
    return ATH_OK;
}

typedef struct side {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_store *store;
    batch batch;
} side;

static void open_side(ath_ctx *ctx, const char *path, int64_t group, side *a) {
    const char *const names[] = {"y"};
    const bool maximize[] = {false};
    athi_study_info info = {.name = "bench", .n_objectives = 1, .maximize = maximize, .objective_names = names};
    *a = (side){.ctx = ctx, .arena = athi_arena_create(ctx)};
    athi_search_opts opts = {.space = make_space(ctx, a->arena),
                             .sampler = athi_row_find(&athi_samplers, "random"),
                             .max_trials = INT64_MAX,
                             .executions = 1,
                             .jobs = 2}; /* of one, each suggestion would wait for the end before it */
    athi_value *values = athi_value_new(a->arena, ATHI_MAP);
    check(ctx, values ? athi_value_set(a->arena, values, "y", athi_value_float(a->arena, 0.5)) : ATH_E_NOMEM);
    check(ctx, athi_store_open(ctx, path, &info, &a->store));
    opts.store = a->store;
    a->batch = (batch){.values = values, .n = group, .tasks = athi_arena_array(a->arena, group, sizeof(athi_task))};
    check(ctx, a->batch.tasks ? athi_search_open(ctx, &opts, &a->batch.search) : ATH_E_NOMEM);
}

static void close_side(side *a) {
    athi_search_close(a->batch.search);
    athi_store_close(a->store);
    athi_arena_destroy(a->arena);
}

static void run_group(side *a) {
    batch *b = &a->batch;
    bool single = b->n == 1;
    check(a->ctx, single ? begin_trials(b) : athi_search_group(b->search, false, begin_trials, b));
    check(a->ctx, single ? end_trials(b) : athi_search_group(b->search, true, end_trials, b));
}

/* ---- the bare loop ------------------------------------------------------------------------------- */

/* The rows of one trial, by number: what its beginning writes, and its end. */
static const char *const beginning[] = {
    "INSERT INTO trials(trial_id, number, study_id, state, datetime_start) VALUES(?1 + 1, ?1, 1, 'RUNNING',"
    " '2026-01-01 00:00:00.000000')",
    "INSERT INTO athanor_trials(trial_id, seen, relation, relative) VALUES(?1 + 1, ?1, 0, 0)",
#define PARAM(name)                                                                                                  \
    "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES(?1 + 1, '" name "', 0.5," \
    " '{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.0, \"high\": 1.0, \"log\": "    \
    "false}}')"
    PARAM("x0"),
    PARAM("x1"),
    PARAM("x2"),
    PARAM("x3"),
    PARAM("x4"),
};
static const char *const ending[] = {
    "INSERT INTO athanor_reports(trial_id, execution, step, value, json) VALUES(?1 + 1, 0, 0, 0.5, '{\"y\":0.5}')",
    "INSERT INTO athanor_executions(trial_id, execution, objective, value, best_step) VALUES(?1 + 1, 0, 0, 0.5, 0)",
    "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?1 + 1, 0, 0.5, 'FINITE')",
    "UPDATE trials SET state='COMPLETE', datetime_complete='2026-01-01 00:00:01.000000' WHERE trial_id=?1 + 1",
    "UPDATE athanor_trials SET reason='none', finished=?1 + 1 WHERE trial_id=?1 + 1",
};
enum { BEGINNING = ATHI_COUNT(beginning), ENDING = ATHI_COUNT(ending) };

static void sql(sqlite3 *db, const char *text) {
    if (sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "bench: %s: %s\n", text, sqlite3_errmsg(db));
    exit(1);
}

static void prepare(sqlite3 *db, const char *const *texts, int n, sqlite3_stmt **out) {
    for (int i = 0; i < n; i++)
        if (sqlite3_prepare_v2(db, texts[i], -1, &out[i], NULL) != SQLITE_OK) sql(db, texts[i]);
}

static void write_rows(sqlite3_stmt **statements, int n, int64_t number) {
    for (int i = 0; i < n; i++) {
        sqlite3_bind_int64(statements[i], 1, number);
        if (sqlite3_step(statements[i]) != SQLITE_DONE) exit(1);
        sqlite3_reset(statements[i]);
    }
}

typedef struct bare {
    sqlite3 *db;
    sqlite3_stmt *begin[BEGINNING], *end[ENDING];
} bare;

/* The tables are there. */
static void open_bare(const char *path, bare *b) {
    if (sqlite3_open(path, &b->db) != SQLITE_OK) exit(1);
    prepare(b->db, beginning, BEGINNING, b->begin);
    prepare(b->db, ending, ENDING, b->end);
}

static void close_bare(bare *b) {
    for (int i = 0; i < BEGINNING; i++) sqlite3_finalize(b->begin[i]);
    for (int i = 0; i < ENDING; i++) sqlite3_finalize(b->end[i]);
    sqlite3_close(b->db);
}

static void run_bare(bare *b, int64_t first, int64_t group) {
    sql(b->db, "PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE");
    for (int64_t k = 0; k < group; k++) write_rows(b->begin, BEGINNING, first + k);
    sql(b->db, "COMMIT; PRAGMA synchronous=FULL; BEGIN IMMEDIATE");
    for (int64_t k = 0; k < group; k++) write_rows(b->end, ENDING, first + k);
    sql(b->db, "COMMIT");
}

/* ---- in turn ------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    enum { TURN = 10 }; /* groups of one side before the other's turn: what else the machine does slows both */
    const int64_t n = argc == 4 ? atoi(argv[2]) : 0, group = argc == 4 ? atoi(argv[3]) : 0;
    char mine[4096], other[4096];
    double ours = 0, theirs = 0;
    ath_ctx *ctx = NULL;
    side a;
    bare b;
    if (n < 1 || group < 1) return fprintf(stderr, "usage: bench_durable FOLDER TRIALS GROUP\n"), 2;
    check(NULL, ath_ctx_create(NULL, &ctx));
    snprintf(mine, sizeof mine, "%s/athanor.db", argv[1]);
    snprintf(other, sizeof other, "%s/bare.db", argv[1]);
    open_side(ctx, other, group, &a);
    close_side(&a);
    open_side(ctx, mine, group, &a);
    open_bare(other, &b);
    int64_t i = 0;
    while (i < n) {
        double start = athi_now(), between;
        for (int k = 0; k < TURN; k++) run_group(&a);
        between = athi_now();
        for (int k = 0; k < TURN; k++, i += group) run_bare(&b, i, group);
        ours += between - start, theirs += athi_now() - between;
    }
    printf("{\"trials\": %lld, \"group\": %lld, \"athanor\": %.1f, \"bare\": %.1f, \"ratio\": %.4f}\n", (long long)n,
           (long long)group, (double)i / ours, (double)i / theirs, theirs / ours);
    close_bare(&b);
    close_side(&a);
    ath_ctx_destroy(ctx);
    return 0;
}
