/* log.jsonl: one JSON object an epoch; and cutting line files back to what the state has seen. */
#include "train/internal.h"

#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

double athi_epoch_value(const athi_epoch *e, const char *name, bool *found) {
    for (int i = 0; i < e->n; i++)
        if (strcmp(e->names[i], name) == 0) return *found = true, e->values[i];
    return *found = false, (double)NAN;
}

ath_status athi_line_append(ath_ctx *ctx, const char *path, const char *line, int64_t n) {
    FILE *f = fopen(path, "ae");
    bool ok = f && fwrite(line, 1, (size_t)n, f) == (size_t)n;
    if (f && fclose(f) != 0) ok = false;
    if (ok) return ATH_OK;
    return athi_fail(ctx, ATH_E_IO, "%s: %s while writing the log; mend that and start again, nothing is lost", path,
                     strerror(errno));
}

ath_status athi_lines_keep(ath_ctx *ctx, const char *path, int64_t n) {
    char *text = NULL;
    int64_t size = 0, end = 0, lines = 0;
    if (!athi_file_exists(path)) return ATH_OK;
    ATH_TRY(athi_file_read(ctx, path, false, INT64_MAX, &text, &size));
    for (; end < size && lines < n; end++) lines += text[end] == '\n';
    athi_free(ctx, text);
    if (end < size && truncate(path, end) != 0)
        return athi_fail(ctx, ATH_E_IO, "%s: cannot be cut back: %s", path, strerror(errno));
    return ATH_OK;
}

ath_status athi_log_append(ath_ctx *ctx, const char *path, const athi_epoch *e) {
    athi_text line = {.ctx = ctx};
    char number[32];
    athi_text_printf(&line, "{\"epoch\":%lld,\"step\":%lld", (long long)e->epoch, (long long)e->step);
    for (int i = 0; i < e->n; i++) {
        athi_format_double(e->values[i], number);
        const char *quote = isfinite(e->values[i]) ? "" : "\"";
        athi_text_printf(&line, ",\"%s\":%s%s%s", e->names[i], quote, number, quote);
    }
    athi_text_add(&line, "}\n", 2);
    ath_status status = line.failed ? ATH_E_NOMEM : athi_line_append(ctx, path, line.text, line.length);
    athi_text_free(&line);
    return status;
}
