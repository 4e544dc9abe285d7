/* Importing a study: which format it is, the form that the readers build, and the writer, whose one transaction leaves
 * what Optuna would have left. */
#include "tune/foreign.h"

#include "base/file.h"
#include "tune/store_internal.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- building ------------------------------------------------------------------------------------ */

ath_status athi_foreign_add(athi_foreign *f, athi_foreign_trial **trial) {
    ATH_TRY(ATHI_GROW(f->ctx, f->trials, f->n, f->cap));
    *trial = &f->trials[f->n++];
    **trial = (athi_foreign_trial){0};
    return ATH_OK;
}

ath_status athi_foreign_param_add(athi_foreign *f, athi_foreign_trial *t, const char *name, const char *distribution,
                                  double value) {
    ATH_TRY(ATHI_GROW(f->ctx, t->params, t->n_params, t->cap_params));
    athi_foreign_param p = {athi_arena_strdup(f->arena, name), athi_arena_strdup(f->arena, distribution), value};
    if (!p.name || !p.distribution) return ATH_E_NOMEM;
    for (int64_t i = 0; i < t->n_params; i++)
        if (!strcmp(t->params[i].name, name)) return t->params[i] = p, ATH_OK;
    t->params[t->n_params++] = p;
    return ATH_OK;
}

ath_status athi_foreign_report_add(athi_foreign *f, athi_foreign_trial *t, int64_t step, double value) {
    const bool later = !t->n_reports || step > t->reports[t->n_reports - 1].step;
    for (int64_t i = 0; i < t->n_reports && !later; i++)
        if (t->reports[i].step == step) return t->reports[i].value = value, ATH_OK;
    ATH_TRY(ATHI_GROW(f->ctx, t->reports, t->n_reports, t->cap_reports));
    t->reports[t->n_reports++] = (athi_report){step, value};
    return ATH_OK;
}

static ath_status copy_text(athi_foreign *f, const char *key, const char *json, athi_foreign_text *out) {
    *out = (athi_foreign_text){athi_arena_strdup(f->arena, key), athi_arena_strdup(f->arena, json)};
    return out->key && out->json ? ATH_OK : ATH_E_NOMEM;
}

ath_status athi_foreign_user_add(athi_foreign *f, athi_foreign_trial *t, const char *key, const char *json) {
    ATH_TRY(ATHI_GROW(f->ctx, t->user, t->n_user, t->cap_user));
    return copy_text(f, key, json, &t->user[t->n_user++]);
}

ath_status athi_foreign_system_add(athi_foreign *f, athi_foreign_trial *t, const char *key, const char *json) {
    ATH_TRY(ATHI_GROW(f->ctx, t->system, t->n_system, t->cap_system));
    return copy_text(f, key, json, &t->system[t->n_system++]);
}

ath_status athi_foreign_values(athi_foreign *f, athi_foreign_trial *t) {
    t->values = athi_arena_array(f->arena, ATHI_MAX(f->n_objectives, 1), (int64_t)sizeof *t->values);
    for (int k = 0; t->values && k < f->n_objectives; k++) t->values[k] = NAN;
    return t->values ? ATH_OK : ATH_E_NOMEM;
}

void athi_foreign_free(athi_foreign *f) {
    for (int64_t i = 0; i < f->n; i++) {
        athi_foreign_trial *t = &f->trials[i];
        athi_free(f->ctx, t->params);
        athi_free(f->ctx, t->reports);
        athi_free(f->ctx, t->user);
        athi_free(f->ctx, t->system);
        athi_free(f->ctx, t->own.executions);
        athi_free(f->ctx, t->own.said);
    }
    athi_free(f->ctx, f->trials);
    athi_free(f->ctx, f->texts);
    athi_free(f->ctx, f->ended);
    f->trials = NULL, f->texts = NULL, f->ended = NULL;
    f->n = f->cap = f->n_texts = f->cap_texts = f->n_ended = f->cap_ended = 0;
}

/* ---- writing ------------------------------------------------------------------------------------- */

typedef struct writing {
    athi_foreign *f;
    int64_t first; /* the step that becomes 1: some programs count from 0 */
} writing;

/* What runs elsewhere may end there; here it is lost. Ours the next start takes over. */
static athi_trial_state state_here(const athi_foreign_trial *t) {
    if (t->own.ours) return t->state;
    return t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_PAUSED ? ATHI_TRIAL_FAILED : t->state;
}

static const char *time_text(double seconds, char out[32]) {
    if (seconds <= 0) return NULL;
    athi_optuna_time(seconds, out);
    return out;
}

static ath_status write_parts(athi_store *s, const writing *w, const athi_foreign_trial *t, int64_t id) {
    for (int64_t i = 0; i < t->n_params; i++)
        ATH_TRY(athi_sql_run(s, SQL_PARAM_INSERT, "itdt", id, t->params[i].name, t->params[i].value,
                             t->params[i].distribution));
    for (int k = 0; t->values && k < w->f->n_objectives; k++) {
        const athi_flow flow = athi_optuna_flow(t->values[k]);
        if (!isnan(t->values[k]))
            ATH_TRY(athi_sql_run(s, SQL_VALUE_INSERT, "iidt", id, (int64_t)k, flow.value, flow.type));
    }
    for (int64_t i = 0; i < t->n_reports; i++) {
        const athi_flow flow = athi_optuna_flow(t->reports[i].value);
        ATH_TRY(athi_sql_run(s, SQL_INTERMEDIATE_INSERT, "iidt", id, t->reports[i].step + 1 - w->first, flow.value,
                             flow.type));
    }
    for (int64_t i = 0; i < t->n_user; i++)
        ATH_TRY(athi_sql_run(s, SQL_TRIAL_ATTR_INSERT, "itt", id, t->user[i].key, t->user[i].json));
    for (int64_t i = 0; i < t->n_system; i++)
        ATH_TRY(athi_sql_run(s, SQL_TRIAL_SYSTEM_INSERT, "itt", id, t->system[i].key, t->system[i].json));
    return ATH_OK;
}

static ath_status write_trial(athi_store *s, const writing *w, int64_t number) {
    const athi_foreign_trial *t = &w->f->trials[number];
    const athi_trial_state state = state_here(t);
    const bool lost = state != t->state;
    char started[32], ended[32];
    int64_t id = 0;
    ATH_TRY(athi_sql_insert(s, SQL_TRIAL_INSERT, &id, "iti", s->study_id, time_text(t->started, started), number));
    ATH_TRY(write_parts(s, w, t, id));
    ATH_TRY(athi_sql_run(s, SQL_TRIAL_FINISH, "itt", id, athi_optuna_state(state), time_text(t->ended, ended)));
    ATH_TRY(athi_foreign_own_trial_write(s, id, t));
    if (state != ATHI_TRIAL_FAILED || t->own.ours) return ATH_OK;
    return athi_sql_run(s, SQL_TRIAL_EXTRA_FINISH, "itt", id, athi_reason_name(lost ? ATHI_REASON_LOST : t->reason),
                        lost ? "it was under way when the study was imported" : t->message);
}

static ath_status write_all(athi_store *s, void *args) {
    const writing *w = args;
    athi_rows *q;
    bool row;
    ATH_TRY(athi_sql_query(s, SQL_TRIALS_AFTER, &q, "ii", s->study_id, (int64_t)0));
    ATH_TRY(athi_sql_step(s, q, &row));
    if (row) athi_sql_reset(q);
    if (row)
        return athi_fail(s->ctx, ATH_E_STATE,
                         "%s: study '%s' has trials already; import into a new one, or under another name (--name)",
                         s->path, s->info.name);
    for (int64_t i = 0; i < w->f->n; i++) ATH_TRY(write_trial(s, w, i));
    return athi_foreign_own_study_write(s, w->f);
}

static int64_t first_step(const athi_foreign *f) {
    int64_t first = 1;
    for (int64_t i = 0; i < f->n; i++)
        for (int64_t k = 0; k < f->trials[i].n_reports; k++) first = ATHI_MIN(first, f->trials[i].reports[k].step);
    return first;
}

/* Without a definition of its own, like a study of Optuna: that of the first start counts. */
static ath_status write_study(const athi_import_opts *o, athi_foreign *f) {
    athi_store *store = NULL;
    writing w = {f, first_step(f)};
    const char *const *names = f->names;
    athi_study_info info = {.name = o->name ? o->name : f->name,
                            .n_objectives = f->n_objectives,
                            .maximize = f->maximize,
                            .objective_names = names};
    if (o->folder) ATH_TRY(athi_make_dirs(f->ctx, o->folder));
    ATH_TRY(athi_store_open(f->ctx, o->target, &info, &store));
    ath_status status = athi_sql_transaction(store, ATHI_SQL_DURABLE, write_all, &w);
    athi_store_close(store);
    return status;
}

/* ---- which format -------------------------------------------------------------------------------- */

static ath_status read_file(athi_foreign *f, const char *study) {
    static const char sqlite[] = "SQLite format 3";
    char head[sizeof sqlite] = "";
    FILE *file = fopen(f->source, "rb");
    const size_t n = file ? fread(head, 1, sizeof head - 1, file) : 0;
    if (!file) return athi_fail(f->ctx, ATH_E_NOTFOUND, "%s: the file cannot be opened", f->source);
    fclose(file);
    if (n == sizeof head - 1 && !strcmp(head, sqlite)) return athi_foreign_database(f, study);
    if (n && head[0] == '{') return athi_foreign_journal(f, study);
    return athi_fail(f->ctx, ATH_E_DATA,
                     "%s: this is neither an SQLite database nor a journal of Optuna (lines of JSON)", f->source);
}

static ath_status read_folder(athi_foreign *f, const athi_import_opts *o) {
    const char *oracle = athi_arena_printf(f->arena, "%s/oracle.json", f->source);
    const char *database = athi_arena_printf(f->arena, "%s/study.db", f->source);
    if (!oracle || !database) return ATH_E_NOMEM;
    if (athi_file_exists(oracle)) return athi_foreign_keras(f, o->objective);
    if (!athi_file_exists(database))
        return athi_fail(f->ctx, ATH_E_NOTFOUND,
                         "%s: there is neither an oracle.json of KerasTuner nor a study.db in this folder",
                         f->source);
    f->source = database;
    return athi_foreign_database(f, o->study);
}

ath_status athi_import(ath_ctx *ctx, athi_arena *arena, const athi_import_opts *o, athi_foreign *f) {
    struct stat about;
    *f = (athi_foreign){.ctx = ctx, .arena = arena, .source = o->source};
    ath_status status;
    if (strstr(o->source, "://"))
        status = athi_foreign_database(f, o->study);
    else if (stat(o->source, &about) != 0)
        status = athi_fail(ctx, ATH_E_NOTFOUND,
                           "%s: there is no such file or folder; name a study to import: a database or a journal of "
                           "Optuna, a folder of KerasTuner, or a study of ours",
                           o->source);
    else
        status = S_ISDIR(about.st_mode) ? read_folder(f, o) : read_file(f, o->study);
    if (status == ATH_OK && o->objective && f->n_objectives == 1) f->names[0] = o->objective;
    return status == ATH_OK ? write_study(o, f) : status;
}
