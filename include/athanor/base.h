/* Statuses, the context, allocation and logging: what every other header builds on.
 *
 *     ath_ctx *ctx = NULL;
 *     if (ath_ctx_create(NULL, &ctx) != ATH_OK) return 1;
 *     if (ath_model_compile(model, ...) != ATH_OK) fprintf(stderr, "%s\n", ath_errmsg(ctx));
 *     ath_ctx_destroy(ctx);
 *
 * A context belongs to one thread at a time; objects made with it must not outlive it. */
#ifndef ATHANOR_BASE_H
#define ATHANOR_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATH_API __attribute__((visibility("default")))

#define ATH_VERSION_MAJOR 0
#define ATH_VERSION_MINOR 1
#define ATH_VERSION_PATCH 0

/** The library's version as text, e.g. "0.1.0". Never NULL. */
ATH_API const char *ath_version(void);

/* One row a status: name, value, what it means. Values are stable. */
#define ATH_STATUS_LIST(X)                                                                                   \
    X(OK, 0, "success")                                                                                      \
    X(E_NOMEM, 1, "out of memory")                                                                           \
    X(E_SHAPE, 2, "shapes do not fit")                                                                       \
    X(E_OPTION, 3, "an option is unknown or out of range")                                                   \
    X(E_SYNTAX, 4, "a file is not in the format it should have")                                             \
    X(E_DATA, 5, "data is missing, damaged or out of range")                                                 \
    X(E_IO, 6, "reading or writing failed")                                                                  \
    X(E_STATE, 7, "the object is not in a state that allows the call")                                       \
    X(E_UNSUPPORTED, 8, "no kernel or reader can do this")                                                   \
    X(E_BUSY, 9, "somebody else holds it")                                                                   \
    X(E_INTERRUPTED, 10, "stopped on request, state saved")                                                  \
    X(E_NOTFOUND, 11, "no such thing")                                                                       \
    X(E_FAILED, 12, "a computation failed")

typedef enum ath_status {
#define ATH_STATUS_ENUM(name, value, text) ATH_##name = value,
    ATH_STATUS_LIST(ATH_STATUS_ENUM)
#undef ATH_STATUS_ENUM
} ath_status;

/** What a status means in general; the sentence on the context says what happened. Never NULL. */
ATH_API const char *ath_status_text(ath_status status);

/** Where all heap memory of a context comes from. `size` is never 0; alignment is at least 64 bytes. */
typedef struct ath_allocator {
    void *(*alloc)(void *user, size_t size); /* NULL when there is no memory */
    void (*free)(void *user, void *ptr);     /* ptr may be NULL */
    void *user;
} ath_allocator;

typedef enum ath_log_level { ATH_LOG_DEBUG, ATH_LOG_INFO, ATH_LOG_WARNING, ATH_LOG_ERROR } ath_log_level;

typedef struct ath_ctx ath_ctx;

/** Options of a context; all zero means the defaults. */
typedef struct ath_ctx_opts {
    size_t struct_size;
    const ath_allocator *allocator;                                 /* NULL: aligned malloc */
    void (*log)(void *user, ath_log_level level, const char *line); /* NULL: silent */
    void *log_user;
    int threads;         /* 0: one per core that the process may use */
    const char *backend; /* NULL: the best that can run; see `athanor list backends` */
} ath_ctx_opts;

/** Makes a context. opts may be NULL. Errors: ATH_E_NOMEM; ATH_E_OPTION (struct_size 0, threads not in 0..1024).
 *  A backend's name is checked by the first call that chooses kernels. */
ATH_API ath_status ath_ctx_create(const ath_ctx_opts *opts, ath_ctx **ctx);
/** Frees the context; NULL is allowed. */
ATH_API void ath_ctx_destroy(ath_ctx *ctx);
/** The sentence of the last failure on this context, "" if there was none. Valid until the next call. */
ATH_API const char *ath_errmsg(const ath_ctx *ctx);

/** A named thing with options, where an option names one: an activation, an initialiser, a regulariser, a
 *  learning-rate schedule. `opts` points to the option struct of that row or is NULL for its defaults. */
typedef struct ath_spec {
    const char *name; /* NULL: not given */
    const void *opts; /* borrowed until the call returns */
} ath_spec;

/** A boolean whose default is not false. */
typedef enum ath_switch { ATH_DEFAULT = 0, ATH_ON = 1, ATH_OFF = 2 } ath_switch;

/** A few integers: `.kernel_size = ATH_INTS(3, 3)`. */
typedef struct ath_ints {
    int64_t n, v[8];
} ath_ints;
#define ATH_INTS(...)                                                                                       \
    ((ath_ints){(int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

/** Numbers: `.values = ATH_FLOATS(0.1, 0.01)`. Borrowed until the call returns. */
typedef struct ath_floats {
    int64_t n;
    const double *v;
} ath_floats;
#define ATH_FLOATS(...)                                                                                     \
    ((ath_floats){(int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__}})

#ifdef __cplusplus
}
#endif
#endif
