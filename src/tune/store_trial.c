/* Reading trials from their tables: of many at once as of one, by walking through the tables side by side. */
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
    bool found; /* its row in `trials` */
    double *execution_values;
    int64_t *execution_best, cap_executions;
    double *constraints;
    int n_constraints;
} gathered;

static double column_number(athi_rows *q, int column) {
    return athi_sql_null(q, column) ? NAN : athi_sql_double(q, column);
}

static ath_status take_head(athi_store *s, athi_rows *q, gathered *g) {
    g->found = true;
    g->head.state = athi_optuna_state_read(athi_sql_text(q, 1), athi_sql_int(q, 7) > 0);
    g->head.resumed_at = ATHI_MAX(-athi_sql_int(q, 7), 0);
    g->head.started = athi_optuna_time_read(athi_sql_text(q, 2));
    g->head.ended = athi_optuna_time_read(athi_sql_text(q, 3));
    g->head.seen = athi_sql_null(q, 4) ? -1 : athi_sql_int(q, 4);
    g->head.relation = (athi_relation)(int)athi_sql_int(q, 8);
    g->head.relative = athi_sql_int(q, 9);
    g->head.relative_step = athi_sql_int(q, 10);
    g->head.finished = athi_sql_int(q, 11);
    if (!athi_reason_find(athi_sql_text(q, 5), &g->head.reason))
        g->head.reason = g->head.state == ATHI_TRIAL_FAILED ? ATHI_REASON_LOST : ATHI_REASON_NONE;
    if (!athi_sql_text(q, 6)) return ATH_OK;
    g->head.message = athi_arena_strdup(s->scratch, athi_sql_text(q, 6));
    return g->head.message ? ATH_OK : ATH_E_NOMEM;
}

/* A parameter that the space does not know says nothing about a point in it: the trial counts as outside. */
static ath_status take_param(athi_store *s, athi_rows *q, gathered *g) {
    int i = athi_sql_text(q, 1) ? athi_space_find(s->space, athi_sql_text(q, 1)) : -1;
    const char *json = athi_sql_text(q, 3);
    bool inside = false;
    if (i >= 0 && i < s->space_n && json)
        ATH_TRY(athi_optuna_value(s, &s->space->params[i], s->distributions[i], json, column_number(q, 2),
                                  &g->point[i], &inside));
    if (!inside) g->head.outside = true;
    return ATH_OK;
}

static ath_status take_value(athi_store *s, athi_rows *q, gathered *g) {
    int64_t objective = athi_sql_int(q, 1);
    if (objective >= 0 && objective < s->info.n_objectives)
        g->values[objective] = athi_optuna_flow_read(athi_sql_double(q, 2), athi_sql_null(q, 2), athi_sql_text(q, 3));
    return ATH_OK;
}

static ath_status take_report(athi_store *s, athi_rows *q, gathered *g) {
    ATH_TRY(ATHI_GROW(s->ctx, g->reports, g->n_reports, g->cap_reports));
    double value = athi_optuna_flow_read(athi_sql_double(q, 2), athi_sql_null(q, 2), athi_sql_text(q, 3));
    g->reports[g->n_reports++] =
        (athi_report){athi_sql_int(q, 1), value, athi_sql_null(q, 4) ? 0 : athi_sql_double(q, 4)};
    return ATH_OK;
}

/* Room for n executions; those in between have not finished. */
static ath_status grow_executions(athi_store *s, gathered *g, int64_t n) {
    const int64_t m = s->info.n_objectives, had = g->head.n_executions;
    if (n > g->cap_executions) {
        int64_t cap = ATHI_MAX(n, 2 * g->cap_executions);
        double *values = athi_arena_array(s->scratch, cap * m, sizeof *values);
        int64_t *best = athi_arena_array(s->scratch, cap, sizeof *best);
        if (!values || !best) return ATH_E_NOMEM;
        if (had) memcpy(values, g->execution_values, (size_t)(had * m) * sizeof *values);
        if (had) memcpy(best, g->execution_best, (size_t)had * sizeof *best);
        g->execution_values = values, g->execution_best = best, g->cap_executions = cap;
    }
    for (int64_t k = had * m; k < n * m; k++) g->execution_values[k] = NAN;
    for (int64_t i = had; i < n; i++) g->execution_best[i] = 0;
    g->head.n_executions = n;
    return ATH_OK;
}

static ath_status take_execution(athi_store *s, athi_rows *q, gathered *g) {
    const int64_t m = s->info.n_objectives, i = athi_sql_int(q, 1), k = athi_sql_int(q, 2);
    if (i < 0 || i > EXECUTIONS_MAX)
        return athi_fail(s->ctx, ATH_E_DATA, "%s: trial %lld has an execution %lld; the database is damaged", s->path,
                         (long long)g->head.number, (long long)i);
    if (i >= g->head.n_executions) ATH_TRY(grow_executions(s, g, i + 1));
    if (k >= 0 && k < m) g->execution_values[i * m + k] = column_number(q, 3);
    g->execution_best[i] = athi_sql_int(q, 4);
    return ATH_OK;
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
static ath_status take_constraints(athi_store *s, athi_rows *q, gathered *g) {
    return add_constraints(s, g, athi_sql_text(q, 1) ? athi_sql_text(q, 1) : "");
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
    int64_t size = (int64_t)sizeof(athi_trial) + (int64_t)sizeof(athi_report) * g->n_reports +
                   8 * (m + 1) * h->n_executions + 8 * (s->space_n + m + g->n_constraints) + message + 64;
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

/* ---- many at once -------------------------------------------------------------------------------- */

/* The tables that a trial lies in, each with what one row of it tells. */
static const struct {
    athi_sql rows;
    ath_status (*take)(athi_store *s, athi_rows *q, gathered *g);
} tables[] = {{SQL_TRIAL_ROWS, take_head},      {SQL_PARAMS, take_param},
              {SQL_VALUES, take_value},         {SQL_INTERMEDIATES, take_report},
              {SQL_EXECUTIONS, take_execution}, {SQL_TRIAL_CONSTRAINTS, take_constraints}};
enum { TABLES = ATHI_COUNT(tables) };

/* To the next of a table's rows; NULL: there is none. */
static ath_status go_on(athi_store *s, athi_rows **walk) {
    bool row;
    ath_status status = athi_sql_step(s, *walk, &row);
    if (status != ATH_OK || !row) *walk = NULL;
    return status;
}

static ath_status begin_walks(athi_store *s, athi_rows *walks[TABLES], int64_t first, int64_t last) {
    for (int i = 0; i < TABLES; i++) {
        athi_rows *q;
        ATH_TRY(athi_sql_query(s, tables[i].rows, &q, "ii", first, last));
        walks[i] = q;
    }
    for (int i = 0; i < TABLES; i++) ATH_TRY(go_on(s, &walks[i])); /* all were asked for together */
    return ATH_OK;
}

/* The rows of one trial; between two of ours may be those of other studies. */
static ath_status gather(athi_store *s, athi_rows *walks[TABLES], int64_t id, gathered *g) {
    const int m = s->info.n_objectives;
    g->point = athi_arena_array(s->scratch, s->space_n, sizeof(double));
    g->values = athi_arena_array(s->scratch, m, sizeof(double));
    if (!g->values || (!g->point && s->space_n)) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->space_n; i++) g->point[i] = NAN;
    for (int i = 0; i < m; i++) g->values[i] = NAN;
    for (int i = 0; i < TABLES; i++)
        while (walks[i] && athi_sql_int(walks[i], 0) <= id) {
            if (athi_sql_int(walks[i], 0) == id) ATH_TRY(tables[i].take(s, walks[i], g));
            ATH_TRY(go_on(s, &walks[i]));
        }
    if (g->found) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_DATA, "%s: trial %lld was deleted while the study is open", s->path,
                     (long long)g->head.number);
}

static ath_status read_next(athi_store *s, athi_rows *walks[TABLES], int64_t number) {
    athi_cached *c = &s->cached[number];
    athi_trial *t = NULL;
    gathered g = {.head.number = number};
    athi_arena_reset(s->scratch);
    ath_status status = gather(s, walks, c->id, &g);
    if (status == ATH_OK) status = pack(s, &g, &t);
    athi_free(s->ctx, g.reports);
    if (status != ATH_OK) return status;
    athi_free(s->ctx, c->trial);
    c->trial = t;
    c->stale = false;
    return ATH_OK;
}

ath_status athi_store_read(athi_store *s, int64_t from, int64_t to) {
    athi_rows *walks[TABLES] = {0};
    ath_status status = begin_walks(s, walks, s->cached[from].id, s->cached[to - 1].id);
    for (int64_t i = from; i < to && status == ATH_OK; i++) status = read_next(s, walks, i);
    for (int i = 0; i < TABLES; i++)
        if (walks[i]) athi_sql_reset(walks[i]);
    return status;
}

ath_status athi_store_foresee(athi_store *s, const athi_beginning *b, athi_trial **out) {
    const int m = s->info.n_objectives;
    gathered g = {.head = {.state = ATHI_TRIAL_RUNNING,
                           .seen = b->seen,
                           .relation = b->relation,
                           .relative = b->relative,
                           .relative_step = b->relative_step}};
    *out = NULL;
    if (b->relation == ATHI_RELATION_CHILD) return ATH_OK; /* its parent's reports are in the tables */
    athi_arena_reset(s->scratch);
    g.point = athi_arena_memdup(s->scratch, b->point, s->space_n * (int64_t)sizeof(double));
    g.values = athi_arena_array(s->scratch, m, sizeof(double));
    if (!g.values || (s->space_n && !g.point)) return ATH_E_NOMEM;
    for (int i = 0; i < m; i++) g.values[i] = NAN;
    return pack(s, &g, out);
}
