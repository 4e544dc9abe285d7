/* run, tune and the worker that they start. */
#include "cli/cli.h"
#include "recipe/recipe.h"
#include "report/table.h"

#include <signal.h>
#include <unistd.h>

const athi_flag athi_flags_run[] = {
    {"dir", ATHI_FLAG_TEXT, "FOLDER", "where the run lives (default: runs/<name>); the same recipe goes on there"},
    {"jobs", ATHI_FLAG_COUNT, "N", "worker processes (default: tune.jobs)"},
    {"threads", ATHI_FLAG_COUNT, "N", "threads of each worker (default: tune.threads)"},
    ATHI_FLAG_SET_ROW,
    {"overwrite", ATHI_FLAG_SWITCH, NULL, "begin from nothing: what the folder holds of an earlier run is removed"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

static void on_event(void *user, const athi_run_event *event) {
    athi_cli *cli = user;
    cli->started = true;
    athi_cli_line("%-9s %s", event->stage, event->what);
}

static ath_status show_report(athi_cli *cli, const athi_value *report) {
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
    athi_text text = {.ctx = cli->ctx};
    athi_report_table(&text, report, athi_cli_utf8(stdout));
    if (!text.failed && text.text) printf("%s", text.text);
    ath_status status = text.failed ? ATH_E_NOMEM : ATH_OK;
    athi_text_free(&text);
    return status;
}

static ath_status run_recipe(athi_cli *cli, const athi_recipe *recipe, bool only_tune) {
    if (only_tune && !recipe->tunes)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "%s: no section `tune`: say what to search, e.g. tune: {objective: val_accuracy}, or use "
                         "`athanor train`",
                         recipe->path);
    athi_value *report = NULL;
    const char *directory = athi_cli_text(cli, "dir", athi_arena_printf(cli->arena, "runs/%s", recipe->name));
    athi_run_opts opts = {.directory = directory,
                          .cache = athi_cli_cache(cli->arena),
                          .program = athi_cli_program(cli->arena),
                          .jobs = (int)athi_cli_count(cli, "jobs", 0),
                          .threads = (int)athi_cli_count(cli, "threads", 0),
                          .only_tune = only_tune,
                          .overwrite = athi_cli_has(cli, "overwrite"),
                          .event = on_event,
                          .user = cli,
                          .interrupted = cli->interrupted};
    if (!directory || !opts.program) return ATH_E_NOMEM;
    signal(SIGPIPE, SIG_IGN); /* a worker that dies is a failed trial, not our end */
    ATH_TRY(athi_run(recipe, cli->arena, &opts, &report));
    cli->started = true;
    ATH_TRY(show_report(cli, report));
    athi_cli_line("the whole report: %s/report.json", directory);
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
ath_status athi_verb_tune(athi_cli *cli) { return read_and_run(cli, true); }

/* ---- the worker ---------------------------------------------------------------------------------- */

const athi_flag athi_flags_worker[] = {
    {"setup", ATHI_FLAG_TEXT, "FILE", "worker.json of a run's folder"},
    {"threads", ATHI_FLAG_COUNT, "N", "processor threads"},
    {0},
};

ath_status athi_verb_worker(athi_cli *cli) {
    const char *setup = athi_cli_text(cli, "setup", NULL);
    if (!setup)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "worker: --setup FILE is missing; `athanor run` starts workers itself");
    signal(SIGPIPE, SIG_IGN); /* a runner that is gone is told in a sentence */
    return athi_worker_serve(cli->ctx, setup, STDIN_FILENO, STDOUT_FILENO, cli->interrupted);
}
