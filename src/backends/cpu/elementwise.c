/* Functions of each element, their gradients, and sums, products, … of two arrays. Functions of one value
 * are the rows of graph/unary.def, whose expressions stand here on vectors instead of numbers. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/vmath.h"

/* Elements a thread gets at least: a function of 16,000 elements takes about as long as waking a thread. */
enum { GRAIN = 16384, ALIGN = 64 };

/* The words of unary.def (graph/scalar.h has them for numbers). */
#define K(c)         ((float)(c))
#define sel(c, a, b) vsel(c, VSPLAT(a), VSPLAT(b))
#define SELU_ALPHA   1.67326324f /* Klambauer et al. 2017, equation 14 */
#define SELU_SCALE   1.05070099f
#define SQRT1_2      0.70710678f
#define INV_SQRT_2PI 0.39894228f
#define SIXTH        (1.0f / 6)
#define THIRD        (1.0f / 3)

#define ATH_UNARY(id, name, keeps, forward, derivative)                                                              \
    ATHI_INLINE vf forward_##id(vf x, float alpha, float beta) {                                                     \
        (void)alpha, (void)beta;                                                                                     \
        return forward;                                                                                              \
    }                                                                                                                \
    ATHI_INLINE vf derivative_##id(vf kept, float alpha, float beta) { /* kept is x or y, by the row */              \
        const vf x = kept, y = kept;                                                                                 \
        (void)alpha, (void)beta, (void)x, (void)y;                                                                   \
        return derivative;                                                                                           \
    }
#include "graph/unary.def"
#undef ATH_UNARY

ATHI_INLINE vf combine(const athi_binary op, vf a, vf b) {
    switch (op) {
    case ATHI_BINARY_ADD: return a + b;
    case ATHI_BINARY_SUB: return a - b;
    case ATHI_BINARY_MUL: return a * b;
    case ATHI_BINARY_DIV: return a / b;
    case ATHI_BINARY_MAX: return vsel((a > b) | (a != a), a, b);
    case ATHI_BINARY_MIN: return vsel((a < b) | (a != a), a, b);
    case ATHI_BINARY_RSUB: return b - a;
    case ATHI_BINARY_RDIV: return b / a;
    case ATHI_BINARY_COUNT: break;
    }
    return a;
}

/* ---- one operand --------------------------------------------------------------------------------- */

typedef struct {
    float alpha, beta;
    const stored *dy, *in; /* in: x, or what the gradient keeps */
    stored *out;
} unary_work;

#define ATH_UNARY(id, name, keeps, forward, derivative)                                                              \
    static void value_part_##id(const void *work, int64_t lo, int64_t hi, int part) {                                \
        const unary_work *w = work;                                                                                  \
        (void)part;                                                                                                  \
        for (int64_t i = lo; i < hi; i += VW)                                                                        \
            sstore_n(w->out + i, forward_##id(sload_n(w->in + i, hi - i), w->alpha, w->beta), hi - i);               \
    }                                                                                                                \
    static void value_##id(int threads, int64_t n, float alpha, float beta, const void *x, void *y) {                \
        athi_cpu_for(threads, n, GRAIN, ALIGN, value_part_##id, &(unary_work){alpha, beta, NULL, x, y});             \
    }                                                                                                                \
    static void gradient_part_##id(const void *work, int64_t lo, int64_t hi, int part) {                             \
        const unary_work *w = work;                                                                                  \
        (void)part;                                                                                                  \
        for (int64_t i = lo; i < hi; i += VW) {                                                                      \
            vf slope = derivative_##id(sload_n(w->in + i, hi - i), w->alpha, w->beta);                               \
            sstore_n(w->out + i, sload_n(w->dy + i, hi - i) * slope, hi - i);                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void gradient_##id(int threads, int64_t n, float alpha, float beta, const void *dy, const void *kept,     \
                              void *dx) {                                                                            \
        athi_cpu_for(threads, n, GRAIN, ALIGN, gradient_part_##id, &(unary_work){alpha, beta, dy, kept, dx});        \
    }
#include "graph/unary.def"
#undef ATH_UNARY

/* ---- two operands -------------------------------------------------------------------------------- */

typedef struct {
    int64_t N; /* columns, where b is a row */
    const stored *a, *b;
    float scalar;
    stored *out;
} binary_work;

/* The right operand: an array like a, one number, or a row repeated. */
enum { RIGHT_SAME, RIGHT_SCALAR, RIGHT_ROW };

ATHI_INLINE void binary_loop(const athi_binary op, const int right, const stored *a, const stored *b, float scalar,
                             stored *out, int64_t n) {
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        sstore(out + i, combine(op, sload(a + i), right == RIGHT_SCALAR ? vset(scalar) : sload(b + i)));
    if (i < n) {
        vf b_tail = right == RIGHT_SCALAR ? vset(scalar) : sload_part(b + i, n - i);
        sstore_part(out + i, combine(op, sload_part(a + i, n - i), b_tail), n - i);
    }
}

#define BINARY(NAME)                                                                                                 \
    static void same_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                               \
        const binary_work *w = work;                                                                                 \
        (void)part;                                                                                                  \
        binary_loop(ATHI_BINARY_##NAME, RIGHT_SAME, w->a + lo, w->b + lo, 0, w->out + lo, hi - lo);                  \
    }                                                                                                                \
    static void scalar_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                             \
        const binary_work *w = work;                                                                                 \
        (void)part;                                                                                                  \
        binary_loop(ATHI_BINARY_##NAME, RIGHT_SCALAR, w->a + lo, NULL, w->scalar, w->out + lo, hi - lo);             \
    }                                                                                                                \
    static void row_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                                \
        const binary_work *w = work;                                                                                 \
        (void)part;                                                                                                  \
        for (int64_t i = lo; i < hi; i++)                                                                            \
            binary_loop(ATHI_BINARY_##NAME, RIGHT_ROW, w->a + i * w->N, w->b, 0, w->out + i * w->N, w->N);           \
    }                                                                                                                \
    static void same_##NAME(int threads, int64_t n, const void *a, const void *b, void *y) {                         \
        athi_cpu_for(threads, n, GRAIN, ALIGN, same_part_##NAME, &(binary_work){.a = a, .b = b, .out = y});          \
    }                                                                                                                \
    static void scalar_##NAME(int threads, int64_t n, const void *a, float b, void *y) {                             \
        athi_cpu_for(threads, n, GRAIN, ALIGN, scalar_part_##NAME, &(binary_work){.a = a, .scalar = b, .out = y});   \
    }                                                                                                                \
    static void row_##NAME(int threads, int64_t M, int64_t N, const void *a, const void *b, void *y) {               \
        athi_cpu_for(threads, M, GRAIN / ATHI_MAX(N, 1) + 1, 1, row_part_##NAME,                                     \
                     &(binary_work){.N = N, .a = a, .b = b, .out = y});                                              \
    }
ATHI_BINARY_LIST(BINARY)

void ATHI_INSTANCE(athi_cpu_fill_elementwise)(athi_cpu_kernels *k) {
#define ATH_UNARY(id, ...) k->unary[ATHI_UNARY_##id] = value_##id, k->unary_grad[ATHI_UNARY_##id] = gradient_##id;
#include "graph/unary.def"
#undef ATH_UNARY
#define BINARY_ROW(NAME)                                                                                             \
    k->binary[ATHI_BINARY_##NAME] = same_##NAME, k->binary_scalar[ATHI_BINARY_##NAME] = scalar_##NAME,               \
    k->binary_row[ATHI_BINARY_##NAME] = row_##NAME;
    ATHI_BINARY_LIST(BINARY_ROW)
}
