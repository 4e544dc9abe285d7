/* worker, which takes part in a study; and the worker processes that a run starts itself. */
#include "cli/cli.h"
#include "recipe/recipe.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const athi_flag athi_flags_worker[] = {
    {"dir", ATHI_FLAG_TEXT, "FOLDER",
     "where trials work (default: the folder of STUDY if it is one here, else athanor-worker-<host>-<process>)"},
    {"jobs", ATHI_FLAG_COUNT, "N", "trials at a time (default: 1)"},
    {"threads", ATHI_FLAG_COUNT, "N", "threads of each trial (default: as the search says)"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* A folder that holds a study.db, such a file itself, or a URL. */
static ath_status find_study(athi_cli *cli, const char *given, const char **study, const char **folder) {
    struct stat about;
    char host[64] = "";
    *study = given;
    gethostname(host, sizeof host - 1);
    *folder = athi_arena_printf(cli->arena, "athanor-worker-%s-%lld", host, (long long)getpid());
    if (stat(given, &about) == 0 && S_ISDIR(about.st_mode)) {
        *study = athi_arena_printf(cli->arena, "%s/study.db", given);
        *folder = given;
    } else if (stat(given, &about) == 0) {
        const char *slash = strrchr(given, '/');
        *folder = slash ? athi_arena_strndup(cli->arena, given, ATHI_MAX(slash - given, 1)) : ".";
    }
    *folder = athi_cli_text(cli, "dir", *folder);
    return *study && *folder ? ATH_OK : ATH_E_NOMEM;
}

static void on_event(void *user, const athi_run_event *event) {
    athi_cli *cli = user;
    cli->started = true;
    athi_cli_line("%-9s %s", "worker", event->what);
}

ath_status athi_verb_worker(athi_cli *cli) {
    athi_value *report = NULL;
    athi_run_opts opts = {.cache = athi_cli_cache(cli->arena),
                          .program = athi_cli_program(cli->arena),
                          .jobs = (int)athi_cli_count(cli, "jobs", 1),
                          .threads = (int)athi_cli_count(cli, "threads", 0),
                          .event = on_event,
                          .user = cli,
                          .interrupted = cli->interrupted,
                          .begun = &cli->started};
    if (!opts.program) return ATH_E_NOMEM;
    ATH_TRY(find_study(cli, cli->arguments[0], &opts.study, &opts.directory));
    signal(SIGPIPE, SIG_IGN); /* a process that dies is a failed trial, not our end */
    ATH_TRY(athi_join(cli->ctx, cli->arena, &opts, &report));
    if (athi_cli_has(cli, "json")) return athi_cli_json(cli, report);
    athi_cli_line("the search has ended (%s); executions that ran here: %lld", athi_value_get(report, "ended")->text,
                  (long long)athi_value_get(report, "executions")->integer);
    return ATH_OK;
}

/* ---- what a run starts itself -------------------------------------------------------------------- */

const athi_flag athi_flags_worker_process[] = {
    {"setup", ATHI_FLAG_TEXT, "FILE", "worker.json of a run's folder"},
    {"threads", ATHI_FLAG_COUNT, "N", "processor threads"},
    {0},
};

ath_status athi_verb_worker_process(athi_cli *cli) {
    const char *setup = athi_cli_text(cli, "setup", NULL);
    if (!setup)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "worker-process: --setup FILE is missing; `athanor run` starts these itself");
    signal(SIGPIPE, SIG_IGN); /* a runner that is gone is told in a sentence */
    return athi_worker_serve(cli->ctx, setup, STDIN_FILENO, STDOUT_FILENO, cli->interrupted);
}
