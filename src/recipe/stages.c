/* A run: its folder, its lock, its stages in order. Each stage goes on where it stopped: the study knows the trials,
 * state files the trainings, and all else follows from them. */
#include "recipe/stages.h"

#include "recipe/internal.h"

#include <math.h>
#include <stdio.h>

/* ---- small things -------------------------------------------------------------------------------- */

const char *athi_stage_path(athi_stages *s, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return athi_arena_printf(s->arena, "%s/%s", s->opts->directory, text);
}

void athi_stage_say(athi_stages *s, const char *stage, const char *fmt, ...) {
    char line[1024];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    athi_run_event event = {stage, line, NULL};
    if (s->opts->event) s->opts->event(s->opts->user, &event);
}

const char *athi_stage_score(athi_stages *s, const char *part, athi_ensemble_score score) {
    const char *text = "";
    if (!isnan(score.loss))
        text = s->labelled ? athi_arena_printf(s->arena, ", %s accuracy %.4f", part, score.accuracy)
                           : athi_arena_printf(s->arena, ", %s loss %.5g", part, score.loss);
    return text ? text : "";
}

/* ---- the folder ---------------------------------------------------------------------------------- */

static const char *const contents[] = {"trials",      "retrain",      "train",        "models",
                                       "study.db",    "study.db-wal", "study.db-shm", "report.json",
                                       "report.html", "worker.json",  "sweeps"};

static ath_status empty_folder(athi_stages *s) {
    for (int i = 0; i < ATHI_COUNT(contents); i++) {
        const char *path = athi_stage_path(s, "%s", contents[i]);
        if (!path) return ATH_E_NOMEM;
        ATH_TRY(athi_remove_tree(s->ctx, path));
    }
    return ATH_OK;
}

static ath_status open_study(athi_stages *s) {
    athi_value *definition = NULL;
    ATH_TRY(athi_recipe_definition(s->recipe, s->arena, &definition));
    const char *path = s->opts->study ? s->opts->study : athi_stage_path(s, "study.db");
    if (!path) return ATH_E_NOMEM;
    athi_study_info info = {.name = s->recipe->name,
                            .n_objectives = s->objectives.n,
                            .maximize = s->objectives.maximize,
                            .objective_names = s->objectives.names,
                            .definition = definition,
                            .space = s->recipe->space,
                            .grown = s->opts->joins ? NULL : athi_recipe_grown,
                            .user = s->recipe,
                            .owner = athi_driver_name(s->arena, s->opts->joins ? NULL : s->opts->directory),
                            .alone = !s->opts->study};
    athi_setup setup = {.root = s->recipe->root,
                        .file = s->recipe->path,
                        .folder = s->recipe->folder,
                        .name = s->recipe->name,
                        .jobs = athi_stage_jobs(s)};
    if (!info.owner) return ATH_E_NOMEM;
    ATH_TRY(athi_store_open(s->ctx, path, &info, &s->store));
    if (athi_store_changes(s->store))
        athi_stage_say(s, "tune", "the space has grown: %s", athi_store_changes(s->store));
    return s->opts->joins || !s->recipe->tunes ? ATH_OK : athi_setup_keep(s->ctx, s->arena, s->store, &setup);
}

/* ---- the run ------------------------------------------------------------------------------------- */

/* Later stages need validation data, which is better known before the search than behind it. */
static ath_status check_parts(athi_stages *s) {
    const athi_recipe *r = s->recipe;
    if (s->data->validation.n) return r->retrains ? athi_data_can_join(s->ctx, s->data) : ATH_OK;
    char place[48];
    athi_value_place(athi_value_get(r->root, r->retrains ? "retrain" : "ensemble"), place);
    if (r->retrains)
        return athi_fail(
            s->ctx, ATH_E_OPTION,
            "%sretrain needs validation data to find the best epoch with; give data.validation, or write "
            "retrain: false",
            place);
    if (r->ensembles && r->tunes)
        return athi_fail(s->ctx, ATH_E_OPTION,
                         "%sensemble learns its weights on validation data; give data.validation, or leave ensemble "
                         "away",
                         place);
    return ATH_OK;
}

static ath_status run_stages(athi_stages *s, athi_value **report) {
    athi_value *bound = NULL;
    if (s->recipe->tunes) ATH_TRY(athi_runner_jobs_check(s->ctx, athi_stage_jobs(s)));
    ATH_TRY(athi_recipe_objective(s->recipe, &s->objectives));
    ATH_TRY(athi_recipe_bind(s->recipe, s->arena, NULL, s->recipe->seed, &bound));
    ATH_TRY(athi_place_in(s->ctx, athi_bound_data(s->ctx, bound, s->recipe->folder, s->opts->cache, &s->data),
                          s->recipe->path));
    ATH_TRY(athi_recipe_check(s->recipe, s->data));
    if (!s->opts->only_tune) ATH_TRY(athi_place_in(s->ctx, check_parts(s), s->recipe->path));
    if (!s->opts->only_tune) ATH_TRY(athi_stage_check_sweeps(s));
    if (s->opts->overwrite) ATH_TRY(empty_folder(s)); /* not before the recipe is known to be sound */
    ATH_TRY(open_study(s));
    if (!s->opts->only_tune && !s->opts->joins) ATH_TRY(athi_stage_sweeps(s));
    if (s->recipe->tunes) ATH_TRY(athi_stage_tune(s));
    if (s->opts->joins) return athi_join_report(s->arena, s->search, s->recipe->name, s->why, report);
    if (!s->opts->only_tune) {
        s->working = true;
        ATH_TRY(athi_stage_members(s));
        ATH_TRY(athi_stage_ensemble(s));
        ATH_TRY(athi_stage_quantize(s));
    }
    return athi_stage_report(s, report);
}

/* Workers are told them as JSON, which has no words for other bytes. */
static ath_status check_folders(const athi_recipe *recipe, const athi_run_opts *opts) {
    const char *const folders[] = {opts->directory, recipe->folder, opts->cache};
    for (int i = 0; i < ATHI_COUNT(folders); i++)
        if (folders[i] && !athi_is_utf8(folders[i]))
            return athi_fail(recipe->ctx, ATH_E_OPTION,
                             "%s: the name of this folder is not UTF-8; rename it, or choose another", folders[i]);
    return ATH_OK;
}

ath_status athi_run(const athi_recipe *recipe, athi_arena *arena, const athi_run_opts *opts, athi_value **report) {
    athi_stages s = {.ctx = recipe->ctx,
                     .arena = arena,
                     .recipe = recipe,
                     .opts = opts,
                     .begun = athi_now(),
                     .threads = recipe->ctx->threads};
    if (recipe->tunes) s.ctx->threads = athi_stage_threads(&s);
    int lock = -1;
    const bool made = !athi_file_exists(opts->directory);
    ATH_TRY(check_folders(recipe, opts));
    ATH_TRY(athi_make_dirs(s.ctx, opts->directory));
    const char *lock_path = athi_stage_path(&s, "lock");
    if (!lock_path) return ATH_E_NOMEM;
    if (!opts->joins) ATH_TRY(athi_lock_take(s.ctx, lock_path, &lock));
    ath_status status = run_stages(&s, report);
    athi_search_close(s.search);
    athi_store_close(s.store);
    athi_data_close(s.data);
    if (status != ATH_OK && made && !s.working) athi_folder_unmake(s.ctx, opts->directory);
    if (lock >= 0) athi_lock_release(lock);
    return status;
}
