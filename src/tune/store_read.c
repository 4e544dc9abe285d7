/* Reading trials back: only what can have changed is read again. A finished trial never changes, so a study
 * of many trials costs what is new in it. */
#include "tune/store_internal.h"

#include <math.h>

enum { EXECUTIONS_MAX = 1 << 20, CONSTRAINTS_MAX = 1 << 16 }; /* beyond, a number in the file is damage */

/* What a trial's arrays will need, gathered before its one allocation. */
typedef struct gathered {
    athi_trial head;
    double *point;
    double *values;
    athi_report *reports;
    int64_t n_reports, cap_reports;
    double *execution_values;
    int64_t *execution_best;
    double *constraints;
    int n_constraints;
} gathered;

static double column_number(athi_rows *q, int column) {
    return athi_sql_null(q, column) ? NAN : athi_sql_double(q, column);
}

static const char *column_text(athi_rows *q, int column) { return athi_sql_text(q, column); }

static ath_status read_head(athi_store *s, int64_t id, gathered *g) {
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_ROW, &q, "i", id));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row)
        return athi_fail(s->ctx, ATH_E_DATA, "%s: trial %lld was deleted while the study is open", s->path,
                         (long long)g->head.number);
    g->head.state = athi_optuna_state_read(column_text(q, 0), athi_sql_int(q, 6) != 0);
    g->head.started = athi_optuna_time_read(column_text(q, 1));
    g->head.ended = athi_optuna_time_read(column_text(q, 2));
    g->head.seen = athi_sql_null(q, 3) ? -1 : athi_sql_int(q, 3);
    g->head.relation = (athi_relation)(int)athi_sql_int(q, 7);
    g->head.relative = athi_sql_int(q, 8);
    if (!athi_reason_find(column_text(q, 4), &g->head.reason))
        g->head.reason = g->head.state == ATHI_TRIAL_FAILED ? ATHI_REASON_LOST : ATHI_REASON_NONE;
    ath_status status = ATH_OK;
    if (column_text(q, 5)) {
        g->head.message = athi_arena_strdup(s->scratch, column_text(q, 5));
        if (!g->head.message) status = ATH_E_NOMEM;
    }
    athi_sql_reset(q);
    return status;
}

/* A parameter that the space does not know says nothing about a point in it: the trial counts as outside. */
static ath_status read_point(athi_store *s, int64_t id, gathered *g) {
    g->point = athi_arena_array(s->scratch, s->space_n, sizeof(double));
    if (!g->point && s->space_n) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->space_n; i++) g->point[i] = NAN;
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_PARAMS, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        int i = column_text(q, 0) ? athi_space_find(s->space, column_text(q, 0)) : -1;
        const char *json = column_text(q, 2);
        bool inside = false;
        ath_status status = ATH_OK;
        if (i >= 0 && i < s->space_n && json)
            status = athi_optuna_value(s, &s->space->params[i], s->distributions[i], json, column_number(q, 1),
                                       &g->point[i], &inside);
        if (!inside) g->head.outside = true;
        if (status != ATH_OK) {
            athi_sql_reset(q);
            return status;
        }
    }
}

static ath_status read_values(athi_store *s, int64_t id, gathered *g) {
    int n = s->info.n_objectives;
    g->values = athi_arena_array(s->scratch, n, sizeof(double));
    if (!g->values) return ATH_E_NOMEM;
    for (int i = 0; i < n; i++) g->values[i] = NAN;
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_VALUES, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        int64_t objective = athi_sql_int(q, 0);
        if (objective >= 0 && objective < n)
            g->values[objective] =
                athi_optuna_flow_read(athi_sql_double(q, 1), athi_sql_null(q, 1), column_text(q, 2));
    }
}

static ath_status read_reports(athi_store *s, int64_t id, gathered *g) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_INTERMEDIATES, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = ATHI_GROW(s->ctx, g->reports, g->n_reports, g->cap_reports);
        if (status != ATH_OK) {
            athi_sql_reset(q);
            return status;
        }
        double value = athi_optuna_flow_read(athi_sql_double(q, 1), athi_sql_null(q, 1), column_text(q, 2));
        g->reports[g->n_reports++] = (athi_report){athi_sql_int(q, 0), value};
    }
}

static ath_status read_executions(athi_store *s, int64_t id, gathered *g) {
    const int64_t m = s->info.n_objectives;
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_EXECUTIONS, &q, "i", id));
    for (bool row = true;;) { /* from the last one down, so the first row tells how many */
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        int64_t i = athi_sql_int(q, 0), n = i + 1;
        if (i < 0 || i > EXECUTIONS_MAX || (g->execution_values && i >= g->head.n_executions)) {
            athi_sql_reset(q);
            return athi_fail(s->ctx, ATH_E_DATA, "%s: trial %lld has an execution %lld; the database is damaged",
                             s->path, (long long)g->head.number, (long long)i);
        }
        if (!g->execution_values) {
            g->execution_values = athi_arena_array(s->scratch, n * m, sizeof(double));
            g->execution_best = athi_arena_array(s->scratch, n, sizeof(int64_t));
            if (!g->execution_values || !g->execution_best) {
                athi_sql_reset(q);
                return ATH_E_NOMEM;
            }
            for (int64_t k = 0; k < n * m; k++) g->execution_values[k] = NAN;
            g->head.n_executions = n;
        }
        int64_t k = athi_sql_int(q, 1);
        if (k >= 0 && k < m) g->execution_values[i * m + k] = column_number(q, 2);
        g->execution_best[i] = athi_sql_int(q, 3);
    }
}

/* A list of numbers, or one; what is neither is not ours to understand. */
static ath_status add_constraints(athi_store *s, gathered *g, const char *json) {
    athi_value *read = NULL;
    ath_status status = athi_json_read(s->ctx, s->scratch, json, (int64_t)strlen(json), &read);
    if (status != ATH_OK) return status == ATH_E_NOMEM ? status : ATH_OK;
    bool list = read->type == ATHI_LIST;
    int64_t n = list ? read->n : 1;
    if (g->n_constraints + n > CONSTRAINTS_MAX) return ATH_OK;
    double *all = athi_arena_array(s->scratch, g->n_constraints + n, sizeof(double));
    if (!all) return ATH_E_NOMEM;
    if (g->n_constraints) memcpy(all, g->constraints, (size_t)g->n_constraints * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        if (!athi_value_number(list ? read->items[i] : read, &all[g->n_constraints + i])) return ATH_OK;
    g->constraints = all;
    g->n_constraints += (int)n;
    return ATH_OK;
}

/* Told with the trial's end: by us and by Optuna's constraints_func as a list, by its set_constraint one by one. */
static ath_status read_constraints(athi_store *s, int64_t id, gathered *g) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_CONSTRAINTS, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = add_constraints(s, g, column_text(q, 0) ? column_text(q, 0) : "");
        if (status != ATH_OK) {
            athi_sql_reset(q);
            return status;
        }
    }
}

static void *place(char **at, const void *data, int64_t n, size_t size) {
    if (!n) return NULL;
    void *to = *at;
    memcpy(to, data, (size_t)n * size);
    *at += ((size_t)n * size + 7) / 8 * 8;
    return to;
}

/* Everything of one trial in one block. */
static ath_status pack(athi_store *s, const gathered *g, athi_trial **out) {
    const athi_trial *h = &g->head;
    int64_t message = h->message ? (int64_t)strlen(h->message) + 1 : 0;
    const int64_t m = s->info.n_objectives;
    int64_t size = (int64_t)sizeof(athi_trial) + 16 * g->n_reports + 8 * (m + 1) * h->n_executions +
                   8 * (s->space_n + m + g->n_constraints) + message + 64;
    char *block = athi_alloc(s->ctx, size);
    if (!block) return ATH_E_NOMEM;
    athi_trial *t = (athi_trial *)(void *)block;
    *t = *h;
    char *at = block + (sizeof(athi_trial) + 7) / 8 * 8;
    t->point = place(&at, g->point, s->space_n, sizeof(double));
    t->values = place(&at, g->values, s->info.n_objectives, sizeof(double));
    t->n_reports = g->n_reports;
    t->reports = place(&at, g->reports, g->n_reports, sizeof(athi_report));
    t->execution_values = place(&at, g->execution_values, m * h->n_executions, sizeof(double));
    t->execution_best = place(&at, g->execution_best, h->n_executions, sizeof(int64_t));
    t->constraints = place(&at, g->constraints, g->n_constraints, sizeof(double));
    t->n_constraints = g->n_constraints;
    t->message = place(&at, h->message, message, 1);
    *out = t;
    return ATH_OK;
}

static ath_status read_trial(athi_store *s, athi_cached *c, int64_t number) {
    athi_arena_reset(s->scratch);
    gathered g = {.head.number = number};
    ath_status status = read_head(s, c->id, &g);
    if (status == ATH_OK) status = read_point(s, c->id, &g);
    if (status == ATH_OK) status = read_values(s, c->id, &g);
    if (status == ATH_OK) status = read_reports(s, c->id, &g);
    if (status == ATH_OK) status = read_executions(s, c->id, &g);
    if (status == ATH_OK) status = read_constraints(s, c->id, &g);
    athi_trial *t = NULL;
    if (status == ATH_OK) status = pack(s, &g, &t);
    athi_free(s->ctx, g.reports);
    if (status != ATH_OK) return status;
    athi_free(s->ctx, c->trial);
    c->trial = t;
    c->stale = false;
    return ATH_OK;
}

void athi_store_remember(athi_store *s, int64_t number, const athi_beginning *b, double started) {
    double unknown[ATHI_OBJECTIVES_MAX];
    athi_cached *c = &s->cached[number];
    gathered g = {.head = {.number = number,
                           .state = ATHI_TRIAL_RUNNING,
                           .started = started,
                           .seen = b->seen,
                           .relation = b->relation,
                           .relative = b->relative},
                  .values = unknown};
    if (s->info.n_objectives > ATHI_OBJECTIVES_MAX) return;
    for (int i = 0; i < s->info.n_objectives; i++) unknown[i] = NAN;
    athi_arena_reset(s->scratch);
    g.point = athi_arena_memdup(s->scratch, b->point, s->space_n * (int64_t)sizeof(double));
    if (s->space_n && !g.point) return;
    c->stale = pack(s, &g, &c->trial) != ATH_OK;
}

static ath_status discover(athi_store *s) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_TRIALS_AFTER, &q, "ii", s->study_id, s->n ? s->cached[s->n - 1].id : (int64_t)0));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = ATHI_GROW(s->ctx, s->cached, s->n, s->cap);
        if (status == ATH_OK && athi_sql_int(q, 1) != s->n)
            status = athi_fail(s->ctx, ATH_E_DATA,
                               "%s: the numbers of the trials have a gap: expected %lld, got %lld; "
                               "the database was changed by hand",
                               s->path, (long long)s->n, (long long)athi_sql_int(q, 1));
        if (status != ATH_OK) {
            athi_sql_reset(q);
            return status;
        }
        s->cached[s->n++] = (athi_cached){.id = athi_sql_int(q, 0), .stale = true};
    }
}

void athi_store_forget(athi_store *s) {
    for (int64_t i = 0; i < s->n; i++) {
        athi_free(s->ctx, s->cached[i].trial);
        s->cached[i].trial = NULL;
        s->cached[i].stale = true;
    }
    for (int64_t i = 0; s->distributions && i < s->space_n; i++) athi_free(s->ctx, s->distributions[i]);
    athi_free(s->ctx, s->distributions);
    s->distributions = NULL;
    s->space = NULL;
    s->space_n = 0;
}

/* Points are of one space at one size: a define-by-run space that grew makes them longer. */
ath_status athi_store_use_space(athi_store *s, const athi_space *space) {
    if (s->space == space && s->space_n == space->n && s->distributions) return ATH_OK;
    athi_store_forget(s);
    s->distributions = athi_alloc_array(s->ctx, space->n, sizeof(char *));
    if (!s->distributions) return ATH_E_NOMEM;
    s->space = space;
    s->space_n = space->n;
    for (int64_t i = 0; i < space->n; i++) {
        ath_status status = athi_optuna_distribution(s->ctx, &space->params[i], &s->distributions[i]);
        if (status != ATH_OK) return athi_store_forget(s), status;
    }
    return ATH_OK;
}

static bool unfinished(const athi_cached *c) {
    return !c->trial || c->trial->state == ATHI_TRIAL_RUNNING || c->trial->state == ATHI_TRIAL_PAUSED ||
           c->trial->state == ATHI_TRIAL_WAITING;
}

ath_status athi_store_refresh(athi_store *s, void *args) {
    int64_t version;
    (void)args;
    ATH_TRY(athi_sql_version(s, &version));
    bool foreign = version != s->data_version;
    if (foreign || !s->n) ATH_TRY(discover(s));
    for (int64_t i = 0; i < s->n; i++) {
        athi_cached *c = &s->cached[i];
        if (c->stale || !c->trial || (foreign && unfinished(c))) ATH_TRY(read_trial(s, c, i));
    }
    s->data_version = version;
    return ATH_OK;
}

ath_status athi_store_trials(athi_store *s, const athi_space *space, const athi_trial *const **trials, int64_t *n) {
    ATH_TRY(athi_store_use_space(s, space));
    /* One read transaction: all rows are of the same instant. */
    ATH_TRY(athi_sql_transaction(s, ATHI_SQL_READ, athi_store_refresh, NULL));
    if (s->n > s->view_cap) {
        const athi_trial **view = athi_alloc_array(s->ctx, s->cap, sizeof(*view));
        if (!view) return ATH_E_NOMEM;
        athi_free(s->ctx, (void *)s->view);
        s->view = view;
        s->view_cap = s->cap;
    }
    for (int64_t i = 0; i < s->n; i++) s->view[i] = s->cached[i].trial;
    *trials = s->view;
    *n = s->n;
    return ATH_OK;
}

ath_status athi_store_reports(athi_store *s, athi_arena *arena, int64_t number, int64_t execution,
                              athi_report **reports, const char ***json, int64_t *n) {
    int64_t id, cap = 0, count = 0;
    *reports = NULL, *json = NULL, *n = 0;
    ATH_TRY(athi_store_id(s, number, &id));
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_REPORTS, &q, "ii", id, execution));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) break;
        if (count == cap) { /* the old halves stay in the arena until it goes */
            cap = cap ? 2 * cap : 32;
            athi_report *r = athi_arena_array(arena, cap, sizeof(*r));
            const char **j = athi_arena_array(arena, cap, sizeof(*j));
            if (!r || !j) return athi_sql_reset(q), ATH_E_NOMEM;
            if (count) memcpy(r, *reports, (size_t)count * sizeof(*r)), memcpy(j, *json, (size_t)count * sizeof(*j));
            *reports = r, *json = j;
        }
        (*reports)[count] = (athi_report){athi_sql_int(q, 0), column_number(q, 1)};
        (*json)[count] = athi_arena_strdup(arena, column_text(q, 2) ? column_text(q, 2) : "{}");
        if (!(*json)[count]) return athi_sql_reset(q), ATH_E_NOMEM;
        count++;
    }
    *n = count;
    return ATH_OK;
}
