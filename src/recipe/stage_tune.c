/* The search over a recipe: workers are this program, started again as `athanor worker-process`. */
#include "recipe/stages.h"

#include "base/file.h"
#include "recipe/internal.h"
#include "recipe/sweep.h"

#include <stdio.h>
#include <unistd.h>

/* What every worker reads at its start. */
static ath_status write_setup(athi_stages *s, const char *path) {
    athi_value *setup = athi_value_new(s->arena, ATHI_MAP);
    if (!setup) return ATH_E_NOMEM;
    athi_text recipe = {.ctx = s->ctx}, text = {.ctx = s->ctx};
    ath_status status = athi_json_write(&recipe, s->recipe->root, 0);
    const struct {
        const char *key, *value;
    } entries[] = {{"recipe", recipe.text},
                   {"file", s->recipe->path ? s->recipe->path : s->recipe->name},
                   {"folder", s->recipe->folder},
                   {"cache", s->opts->cache},
                   {"objective", s->objectives.names[0]}};
    for (int i = 0; status == ATH_OK && i < ATHI_COUNT(entries); i++)
        if (entries[i].value)
            status = athi_value_set(s->arena, setup, entries[i].key, athi_value_string(s->arena, entries[i].value));
    if (status == ATH_OK)
        status = athi_value_set(s->arena, setup, "maximize", athi_value_bool(s->arena, s->objectives.maximize[0]));
    const athi_sweep_opts *sweep = s->opts->sweep && !s->opts->sweep->epochs ? s->opts->sweep : NULL;
    if (status == ATH_OK && sweep)
        status = athi_value_set(s->arena, setup, "timed_steps", athi_value_int(s->arena, sweep->steps));
    if (status == ATH_OK && sweep)
        status = athi_value_set(s->arena, setup, "warm_up", athi_value_int(s->arena, sweep->warm_up));
    if (status == ATH_OK) status = athi_json_write(&text, setup, 0);
    if (status == ATH_OK && (text.failed || recipe.failed)) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_write(s->ctx, path, text.text, text.length);
    athi_text_free(&recipe);
    athi_text_free(&text);
    return status;
}

int athi_stage_jobs(const athi_stages *s) {
    return athi_tune_jobs(&s->recipe->tune, s->opts->jobs, s->opts->threads);
}

int athi_stage_threads(const athi_stages *s) {
    return athi_tune_threads(&s->recipe->tune, athi_stage_jobs(s), s->opts->threads, s->threads);
}

/* ---- what people see ----------------------------------------------------------------------------- */

static void describe_point(athi_stages *s, const double *point, athi_text *out) {
    athi_value *map = NULL;
    if (athi_space_point_write(s->arena, s->recipe->space, point, &map) != ATH_OK) return;
    bool first = true;
    for (int64_t i = 0; i < map->n; i++) {
        if (s->opts->sweep && !athi_value_get(s->opts->sweep->over, map->keys[i])) continue;
        athi_text_printf(out, "%s%s ", first ? "" : ", ", map->keys[i]);
        first = false;
        if (map->items[i]->type == ATHI_STRING)
            athi_text_printf(out, "%s", map->items[i]->text);
        else
            athi_json_write(out, map->items[i], 0);
    }
}

static void on_event(void *user, const athi_search *search, const athi_task *task, const athi_value *event) {
    athi_stages *s = user;
    (void)search;
    char line[ATHI_EVENT_LINE];
    if (athi_tune_event_line(task, event, line)) athi_stage_say(s, "tune", "%s", line);
    if (!athi_value_get(event, "done")) return;
    const athi_trial *const *trials = NULL;
    int64_t n = 0;
    if (athi_store_trials(s->store, s->recipe->space, &trials, &n) != ATH_OK || task->trial >= n) return;
    const athi_trial *t = trials[task->trial];
    if (t->state != ATHI_TRIAL_COMPLETE) return;
    athi_text text = {.ctx = s->ctx};
    for (int k = 0; k < s->objectives.n; k++)
        athi_text_printf(&text, "%s%s %.4f", k ? ", " : "", s->objectives.names[k], t->values[k]);
    athi_text_printf(&text, "  (");
    describe_point(s, t->point, &text);
    athi_stage_say(s, "tune", "trial %lld: %s)", (long long)t->number, text.text ? text.text : "");
    athi_text_free(&text);
}

/* ---- the stage ----------------------------------------------------------------------------------- */

/* State of finished trials is kept for the best `keep` only: it is what fills disks. */
static ath_status drop_pruned(athi_stages *s) {
    const athi_trial *const *trials;
    int64_t n;
    ATH_TRY(athi_store_trials(s->store, s->recipe->space, &trials, &n));
    for (int64_t i = 0; i < n; i++) {
        const char *path = athi_stage_path(s, "trials/%lld/0/state.safetensors", (long long)trials[i]->number);
        if (!path) return ATH_E_NOMEM;
        if (trials[i]->state == ATHI_TRIAL_PRUNED) unlink(path);
    }
    return ATH_OK;
}

static ath_status drop_states(athi_stages *s) {
    ATH_TRY(drop_pruned(s));
    for (int64_t i = s->recipe->tune.keep; i < s->n_ranking; i++)
        for (int64_t e = 0; e < athi_tune_executions(&s->recipe->tune); e++) {
            const char *path = athi_stage_path(s, "trials/%lld/%lld/state.safetensors",
                                               (long long)s->ranking[i]->number, (long long)e);
            if (!path) return ATH_E_NOMEM;
            unlink(path);
        }
    return ATH_OK;
}

static void say_verdict(void *user, const char *line) { athi_stage_say(user, "tune", "%s", line); }

/* What the search has found out about its winner. */
static ath_status judge(athi_stages *s) {
    athi_value *verdict = athi_value_new(s->arena, ATHI_MAP);
    if (!verdict) return ATH_E_NOMEM;
    s->verdict = verdict;
    return athi_tune_verdict(s->ctx, s->arena, s->search, verdict, say_verdict, s);
}

static ath_status run_search(athi_stages *s, const char *setup) {
    char memory[32];
    snprintf(memory, sizeof memory, "%d", athi_stage_threads(s));
    const char *argv[] = {s->opts->program, "worker-process", "--setup", setup, "--threads", memory, NULL};
    athi_runner_opts runner = {.search = s->search,
                               .space = s->recipe->space,
                               .argv = argv,
                               .directory = s->opts->directory,
                               .jobs = athi_stage_jobs(s),
                               .threads = athi_stage_threads(s),
                               .limits = s->recipe->limits,
                               .progress = on_event,
                               .user = s,
                               .interrupted = s->opts->interrupted,
                               .begun = s->opts->begun};
    athi_runner_result result = {0};
    ath_status status = athi_runner_run(s->ctx, &runner, &result);
    s->why = result.why, s->peak_worker_bytes = result.peak_worker_bytes;
    return status;
}

/* Epochs of a training, where the recipe names a number. */
static int64_t whole_training(const athi_recipe *r) {
    const athi_value *epochs = athi_value_get(athi_value_get(r->root, "train"), "epochs");
    return !epochs ? 1 : epochs->type == ATHI_INT && !epochs->tag ? epochs->integer : 0;
}

ath_status athi_stage_tune(athi_stages *s) {
    double begin = athi_now();
    const char *setup = s->opts->joins ? athi_stage_path(s, "worker-%lld.json", (long long)getpid())
                                       : athi_stage_path(s, "worker.json");
    if (!setup) return ATH_E_NOMEM;
    ATH_TRY(write_setup(s, setup));
    athi_search_opts opts;
    ATH_TRY(athi_tune_search(s->ctx, s->arena, &s->recipe->tune, "tune.", s->recipe->space, s->recipe->seed, s->store,
                             &opts));
    opts.jobs = s->opts->study_jobs ? s->opts->study_jobs : athi_stage_jobs(s);
    opts.max_t = whole_training(s->recipe);
    s->inheritance = (athi_inheritance){s->ctx, s->opts->directory};
    opts.inherit = athi_runner_inherit, opts.inherit_user = &s->inheritance;
    if (opts.scheduler && athi_scheduler_forks(opts.scheduler))
        ATH_TRY(athi_recipe_fixed(s->recipe, s->arena, s->data, &opts.fixed));
    if (!(opts.owner = athi_driver_name(s->arena, s->opts->joins ? NULL : s->opts->directory))) return ATH_E_NOMEM;
    ATH_TRY(athi_search_open(s->ctx, &opts, &s->search));
    s->working = true;
    ath_status status = run_search(s, setup);
    if (s->opts->joins) unlink(setup);
    if (status != ATH_OK || s->opts->joins) return status;
    ATH_TRY(athi_search_ranking(s->search, s->arena, &s->ranking, &s->n_ranking));
    if (s->n_ranking == 0)
        return athi_fail(s->ctx, ATH_E_FAILED, "tune: no trial succeeded (%s): %s", s->why ? s->why : "",
                         athi_search_last_failure(s->search));
    ATH_TRY(drop_states(s));
    if (!s->opts->sweep) ATH_TRY(judge(s)); /* every point was given: there is no winner to doubt */
    s->tune_seconds = athi_now() - begin;
    return ATH_OK;
}
