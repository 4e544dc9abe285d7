/* The trials of a study as this process knows them: only what can have changed is read again. A finished trial never
 * changes, so a study of many trials costs what is new in it. */
#include "tune/store_internal.h"

#include <math.h>

enum { AT_ONCE = 2000 }; /* trials whose rows a client library may have to hold together */

static ath_status discover(athi_store *s, athi_rows *q) {
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

static bool outdated(const athi_cached *c, bool foreign) {
    return c->stale || !c->trial || (foreign && unfinished(c));
}

ath_status athi_store_refresh(athi_store *s, void *args) {
    int64_t version;
    athi_rows *after;
    (void)args;
    ATH_TRY(
        athi_sql_query(s, SQL_TRIALS_AFTER, &after, "ii", s->study_id, s->n ? s->cached[s->n - 1].id : (int64_t)0));
    ATH_TRY(athi_sql_version(s, &version)); /* in the same exchange */
    bool foreign = version != s->data_version;
    if (foreign || !s->n)
        ATH_TRY(discover(s, after));
    else
        athi_sql_reset(after);
    for (int64_t i = 0, end; i < s->n; i = ATHI_MAX(end, i + 1)) {
        for (end = i; end < s->n && end - i < AT_ONCE && outdated(&s->cached[end], foreign);) end++;
        if (end > i) ATH_TRY(athi_store_read(s, i, end));
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
        (*reports)[count] = (athi_report){athi_sql_int(q, 0), athi_sql_null(q, 1) ? NAN : athi_sql_double(q, 1),
                                          athi_sql_null(q, 3) ? 0 : athi_sql_double(q, 3)};
        (*json)[count] = athi_arena_strdup(arena, athi_sql_text(q, 2) ? athi_sql_text(q, 2) : "{}");
        if (!(*json)[count]) return athi_sql_reset(q), ATH_E_NOMEM;
        count++;
    }
    *n = count;
    return ATH_OK;
}
