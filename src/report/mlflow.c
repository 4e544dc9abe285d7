/* MLflow's file store: what `mlflow ui --backend-store-uri FOLDER` reads.
 *
 *   <folder>/<experiment>/meta.yaml
 *   <folder>/<experiment>/<run>/meta.yaml, params/<name>, metrics/<name>, tags/<name>, artifacts/
 *
 * A metric's file has a line "milliseconds value step" a report. Experiment and run are numbers derived from the study's
 * name and the trial's number, so that the same study gives the same files. */
#include "report/export.h"

#include "base/file.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

enum { STATUS_RUNNING = 1, STATUS_SCHEDULED = 2, STATUS_FINISHED = 3, STATUS_FAILED = 4, STATUS_KILLED = 5 };

typedef struct writer {
    const athi_study *study;
    athi_arena *arena; /* of one trial */
    char experiment[24];
    char *const *params; /* file names, per parameter */
    char *const *objectives;
} writer;

/* ---- names --------------------------------------------------------------------------------------- */

/* FNV-1a */
static uint64_t hash(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

/* MLflow's names have letters, digits and "_-. :"; all else becomes "_", and a name that is taken gets a number. A name
 * never leads out of its folder. */
static char *file_name(athi_arena *arena, const char *name, char *const *taken, int64_t n) {
    char *safe = athi_arena_printf(arena, "%.200s", name);
    for (char *p = safe; p && *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_-. :", *p)) *p = '_';
    if (safe && (*safe == '.' || !*safe)) safe = athi_arena_printf(arena, "_%s", safe);
    for (int64_t i = 0, again = 2; safe && i < n; i++)
        if (strcasecmp(safe, taken[i]) == 0) {
            safe = athi_arena_printf(arena, "%.200s_%lld", safe, (long long)again++);
            i = -1;
        }
    return safe;
}

static ath_status name_files(const athi_study *s, athi_arena *arena, writer *w) {
    char **params = athi_arena_array(arena, s->space->n + 1, (int64_t)sizeof *params);
    char **objectives = athi_arena_array(arena, s->info->n_objectives, (int64_t)sizeof *objectives);
    if (!params || !objectives) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->space->n; i++)
        if (!(params[i] = file_name(arena, s->space->params[i].name, params, i))) return ATH_E_NOMEM;
    for (int k = 0; k < s->info->n_objectives; k++)
        if (!(objectives[k] = file_name(arena, s->info->objective_names[k], objectives, k))) return ATH_E_NOMEM;
    w->params = params, w->objectives = objectives;
    snprintf(w->experiment, sizeof w->experiment, "%llu",
             (unsigned long long)(hash(s->info->name) % 900000000000000000u + 100000000000000000u));
    return ATH_OK;
}

/* ---- files --------------------------------------------------------------------------------------- */

static ath_status write_text(const writer *w, const char *folder, const char *part, const char *name,
                             athi_text *text) {
    const char *path = athi_arena_printf(w->arena, "%s/%s/%s", folder, part, name);
    athi_piece piece = {text->text, text->length};
    ath_status status = text->failed || !path ? ATH_E_NOMEM : ATH_OK;
    if (status == ATH_OK) status = athi_file_write_pieces(w->study->ctx, path, &piece, 1, false);
    athi_text_free(text);
    return status;
}

static ath_status write_word(const writer *w, const char *folder, const char *part, const char *name,
                             const char *word) {
    athi_text text = {.ctx = w->study->ctx};
    athi_text_printf(&text, "%s", word);
    return write_text(w, folder, part, name, &text);
}

/* YAML: a JSON text in quotes is one too. */
static void put_yaml(athi_text *out, const char *key, const char *text) {
    athi_value v = {.type = ATHI_STRING, .text = text};
    athi_text_printf(out, "%s: ", key);
    if (athi_json_write(out, &v, 0) != ATH_OK) out->failed = true;
    athi_text_printf(out, "\n");
}

static long long milliseconds(double seconds) { return (long long)(seconds * 1000); }

static ath_status write_experiment(writer *w, const char *folder) {
    const athi_study *s = w->study;
    double first = 0, last = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (t->started > 0 && (first == 0 || t->started < first)) first = t->started;
        last = fmax(last, fmax(t->started, t->ended));
    }
    athi_text text = {.ctx = s->ctx};
    put_yaml(&text, "artifact_location", w->experiment);
    athi_text_printf(&text, "creation_time: %lld\n", milliseconds(first));
    put_yaml(&text, "experiment_id", w->experiment);
    athi_text_printf(&text, "last_update_time: %lld\nlifecycle_stage: active\n", milliseconds(last));
    put_yaml(&text, "name", s->info->name);
    return write_text(w, folder, w->experiment, "meta.yaml", &text);
}

/* ---- a run --------------------------------------------------------------------------------------- */

static ath_status write_meta(writer *w, const athi_trial *t, const char *run, const char *id) {
    static const int statuses[ATHI_STATES] = {
        [ATHI_TRIAL_WAITING] = STATUS_SCHEDULED, [ATHI_TRIAL_RUNNING] = STATUS_RUNNING,
        [ATHI_TRIAL_PAUSED] = STATUS_RUNNING,    [ATHI_TRIAL_COMPLETE] = STATUS_FINISHED,
        [ATHI_TRIAL_PRUNED] = STATUS_KILLED,     [ATHI_TRIAL_FAILED] = STATUS_FAILED,
    };
    athi_text text = {.ctx = w->study->ctx};
    athi_text_printf(&text, "artifact_uri: %s/%s/artifacts\n", w->experiment, id);
    if (t->ended > 0)
        athi_text_printf(&text, "end_time: %lld\n", milliseconds(t->ended));
    else
        athi_text_printf(&text, "end_time: null\n");
    athi_text_printf(&text, "entry_point_name: ''\nexperiment_id: '%s'\nlifecycle_stage: active\nrun_id: %s\n",
                     w->experiment, id);
    athi_text_printf(&text, "run_name: trial %lld\nsource_name: ''\nsource_type: 4\nsource_version: ''\n",
                     (long long)t->number);
    athi_text_printf(&text, "start_time: %lld\nstatus: %d\ntags: []\nuser_id: ''\n", milliseconds(t->started),
                     statuses[t->state]);
    return write_text(w, run, ".", "meta.yaml", &text);
}

static ath_status write_params(writer *w, const athi_trial *t, const char *run) {
    const athi_space *space = w->study->space;
    for (int64_t i = 0; i < space->n; i++) {
        athi_text text = {.ctx = w->study->ctx};
        if (isnan(t->point[i])) continue;
        athi_study_put_value(&space->params[i], t->point[i], &text);
        ATH_TRY(write_text(w, run, "params", w->params[i], &text));
    }
    return ATH_OK;
}

static const char *run_id(const writer *w, int64_t trial) {
    return athi_arena_printf(w->arena, "%016llx%016llx", (unsigned long long)hash(w->study->info->name),
                             (unsigned long long)trial);
}

/* Of population-based training: MLflow shows a child below its parent. */
static ath_status write_lineage(writer *w, const athi_trial *t, const char *run) {
    if (t->relation != ATHI_RELATION_CHILD) return ATH_OK;
    const char *parent = run_id(w, t->relative);
    athi_text lineage = {.ctx = w->study->ctx};
    if (!parent) return ATH_E_NOMEM;
    ATH_TRY(write_word(w, run, "tags", "mlflow.parentRunId", parent));
    athi_study_put_lineage(w->study, t, &lineage);
    return write_text(w, run, "tags", "athanor.lineage", &lineage);
}

static ath_status write_tags(writer *w, const athi_trial *t, const char *run) {
    const char *name = athi_arena_printf(w->arena, "trial %lld", (long long)t->number);
    const struct {
        const char *tag, *text;
    } tags[] = {{"mlflow.runName", name},
                {"athanor.state", athi_state_name(t->state)},
                {"athanor.reason", t->reason ? athi_reason_name(t->reason) : NULL},
                {"mlflow.note.content", t->message}};
    if (!name) return ATH_E_NOMEM;
    for (int i = 0; i < ATHI_COUNT(tags); i++)
        if (tags[i].text) ATH_TRY(write_word(w, run, "tags", tags[i].tag, tags[i].text));
    return write_lineage(w, t, run);
}

/* A metric's lines grow while the reports pass. */
typedef struct series {
    char *name;
    athi_text lines;
} series;
typedef struct metrics {
    ath_ctx *ctx;
    series *all;
    int64_t n, cap;
} metrics;

static ath_status put_metric(const writer *w, metrics *m, const char *name, double time, double v, int64_t step) {
    char number[32];
    char *file = file_name(w->arena, name, NULL, 0);
    int64_t i = 0;
    if (!file) return ATH_E_NOMEM;
    while (i < m->n && strcmp(m->all[i].name, file)) i++;
    if (i == m->n) {
        ATH_TRY(ATHI_GROW(m->ctx, m->all, m->n, m->cap));
        m->all[m->n++] = (series){file, {.ctx = m->ctx}};
    }
    athi_format_double(v, number);
    athi_text_printf(&m->all[i].lines, "%lld %s %lld\n", milliseconds(time), number, (long long)step);
    return ATH_OK;
}

static ath_status put_reports(const writer *w, metrics *m, const athi_trial *t) {
    const athi_study *s = w->study;
    athi_report *reports;
    const char **json;
    int64_t n;
    ATH_TRY(athi_store_reports(s->store, w->arena, t->number, 0, &reports, &json, &n));
    double span = t->ended > t->started ? t->ended - t->started : 0;
    for (int64_t i = 0; i < n; i++) {
        athi_value *map = NULL;
        double v, time = t->started + span * (double)(i + 1) / (double)(n + 1);
        ATH_TRY(athi_json_read(s->ctx, w->arena, json[i], (int64_t)strlen(json[i]), &map));
        for (int64_t k = 0; map->type == ATHI_MAP && k < map->n; k++)
            if (athi_report_number(map->items[k], &v))
                ATH_TRY(put_metric(w, m, map->keys[k], time, v, reports[i].step));
    }
    for (int64_t i = 0; !m->n && i < t->n_reports; i++) /* a trial that Optuna ran */
        ATH_TRY(put_metric(w, m, w->objectives[0], t->started + span * (double)(i + 1) / (double)(t->n_reports + 1),
                           t->reports[i].value, t->reports[i].step));
    for (int k = 0; k < s->info->n_objectives; k++) { /* what the trial is worth is a metric of its own */
        const char *name = athi_arena_printf(w->arena, "objective %s", w->objectives[k]);
        if (!name) return ATH_E_NOMEM;
        if (!isnan(t->values[k]))
            ATH_TRY(put_metric(w, m, name, t->ended > 0 ? t->ended : t->started, t->values[k], 0));
    }
    return ATH_OK;
}

static ath_status write_metrics(writer *w, const athi_trial *t, const char *run) {
    metrics m = {.ctx = w->study->ctx};
    ath_status status = put_reports(w, &m, t);
    for (int64_t i = 0; i < m.n; i++) {
        if (status == ATH_OK)
            status = write_text(w, run, "metrics", m.all[i].name, &m.all[i].lines);
        else
            athi_text_free(&m.all[i].lines);
    }
    athi_free(m.ctx, m.all);
    return status;
}

static ath_status write_run(writer *w, const athi_trial *t, const char *folder) {
    static const char *const parts[] = {"params", "metrics", "tags", "artifacts"};
    athi_arena_reset(w->arena);
    const char *id = run_id(w, t->number);
    const char *run = id ? athi_arena_printf(w->arena, "%s/%s/%s", folder, w->experiment, id) : NULL;
    if (!run) return ATH_E_NOMEM;
    for (int i = 0; i < ATHI_COUNT(parts); i++) {
        const char *part = athi_arena_printf(w->arena, "%s/%s", run, parts[i]);
        if (!part) return ATH_E_NOMEM;
        ATH_TRY(athi_make_dirs(w->study->ctx, part));
    }
    ATH_TRY(write_meta(w, t, run, id));
    ATH_TRY(write_params(w, t, run));
    ATH_TRY(write_tags(w, t, run));
    return write_metrics(w, t, run);
}

static ath_status write_all(writer *w, athi_arena *names, const char *folder) {
    const athi_study *s = w->study;
    ATH_TRY(name_files(s, names, w));
    const char *experiment = athi_arena_printf(names, "%s/%s", folder, w->experiment);
    if (!experiment) return ATH_E_NOMEM;
    ATH_TRY(athi_make_dirs(s->ctx, experiment));
    ATH_TRY(write_experiment(w, folder));
    for (int64_t i = 0; i < s->n; i++) ATH_TRY(write_run(w, s->trials[i], folder));
    return ATH_OK;
}

ath_status athi_export_mlflow(const athi_study *s, const char *folder) {
    writer w = {.study = s, .arena = athi_arena_create(s->ctx)};
    athi_arena *names = athi_arena_create(s->ctx);
    ath_status status = w.arena && names ? write_all(&w, names, folder) : ATH_E_NOMEM;
    if (w.arena) athi_arena_destroy(w.arena);
    if (names) athi_arena_destroy(names);
    return status;
}
