/* What Optuna's tables have no column for: a study of ours that is copied goes on as the one that it was copied from, with
 * its definition, its executions, and the order in which its trials ended. */
#include "tune/foreign.h"
#include "tune/store_internal.h"

#include <math.h>

/* ---- reading ------------------------------------------------------------------------------------- */

static ath_status read_texts(athi_store *s, athi_foreign *f) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_STUDY_TEXTS, &q, "i", s->study_id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *key = athi_sql_text(q, 0), *value = athi_sql_text(q, 1);
        if (!key || !value) continue;
        ath_status status = ATHI_GROW(f->ctx, f->texts, f->n_texts, f->cap_texts);
        athi_foreign_text text = {athi_arena_strdup(f->arena, key), athi_arena_strdup(f->arena, value)};
        if (status != ATH_OK || !text.key || !text.json) return athi_sql_reset(q), ATH_E_NOMEM;
        f->texts[f->n_texts++] = text;
    }
}

static ath_status read_ends(athi_store *s, athi_foreign *f) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_TRIALS_ENDED, &q, "i", s->study_id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = ATHI_GROW(f->ctx, f->ended, f->n_ended, f->cap_ended);
        if (status != ATH_OK) return athi_sql_reset(q), status;
        f->ended[f->n_ended++] = athi_sql_int(q, 0);
    }
}

ath_status athi_foreign_own_study_read(athi_store *s, athi_foreign *f) {
    ATH_TRY(read_texts(s, f));
    return read_ends(s, f);
}

static ath_status read_executions(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_own *own) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_EXECUTIONS, &q, "ii", id, id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        ath_status status = ATHI_GROW(f->ctx, own->executions, own->n_executions, own->cap_executions);
        if (status != ATH_OK) return athi_sql_reset(q), status;
        own->executions[own->n_executions++] =
            (athi_foreign_execution){.execution = athi_sql_int(q, 1),
                                     .objective = athi_sql_int(q, 2),
                                     .value = athi_sql_null(q, 3) ? NAN : athi_sql_double(q, 3),
                                     .best_step = athi_sql_int(q, 4)};
    }
}

static ath_status read_said(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_own *own) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_REPORTS_ALL, &q, "i", id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *json = athi_sql_text(q, 3);
        ath_status status = ATHI_GROW(f->ctx, own->said, own->n_said, own->cap_said);
        athi_foreign_said said = {.execution = athi_sql_int(q, 0),
                                  .step = athi_sql_int(q, 1),
                                  .value = athi_sql_null(q, 2) ? NAN : athi_sql_double(q, 2),
                                  .seconds = athi_sql_null(q, 4) ? NAN : athi_sql_double(q, 4),
                                  .json = athi_arena_strdup(f->arena, json ? json : "{}")};
        if (status != ATH_OK || !said.json) return athi_sql_reset(q), ATH_E_NOMEM;
        own->said[own->n_said++] = said;
    }
}

ath_status athi_foreign_own_trial_read(athi_store *s, int64_t id, athi_foreign *f, athi_foreign_trial *t) {
    ATH_TRY(read_executions(s, id, f, &t->own));
    return read_said(s, id, f, &t->own);
}

/* ---- writing ------------------------------------------------------------------------------------- */

ath_status athi_foreign_own_trial_write(athi_store *s, int64_t id, const athi_foreign_trial *t) {
    const athi_foreign_own *own = &t->own;
    if (!own->ours) return ATH_OK;
    ATH_TRY(athi_sql_run(s, SQL_TRIAL_EXTRA_INSERT, "iiiii", id, own->seen, (int64_t)own->relation, own->relative,
                         own->relative_step));
    if (t->state == ATHI_TRIAL_PAUSED) ATH_TRY(athi_sql_run(s, SQL_TRIAL_PAUSE, "ii", id, (int64_t)1));
    for (int64_t i = 0; i < own->n_executions; i++) {
        const athi_foreign_execution *e = &own->executions[i];
        ATH_TRY(
            athi_sql_run(s, SQL_EXECUTION_INSERT, "iiidi", id, e->execution, e->objective, e->value, e->best_step));
    }
    for (int64_t i = 0; i < own->n_said; i++) {
        const athi_foreign_said *r = &own->said[i];
        ATH_TRY(
            athi_sql_run(s, SQL_REPORT_INSERT, "iiidtd", id, r->execution, r->step, r->value, r->json, r->seconds));
    }
    return ATH_OK;
}

ath_status athi_foreign_own_study_write(athi_store *s, const athi_foreign *f) {
    for (int64_t i = 0; i < f->n_texts; i++)
        ATH_TRY(athi_sql_run(s, SQL_STUDY_PUT, "itt", s->study_id, f->texts[i].key, f->texts[i].json));
    for (int64_t i = 0; i < f->n_ended; i++) {
        int64_t id;
        if (f->ended[i] < 0 || f->ended[i] >= f->n) continue;
        const athi_foreign_trial *t = &f->trials[f->ended[i]];
        ATH_TRY(athi_store_id(s, f->ended[i], &id));
        ATH_TRY(athi_sql_run(s, SQL_TRIAL_EXTRA_FINISH, "itt", id, athi_reason_name(t->reason), t->message));
    }
    return ATH_OK;
}
