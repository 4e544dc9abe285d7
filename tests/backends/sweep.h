/* The sweep over ops.def: what a case declares, and the checks that run on it.
 *
 * A case becomes a small program: its inputs are variables, the op's floating outputs are written to
 * variables, and for ops with a gradient the loss is sum(output * random numbers). One run then leaves
 * outputs, loss and gradients in two buffers, which are compared between types, with finite differences and
 * between backends. */
#ifndef ATHI_SWEEP_H
#define ATHI_SWEEP_H

#include "passes/passes.h"

enum { SWEEP_INPUTS = 6, SWEEP_KINKS = 4 };

/* How an input is filled. */
typedef enum sweep_fill {
    SWEEP_UNIFORM,  /* in [low, high], no nearer to a kink than 0.05 */
    SWEEP_DISTINCT, /* as uniform, and any two values differ clearly (so that a maximum has no ties) */
    SWEEP_GRID,     /* multiples of 0.2, odd inputs 0.1 beside them: no value of two inputs is equal */
    SWEEP_TIES,     /* multiples of 0.5: many are equal */
    SWEEP_SIMPLEX,  /* rows of positive numbers that sum to 1 */
    SWEEP_ONE_HOT,  /* rows with one 1 */
    SWEEP_BITS,     /* 0 or 1 */
    SWEEP_INTEGERS, /* low <= i < high */
    SWEEP_COUNTERS, /* {seed, step} */
} sweep_fill;

typedef struct sweep_input {
    athi_shape shape;
    double low, high;
    ath_dtype dtype; /* f32 stands for the floating type of the run */
    sweep_fill fill;
    bool fixed; /* no gradient with respect to it */
    int n_kinks;
    double kinks[SWEEP_KINKS];
} sweep_input;

typedef struct sweep_case sweep_case;
struct sweep_case {
    athi_op op;
    const char *note; /* what is special, for messages; NULL: nothing */
    sweep_input in[SWEEP_INPUTS];
    int n_in;
    athi_attr attr;
    int loss_outputs; /* outputs that enter the loss; 0 means 1 */
    bool becomes;     /* it is replaced by an op with a gradient */
    double tolerance; /* of f32 against f32, relative to 1 + |value|; 0: 1e-5 */
    /* What the shape rule must refuse: another shape of input wrong_in, or other attributes. */
    bool any_shape; /* every shape is right: only the number of inputs can be wrong */
    bool wrong_attr;
    int wrong_in;
    athi_shape wrong;
    athi_attr wrong_attrs;
    /** Appends what is needed around the op; NULL: just the node. Returns its first output. */
    ath_tensor *(*build)(athi_graph *graph, const sweep_case *c, ath_tensor *const *in);
    /** Called as compile's emit_update. */
    ath_status (*emit)(void *c, athi_graph *graph);
};

/* A dimension list in a static initialiser. */
#define DIMS(...)                                                                                            \
    {                                                                                                        \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), { __VA_ARGS__ }                           \
    }
#define SCALAR                                                                                               \
    {                                                                                                        \
        0, { 0 }                                                                                             \
    }
/* Inputs: REAL between -1 and 1, FROM low to high. */
#define REAL(...)                                                                                            \
    { .shape = DIMS(__VA_ARGS__), .low = -1, .high = 1 }
#define FROM(lo, hi, ...)                                                                                    \
    { .shape = DIMS(__VA_ARGS__), .low = (lo), .high = (hi) }
#define FIXED(lo, hi, ...)                                                                                   \
    { .shape = DIMS(__VA_ARGS__), .low = (lo), .high = (hi), .fixed = true }
#define FILLED(how, ...)                                                                                     \
    { .shape = DIMS(__VA_ARGS__), .low = -1, .high = 1, .fill = SWEEP_##how }
#define TARGETS(how, ...)                                                                                    \
    { .shape = DIMS(__VA_ARGS__), .fill = SWEEP_##how, .fixed = true }
#define LABELS(classes, ...)                                                                                 \
    { .shape = DIMS(__VA_ARGS__), .high = (classes), .dtype = ATH_I32, .fill = SWEEP_INTEGERS, .fixed = true }
#define COUNTERS                                                                                             \
    { .shape = DIMS(2), .dtype = ATH_I64, .fill = SWEEP_COUNTERS, .fixed = true }
#define WRONG(k, ...)  .wrong_in = (k), .wrong = DIMS(__VA_ARGS__)
#define INPUTS(n, ...) .n_in = (n), .in = {__VA_ARGS__}

/* The families: a list of cases each. */
typedef struct sweep_family {
    const char *name;
    const sweep_case *cases;
    int n;
} sweep_family;
extern const sweep_family sweep_elementwise, sweep_unary, sweep_reduce, sweep_shape, sweep_window, sweep_norm,
    sweep_loss, sweep_metric, sweep_effect, sweep_quant;

/* ---- checks: 0 and a message of at most SWEEP_MESSAGE bytes on failure ---------------------------- */

enum { SWEEP_MESSAGE = 512 };

/** The rule accepts the case, and refuses what the case declares as wrong, with a sentence that names the op.
 */
bool sweep_check_shapes(ath_ctx *ctx, const sweep_case *c, char message[SWEEP_MESSAGE]);
/** The program runs in f32 and in f64 on ref, and both agree. */
bool sweep_check_types(ath_ctx *ctx, const sweep_case *c, char message[SWEEP_MESSAGE]);
/** Gradients against central differences in f64 on ref. `distort` multiplies the gradients first: 1, or for
 * the test of this check something else. Nothing to do (true) without a gradient rule. */
bool sweep_check_gradients(ath_ctx *ctx, const sweep_case *c, double distort, char message[SWEEP_MESSAGE]);
/** The op over bf16 values on a backend, against ref over the same values in f32. */
bool sweep_check_bf16(ath_ctx *ctx, const sweep_case *c, const athi_backend *backend, char message[SWEEP_MESSAGE]);
/** Another backend against ref, in f32. */
bool sweep_check_backend(ath_ctx *ctx, const sweep_case *c, const athi_backend *other,
                         char message[SWEEP_MESSAGE]);

#endif
