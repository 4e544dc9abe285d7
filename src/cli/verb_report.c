/* report: the page of a study. */
#include "cli/cli.h"
#include "report/page.h"

const athi_flag athi_flags_report[] = {
    ATHI_FLAG_STUDY_ROW,
    {"out", ATHI_FLAG_TEXT, "FILE", "default: report.html in the run's folder, or beside the database"},
    {0},
};

/* "runs/a/report.html"; of another database "there/name.html". */
static const char *default_path(const athi_cli *cli, const athi_study *s) {
    if (s->folder) return athi_arena_printf(cli->arena, "%s/report.html", s->folder);
    const char *dot = strrchr(s->path, '.'), *slash = strrchr(s->path, '/');
    int length = (int)(dot && (!slash || dot > slash + 1) ? (size_t)(dot - s->path) : strlen(s->path));
    return athi_arena_printf(cli->arena, "%.*s.html", length, s->path);
}

static ath_status report(athi_cli *cli, athi_study *s) {
    const char *path = athi_cli_text(cli, "out", NULL);
    if (!path && strstr(s->path, "://"))
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "report: a study on a server has no folder; name a file: --out FILE");
    if (!path && !(path = default_path(cli, s))) return ATH_E_NOMEM;
    ATH_TRY(athi_cli_check_output(cli, path));
    ATH_TRY(athi_report_html(s, false, path));
    athi_cli_line("%lld trial%s: %s", (long long)s->n, ATHI_PLURAL(s->n), path);
    return ATH_OK;
}

ath_status athi_verb_report(athi_cli *cli) { return athi_cli_look(cli, report); }
