/* Studies in the formats of others. A text goes to standard output or into a file; a folder is made beside and renamed,
 * so that it is there whole or not at all.
 *
 *   export.c  the rows, the folder     export_text.c  CSV, JSON     tensorboard.c, proto.c  event files
 *   mlflow.c  MLflow's file store */
#ifndef ATHI_REPORT_EXPORT_H
#define ATHI_REPORT_EXPORT_H

#include "report/study.h"

typedef struct athi_export_format {
    const char *name, *doc;
    ath_status (*text)(const athi_study *study, athi_text *out);       /* one text, or */
    ath_status (*folder)(const athi_study *study, const char *folder); /* files in a new folder */
} athi_export_format;

extern const athi_export_format athi_export_formats[]; /* ended by a row without name */
/** ATH_E_OPTION with the nearest name. */
ath_status athi_export_find(ath_ctx *ctx, const char *name, const athi_export_format **format);
/** Writes into `folder`, which must not exist or be empty. */
ath_status athi_export_folder(const athi_study *study, const athi_export_format *format, const char *folder);
ath_status athi_export_file(const athi_study *study, const athi_export_format *format, const char *path);

ath_status athi_export_csv(const athi_study *study, athi_text *out);
ath_status athi_export_json(const athi_study *study, athi_text *out);
/** The same without the reports: what `athanor show --json` prints. */
ath_status athi_export_json_short(const athi_study *study, athi_text *out);
ath_status athi_export_tensorboard(const athi_study *study, const char *folder);
ath_status athi_export_mlflow(const athi_study *study, const char *folder);

#endif
