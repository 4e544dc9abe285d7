/* Functions of each element, their gradients, and sums, products, … of two arrays. The formulas stand in
 * three switches whose operand is constant in every loop, so each loop holds one formula. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/vmath.h"

/* Elements a thread gets at least: a function of 16,000 elements takes about as long as waking a thread. */
enum { GRAIN = 16384, ALIGN = 64 };

static const float selu_scale = 1.05070098735548f, selu_alpha = 1.67326324235438f;

ATHI_INLINE vf value(const athi_unary op, vf x, float alpha) {
    const vf zero = {0};
    switch (op) {
    case ATHI_UNARY_NEG: return -x;
    case ATHI_UNARY_ABS: return vabs(x);
    case ATHI_UNARY_SIGN: return vsel(x > 0.0f, vset(1), vsel(x < 0.0f, vset(-1), x));
    case ATHI_UNARY_SQUARE: return x * x;
    case ATHI_UNARY_SQRT: return vsqrt(x);
    case ATHI_UNARY_RSQRT: return 1.0f / vsqrt(x);
    case ATHI_UNARY_RECIPROCAL: return 1.0f / x;
    case ATHI_UNARY_EXP: return vexp(x);
    case ATHI_UNARY_LOG: return vlog(x);
    case ATHI_UNARY_RELU: return vsel(x < 0.0f, zero, x);
    case ATHI_UNARY_RELU6: return vmin(vset(6), vsel(x < 0.0f, zero, x));
    case ATHI_UNARY_LEAKY_RELU: return vsel(x < 0.0f, alpha * x, x);
    case ATHI_UNARY_ELU: return vsel(x < 0.0f, alpha * (vexp(x) - 1.0f), x);
    case ATHI_UNARY_SELU: return selu_scale * vsel(x < 0.0f, selu_alpha * (vexp(x) - 1.0f), x);
    case ATHI_UNARY_GELU: return 0.5f * x * (1.0f + verf(x * 0.70710678f));
    case ATHI_UNARY_SILU: return x * vsigmoid(x);
    case ATHI_UNARY_SIGMOID: return vsigmoid(x);
    case ATHI_UNARY_HARD_SIGMOID: return vmin(vset(1), vmax(x * (1.0f / 6.0f) + 0.5f, zero));
    case ATHI_UNARY_TANH: return vtanh(x);
    case ATHI_UNARY_SOFTPLUS: return vsoftplus(x);
    case ATHI_UNARY_SOFTSIGN: return x / (1.0f + vabs(x));
    case ATHI_UNARY_COUNT: break;
    }
    return x;
}

/* dx from dy and what of x and y = f(x) the row in kernels.h says that it reads. */
ATHI_INLINE vf gradient(const athi_unary op, vf dy, vf x, vf y, float alpha) {
    const vf zero = {0};
    vf s;
    switch (op) {
    case ATHI_UNARY_NEG: return -dy;
    case ATHI_UNARY_ABS: return vsel(x > 0.0f, dy, vsel(x < 0.0f, -dy, zero));
    case ATHI_UNARY_SIGN: return zero;
    case ATHI_UNARY_SQUARE: return 2.0f * x * dy;
    case ATHI_UNARY_SQRT: return 0.5f * dy / y;
    case ATHI_UNARY_RSQRT: return -0.5f * dy * y * y * y;
    case ATHI_UNARY_RECIPROCAL: return -dy * y * y;
    case ATHI_UNARY_EXP: return dy * y;
    case ATHI_UNARY_LOG: return dy / x;
    case ATHI_UNARY_RELU: return vsel(y > 0.0f, dy, zero);
    case ATHI_UNARY_RELU6: return vsel((y > 0.0f) & (y < 6.0f), dy, zero);
    case ATHI_UNARY_LEAKY_RELU: return vsel(x > 0.0f, dy, alpha * dy);
    case ATHI_UNARY_ELU: return vsel(y > 0.0f, dy, dy * (y + alpha));
    case ATHI_UNARY_SELU: return vsel(y > 0.0f, selu_scale * dy, dy * (y + selu_scale * selu_alpha));
    case ATHI_UNARY_GELU: /* Phi(x) + x phi(x) */
        return dy * (0.5f * (1.0f + verf(x * 0.70710678f)) + x * 0.39894228f * vexp(-0.5f * x * x));
    case ATHI_UNARY_SILU: s = vsigmoid(x); return dy * s * (1.0f + x * (1.0f - s));
    case ATHI_UNARY_SIGMOID: return dy * y * (1.0f - y);
    case ATHI_UNARY_HARD_SIGMOID: return vsel((y > 0.0f) & (y < 1.0f), dy * (1.0f / 6.0f), zero);
    case ATHI_UNARY_TANH: return dy * (1.0f - y * y);
    case ATHI_UNARY_SOFTPLUS: return dy * vsigmoid(x);
    case ATHI_UNARY_SOFTSIGN: s = 1.0f + vabs(x); return dy / (s * s);
    case ATHI_UNARY_COUNT: break;
    }
    return zero;
}

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
    float alpha;
    const float *dy, *x, *y;
    float *out;
} unary_work;

ATHI_INLINE void value_loop(const athi_unary op, const unary_work *w, int64_t lo, int64_t hi) {
    int64_t i = lo;
    for (; i + VW <= hi; i += VW) vstore(w->out + i, value(op, vload(w->x + i), w->alpha));
    if (i < hi) vstore_part(w->out + i, value(op, vload_part(w->x + i, hi - i), w->alpha), hi - i);
}

ATHI_INLINE void gradient_loop(const athi_unary op, const int reads, const unary_work *w, int64_t lo,
                               int64_t hi) {
    for (int64_t i = lo; i < hi; i += VW) {
        int64_t n = hi - i;
        vf x = (reads & ATHI_READS_X) ? vload_n(w->x + i, n) : (vf){0};
        vf y = (reads & ATHI_READS_Y) ? vload_n(w->y + i, n) : (vf){0};
        vstore_n(w->out + i, gradient(op, vload_n(w->dy + i, n), x, y, w->alpha), n);
    }
}

#define UNARY(NAME, reads)                                                                                   \
    static void value_part_##NAME(const void *w, int64_t lo, int64_t hi, int part) {                         \
        (void)part;                                                                                          \
        value_loop(ATHI_UNARY_##NAME, w, lo, hi);                                                            \
    }                                                                                                        \
    static void value_##NAME(int threads, int64_t n, float alpha, const float *x, float *y) {                \
        athi_cpu_for(threads, n, GRAIN, ALIGN, value_part_##NAME,                                            \
                     &(unary_work){.alpha = alpha, .x = x, .out = y});                                       \
    }                                                                                                        \
    static void gradient_part_##NAME(const void *w, int64_t lo, int64_t hi, int part) {                      \
        (void)part;                                                                                          \
        gradient_loop(ATHI_UNARY_##NAME, reads, w, lo, hi);                                                  \
    }                                                                                                        \
    static void gradient_##NAME(int threads, int64_t n, float alpha, const float *dy, const float *x,        \
                                const float *y, float *dx) {                                                 \
        athi_cpu_for(threads, n, GRAIN, ALIGN, gradient_part_##NAME,                                         \
                     &(unary_work){.alpha = alpha, .dy = dy, .x = x, .y = y, .out = dx});                    \
    }
ATHI_UNARY_LIST(UNARY)

/* ---- two operands -------------------------------------------------------------------------------- */

typedef struct {
    int64_t N; /* columns, where b is a row */
    const float *a, *b;
    float scalar;
    float *out;
} binary_work;

/* The right operand: an array like a, one number, or a row repeated. */
enum { RIGHT_SAME, RIGHT_SCALAR, RIGHT_ROW };

ATHI_INLINE void binary_loop(const athi_binary op, const int right, const float *a, const float *b,
                             float scalar, float *out, int64_t n) {
    int64_t i = 0;
    for (; i + VW <= n; i += VW)
        vstore(out + i, combine(op, vload(a + i), right == RIGHT_SCALAR ? vset(scalar) : vload(b + i)));
    if (i < n) {
        vf b_tail = right == RIGHT_SCALAR ? vset(scalar) : vload_part(b + i, n - i);
        vstore_part(out + i, combine(op, vload_part(a + i, n - i), b_tail), n - i);
    }
}

#define BINARY(NAME)                                                                                         \
    static void same_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                       \
        const binary_work *w = work;                                                                         \
        (void)part;                                                                                          \
        binary_loop(ATHI_BINARY_##NAME, RIGHT_SAME, w->a + lo, w->b + lo, 0, w->out + lo, hi - lo);          \
    }                                                                                                        \
    static void scalar_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                     \
        const binary_work *w = work;                                                                         \
        (void)part;                                                                                          \
        binary_loop(ATHI_BINARY_##NAME, RIGHT_SCALAR, w->a + lo, NULL, w->scalar, w->out + lo, hi - lo);     \
    }                                                                                                        \
    static void row_part_##NAME(const void *work, int64_t lo, int64_t hi, int part) {                        \
        const binary_work *w = work;                                                                         \
        (void)part;                                                                                          \
        for (int64_t i = lo; i < hi; i++)                                                                    \
            binary_loop(ATHI_BINARY_##NAME, RIGHT_ROW, w->a + i * w->N, w->b, 0, w->out + i * w->N, w->N);   \
    }                                                                                                        \
    static void same_##NAME(int threads, int64_t n, const float *a, const float *b, float *y) {              \
        athi_cpu_for(threads, n, GRAIN, ALIGN, same_part_##NAME, &(binary_work){.a = a, .b = b, .out = y});  \
    }                                                                                                        \
    static void scalar_##NAME(int threads, int64_t n, const float *a, float b, float *y) {                   \
        athi_cpu_for(threads, n, GRAIN, ALIGN, scalar_part_##NAME,                                           \
                     &(binary_work){.a = a, .scalar = b, .out = y});                                         \
    }                                                                                                        \
    static void row_##NAME(int threads, int64_t M, int64_t N, const float *a, const float *b, float *y) {    \
        athi_cpu_for(threads, M, GRAIN / ATHI_MAX(N, 1) + 1, 1, row_part_##NAME,                             \
                     &(binary_work){.N = N, .a = a, .b = b, .out = y});                                      \
    }
ATHI_BINARY_LIST(BINARY)

void ATHI_INSTANCE(athi_cpu_fill_elementwise)(athi_cpu_kernels *k) {
#define UNARY_ROW(NAME, reads)                                                                               \
    k->unary[ATHI_UNARY_##NAME] = value_##NAME, k->unary_grad[ATHI_UNARY_##NAME] = gradient_##NAME;
    ATHI_UNARY_LIST(UNARY_ROW)
#define BINARY_ROW(NAME)                                                                                     \
    k->binary[ATHI_BINARY_##NAME] = same_##NAME, k->binary_scalar[ATHI_BINARY_##NAME] = scalar_##NAME,       \
    k->binary_row[ATHI_BINARY_##NAME] = row_##NAME;
    ATHI_BINARY_LIST(BINARY_ROW)
}
