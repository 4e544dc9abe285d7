/* run and tune. */
#include "cli/cli.h"
#include "recipe/recipe.h"
#include "report/page.h"
#include "report/sweep.h"

#include <stdlib.h>

const athi_flag athi_flags_run[] = {
    {"dir", ATHI_FLAG_TEXT, "FOLDER", "where the run lives (default: runs/<name>); the same recipe goes on there"},
    {"jobs", ATHI_FLAG_COUNT, "N", "worker processes (default: tune.jobs)"},
    {"threads", ATHI_FLAG_COUNT, "N", "threads of each worker (default: tune.threads)"},
    ATHI_FLAG_SET_ROW,
    {"overwrite", ATHI_FLAG_SWITCH, NULL, "begin from nothing: what the folder holds of an earlier run is removed"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* What follows a run: lines, and the page of its study. */
typedef struct watcher {
    athi_cli *cli;
    athi_live_page page; /* without a folder: none is written */
} watcher;

static watcher watch(athi_cli *cli, const char *folder, const char *name) {
    const char *database = athi_cli_text(cli, "study", NULL);
    return (watcher){cli, {.ctx = cli->ctx, .folder = folder, .database = database, .name = database ? name : NULL}};
}

static void on_event(void *user, const athi_run_event *event) {
    watcher *w = user;
    w->cli->started = true;
    athi_cli_line("%-9s %s", event->stage, event->what);
    if (w->page.folder) athi_live_page_write(&w->page, false);
}

/* However it ended: the page shows what there is. */
static ath_status end_watching(watcher *w, ath_status status) {
    if (w->page.folder && (status == ATH_OK || w->cli->started)) athi_live_page_write(&w->page, true);
    athi_live_page_close(&w->page);
    return status;
}

static ath_status run_recipe(athi_cli *cli, const athi_recipe *recipe, bool only_tune) {
    if (only_tune && !recipe->tunes)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "%s: no section `tune`: say what to search, e.g. tune: {objective: val_accuracy}, or use "
                         "`athanor train`",
                         recipe->path);
    athi_value *report = NULL;
    athi_run_opts opts;
    ATH_TRY(athi_cli_run_opts(cli, recipe->name, &opts));
    const char *directory = opts.directory;
    bool page = recipe->tunes || recipe->n_sweeps;
    watcher w = watch(cli, page ? directory : NULL, recipe->name);
    opts.only_tune = only_tune;
    opts.event = on_event, opts.user = &w;
    ATH_TRY(end_watching(&w, athi_run(recipe, cli->arena, &opts, &report)));
    cli->started = true;
    ATH_TRY(athi_sweep_files(cli->ctx, cli->arena, directory, report));
    ATH_TRY(athi_cli_has(cli, "json") ? athi_cli_json(cli, report) : athi_cli_table(cli, report));
    athi_cli_line("the whole report: %s/report.json%s", directory, page ? "; as a page: report.html" : "");
    return ATH_OK;
}

static ath_status read_and_run(athi_cli *cli, bool only_tune) {
    athi_recipe *recipe = NULL;
    ATH_TRY(athi_recipe_read(cli->ctx, cli->arguments[0], cli->sets, cli->n_sets, &recipe));
    ath_status status = run_recipe(cli, recipe, only_tune);
    athi_recipe_destroy(recipe);
    return status;
}

ath_status athi_verb_run(athi_cli *cli) { return read_and_run(cli, false); }

/* ---- tune ---------------------------------------------------------------------------------------- */

const athi_flag athi_flags_tune[] = {
    {"dir", ATHI_FLAG_TEXT, "FOLDER", "where the run lives (default: runs/<name>); the same command goes on there"},
    {"jobs", ATHI_FLAG_COUNT, "N", "trials at a time (default: the file's jobs)"},
    {"threads", ATHI_FLAG_COUNT, "N", "threads of each trial (default: the file's threads)"},
    {"study", ATHI_FLAG_TEXT, "URL",
     "where the trials are kept: a file, or postgresql://…; others join with `worker` "
     "(default: study.db in the folder)"},
    ATHI_FLAG_SET_ROW,
    ATHI_FLAG_PARAM_ROW,
    {"simulate", ATHI_FLAG_TEXT, "CURVES",
     "recorded learning curves (CSV) in place of trainings, on simulated workers and their clock"},
    {"dry-run", ATHI_FLAG_SWITCH, NULL, "of a command: run the defaults once and show what was understood"},
    {"overwrite", ATHI_FLAG_SWITCH, NULL, "begin from nothing: what the folder holds of an earlier run is removed"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* Of several objectives: a line a trial of the front. */
static ath_status show_front(athi_cli *cli, const athi_value *report, const char *directory) {
    const athi_value *front = athi_value_get(report, "front");
    const int64_t trials = athi_value_get(report, "trials")->integer;
    printf("Pareto front of %lld trial%s:\n", (long long)trials, ATHI_PLURAL(trials));
    for (int64_t i = 0; i < front->n; i++) {
        const athi_value *parts[] = {athi_value_get(front->items[i], "values"),
                                     athi_value_get(front->items[i], "params")};
        athi_text line = {.ctx = cli->ctx};
        for (int p = 0; p < ATHI_COUNT(parts); p++)
            for (int64_t k = 0; k < parts[p]->n; k++) {
                athi_text_printf(&line, "%s%s ", k ? ", " : p ? "  (" : " ", parts[p]->keys[k]);
                athi_json_write(&line, parts[p]->items[k], 0);
            }
        if (line.failed) return athi_text_free(&line), ATH_E_NOMEM;
        printf("  trial %lld:", (long long)athi_value_get(front->items[i], "trial")->integer);
        athi_cli_plain(stdout, line.text);
        printf(")\n");
        athi_text_free(&line);
    }
    printf("report: %s/report.json\n", directory);
    return ATH_OK;
}

static ath_status show_best(athi_cli *cli, const athi_value *report, const char *directory) {
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
    if (athi_value_get(report, "front")) return show_front(cli, report, directory);
    const athi_value *best = athi_value_get(report, "best"), *params = athi_value_get(best, "params");
    athi_text text = {.ctx = cli->ctx};
    const char *objective = athi_value_get(report, "objective")->text;
    const int64_t trials = athi_value_get(report, "trials")->integer;
    athi_text_printf(&text, "best of %lld trial%s: trial %lld, %s ", (long long)trials, ATHI_PLURAL(trials),
                     (long long)athi_value_get(best, "trial")->integer, objective);
    ath_status written = athi_json_write(&text, athi_value_get(athi_value_get(best, "values"), objective), 0);
    if (written == ATH_OK && text.failed) written = ATH_E_NOMEM;
    if (written == ATH_OK) athi_cli_plain(stdout, text.text), putchar('\n');
    athi_text_free(&text);
    ATH_TRY(written);
    athi_cli_params(cli, params);
    const char *study = athi_cli_text(cli, "study", NULL);
    if (study && !(study = athi_store_shown(cli->arena, study))) return ATH_E_NOMEM;
    const char *word = athi_cli_word(cli, study ? study : directory);
    if (!word) return ATH_E_NOMEM;
    if (study)
        athi_cli_line("the study: athanor show %s; as a page: %s/report.html", word, directory);
    else
        athi_cli_line("the study: %s/study.db (athanor show %s); as a page: %s/report.html", directory, word,
                      directory);
    return ATH_OK;
}

/* Threads: a command keeps the environment's number, unless several run side by side and nothing is said there. */
static int command_threads(const athi_cli *cli, const athi_space_file *file, int jobs) {
    int given = (int)athi_cli_count(cli, "threads", file->tune.threads);
    return given > 0 || jobs == 1 || getenv("OMP_NUM_THREADS")
               ? given
               : athi_tune_threads(&file->tune, jobs, 0, cli->ctx->threads);
}

static ath_status run_command(athi_cli *cli, const athi_space_file *file) {
    athi_value *report = NULL;
    bool dry = athi_cli_has(cli, "dry-run");
    athi_run_opts opts;
    ATH_TRY(athi_cli_run_opts(cli, file->name, &opts));
    const char *directory = opts.directory;
    watcher w = watch(cli, dry ? NULL : directory, file->name);
    opts.jobs = athi_tune_jobs(&file->tune, opts.jobs, opts.threads);
    opts.threads = command_threads(cli, file, opts.jobs);
    opts.event = on_event, opts.user = &w;
    ATH_TRY(end_watching(&w, athi_tune_command(file, cli->arena, &opts, cli->command, dry, &report)));
    cli->started = true;
    if (dry && !athi_cli_has(cli, "json")) return ATH_OK;
    return show_best(cli, report, directory);
}

static ath_status tune_command(athi_cli *cli) {
    athi_space_file *file = NULL;
    int n_sets, n_params;
    const char *const *sets = athi_cli_texts(cli, "set", &n_sets), *const *params =
                                                                       athi_cli_texts(cli, "param", &n_params);
    if (!sets || !params) return ATH_E_NOMEM;
    if (!cli->command[0])
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "tune: a command must follow --, such as -- python train.py --lr {lr}");
    const char *path = cli->n_arguments ? cli->arguments[0] : NULL;
    ATH_TRY(athi_space_file_read(cli->ctx, path, sets, n_sets, params, n_params, &file));
    ath_status status = run_command(cli, file);
    athi_space_file_destroy(file);
    return status;
}

ath_status athi_verb_tune(athi_cli *cli) {
    static const char *const of_commands[] = {"param", "dry-run"};
    if (athi_cli_has(cli, "simulate")) return athi_tune_simulated(cli);
    if (athi_cli_has(cli, "overwrite") && athi_cli_has(cli, "study"))
        return athi_fail(
            cli->ctx, ATH_E_OPTION,
            "tune: --overwrite empties the run's folder, but the trials lie where --study says, and others may "
            "work on them; name a new study, or remove that one yourself");
    if (cli->command) return tune_command(cli);
    for (int i = 0; i < ATHI_COUNT(of_commands); i++)
        if (athi_cli_has(cli, of_commands[i]))
            return athi_fail(cli->ctx, ATH_E_OPTION,
                             "tune: --%s is for commands: athanor tune [SPACE] -- COMMAND {name}", of_commands[i]);
    if (!cli->n_arguments)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "tune: expected a RECIPE, or a command: athanor tune [SPACE] -- COMMAND {name}");
    return read_and_run(cli, true);
}
