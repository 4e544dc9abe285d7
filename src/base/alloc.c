/* Heap memory: every byte that the library owns passes through here, so that one hook sees it all. */
#include "base/base.h"

#include <stdlib.h>

static void *default_alloc(void *user, size_t size) {
    (void)user;
    size_t rounded = (size + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN; /* aligned_alloc wants a multiple */
    return rounded < size ? NULL : aligned_alloc(ATHI_ALIGN, rounded);
}

static void default_free(void *user, void *ptr) {
    (void)user;
    free(ptr);
}

ath_allocator athi_default_allocator(void) {
    return (ath_allocator){.alloc = default_alloc, .free = default_free};
}

void *athi_alloc_raw(ath_ctx *ctx, int64_t size) {
    if (size < 0) {
        athi_nomem(ctx, INT64_MAX);
        return NULL;
    }
    void *ptr = ctx->allocator.alloc(ctx->allocator.user, size ? (size_t)size : 1);
    if (!ptr) athi_nomem(ctx, size);
    return ptr;
}

void *athi_alloc(ath_ctx *ctx, int64_t size) {
    void *ptr = athi_alloc_raw(ctx, size);
    if (ptr) memset(ptr, 0, size ? (size_t)size : 1);
    return ptr;
}

void *athi_alloc_array(ath_ctx *ctx, int64_t n, int64_t size) {
    int64_t bytes;
    if (!athi_mul(n, size, &bytes)) {
        athi_nomem(ctx, INT64_MAX);
        return NULL;
    }
    return athi_alloc(ctx, bytes);
}

ath_status athi_realloc(ath_ctx *ctx, void **ptr, int64_t old_size, int64_t new_size) {
    void *grown = athi_alloc_raw(ctx, new_size);
    if (!grown) return ATH_E_NOMEM;
    int64_t kept = *ptr ? ATHI_MIN(old_size, new_size) : 0;
    if (kept > 0) memcpy(grown, *ptr, (size_t)kept);
    memset((char *)grown + kept, 0, (size_t)(new_size - kept));
    athi_free(ctx, *ptr);
    *ptr = grown;
    return ATH_OK;
}

void athi_free(ath_ctx *ctx, void *ptr) {
    if (ptr) ctx->allocator.free(ctx->allocator.user, ptr);
}

char *athi_strdup(ath_ctx *ctx, const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = athi_alloc_raw(ctx, (int64_t)n);
    return copy ? memcpy(copy, text, n) : NULL;
}

bool athi_mul(int64_t a, int64_t b, int64_t *out) {
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return false;
    *out = a * b;
    return true;
}

bool athi_add(int64_t a, int64_t b, int64_t *out) {
    if (a < 0 || b < 0 || a > INT64_MAX - b) return false;
    *out = a + b;
    return true;
}

ath_status athi_grow(ath_ctx *ctx, void **array, int64_t n, int64_t *cap, int64_t element_size) {
    if (n < *cap) return ATH_OK;
    int64_t wanted = *cap ? *cap : 8, bytes;
    while (wanted <= n && wanted <= INT64_MAX / 2) wanted *= 2;
    if (wanted <= n || !athi_mul(wanted, element_size, &bytes)) return athi_nomem(ctx, INT64_MAX);
    ATH_TRY(athi_realloc(ctx, array, *cap * element_size, bytes));
    *cap = wanted;
    return ATH_OK;
}
