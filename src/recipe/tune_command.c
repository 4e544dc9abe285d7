/* `athanor tune … -- COMMAND`: the folder, the study, the search and its report around the runner. */
#include "recipe/internal.h"

#include "base/file.h"
#include "tune/runner.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct tuning {
    ath_ctx *ctx;
    athi_arena *arena, *scratch;
    const athi_space_file *file;
    const athi_run_opts *opts;
    athi_command command;
    athi_inheritance inheritance;
    const char *directory; /* absolute: the command may change its own */
    const char *owner;     /* of the leases; NULL in a dry run */
    bool dry, made;        /* made: the folder, just now */
    athi_store *store;
    athi_search *search;
    const athi_trial **ranking;
    int64_t n_ranking;
    athi_runner_result result;
} tuning;

static void say(const tuning *t, const char *fmt, ...) ATHI_PRINTF(2, 3);
static void say(const tuning *t, const char *fmt, ...) {
    char line[2048];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    athi_run_event event = {t->dry ? "dry run" : "tune", line, NULL};
    if (t->opts->event) t->opts->event(t->opts->user, &event);
}

/* ---- what people see ----------------------------------------------------------------------------- */

/* "lr 0.01, optimizer adam"; what would break the line is written as JSON does. */
static void describe(const tuning *t, const double *point, athi_text *out) {
    athi_value *map = NULL;
    if (athi_space_point_write(t->scratch, t->file->space, point, &map) != ATH_OK) return;
    for (int64_t i = 0; i < map->n; i++) {
        const athi_value *v = map->items[i];
        athi_text_printf(out, "%s%s ", i ? ", " : "", map->keys[i]);
        if (v->type == ATHI_STRING && !strpbrk(v->text, "\n\r\t\033\""))
            athi_text_printf(out, "%s", v->text);
        else
            athi_json_write(out, v, 0);
    }
}

static void say_report(const tuning *t, const athi_value *event) {
    const athi_value *values = athi_value_get(event, "values"), *step = athi_value_get(event, "step");
    athi_text text = {.ctx = t->ctx};
    if (athi_json_write(&text, values, 0) == ATH_OK && !text.failed && step)
        say(t, "report of step %lld: %s", (long long)step->integer, text.text);
    else if (!text.failed && text.text)
        say(t, "final value: %s", text.text);
    athi_text_free(&text);
}

static void on_event(void *user, const athi_search *search, const athi_task *task, const athi_value *event) {
    tuning *t = user;
    (void)search;
    athi_arena_reset(t->scratch);
    char line[ATHI_EVENT_LINE];
    if (athi_tune_event_line(task, event, line)) say(t, "%s", line);
    if (t->dry && athi_value_get(event, "values")) say_report(t, event);
    if (!athi_value_get(event, "done") || task->trial < 0) return;
    const athi_trial *const *trials = NULL;
    int64_t n = 0;
    if (athi_store_trials(t->store, t->file->space, &trials, &n) != ATH_OK || task->trial >= n) return;
    const athi_trial *trial = trials[task->trial];
    athi_text text = {.ctx = t->ctx};
    for (int k = 0; k < t->file->objectives.n; k++)
        athi_text_printf(&text, "%s%s %.6g", k ? ", " : "", t->file->objectives.names[k], trial->values[k]);
    athi_text_printf(&text, "  (");
    describe(t, trial->point, &text);
    if (trial->state == ATHI_TRIAL_COMPLETE)
        say(t, "trial %lld: %s)", (long long)trial->number, text.text ? text.text : "");
    else if (trial->state == ATHI_TRIAL_FAILED)
        say(t, "trial %lld failed (%s): %s", (long long)trial->number, athi_reason_name(trial->reason),
            trial->message ? trial->message : "");
    athi_text_free(&text);
}

static ath_status say_understood(tuning *t, const double *point) {
    const char *const *argv = NULL;
    char **variables = NULL;
    int64_t n = 0;
    athi_task task = {.point = point, .seed = athi_seed_derive(t->file->seed, 0, 0)};
    const char *folder = athi_arena_printf(t->arena, "%s/trials/0/0", t->directory);
    if (!folder) return ATH_E_NOMEM;
    ATH_TRY(athi_command_argv(t->ctx, t->arena, &t->command, &task, folder, &argv));
    ATH_TRY(athi_command_variables(t->ctx, t->arena, &t->command, &task, folder, &variables, &n));
    athi_text text = {.ctx = t->ctx};
    for (int64_t i = 0; argv[i]; i++) {
        athi_text_printf(&text, i ? " " : "");
        athi_command_quote(argv[i], &text);
    }
    if (!text.failed) say(t, "command: %s", text.text);
    athi_text_free(&text);
    for (int64_t i = 0; i < n; i++) say(t, "environment: %s", variables[i]);
    for (int k = 0; k < t->file->objectives.n; k++)
        say(t, "objective: %s, which is made %s", t->file->objectives.names[k],
            t->file->objectives.maximize[k] ? "large" : "small");
    return ATH_OK;
}

/* ---- the report ---------------------------------------------------------------------------------- */

static ath_status trial_value(tuning *t, const athi_trial *best, athi_value **out) {
    athi_value *map = athi_value_new(t->arena, ATHI_MAP), *values = athi_value_new(t->arena, ATHI_MAP),
               *params = NULL;
    if (!map || !values) return ATH_E_NOMEM;
    ATH_TRY(athi_space_point_write(t->arena, t->file->space, best->point, &params));
    for (int k = 0; k < t->file->objectives.n; k++)
        ATH_TRY(athi_value_set(t->arena, values, t->file->objectives.names[k],
                               athi_value_float(t->arena, best->values[k])));
    ATH_TRY(athi_value_set(t->arena, map, "trial", athi_value_int(t->arena, best->number)));
    ATH_TRY(athi_value_set(t->arena, map, "values", values));
    ATH_TRY(athi_value_set(t->arena, map, "params", params));
    *out = map;
    return ATH_OK;
}

/* Of one objective its name and the best trial; of several their names and the Pareto front. */
static ath_status put_names(tuning *t, athi_value *map) {
    athi_value *list = athi_value_new(t->arena, ATHI_LIST);
    if (t->file->objectives.n == 1)
        return athi_value_set(t->arena, map, "objective", athi_value_string(t->arena, t->file->objectives.names[0]));
    for (int k = 0; k < t->file->objectives.n; k++)
        ATH_TRY(athi_value_append(t->arena, list, athi_value_string(t->arena, t->file->objectives.names[k])));
    return athi_value_set(t->arena, map, "objectives", list);
}

static ath_status put_best(tuning *t, athi_value *map) {
    athi_value *one = NULL, *list = athi_value_new(t->arena, ATHI_LIST);
    int64_t n = t->file->objectives.n > 1 ? athi_search_front(t->search, t->ranking, t->n_ranking) : 1;
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        ATH_TRY(trial_value(t, t->ranking[i], &one));
        ATH_TRY(athi_value_append(t->arena, list, one));
    }
    return t->file->objectives.n == 1 ? athi_value_set(t->arena, map, "best", one)
                                      : athi_value_set(t->arena, map, "front", list);
}

static void say_verdict(void *user, const char *line) { say(user, "%s", line); }

static ath_status make_report(tuning *t, athi_value **report) {
    const athi_trial *const *trials;
    int64_t n, failed = 0;
    athi_value *map = athi_value_new(t->arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_store_trials(t->store, t->file->space, &trials, &n));
    for (int64_t i = 0; i < n; i++) failed += trials[i]->state == ATHI_TRIAL_FAILED;
    ATH_TRY(athi_value_set(t->arena, map, "name", athi_value_string(t->arena, t->file->name)));
    ATH_TRY(put_names(t, map));
    ATH_TRY(athi_value_set(t->arena, map, "trials", athi_value_int(t->arena, n)));
    ATH_TRY(athi_value_set(t->arena, map, "failed", athi_value_int(t->arena, failed)));
    ATH_TRY(athi_value_set(t->arena, map, "ended", athi_value_string(t->arena, t->result.why ? t->result.why : "")));
    ATH_TRY(athi_search_ranking(t->search, t->arena, &t->ranking, &t->n_ranking));
    if (!t->n_ranking)
        return athi_fail(t->ctx, ATH_E_FAILED, "tune: no trial succeeded (%s): %s",
                         t->result.why ? t->result.why : "", athi_search_last_failure(t->search));
    ATH_TRY(put_best(t, map));
    if (!t->dry) ATH_TRY(athi_tune_verdict(t->ctx, t->arena, t->search, map, say_verdict, t));
    athi_text text = {.ctx = t->ctx};
    ath_status status = athi_json_write(&text, map, 2);
    const char *path = athi_arena_printf(t->arena, "%s/report.json", t->directory);
    if (status == ATH_OK && (text.failed || !path)) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_write(t->ctx, path, text.text, text.length);
    athi_text_free(&text);
    *report = map;
    return status;
}

/* ---- the search ---------------------------------------------------------------------------------- */

static ath_status open_search(tuning *t, int jobs) {
    athi_search_opts opts;
    ATH_TRY(athi_tune_search(t->ctx, t->arena, &t->file->tune, "", t->file->space, t->file->seed, t->store, &opts));
    opts.jobs = jobs, opts.no_pause = !t->file->tune.resumable;
    opts.owner = t->owner;
    t->inheritance = (athi_inheritance){t->ctx, t->directory};
    opts.inherit = athi_runner_inherit, opts.inherit_user = &t->inheritance;
    if (t->dry) opts.max_trials = opts.executions = 1, opts.n_points = 0;
    ATH_TRY(athi_search_open(t->ctx, &opts, &t->search));
    if (!t->dry) return ATH_OK;
    double *point = athi_arena_array(t->arena, t->file->space->n, (int64_t)sizeof *point);
    if (!point) return ATH_E_NOMEM;
    athi_space_default(t->file->space, point);
    ATH_TRY(say_understood(t, point));
    return athi_search_enqueue(t->search, point);
}

static ath_status search(tuning *t) {
    const athi_tune_opts *o = &t->file->tune;
    int jobs = t->dry ? 1 : athi_tune_jobs(o, t->opts->jobs, t->opts->threads);
    const char *study =
        t->opts->study && !t->dry ? t->opts->study : athi_arena_printf(t->arena, "%s/study.db", t->directory);
    athi_setup setup = {.root = t->file->root,
                        .file = t->file->path,
                        .folder = "",
                        .name = t->file->name,
                        .command = t->command.argv,
                        .jobs = jobs};
    if (!study) return ATH_E_NOMEM;
    ATH_TRY(athi_runner_jobs_check(t->ctx, jobs));
    if (!t->dry && !(t->owner = athi_driver_name(t->arena, t->opts->joins ? NULL : t->directory))) return ATH_E_NOMEM;
    ATH_TRY(athi_space_file_study(t->file, study, t->command.argv, t->opts->joins ? NULL : t->owner, !t->opts->study,
                                  &t->store));
    if (athi_store_changes(t->store)) say(t, "the space has grown: %s", athi_store_changes(t->store));
    if (!t->opts->joins) ATH_TRY(athi_setup_keep(t->ctx, t->arena, t->store, &setup));
    ATH_TRY(open_search(t, t->opts->study_jobs ? t->opts->study_jobs : jobs));
    athi_runner_opts runner = {.search = t->search,
                               .space = t->file->space,
                               .command = &t->command,
                               .directory = t->directory,
                               .jobs = jobs,
                               .threads = t->opts->threads > 0 ? t->opts->threads : (int)o->threads,
                               .limits = t->file->limits,
                               .progress = on_event,
                               .user = t,
                               .interrupted = t->opts->interrupted,
                               .begun = t->opts->begun};
    return athi_runner_run(t->ctx, &runner, &t->result);
}

/* ---- the folder ---------------------------------------------------------------------------------- */

static ath_status empty_folder(tuning *t) {
    static const char *const contents[] = {"trials",       "study.db",    "study.db-wal",
                                           "study.db-shm", "report.json", "report.html"};
    for (int i = 0; i < ATHI_COUNT(contents); i++) {
        const char *path = athi_arena_printf(t->arena, "%s/%s", t->directory, contents[i]);
        if (!path) return ATH_E_NOMEM;
        ATH_TRY(athi_remove_tree(t->ctx, path));
    }
    return ATH_OK;
}

static ath_status make_folder(tuning *t) {
    const char *folder = t->dry ? athi_arena_printf(t->arena, "%s/dry-run", t->opts->directory) : t->opts->directory;
    if (!folder) return ATH_E_NOMEM;
    t->made = !athi_file_exists(folder);
    ATH_TRY(athi_make_dirs(t->ctx, folder));
    char *real = realpath(folder, NULL);
    t->directory = athi_arena_strdup(t->arena, real ? real : folder);
    free(real); /* the C library's, not ours */
    return t->directory ? ATH_OK : ATH_E_NOMEM;
}

static ath_status tune(tuning *t, athi_value **report) {
    int lock = -1;
    ATH_TRY(athi_command_check(t->ctx, &t->command));
    ATH_TRY(make_folder(t));
    const char *path = athi_arena_printf(t->arena, "%s/lock", t->directory);
    if (!path) return ATH_E_NOMEM;
    if (!t->opts->joins) ATH_TRY(athi_lock_take(t->ctx, path, &lock));
    ath_status status = t->opts->overwrite || t->dry ? empty_folder(t) : ATH_OK;
    if (status == ATH_OK) status = search(t);
    if (status == ATH_OK)
        status = t->opts->joins ? athi_join_report(t->arena, t->search, t->file->name, t->result.why, report)
                                : make_report(t, report);
    const bool begun = t->search != NULL;
    athi_search_close(t->search);
    athi_store_close(t->store);
    if (status != ATH_OK && t->made && !begun) athi_folder_unmake(t->ctx, t->directory);
    if (lock >= 0) athi_lock_release(lock);
    return status;
}

ath_status athi_tune_command(const athi_space_file *file, athi_arena *arena, const athi_run_opts *opts,
                             const char *const *command, bool dry, athi_value **report) {
    tuning t = {.ctx = file->ctx, .arena = arena, .file = file, .opts = opts, .dry = dry};
    t.command = (athi_command){.argv = command,
                               .space = file->space,
                               .objectives = file->objectives.names,
                               .n_objectives = file->objectives.n,
                               .resumable = file->tune.resumable};
    *report = NULL;
    if (!(t.scratch = athi_arena_create(t.ctx))) return ATH_E_NOMEM;
    ath_status status = tune(&t, report);
    athi_arena_destroy(t.scratch);
    return status;
}
