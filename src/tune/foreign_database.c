/* Studies in databases: what Optuna's tables hold of one, row by row. */
#include "tune/foreign.h"
#include "tune/store_internal.h"

#include <math.h>

static ath_status read_params(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_trial *t) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_PARAMS, &q, "ii", id, id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *name = athi_sql_text(q, 1), *json = athi_sql_text(q, 3);
        const double value = athi_sql_null(q, 2) ? NAN : athi_sql_double(q, 2);
        ath_status status = name && json ? athi_foreign_param_add(f, t, name, json, value) : ATH_OK;
        if (status != ATH_OK) return athi_sql_reset(q), status;
    }
}

static ath_status read_values(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_trial *t) {
    athi_rows *q;
    ATH_TRY(athi_foreign_values(f, t));
    ATH_TRY(athi_sql_query(s, SQL_VALUES, &q, "ii", id, id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const int64_t k = athi_sql_int(q, 1);
        if (k >= 0 && k < f->n_objectives)
            t->values[k] = athi_optuna_flow_read(athi_sql_double(q, 2), athi_sql_null(q, 2), athi_sql_text(q, 3));
    }
}

static ath_status read_reports(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_trial *t) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_INTERMEDIATES, &q, "ii", id, id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const double v = athi_optuna_flow_read(athi_sql_double(q, 2), athi_sql_null(q, 2), athi_sql_text(q, 3));
        ath_status status = athi_foreign_report_add(f, t, athi_sql_int(q, 1), v);
        if (status != ATH_OK) return athi_sql_reset(q), status;
    }
}

static ath_status read_texts(athi_store *s, athi_sql which, int64_t id, athi_foreign *f, athi_foreign_trial *t) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, which, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *key = athi_sql_text(q, 0), *json = athi_sql_text(q, 1);
        ath_status status = !key || !json              ? ATH_OK
                            : which == SQL_TRIAL_ATTRS ? athi_foreign_user_add(f, t, key, json)
                                                       : athi_foreign_system_add(f, t, key, json);
        if (status != ATH_OK) return athi_sql_reset(q), status;
    }
}

static ath_status read_trial(athi_store *s, int64_t id, athi_foreign *f) {
    athi_foreign_trial *t;
    athi_rows *q;
    bool row;
    ATH_TRY(athi_foreign_add(f, &t));
    ATH_TRY(athi_sql_query(s, SQL_TRIAL_ROWS, &q, "ii", id, id));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row) return athi_fail(f->ctx, ATH_E_DATA, "%s: a trial was deleted while the study was read", s->path);
    t->state = athi_optuna_state_read(athi_sql_text(q, 1), athi_sql_int(q, 7) > 0);
    t->started = athi_optuna_time_read(athi_sql_text(q, 2));
    t->ended = athi_optuna_time_read(athi_sql_text(q, 3));
    if (!athi_reason_find(athi_sql_text(q, 5), &t->reason)) t->reason = ATHI_REASON_LOST;
    t->own = (athi_foreign_own){.ours = !athi_sql_null(q, 4),
                                .seen = athi_sql_int(q, 4),
                                .relation = (athi_relation)(int)athi_sql_int(q, 8),
                                .relative = athi_sql_int(q, 9),
                                .relative_step = athi_sql_int(q, 10)};
    const char *message = athi_sql_text(q, 6);
    t->message = message ? athi_arena_strdup(f->arena, message) : NULL;
    athi_sql_reset(q);
    if (message && !t->message) return ATH_E_NOMEM;
    ATH_TRY(read_params(s, id, f, t));
    ATH_TRY(read_values(s, id, f, t));
    ATH_TRY(read_reports(s, id, f, t));
    ATH_TRY(read_texts(s, SQL_TRIAL_ATTRS, id, f, t));
    ATH_TRY(read_texts(s, SQL_TRIAL_SYSTEM_ATTRS, id, f, t));
    return athi_foreign_own_trial_read(s, id, f, t);
}

typedef struct ids {
    int64_t *list, n, cap;
} ids;

static ath_status find_trials(athi_store *s, ids *found) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_TRIALS_AFTER, &q, "ii", s->study_id, (int64_t)0));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = ATHI_GROW(s->ctx, found->list, found->n, found->cap);
        if (status != ATH_OK) return athi_sql_reset(q), status;
        found->list[found->n++] = athi_sql_int(q, 0);
    }
}

/* One transaction: all rows are of the same instant. */
static ath_status read_all(athi_store *s, void *args) {
    athi_foreign *f = args;
    ids found = {0};
    athi_foreign_free(f); /* of an attempt before */
    ath_status status = find_trials(s, &found);
    if (status == ATH_OK) status = athi_foreign_own_study_read(s, f);
    for (int64_t i = 0; status == ATH_OK && i < found.n; i++) status = read_trial(s, found.list[i], f);
    athi_free(s->ctx, found.list);
    return status;
}

static ath_status read_head(athi_foreign *f, athi_store *store) {
    const athi_study_info *info = athi_store_info(store);
    if (info->n_objectives > ATHI_OBJECTIVES_MAX)
        return athi_fail(f->ctx, ATH_E_UNSUPPORTED, "%s: the study has %d objectives, at most %d can be imported",
                         f->source, info->n_objectives, ATHI_OBJECTIVES_MAX);
    f->n_objectives = info->n_objectives;
    if (!(f->name = athi_arena_strdup(f->arena, info->name))) return ATH_E_NOMEM;
    for (int k = 0; k < info->n_objectives; k++) {
        f->maximize[k] = info->maximize[k];
        if (!(f->names[k] = athi_arena_strdup(f->arena, info->objective_names[k]))) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

ath_status athi_foreign_database(athi_foreign *f, const char *study) {
    athi_store *store = NULL;
    ATH_TRY(athi_store_open_existing(f->ctx, f->source, study, &store));
    ath_status status = read_head(f, store);
    if (status == ATH_OK) status = athi_sql_transaction(store, ATHI_SQL_READ, read_all, f);
    athi_store_close(store);
    return status;
}
