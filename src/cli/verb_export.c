/* export: a study in the formats of others. */
#include "cli/cli.h"
#include "report/export.h"

const athi_flag athi_flags_export[] = {
    ATHI_FLAG_STUDY_ROW,
    {"format", ATHI_FLAG_TEXT, "csv|json|tensorboard|mlflow", "default: csv"},
    {"out", ATHI_FLAG_TEXT, "PATH", "of csv and json a file (default: standard output), else a new folder"},
    {0},
};

static ath_status export(athi_cli *cli, athi_study *s) {
    const athi_export_format *format = NULL;
    const char *out = athi_cli_text(cli, "out", NULL);
    ATH_TRY(athi_export_find(cli->ctx, athi_cli_text(cli, "format", "csv"), &format));
    if (format->folder && !out)
        return athi_fail(cli->ctx, ATH_E_OPTION,
                         "export: --format %s writes many files; name a new folder: --out FOLDER", format->name);
    if (format->folder) ATH_TRY(athi_export_folder(s, format, out));
    if (format->text && out) {
        ATH_TRY(athi_cli_check_output(cli, out));
        ATH_TRY(athi_cli_check_spared(cli, out, s->path));
        ATH_TRY(athi_export_file(s, format, out));
    }
    if (out) return athi_cli_line("%lld trial%s as %s: %s", (long long)s->n, ATHI_PLURAL(s->n), format->name, out), ATH_OK;
    athi_text text = {.ctx = cli->ctx};
    ath_status status = format->text(s, &text);
    if (status == ATH_OK) fwrite(text.text, 1, (size_t)text.length, stdout);
    athi_text_free(&text);
    return status;
}

ath_status athi_verb_export(athi_cli *cli) { return athi_cli_look(cli, export); }
