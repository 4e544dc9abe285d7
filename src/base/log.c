/* Log lines go to the context's function; without one they go nowhere. */
#include "base/base.h"

void athi_log(ath_ctx *ctx, ath_log_level level, const char *fmt, ...) {
    if (!ctx || !ctx->log) return;
    char line[ATHI_ERRMSG_MAX];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    ctx->log(ctx->log_user, level, line);
}
