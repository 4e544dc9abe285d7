/* Arenas: objects of one lifetime in growing chunks. Under AddressSanitizer the unused parts are poisoned and
 * objects stand a gap apart, so that a stale or overrunning pointer is found where it is used. */
#include "base/base.h"

#include <stdio.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATHI_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ATHI_ASAN 1
#endif

#ifdef ATHI_ASAN
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20, HEADER = ATHI_ALIGN };

typedef struct chunk chunk;
struct chunk {          /* the first HEADER bytes of an allocation */
    chunk *next;        /* the one filled before it */
    int64_t size, used; /* bytes behind the header */
};

struct athi_arena {
    ath_ctx *ctx;
    chunk *head; /* where small objects go */
    int64_t next_size;
    int64_t bytes;
};

static_assert(sizeof(chunk) <= HEADER, "a chunk's header fits before its data");

static unsigned char *chunk_data(chunk *c) { return (unsigned char *)c + HEADER; }

static chunk *chunk_create(athi_arena *a, int64_t size) {
    int64_t whole;
    if (!athi_add(size, HEADER, &whole)) {
        athi_nomem(a->ctx, INT64_MAX);
        return NULL;
    }
    chunk *c = athi_alloc_raw(a->ctx, whole);
    if (!c) return NULL;
    *c = (chunk){.size = size};
    ASAN_POISON_MEMORY_REGION(chunk_data(c), (size_t)size);
    a->bytes += whole;
    return c;
}

static void chunk_destroy(athi_arena *a, chunk *c) {
    ASAN_UNPOISON_MEMORY_REGION(chunk_data(c), (size_t)c->size);
    a->bytes -= c->size + HEADER;
    athi_free(a->ctx, c);
}

athi_arena *athi_arena_create(ath_ctx *ctx) {
    athi_arena *a = athi_alloc(ctx, (int64_t)sizeof *a);
    if (!a) return NULL;
    a->ctx = ctx;
    a->next_size = FIRST_CHUNK;
    return a;
}

void athi_arena_destroy(athi_arena *a) {
    if (!a) return;
    while (a->head) {
        chunk *next = a->head->next;
        chunk_destroy(a, a->head);
        a->head = next;
    }
    athi_free(a->ctx, a);
}

void athi_arena_reset(athi_arena *a) {
    while (a->head && a->head->next) {
        chunk *next = a->head->next;
        chunk_destroy(a, a->head);
        a->head = next;
    }
    if (!a->head) return;
    a->head->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk_data(a->head), (size_t)a->head->size);
}

/* A place in `c`, or NULL when it is full. */
static void *chunk_take(chunk *c, int64_t size, int64_t align) {
    int64_t start = (c->used + align - 1) / align * align;
    if (start > c->size || size > c->size - start) return NULL;
    c->used = ATHI_MIN(start + size + GAP, c->size);
    unsigned char *p = chunk_data(c) + start;
    ASAN_UNPOISON_MEMORY_REGION(p, (size_t)size);
    return memset(p, 0, (size_t)size);
}

static void *take(athi_arena *a, int64_t size, int64_t align) {
    if (size < 0) {
        athi_nomem(a->ctx, INT64_MAX);
        return NULL;
    }
    if (size == 0) size = 1;
    void *p = a->head ? chunk_take(a->head, size, align) : NULL;
    if (p) return p;
    bool large = size > a->next_size / 4; /* a chunk of its own; the current one goes on being filled */
    chunk *c = chunk_create(a, large ? size : a->next_size);
    if (!c) return NULL;
    if (large && a->head) {
        c->next = a->head->next;
        a->head->next = c;
    } else {
        c->next = a->head;
        a->head = c;
    }
    if (!large) a->next_size = ATHI_MIN(a->next_size * 2, (int64_t)LARGEST_CHUNK);
    return chunk_take(c, size, align);
}

bool athi_arena_reserve(athi_arena *a, int64_t size) {
    if (a->head) return true;
    a->head = chunk_create(a, ATHI_MAX(size, FIRST_CHUNK));
    return a->head != NULL;
}

void *athi_arena_alloc(athi_arena *arena, int64_t size) { return take(arena, size, 16); }
void *athi_arena_aligned(athi_arena *arena, int64_t size) { return take(arena, size, ATHI_ALIGN); }

void *athi_arena_array(athi_arena *arena, int64_t n, int64_t size) {
    int64_t bytes;
    if (!athi_mul(n, size, &bytes)) {
        athi_nomem(arena->ctx, INT64_MAX);
        return NULL;
    }
    return athi_arena_alloc(arena, bytes);
}

void *athi_arena_memdup(athi_arena *arena, const void *data, int64_t size) {
    void *copy = athi_arena_alloc(arena, size);
    if (copy && size > 0) memcpy(copy, data, (size_t)size);
    return copy;
}

char *athi_arena_strndup(athi_arena *arena, const char *text, int64_t n) {
    n = (int64_t)strnlen(text, (size_t)n);
    char *copy = athi_arena_alloc(arena, n + 1);
    if (copy) memcpy(copy, text, (size_t)n);
    return copy;
}

char *athi_arena_strdup(athi_arena *arena, const char *text) {
    return text ? athi_arena_memdup(arena, text, (int64_t)strlen(text) + 1) : NULL;
}

char *athi_arena_printf(athi_arena *arena, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = athi_vsnprintf(NULL, 0, fmt, args);
    char *text = n < 0 ? NULL : athi_arena_alloc(arena, (int64_t)n + 1);
    if (text) athi_vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

ath_ctx *athi_arena_ctx(const athi_arena *arena) { return arena->ctx; }
int64_t athi_arena_bytes(const athi_arena *arena) { return arena->bytes; }
