/* Places in sentences. Below the recipe a place reads "line 12, column 14: " and stands where the value was
 * read; what a person gets begins with "file:12:14: ", which editors jump to. */
#include "recipe/internal.h"

#include <stdio.h>

ath_status athi_fail_at(ath_ctx *ctx, const athi_value *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ath_status status = athi_failv(ctx, ATH_E_OPTION, fmt, args);
    va_end(args);
    return athi_placed(ctx, status, at);
}

ath_status athi_fail_key(ath_ctx *ctx, const athi_value *map, int64_t key, const char *fmt, ...) {
    athi_value at = {.line = map->key_lines[key], .column = map->key_columns[key]};
    va_list args;
    va_start(args, fmt);
    ath_status status = athi_failv(ctx, ATH_E_OPTION, fmt, args);
    va_end(args);
    return athi_placed(ctx, status, at.line ? &at : map);
}

/* The first "line L, column C: " of a text, NULL if there is none; its end in *end. */
static const char *find_place(const char *text, int *line, int *column, const char **end) {
    for (const char *p = text; (p = strstr(p, "line ")); p++) {
        int n = 0;
        if (sscanf(p, "line %9d, column %9d: %n", line, column, &n) != 2 || n == 0) continue;
        *end = p + n;
        return p;
    }
    return NULL;
}

ath_status athi_placed(ath_ctx *ctx, ath_status status, const athi_value *at) {
    int line, column;
    const char *end;
    if (status == ATH_OK || status == ATH_E_NOMEM || !at || at->line < 1) return status;
    if (find_place(ctx->errmsg, &line, &column, &end)) return status;
    return athi_fail_prefix(ctx, status, "line %d, column %d", at->line, at->column);
}

ath_status athi_sentence(ath_ctx *ctx, ath_status status, const char *name) {
    int line, column;
    const char *end;
    if (status == ATH_OK || status == ATH_E_NOMEM || find_place(ctx->errmsg, &line, &column, &end))
        return athi_place_in(ctx, status, name);
    return athi_fail_prefix(ctx, status, "%s", name);
}

ath_status athi_place_in(ath_ctx *ctx, ath_status status, const char *name) {
    char text[ATHI_ERRMSG_MAX];
    int line, column;
    const char *end, *place;
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    snprintf(text, sizeof text, "%s", ctx->errmsg);
    place = find_place(text, &line, &column, &end);
    if (!place) return status;
    return athi_fail(ctx, status, "%s:%d:%d: %.*s%s", name, line, column, (int)(place - text), text, end);
}
