/* Elementwise ops of one and of two values, and dropout. Included by f32.c and f64.c. */

/* y = f(x), and dx = dy f'(kept) with what the row keeps: the input x or the output y. */
#define KEPT_X (void)y
#define KEPT_Y (void)x
#define ATH_UNARY(id, name, keeps, forward, derivative)                                                      \
    static void run_##id(const athi_call *call) {                                                            \
        const T alpha = (T)athi_ref_node(call)->attr.alpha.alpha,                                            \
                beta = (T)athi_ref_node(call)->attr.alpha.beta;                                              \
        const T *in = athi_ref_in(call, 0);                                                                  \
        T *out = athi_ref_out(call, 0);                                                                      \
        const int64_t n = count_in(call, 0);                                                                 \
        (void)alpha, (void)beta;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const T x = in[i];                                                                               \
            out[i] = (T)(forward);                                                                           \
        }                                                                                                    \
    }                                                                                                        \
    static void run_##id##_GRAD(const athi_call *call) {                                                     \
        const T alpha = (T)athi_ref_node(call)->attr.alpha.alpha,                                            \
                beta = (T)athi_ref_node(call)->attr.alpha.beta;                                              \
        const T *dy = athi_ref_in(call, 0), *kept = athi_ref_in(call, 1);                                    \
        T *dx = athi_ref_out(call, 0);                                                                       \
        const int64_t n = count_in(call, 0);                                                                 \
        (void)alpha, (void)beta;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const T x = kept[i], y = kept[i];                                                                \
            KEPT_##keeps;                                                                                    \
            dx[i] = dy[i] * (T)(derivative);                                                                 \
        }                                                                                                    \
    }
#include "graph/unary.def"
#undef ATH_UNARY

/* z = f(x, y) over the broadcast shape. */
#define BINARY(id, expression)                                                                               \
    static void run_##id(const athi_call *call) {                                                            \
        const athi_node *node = athi_ref_node(call);                                                         \
        const T *a = athi_ref_in(call, 0), *b = athi_ref_in(call, 1);                                        \
        T *out = athi_ref_out(call, 0);                                                                      \
        const int64_t n = athi_shape_count(node->out[0].shape);                                              \
        athi_walk w = athi_walk_broadcast(node->out[0].shape, node->in[0]->shape, &node->in[1]->shape);      \
        for (int64_t i = 0; i < n; i++, athi_walk_next(&w)) {                                                \
            const T x = a[w.offset[0]], y = b[w.offset[1]];                                                  \
            out[i] = (T)(expression);                                                                        \
        }                                                                                                    \
    }
BINARY(ADD, x + y)
BINARY(SUB, x - y)
BINARY(MUL, (x * y))
BINARY(DIV, x / y)
BINARY(MAXIMUM, y != y ? y : vmax(x, y)) /* NaN in either wins */
BINARY(MINIMUM, y != y ? y : vmin(x, y))
BINARY(GREATER_EQUAL, x >= y)
#undef BINARY

/* y = x / (1 - rate) where it is kept, else 0. Element i of a step is kept iff its random word, a function of
 * (seed, dropout's number, step, i), is at least rate * 2^32; so the gradient, which is the same op on dy,
 * draws the same mask, and nothing is stored. */
static void run_DROPOUT(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0);
    const int64_t *counters = athi_ref_in(call, 1); /* {seed, step} */
    T *y = athi_ref_out(call, 0);
    const int64_t n = count_in(call, 0);
    const double rate = node->attr.dropout.rate;
    const uint64_t purpose = ATHI_PURPOSE(ATHI_RNG_DROPOUT, node->attr.dropout.id);
    const double threshold = rate * 0x1p32;
    const T scale = rate < 1 ? (T)(1 / (1 - rate)) : 0;
    uint32_t words[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            athi_philox((uint64_t)counters[0], purpose, ((uint64_t)counters[1] << 32) + (uint64_t)i / 4,
                        words);
        y[i] = words[i % 4] >= threshold ? x[i] * scale : 0;
    }
}
