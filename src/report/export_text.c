/* All trials as CSV (RFC 4180) and as JSON. */
#include "report/export.h"

#include <math.h>

/* ---- CSV ----------------------------------------------------------------------------------------- */

/* Quotes around what holds a comma, a quote or a line's end. */
static void put_field(athi_text *out, const char *text) {
    athi_text_printf(out, ",");
    if (!strpbrk(text, ",\"\r\n")) {
        athi_text_printf(out, "%s", text);
        return;
    }
    athi_text_printf(out, "\"");
    for (; *text; text++) athi_text_printf(out, *text == '"' ? "\"\"" : "%c", *text);
    athi_text_printf(out, "\"");
}

static void put_number(athi_text *out, double v, bool there) {
    char number[32];
    athi_format_double(v, number);
    athi_text_printf(out, ",%s", there ? number : "");
}

static const char *const before[] = {"state", "reason", "message"};
static const char *const behind[] = {"started",          "ended",  "seconds",    "executions",
                                     "execution_values", "parent", "parent_step"};

/* A parameter called as another column is called "params.<name>". */
static bool is_column(const athi_study *s, const char *name) {
    bool taken = strcmp(name, "trial") == 0 || strncmp(name, "constraint_", 11) == 0;
    for (int i = 0; i < ATHI_COUNT(before); i++) taken = taken || strcmp(before[i], name) == 0;
    for (int i = 0; i < ATHI_COUNT(behind); i++) taken = taken || strcmp(behind[i], name) == 0;
    for (int k = 0; k < s->info->n_objectives; k++) taken = taken || strcmp(s->info->objective_names[k], name) == 0;
    return taken;
}

static int most_constraints(const athi_study *s) {
    int most = 0;
    for (int64_t i = 0; i < s->n; i++) most = ATHI_MAX(most, s->trials[i]->n_constraints);
    return most;
}

static void put_header(const athi_study *s, int constraints, athi_text *out) {
    athi_text_printf(out, "trial");
    for (int i = 0; i < ATHI_COUNT(before); i++) put_field(out, before[i]);
    for (int k = 0; k < s->info->n_objectives; k++) put_field(out, s->info->objective_names[k]);
    for (int i = 0; i < constraints; i++) athi_text_printf(out, ",constraint_%d", i);
    for (int64_t i = 0; i < s->space->n; i++) {
        athi_text name = {.ctx = out->ctx};
        athi_text_printf(&name, "%s%s", is_column(s, s->space->params[i].name) ? "params." : "",
                         s->space->params[i].name);
        if (name.failed) out->failed = true;
        if (name.text) put_field(out, name.text);
        athi_text_free(&name);
    }
    for (int i = 0; i < ATHI_COUNT(behind); i++) put_field(out, behind[i]);
    athi_text_printf(out, "\n");
}

/* "0.91;0.93", of several objectives "0.91 12;0.93 11" */
static void put_executions(const athi_study *s, const athi_trial *t, athi_text *out) {
    int m = s->info->n_objectives;
    athi_text_printf(out, ",%lld,", (long long)t->n_executions);
    for (int64_t e = 0; e < t->n_executions; e++)
        for (int k = 0; k < m; k++) {
            char number[32];
            athi_format_double(t->execution_values[e * m + k], number);
            athi_text_printf(out, "%s%s", k ? " " : e ? ";" : "", number);
        }
}

/* Of population-based training: which trial's state it went on from. */
static void put_parent(const athi_trial *t, athi_text *out) {
    if (t->relation == ATHI_RELATION_CHILD)
        athi_text_printf(out, ",%lld,%lld", (long long)t->relative, (long long)t->relative_step);
    else
        athi_text_printf(out, ",,");
}

static void put_row(const athi_study *s, const athi_trial *t, int constraints, athi_text *out) {
    char time[32];
    athi_text_printf(out, "%lld", (long long)t->number);
    put_field(out, athi_state_name(t->state));
    put_field(out, t->reason ? athi_reason_name(t->reason) : "");
    put_field(out, t->message ? t->message : "");
    for (int k = 0; k < s->info->n_objectives; k++)
        put_number(out, t->values[k], t->state == ATHI_TRIAL_COMPLETE || !isnan(t->values[k]));
    for (int i = 0; i < constraints; i++)
        put_number(out, i < t->n_constraints ? t->constraints[i] : 0, i < t->n_constraints);
    for (int64_t i = 0; i < s->space->n; i++) {
        athi_text value = {.ctx = out->ctx};
        athi_study_put_value(&s->space->params[i], t->point[i], &value);
        if (value.failed) out->failed = true;
        put_field(out, value.text ? value.text : "");
        athi_text_free(&value);
    }
    const double times[] = {t->started, t->ended};
    for (int i = 0; i < ATHI_COUNT(times); i++) {
        athi_study_time(times[i], time);
        put_field(out, times[i] > 0 ? time : "");
    }
    put_number(out, athi_study_seconds(t), !isnan(athi_study_seconds(t)));
    put_executions(s, t, out);
    put_parent(t, out);
    athi_text_printf(out, "\n");
}

ath_status athi_export_csv(const athi_study *s, athi_text *out) {
    int constraints = most_constraints(s);
    put_header(s, constraints, out);
    for (int64_t i = 0; i < s->n; i++) put_row(s, s->trials[i], constraints, out);
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static ath_status put_value(athi_text *out, const char *lead, const athi_value *v) {
    if (!v) return ATH_E_NOMEM;
    athi_text_printf(out, "%s", lead);
    ATH_TRY(athi_json_write(out, v, 0));
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status put_head(const athi_study *s, athi_arena *arena, athi_text *out) {
    athi_value *list = athi_value_new(arena, ATHI_LIST), *space = NULL;
    for (int k = 0; list && k < s->info->n_objectives; k++) {
        athi_value *map = athi_value_new(arena, ATHI_MAP);
        const char *direction = s->info->maximize[k] ? "max" : "min";
        if (!map) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(arena, map, "name", athi_value_string(arena, s->info->objective_names[k])));
        ATH_TRY(athi_value_set(arena, map, "direction", athi_value_string(arena, direction)));
        ATH_TRY(athi_value_append(arena, list, map));
    }
    ATH_TRY(athi_space_write(arena, s->space, &space));
    ATH_TRY(put_value(out, "{\"study\": ", athi_value_string(arena, s->info->name)));
    ATH_TRY(put_value(out, ",\n \"objectives\": ", list));
    ATH_TRY(put_value(out, ",\n \"space\": ", space));
    athi_text_printf(out, ",\n \"trials\": [");
    return ATH_OK;
}

static ath_status put_json(const athi_study *s, athi_arena *arena, bool reports, athi_text *out) {
    ATH_TRY(put_head(s, arena, out));
    for (int64_t i = 0; i < s->n; i++) {
        athi_value *trial = NULL;
        athi_arena_reset(arena);
        ATH_TRY(athi_study_trial(s, arena, s->trials[i], reports, &trial));
        ATH_TRY(put_value(out, i ? ",\n  " : "\n  ", trial));
    }
    athi_text_printf(out, "\n ]}\n");
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status json(const athi_study *s, bool reports, athi_text *out) {
    athi_arena *arena = athi_arena_create(s->ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = put_json(s, arena, reports, out);
    athi_arena_destroy(arena);
    return status;
}

ath_status athi_export_json(const athi_study *s, athi_text *out) { return json(s, true, out); }
ath_status athi_export_json_short(const athi_study *s, athi_text *out) { return json(s, false, out); }
