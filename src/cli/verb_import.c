/* import: a study of another program becomes one of ours. */
#include "cli/cli.h"
#include "tune/foreign.h"

#include <sys/stat.h>

const athi_flag athi_flags_import[] = {
    {"study-name", ATHI_FLAG_TEXT, "NAME", "which study, where SOURCE holds several"},
    {"name", ATHI_FLAG_TEXT, "NAME",
     "what it is called in STUDY (default: as in SOURCE); `tune` goes on with the one of its name"},
    {"objective", ATHI_FLAG_TEXT, "METRIC", "what was optimised, where SOURCE does not say it"},
    {0},
};

/* A file or a URL; a folder means the study.db in it. */
static ath_status find_target(athi_cli *cli, athi_import_opts *opts) {
    static const char ending[] = ".db";
    struct stat about;
    const char *given = cli->arguments[1];
    const size_t n = strlen(given);
    opts->target = given;
    if (strstr(given, "://")) return ATH_OK;
    const bool is_file = stat(given, &about) == 0
                             ? !S_ISDIR(about.st_mode)
                             : n >= sizeof ending && !strcmp(given + n + 1 - sizeof ending, ending);
    if (is_file) return ATH_OK;
    opts->folder = given;
    opts->target = athi_arena_printf(cli->arena, "%s/study.db", given);
    return opts->target ? ATH_OK : ATH_E_NOMEM;
}

static ath_status say(athi_cli *cli, const athi_foreign *f, const char *shown) {
    int64_t complete = 0;
    const char *word = athi_cli_word(cli, shown);
    if (!word) return ATH_E_NOMEM;
    for (int64_t i = 0; i < f->n; i++) complete += f->trials[i].state == ATHI_TRIAL_COMPLETE;
    athi_cli_line("imported %lld trial%s, %lld complete; look at them with: athanor show %s", (long long)f->n,
                  ATHI_PLURAL(f->n), (long long)complete, word);
    return ATH_OK;
}

ath_status athi_verb_import(athi_cli *cli) {
    athi_foreign found = {0};
    athi_import_opts opts = {.source = cli->arguments[0],
                             .study = athi_cli_text(cli, "study-name", NULL),
                             .objective = athi_cli_text(cli, "objective", NULL),
                             .name = athi_cli_text(cli, "name", NULL)};
    ATH_TRY(find_target(cli, &opts));
    ath_status status = athi_import(cli->ctx, cli->arena, &opts, &found);
    const char *shown = athi_store_shown(cli->arena, cli->arguments[1]);
    if (status == ATH_OK) status = shown ? say(cli, &found, shown) : ATH_E_NOMEM;
    athi_foreign_free(&found);
    return status;
}
