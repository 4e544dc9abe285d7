/* A study whose space has grown between two starts: its trials become points of the new space. Optuna wants one
 * distribution a name in a study, so those of all trials are written again, choices with their new numbers; and a trial
 * gets what it lacks: a parameter that is new had its default, or was a constant. All of it is one transaction. */
#include "tune/store_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EDITS "edits" /* how often; who opened the study before the last time begins no trial any more */

/* Trials that have the same to be rewritten: one distribution of a parameter, of a choice also one value. */
typedef struct group {
    const char *name, *json;
    double value;
} group;

typedef struct groups {
    group *list;
    int64_t n, cap;
} groups;

/* ---- who else is there --------------------------------------------------------------------------- */

static ath_status nobody_else(athi_store *s, const char *owner) {
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, SQL_LEASE_OTHERS, &q, "it", s->study_id, owner ? owner : ""));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row) return ATH_OK;
    ath_status status =
        athi_fail(s->ctx, ATH_E_BUSY,
                  "%s: trial %lld is under way in another program (%s), and a space can change only "
                  "while nobody works on its study; end that program, or if it is dead wait ten seconds",
                  s->path, (long long)athi_sql_int(q, 0), athi_sql_text(q, 1));
    athi_sql_reset(q);
    return status;
}

ath_status athi_edits_read(athi_store *s) {
    athi_arena_reset(s->scratch);
    const char *text = NULL;
    ATH_TRY(athi_store_get(s, s->scratch, EDITS, &text));
    s->edits = text ? strtoll(text, NULL, 10) : 0;
    return ATH_OK;
}

/* ---- distributions ------------------------------------------------------------------------------- */

static ath_status gather(athi_store *s, athi_arena *arena, groups *g) {
    athi_rows *q;
    ATH_TRY(athi_sql_query(s, SQL_PARAM_GROUPS, &q, "i", s->study_id));
    for (bool row = true;;) {
        ATH_TRY(athi_sql_step(s, q, &row));
        if (!row) return ATH_OK;
        const char *name = athi_sql_text(q, 0), *json = athi_sql_text(q, 1);
        if (!name || !json) continue;
        ath_status status = ATHI_GROW(s->ctx, g->list, g->n, g->cap);
        group one = {athi_arena_strdup(arena, name), athi_arena_strdup(arena, json), athi_sql_double(q, 2)};
        if (status != ATH_OK || !one.name || !one.json) return athi_sql_reset(q), ATH_E_NOMEM;
        g->list[g->n++] = one;
    }
}

/* What a foreign trial has outside the space stays as it is. */
static ath_status move(athi_store *s, const group *g) {
    const int i = athi_space_find(s->space, g->name);
    if (i < 0 || !strcmp(g->json, s->distributions[i])) return ATH_OK;
    const athi_space_param *p = &s->space->params[i];
    double low = p->min, high = p->max, value = NAN;
    bool inside = true;
    if (p->type == ATHI_PARAM_CHOICE) {
        low = high = g->value;
        ATH_TRY(athi_optuna_value(s, p, s->distributions[i], g->json, g->value, &value, &inside));
    }
    if (!inside) return ATH_OK;
    return athi_sql_run(s, SQL_PARAMS_MOVE, "ittddtd", s->study_id, g->name, g->json, low, high, s->distributions[i],
                        value);
}

static ath_status move_all(athi_store *s) {
    groups g = {0};
    athi_arena *arena = athi_arena_create(s->ctx);
    ath_status status = arena ? gather(s, arena, &g) : ATH_E_NOMEM;
    for (int64_t i = 0; status == ATH_OK && i < g.n; i++) status = move(s, &g.list[i]);
    athi_free(s->ctx, g.list);
    athi_arena_destroy(arena);
    return status;
}

/* ---- what trials lack ---------------------------------------------------------------------------- */

static bool has_any(const athi_store *s, const athi_trial *t) {
    for (int64_t i = 0; i < s->space_n; i++)
        if (!isnan(t->point[i])) return true;
    return false;
}

static ath_status complete(athi_store *s, const athi_growth *growth, athi_cached *c, double *point) {
    const athi_trial *t = c->trial;
    memcpy(point, t->point, (size_t)s->space_n * sizeof *point);
    for (int64_t k = 0; k < s->space_n; k++) {
        const int i = s->space->order[k];
        const athi_space_param *p = &s->space->params[i];
        const bool exists = athi_space_exists(s->space, point, i);
        if (!exists && !isnan(point[i]))
            return athi_fail(s->ctx, ATH_E_STATE,
                             "parameter '%s' would not exist any more in trial %lld, which has it", p->name,
                             (long long)t->number);
        if (!exists || !isnan(point[i])) continue;
        /* What a trial of another program never asked for stays unknown. */
        if (t->seen < 0 && athi_space_find(growth->was, p->name) >= 0) continue;
        point[i] = isnan(growth->past[i]) ? p->fallback : growth->past[i];
        ATH_TRY(athi_sql_run(s, SQL_PARAM_INSERT, "itdt", c->id, p->name, point[i], s->distributions[i]));
        c->stale = true;
    }
    return ATH_OK;
}

static ath_status complete_all(athi_store *s, const athi_growth *growth) {
    double *point = athi_alloc_array(s->ctx, s->space_n, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    ath_status status = athi_store_refresh(s, NULL);
    for (int64_t i = 0; status == ATH_OK && i < s->n; i++) {
        const athi_trial *t = s->cached[i].trial;
        if (!t->outside && t->state != ATHI_TRIAL_WAITING && has_any(s, t))
            status = complete(s, growth, &s->cached[i], point);
    }
    athi_free(s->ctx, point);
    return status;
}

/* ---- the study ----------------------------------------------------------------------------------- */

static ath_status rewrite(athi_store *s, const athi_study_info *info, const athi_growth *growth, athi_text *changes) {
    char edits[24];
    ATH_TRY(athi_space_extends(s->ctx, growth->was, info->space, changes));
    ATH_TRY(nobody_else(s, info->owner));
    athi_store_forget(s); /* a transaction may be done again */
    ATH_TRY(athi_store_use_space(s, info->space));
    ATH_TRY(move_all(s));
    ATH_TRY(complete_all(s, growth));
    snprintf(edits, sizeof edits, "%lld", (long long)s->edits + 1);
    ATH_TRY(athi_sql_run(s, SQL_STUDY_PUT, "itt", s->study_id, EDITS, edits));
    s->edits++;
    s->changes = changes->length ? athi_arena_strdup(s->arena, changes->text) : NULL;
    return changes->length && !s->changes ? ATH_E_NOMEM : ATH_OK;
}

ath_status athi_store_grow(athi_store *s, const athi_study_info *info, const athi_growth *growth) {
    athi_text changes = {.ctx = s->ctx};
    ath_status status = rewrite(s, info, growth, &changes);
    athi_text_free(&changes);
    return status;
}

const char *athi_store_changes(const athi_store *s) { return s->changes; }
