/* The formats, and how their files come to be. */
#include "report/export.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

const athi_export_format athi_export_formats[] = {
    {"csv", "a row a trial: state, reason, objectives, constraints, parameters, times, executions", athi_export_csv,
     NULL},
    {"json", "the same and every report of every execution", athi_export_json, NULL},
    {"tensorboard", "event files: a run a trial with its scalars, and the HParams plugin's table", NULL,
     athi_export_tensorboard},
    {"mlflow", "MLflow's file store: an experiment with a run a trial", NULL, athi_export_mlflow},
    {0},
};

ath_status athi_export_find(ath_ctx *ctx, const char *name, const athi_export_format **format) {
    for (const athi_export_format *f = athi_export_formats; f->name; f++)
        if (strcmp(f->name, name) == 0) return *format = f, ATH_OK;
    const char *near =
        athi_nearest(name, athi_export_formats, ATHI_COUNT(athi_export_formats) - 1, sizeof athi_export_formats[0]);
    return athi_fail(ctx, ATH_E_OPTION,
                     "export: there is no format '%s'%s%s%s; there are csv, json, tensorboard, mlflow", name,
                     near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- a text -------------------------------------------------------------------------------------- */

ath_status athi_export_file(const athi_study *s, const athi_export_format *format, const char *path) {
    athi_text text = {.ctx = s->ctx};
    ath_status status = format->text(s, &text);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_file_write(s->ctx, path, text.text, text.length);
    athi_text_free(&text);
    return status;
}

/* ---- a folder ------------------------------------------------------------------------------------ */

static ath_status check_free(ath_ctx *ctx, const char *folder) {
    DIR *d = opendir(folder);
    bool empty = true;
    if (!d && errno == ENOENT) return ATH_OK;
    if (!d) return athi_fail(ctx, ATH_E_IO, "%s: %s; name a folder that does not exist yet", folder, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) empty = empty && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."));
    closedir(d);
    if (empty) return ATH_OK;
    return athi_fail(ctx, ATH_E_STATE,
                     "%s: the folder holds something already, and an export is not mixed with it; remove it or name "
                     "another",
                     folder);
}

ath_status athi_export_folder(const athi_study *s, const athi_export_format *format, const char *folder) {
    athi_text part = {.ctx = s->ctx};
    ATH_TRY(check_free(s->ctx, folder));
    athi_text_printf(&part, "%s.part", folder);
    if (part.failed) return athi_text_free(&part), ATH_E_NOMEM;
    ath_status status = athi_remove_tree(s->ctx, part.text); /* of an export that was killed */
    if (status == ATH_OK) status = athi_make_dirs(s->ctx, part.text);
    if (status == ATH_OK) status = format->folder(s, part.text);
    if (status == ATH_OK && rename(part.text, folder) != 0)
        status = athi_fail(s->ctx, ATH_E_IO, "%s: cannot be renamed to %s: %s", part.text, folder, strerror(errno));
    if (status != ATH_OK) {
        char sentence[ATHI_ERRMSG_MAX];
        memcpy(sentence, s->ctx->errmsg, sizeof sentence);
        (void)athi_remove_tree(s->ctx, part.text); /* the first failure is what is told */
        memcpy(s->ctx->errmsg, sentence, sizeof sentence);
    }
    athi_text_free(&part);
    return status;
}
