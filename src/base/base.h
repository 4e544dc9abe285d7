/* The foundation: contexts, statuses with sentences, allocation, arenas.
 * Every internal header includes this one; it includes nothing of ours but the public base header. */
#ifndef ATHI_BASE_H
#define ATHI_BASE_H

#include "athanor/base.h"

#include <assert.h>
#include <string.h>

enum { ATHI_ERRMSG_MAX = 2048, ATHI_ALIGN = 64 };
/** Bytes up to the next multiple of ATHI_ALIGN. */
static inline int64_t athi_aligned(int64_t bytes) { return (bytes + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN; }

struct ath_ctx {
    ath_allocator allocator;
    void (*log)(void *user, ath_log_level level, const char *line);
    void *log_user;
    int threads;         /* >= 1 */
    const char *backend; /* "" : choose */
    char errmsg[ATHI_ERRMSG_MAX];
};

#define ATHI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATHI_COUNT(array)      ((int)(sizeof(array) / sizeof((array)[0])))
#define ATHI_MIN(a, b)         ((a) < (b) ? (a) : (b))
#define ATHI_MAX(a, b)         ((a) > (b) ? (a) : (b))

/** Processors that this process may run on. */
int athi_usable_cores(void);

/* ---- statuses ------------------------------------------------------------------------------------ */

/** Stores the sentence on the context and returns the status. ctx may be NULL. */
ath_status athi_fail(ath_ctx *ctx, ath_status status, const char *fmt, ...) ATHI_PRINTF(3, 4);
ath_status athi_failv(ath_ctx *ctx, ath_status status, const char *fmt, va_list args);
/** Puts "<where>: " before the sentence that the context holds, and returns the status. */
ath_status athi_fail_prefix(ath_ctx *ctx, ath_status status, const char *fmt, ...) ATHI_PRINTF(3, 4);
ath_status athi_nomem(ath_ctx *ctx, int64_t bytes);

#define ATH_TRY(expr)                                                                                                \
    do {                                                                                                             \
        ath_status status_ = (expr);                                                                                 \
        if (status_ != ATH_OK) return status_;                                                                       \
    } while (0)

/* For clean-up at one place: ATH_GOTO(status, done, call(...)). */
#define ATH_GOTO(status, label, expr)                                                                                \
    do {                                                                                                             \
        (status) = (expr);                                                                                           \
        if ((status) != ATH_OK) goto label;                                                                          \
    } while (0)

/* ---- heap memory --------------------------------------------------------------------------------- */

/** size bytes (0 counts as 1), 64-byte aligned, zeroed; NULL (and a sentence on ctx) when there are none. */
void *athi_alloc(ath_ctx *ctx, int64_t size);
/** The same, not zeroed. */
void *athi_alloc_raw(ath_ctx *ctx, int64_t size);
/** n * size with overflow check. */
void *athi_alloc_array(ath_ctx *ctx, int64_t n, int64_t size);
/** Grows *ptr (from athi_alloc) from old_size to new_size bytes; on failure *ptr stays as it was. */
ath_status athi_realloc(ath_ctx *ctx, void **ptr, int64_t old_size, int64_t new_size);
void athi_free(ath_ctx *ctx, void *ptr);
char *athi_strdup(ath_ctx *ctx, const char *text);
/** What a context uses that names none: aligned malloc. */
ath_allocator athi_default_allocator(void);

/** a * b and a + b, false on overflow or a negative operand. */
bool athi_mul(int64_t a, int64_t b, int64_t *out);
bool athi_add(int64_t a, int64_t b, int64_t *out);

/* Threads of a context: where OpenMP cannot start as many as are asked for it ends the program. */
enum { ATHI_THREADS_MAX = 1024 };

/** Ensures room for one more element in a growing array: ATHI_GROW(ctx, array, n, cap). */
#define ATHI_GROW(ctx, array, n, cap) athi_grow((ctx), (void **)&(array), (n), &(cap), (int64_t)sizeof(*(array)))
ath_status athi_grow(ath_ctx *ctx, void **array, int64_t n, int64_t *cap, int64_t element_size);

/* ---- arenas -------------------------------------------------------------------------------------- */
/*
 *  chunk        chunk              chunk
 *  [objects...] [objects.........] [objects....|free]     Objects of one lifetime (a graph, a pass, a run),
 *                                                         freed together; the addresses stay. */
typedef struct athi_arena athi_arena;
athi_arena *athi_arena_create(ath_ctx *ctx);
void athi_arena_destroy(athi_arena *arena);
/** Makes room for `size` bytes of an empty arena's objects as one piece; false with the sentence on ctx. */
bool athi_arena_reserve(athi_arena *arena, int64_t size);
/** Zeroed, 16-byte aligned (64 from athi_arena_aligned); NULL with the sentence on ctx. */
void *athi_arena_alloc(athi_arena *arena, int64_t size);
void *athi_arena_aligned(athi_arena *arena, int64_t size);
void *athi_arena_array(athi_arena *arena, int64_t n, int64_t size);
char *athi_arena_strdup(athi_arena *arena, const char *text);
char *athi_arena_strndup(athi_arena *arena, const char *text, int64_t n);
char *athi_arena_printf(athi_arena *arena, const char *fmt, ...) ATHI_PRINTF(2, 3);
void *athi_arena_memdup(athi_arena *arena, const void *data, int64_t size);
/** Frees all objects, keeps the first chunk. */
void athi_arena_reset(athi_arena *arena);
ath_ctx *athi_arena_ctx(const athi_arena *arena);
int64_t athi_arena_bytes(const athi_arena *arena);

/* ---- text ---------------------------------------------------------------------------------------- */

/** A growing text; `text` is NULL until something is added. A failed allocation sets `failed`. */
typedef struct athi_text {
    ath_ctx *ctx;
    char *text;
    int64_t length, cap;
    bool failed;
} athi_text;
void athi_text_printf(athi_text *t, const char *fmt, ...) ATHI_PRINTF(2, 3);
void athi_text_add(athi_text *t, const char *data, int64_t n);
void athi_text_free(athi_text *t);

/** vsnprintf and strtod with a decimal point whatever the calling program's locale. */
int athi_vsnprintf(char *out, size_t size, const char *fmt, va_list args);
double athi_strtod(const char *text, char **end);

/** The name in `names` (stride bytes apart, each a const char *) nearest to `wanted`, or NULL if none is near. */
const char *athi_nearest(const char *wanted, const void *names, int64_t n, size_t stride);
/** The shortest decimal text that reads back to the same double, "nan", "inf", "-inf". */
char *athi_format_double(double value, char out[32]);
/* The same as an argument of a sentence. */
#define ATHI_SHORTEST(value) athi_format_double(value, (char[32]){0})
/* Of a counted word: "%lld trial%s". */
#define ATHI_PLURAL(n) ((n) == 1 ? "" : "s")

/* ---- logging ------------------------------------------------------------------------------------- */
void athi_log(ath_ctx *ctx, ath_log_level level, const char *fmt, ...) ATHI_PRINTF(3, 4);

#endif
