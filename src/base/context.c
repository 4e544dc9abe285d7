/* Contexts: their life, the sentence of the last failure, and logging.
 * A sentence is built in a buffer of its own, because its arguments may lie in the old sentence. */
#include "base/base.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int athi_usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than cpu_set_t holds */
    return online > 0 ? (int)online : 1;
}

ath_status ath_ctx_create(const ath_ctx_opts *opts, ath_ctx **out) {
    *out = NULL;
    ath_ctx_opts given = {0};
    if (opts) {
        if (opts->struct_size < sizeof(size_t)) return ATH_E_OPTION;
        memcpy(&given, opts, ATHI_MIN(opts->struct_size, sizeof given));
    }
    if (given.threads < 0 || given.threads > ATHI_THREADS_MAX) return ATH_E_OPTION;
    ath_ctx first = {.allocator = given.allocator ? *given.allocator : athi_default_allocator(),
                     .log = given.log,
                     .log_user = given.log_user,
                     .threads = given.threads ? given.threads : ATHI_MIN(athi_usable_cores(), ATHI_THREADS_MAX),
                     .backend = ""};
    ath_ctx *ctx = athi_alloc(&first, (int64_t)sizeof *ctx);
    if (!ctx) return ATH_E_NOMEM;
    *ctx = first;
    ctx->backend = athi_strdup(ctx, given.backend ? given.backend : "");
    if (!ctx->backend) {
        athi_free(&first, ctx);
        return ATH_E_NOMEM;
    }
    *out = ctx;
    return ATH_OK;
}

void ath_ctx_destroy(ath_ctx *ctx) {
    if (!ctx) return;
    ath_ctx last = *ctx; /* the allocator must outlive the context's own memory */
    athi_free(&last, (void *)(uintptr_t)ctx->backend);
    athi_free(&last, ctx);
}

const char *ath_errmsg(const ath_ctx *ctx) { return ctx ? ctx->errmsg : ""; }

/* Copies a sentence that may have been cut: no half UTF-8 character at its end. */
static void store(ath_ctx *ctx, const char *text) {
    size_t n = strlen(text);
    if (n == ATHI_ERRMSG_MAX - 1) {
        while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80) n--;
        if (n > 0 && ((unsigned char)text[n - 1] & 0x80)) n--;
    }
    memcpy(ctx->errmsg, text, n);
    ctx->errmsg[n] = 0;
}

ath_status athi_failv(ath_ctx *ctx, ath_status status, const char *fmt, va_list args) {
    if (!ctx) return status;
    char text[ATHI_ERRMSG_MAX];
    athi_vsnprintf(text, sizeof text, fmt, args);
    store(ctx, text);
    return status;
}

ath_status athi_fail(ath_ctx *ctx, ath_status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    athi_failv(ctx, status, fmt, args);
    va_end(args);
    return status;
}

ath_status athi_fail_prefix(ath_ctx *ctx, ath_status status, const char *fmt, ...) {
    if (!ctx) return status;
    char where[ATHI_ERRMSG_MAX / 2], text[ATHI_ERRMSG_MAX];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(where, sizeof where, fmt, args);
    va_end(args);
    int n = snprintf(text, sizeof text, "%s: ", where);
    int64_t room = (int64_t)sizeof text - n, have = (int64_t)strlen(ctx->errmsg) + 1;
    memcpy(text + n, ctx->errmsg, (size_t)ATHI_MIN(room, have));
    text[sizeof text - 1] = 0;
    store(ctx, text);
    return status;
}

ath_status athi_nomem(ath_ctx *ctx, int64_t bytes) {
    return athi_fail(ctx, ATH_E_NOMEM,
                     "out of memory: %lld bytes were wanted; use a smaller batch or fewer jobs, or free memory",
                     (long long)bytes);
}
