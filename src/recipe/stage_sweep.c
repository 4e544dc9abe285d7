/* Sweeps as a stage: checked before anything runs, then each with a folder and a study of its own. */
#include "recipe/stages.h"

#include "base/file.h"
#include "recipe/internal.h"
#include "recipe/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* ---- one sweep ----------------------------------------------------------------------------------- */

/* The search below tells its lines as a tune stage; here they are the sweep's. */
static void on_event(void *user, const athi_run_event *event) {
    const athi_run_opts *o = user;
    athi_run_event ours = {"sweep", event->what, event->detail};
    if (o->event) o->event(o->user, &ours);
}

typedef struct making {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_recipe *recipe; /* of the search */
    const athi_sweep_opts *o;
    const char *folder;
    const char *metric;
} making;

static ath_status put(const making *m, athi_value *map, const char *key, athi_value *v) {
    return athi_value_set(m->arena, map, key, v);
}

static ath_status copy(const making *m, athi_value *to, const athi_value *from, const char *key) {
    const athi_value *v = athi_value_get(from, key);
    return v ? put(m, to, key, athi_value_copy(m->arena, v)) : ATH_OK;
}

/* The bound recipe of a trial. */
static ath_status bind(const making *m, const athi_value *params, athi_value **bound) {
    double *point = athi_arena_array(m->arena, m->recipe->space->n + 1, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    ATH_TRY(athi_space_point_read(m->ctx, m->recipe->space, params, point));
    return athi_recipe_bind(m->recipe, m->arena, point, m->recipe->seed, bound);
}

/* Timed: seconds a step. Trained: its course over time. */
static ath_status put_course(const making *m, athi_value *entry, const athi_value *trial) {
    athi_value *bound = NULL, *curve = NULL;
    double value, batch = 32; /* data.batch's default */
    ATH_TRY(bind(m, athi_value_get(trial, "params"), &bound));
    const athi_value *number = athi_value_get(trial, "number");
    if (!m->o->epochs) {
        athi_value_number(athi_value_get(athi_value_get(bound, "data"), "batch"), &batch);
        if (!athi_value_number(athi_value_get(trial, "value"), &value) || !(value > 0)) return ATH_OK;
        return put(m, entry, "step_seconds", athi_value_float(m->arena, batch / value));
    }
    const char *log =
        athi_arena_printf(m->arena, "%s/trials/%lld/0/log.jsonl", m->folder, (long long)number->integer);
    if (!log) return ATH_E_NOMEM;
    ATH_TRY(athi_curve_read(m->ctx, m->arena, log, bound, m->metric, &curve));
    return curve ? put(m, entry, "training", curve) : ATH_OK;
}

static ath_status add_trial(const making *m, athi_value *list, const athi_value *trial) {
    static const char *const keys[] = {"number", "state", "reason", "message", "value"};
    athi_value *entry = athi_value_new(m->arena, ATHI_MAP), *params = athi_value_new(m->arena, ATHI_MAP);
    if (!entry || !params) return ATH_E_NOMEM;
    for (int64_t i = 0; i < m->o->over->n; i++) /* other ranges are at their defaults */
        ATH_TRY(copy(m, params, athi_value_get(trial, "params"), m->o->over->keys[i]));
    ATH_TRY(put(m, entry, "params", params));
    for (int i = 0; i < ATHI_COUNT(keys); i++) ATH_TRY(copy(m, entry, trial, keys[i]));
    if (athi_value_get(trial, "value")) ATH_TRY(put_course(m, entry, trial));
    ATH_TRY(copy(m, entry, trial, "seconds"));
    return athi_value_append(m->arena, list, entry);
}

static ath_status make_entry(making *m, const athi_value *report, athi_value **out) {
    const athi_value *objective = athi_value_get(report, "objective"), *metric = athi_value_get(objective, "metric"),
                     *trials = athi_value_get(athi_value_get(report, "search"), "trials");
    athi_value *entry = *out = athi_value_new(m->arena, ATHI_MAP), *list = athi_value_new(m->arena, ATHI_LIST);
    const char *folder = athi_arena_printf(m->arena, "sweeps/%s", m->o->name);
    if (!entry || !list || !folder) return ATH_E_NOMEM;
    m->metric = metric->text;
    ATH_TRY(put(m, entry, "name", athi_value_string(m->arena, m->o->name)));
    ATH_TRY(put(m, entry, "folder", athi_value_string(m->arena, folder)));
    ATH_TRY(put(m, entry, "over", athi_value_copy(m->arena, m->o->over)));
    if (m->o->epochs) {
        ATH_TRY(put(m, entry, "epochs", athi_value_int(m->arena, m->o->epochs)));
    } else {
        ATH_TRY(put(m, entry, "steps", athi_value_int(m->arena, m->o->steps)));
        ATH_TRY(put(m, entry, "warm_up", athi_value_int(m->arena, m->o->warm_up)));
    }
    ATH_TRY(put(m, entry, "objective", athi_value_copy(m->arena, metric)));
    ATH_TRY(copy(m, entry, objective, "direction"));
    for (int64_t i = 0; trials && i < trials->n; i++) ATH_TRY(add_trial(m, list, trials->items[i]));
    return put(m, entry, "trials", list);
}

/* Folders that were made for nothing: rmdir takes empty ones only. */
static void unmake(const char *run, const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s", folder);
    while (strlen(path) >= strlen(run) && (rmdir(path) == 0 || errno == ENOENT)) {
        char *slash = strrchr(path, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* The points in their order lie in points.json from before the first trial on. */
static ath_status read_points(ath_ctx *ctx, athi_arena *arena, const char *path, athi_value **before) {
    char *text = NULL;
    int64_t size = 0;
    *before = NULL;
    if (!athi_file_exists(path)) return ATH_OK;
    ATH_TRY(athi_file_read(ctx, path, false, INT64_MAX, &text, &size));
    ath_status status = athi_json_read(ctx, arena, text, size, before);
    athi_free(ctx, text);
    if (status == ATH_OK && (*before)->type != ATHI_LIST)
        status = athi_fail(ctx, ATH_E_DATA, "%s: not the points of a sweep; use --overwrite", path);
    return status;
}

static ath_status write_points(ath_ctx *ctx, const char *path, const athi_value *points) {
    athi_text text = {.ctx = ctx};
    ath_status status = athi_json_write(&text, points, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_write(ctx, path, text.text, text.length);
    athi_text_free(&text);
    return status;
}

/* The search itself. What cannot begin leaves nothing behind. */
static ath_status search(making *m, const athi_run_opts *outer, const athi_run_opts *o, athi_value **report) {
    const char *points = athi_arena_printf(m->arena, "%s/points.json", m->folder);
    const char *study = athi_arena_printf(m->arena, "%s/study.db", m->folder);
    if (!points || !study) return ATH_E_NOMEM;
    const bool made = !athi_file_exists(m->folder);
    ATH_TRY(athi_make_dirs(m->ctx, m->folder));
    ath_status status = write_points(m->ctx, points, m->recipe->tune.points);
    if (status == ATH_OK) status = athi_run(m->recipe, m->arena, o, report);
    if (status == ATH_OK || !made || athi_file_exists(study)) return status;
    unlink(points);
    athi_folder_unmake(m->ctx, m->folder);
    unmake(outer->directory, m->folder);
    return status;
}

ath_status athi_sweep_run(const athi_recipe *recipe, athi_arena *arena, const athi_sweep_opts *sweep,
                          const athi_run_opts *opts, athi_value **entry) {
    ath_ctx *ctx = recipe->ctx;
    athi_recipe *derived = NULL;
    athi_value *report = NULL, *before = NULL;
    athi_run_opts o = *opts;
    const int threads = ctx->threads;
    o.directory = athi_arena_printf(arena, "%s/sweeps/%s", opts->directory, sweep->name);
    o.only_tune = true, o.study = NULL, o.sweep = sweep;
    o.event = on_event, o.user = (void *)(uintptr_t)opts; /* on_event only reads it */
    const char *points = o.directory ? athi_arena_printf(arena, "%s/points.json", o.directory) : NULL;
    if (!points) return ATH_E_NOMEM;
    if (!opts->overwrite) ATH_TRY(read_points(ctx, arena, points, &before));
    ATH_TRY(athi_sweep_recipe(recipe, sweep, before, &derived));
    making m = {ctx, arena, derived, sweep, o.directory, NULL};
    ath_status status = search(&m, opts, &o, &report);
    if (status != ATH_OK) athi_sweep_sentence(ctx, status, recipe->path, sweep->name);
    if (status == ATH_OK) status = make_entry(&m, report, entry);
    athi_recipe_destroy(derived);
    ctx->threads = threads; /* the search set its own */
    return status;
}

/* ---- the stage ----------------------------------------------------------------------------------- */

ath_status athi_stage_check_sweeps(athi_stages *s) {
    for (int i = 0; i < s->recipe->n_sweeps; i++) {
        athi_recipe *derived = NULL;
        ATH_TRY(athi_sweep_recipe(s->recipe, &s->recipe->sweeps[i], NULL, &derived));
        ath_status status = athi_recipe_check(derived, s->data);
        athi_recipe_destroy(derived);
        if (status != ATH_OK) return athi_sweep_sentence(s->ctx, status, s->recipe->path, s->recipe->sweeps[i].name);
    }
    return ATH_OK;
}

ath_status athi_stage_sweeps(athi_stages *s) {
    if (!s->recipe->n_sweeps) return ATH_OK;
    s->working = true;
    s->sweeps = athi_value_new(s->arena, ATHI_LIST);
    if (!s->sweeps) return ATH_E_NOMEM;
    athi_run_opts opts = *s->opts;
    opts.jobs = 0; /* those of the search would disturb what is timed */
    for (int i = 0; i < s->recipe->n_sweeps; i++) {
        athi_value *entry = NULL;
        ATH_TRY(athi_sweep_run(s->recipe, s->arena, &s->recipe->sweeps[i], &opts, &entry));
        ATH_TRY(athi_value_append(s->arena, s->sweeps, entry));
    }
    return ATH_OK;
}
