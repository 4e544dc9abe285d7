/* Allocation failures: oom_sweep(fn) runs fn with the first allocation failing, then the second, … until it
 * gets all it asks for. Each failure must come out as ATH_E_NOMEM, and nothing may stay allocated.
 *
 *     static ath_status work(ath_ctx *ctx) { …; return ATH_OK; }
 *     oom_sweep(work);
 *
 * fn frees what it makes, also when it fails. The library jansson allocates by itself and is not counted. */
#ifndef ATH_OOM_H
#define ATH_OOM_H

#include "test.h"

typedef struct oom_allocator {
    int64_t count;   /* allocations asked for */
    int64_t fail_at; /* the one that fails, from 1; 0: none */
    int64_t live;    /* allocated and not freed */
} oom_allocator;

static inline void *oom_alloc(void *user, size_t size) {
    oom_allocator *a = user;
    assert_true(size > 0);
    if (++a->count == a->fail_at) return NULL;
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xA5, size); /* nobody may count on zeroes from the hook */
    a->live++;
    return p;
}

static inline void oom_free(void *user, void *ptr) {
    oom_allocator *a = user;
    if (!ptr) return;
    a->live--;
    free(ptr);
}

/** One run with allocation `fail_at` failing (0: none); returns the status and sets whether it was reached.
 */
static inline ath_status oom_run(ath_status (*fn)(ath_ctx *ctx), int64_t fail_at, bool *reached) {
    oom_allocator state = {.fail_at = fail_at};
    ath_allocator hooks = {oom_alloc, oom_free, &state};
    ath_ctx *ctx = NULL;
    ath_status status = ath_ctx_create(
        &(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .allocator = &hooks, .threads = 1}, &ctx);
    if (status == ATH_OK) status = fn(ctx);
    *reached = fail_at > 0 && state.count >= fail_at;
    if (status != (*reached ? ATH_E_NOMEM : ATH_OK))
        fail_msg("allocation %lld of %lld failing: got %s: '%s'", (long long)fail_at, (long long)state.count,
                 ath_status_text(status), ath_errmsg(ctx));
    ath_ctx_destroy(ctx);
    if (state.live != 0)
        fail_msg("allocation %lld of %lld failing: %lld blocks leaked", (long long)fail_at,
                 (long long)state.count, (long long)state.live);
    return status;
}

static inline void oom_sweep(ath_status (*fn)(ath_ctx *ctx)) {
    bool reached = true;
    for (int64_t k = 1; reached; k++) oom_run(fn, k, &reached);
}

#endif
