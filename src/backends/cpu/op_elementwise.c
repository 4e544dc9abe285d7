/* Functions of each element: of one value, of two with broadcasting, dropout, copies; and relu's gradient with the
 * sums of its columns, which is the gradient of a bias. All of them take any layout, the same for all operands. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"
#include "base/philox.h"

static bool accepts_any(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return athi_cpu_is_float(unit, why) && athi_cpu_yes(why, "%s, any layout", athi_dtype_name(unit->in[0]->dtype));
}

/* ---- of one value -------------------------------------------------------------------------------- */

/* The kernel of an op and of its gradient: both tables have a row of unary.def each. */
static const uint8_t unary_kernel[ATHI_OP_COUNT_OF] = {
#define ATH_UNARY(id, ...) [ATHI_OP_##id] = ATHI_UNARY_##id, [ATHI_OP_##id##_GRAD] = ATHI_UNARY_##id,
#include "graph/unary.def"
#undef ATH_UNARY
};

static void run_unary(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    s->k->unary[unary_kernel[node->op]](s->threads, athi_cpu_count(node->in[0]), (float)node->attr.alpha.alpha,
                                        (float)node->attr.alpha.beta, call->in[0], call->out[0]);
}
static void run_unary_grad(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    s->k->unary_grad[unary_kernel[node->op]](s->threads, athi_cpu_count(node->in[0]), (float)node->attr.alpha.alpha,
                                             (float)node->attr.alpha.beta, call->in[0], call->in[1], call->out[0]);
}

static ath_status make_unary(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_unary);
}
static ath_status make_unary_grad(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_unary_grad);
}

const athi_kernel athi_cpu_unary[] = {{"own:unary", accepts_any, make_unary, ATHI_LAYOUT_ANY}, {0}};
const athi_kernel athi_cpu_unary_grad[] = {{"own:unary_grad", accepts_any, make_unary_grad, ATHI_LAYOUT_ANY}, {0}};

/* ---- of two values ------------------------------------------------------------------------------- */

/* How the smaller operand is spread over the larger: not at all, one number, a row again and again, or (blocked) a
 * vector of channels. */
typedef enum spread { SPREAD_NONE, SPREAD_NUMBER, SPREAD_ROW, SPREAD_CHANNELS, SPREAD_OTHER } spread;

typedef struct binary_state {
    athi_cpu_base base;
    athi_binary op; /* over (large, small) */
    spread how;
    int large;                      /* 0 or 1: which input; the other is spread */
    bool relu;                      /* add+relu */
    int64_t n, row, size;           /* elements of the result, of the row; bytes of one */
    int64_t block, image, channels; /* blocked: [N, channels / block, image, block] */
} binary_state;

/* Is `s` a suffix of `whole` but for ones in front? */
static bool is_suffix(athi_shape s, athi_shape whole) {
    int64_t n = athi_shape_count(s);
    for (int i = 1; i <= whole.rank && n > 1; i++) {
        int k = s.rank - i;
        if (k < 0 || s.dim[k] != whole.dim[whole.rank - i]) return false;
        n /= s.dim[k];
    }
    return n == 1;
}

static spread find_spread(const athi_node *node, int *large) {
    const ath_tensor *a = node->in[0], *b = node->in[1];
    athi_shape out = node->out[0].shape;
    *large = 0;
    if (athi_shape_equal(a->shape, b->shape)) return a->layout == b->layout ? SPREAD_NONE : SPREAD_OTHER;
    *large = athi_shape_equal(a->shape, out) ? 0 : 1;
    const ath_tensor *big = node->in[*large], *small = node->in[1 - *large];
    if (!athi_shape_equal(big->shape, out)) return SPREAD_OTHER;
    if (athi_cpu_count(small) == 1) return SPREAD_NUMBER;
    if (big->layout == ATHI_PLAIN) return is_suffix(small->shape, out) ? SPREAD_ROW : SPREAD_OTHER;
    return small->layout == ATHI_PLAIN && athi_cpu_count(small) == out.dim[3] &&
                   athi_cpu_last(small->shape) == out.dim[3]
               ? SPREAD_CHANNELS
               : SPREAD_OTHER;
}

/* clang-format off */
static const struct { bool known; athi_binary op, swapped; } binary_kernel[ATHI_OP_COUNT_OF] = {
    [ATHI_OP_ADD] = {true, ATHI_BINARY_ADD, ATHI_BINARY_ADD},
    [ATHI_OP_SUB] = {true, ATHI_BINARY_SUB, ATHI_BINARY_RSUB},
    [ATHI_OP_MUL] = {true, ATHI_BINARY_MUL, ATHI_BINARY_MUL},
    [ATHI_OP_DIV] = {true, ATHI_BINARY_DIV, ATHI_BINARY_RDIV},
    [ATHI_OP_MAXIMUM] = {true, ATHI_BINARY_MAX, ATHI_BINARY_MAX},
    [ATHI_OP_MINIMUM] = {true, ATHI_BINARY_MIN, ATHI_BINARY_MIN},
};
/* clang-format on */

static bool accepts_binary(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    static const char *const how[] = {"elements of equal shapes", "one number with each element",
                                      "a row with each row", "a vector over blocked channels"};
    int large;
    spread s = find_spread(unit->nodes[0], &large);
    if (s == SPREAD_OTHER) return athi_cpu_no(why, "no suffix is broadcast");
    return athi_cpu_is_float(unit, why) && athi_cpu_yes(why, "%s", how[s]);
}

/* The planes [image, block] of a blocked value, each with its part of the vector. */
typedef struct plane_work {
    const binary_state *s;
    const char *big, *small;
    char *out;
} plane_work;
static void planes_part(const void *work, int64_t lo, int64_t hi, int part) {
    const plane_work *w = work;
    const binary_state *s = w->s;
    const int64_t bytes = s->image * s->block * s->size, blocks = s->channels / s->block;
    (void)part;
    for (int64_t p = lo; p < hi; p++)
        s->base.k->binary_row[s->op](1, s->image, s->block, w->big + p * bytes,
                                     w->small + p % blocks * s->block * s->size, w->out + p * bytes);
}

static void run_binary(const athi_call *call) {
    const binary_state *s = call->state;
    const athi_cpu_kernels *k = s->base.k;
    const int threads = s->base.threads;
    const void *big = call->in[s->large], *small = call->in[1 - s->large];
    void *out = call->out[0];
    float number;
    switch (s->how) {
    case SPREAD_NONE: k->binary[s->op](threads, s->n, big, small, out); break;
    case SPREAD_NUMBER:
        if (s->size == sizeof number)
            memcpy(&number, small, sizeof number);
        else
            k->widen(1, 1, small, &number);
        k->binary_scalar[s->op](threads, s->n, big, number, out);
        break;
    case SPREAD_ROW: k->binary_row[s->op](threads, s->n / s->row, s->row, big, small, out); break;
    default:
        athi_cpu_for(threads, s->n / (s->image * s->block), 1, 1, planes_part, &(plane_work){s, big, small, out});
    }
    if (s->relu) k->unary[ATHI_UNARY_RELU](threads, s->n, 0, 0, out, out);
}

static ath_status make_binary(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    binary_state *s = athi_cpu_state(m, call, sizeof *s, run_binary);
    if (!s) return ATH_E_NOMEM;
    s->how = find_spread(node, &s->large);
    s->op = s->large ? binary_kernel[node->op].swapped : binary_kernel[node->op].op;
    s->n = athi_cpu_count(&node->out[0]);
    s->size = athi_dtype_size(node->out[0].dtype);
    s->row = athi_cpu_count(node->in[1 - s->large]);
    s->relu = unit->n_nodes > 1;
    if (s->how != SPREAD_CHANNELS) return ATH_OK;
    athi_shape x = node->out[0].shape;
    s->block = athi_layout_block(node->in[s->large]->layout);
    s->image = x.dim[1] * x.dim[2], s->channels = x.dim[3];
    return ATH_OK;
}

const athi_kernel athi_cpu_binary[] = {{"own:binary", accepts_binary, make_binary, ATHI_LAYOUT_ANY}, {0}};
const athi_kernel athi_cpu_add_relu[] = {{"own:binary", accepts_binary, make_binary, ATHI_LAYOUT_ANY}, {0}};

/* ---- cast ---------------------------------------------------------------------------------------- */

static void run_cast(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const ath_tensor *x = call->unit->nodes[0]->in[0];
    if (x->dtype == ATH_F32)
        s->k->narrow(s->threads, athi_cpu_count(x), call->in[0], call->out[0]);
    else
        s->k->widen(s->threads, athi_cpu_count(x), call->in[0], call->out[0]);
}
static bool accepts_cast(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const ath_tensor *x = unit->in[0], *y = unit->out[0];
    if (x->layout != y->layout) return athi_cpu_no(why, "layouts differ");
    if (!(x->dtype == ATH_F32 && y->dtype == ATH_BF16) && !(x->dtype == ATH_BF16 && y->dtype == ATH_F32))
        return athi_cpu_no(why, "not between f32 and bf16");
    return athi_cpu_has_bf16(why) && athi_cpu_yes(why, "16 at a time");
}
static ath_status make_cast(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_cast);
}
const athi_kernel athi_cpu_cast[] = {{"own:cast", accepts_cast, make_cast, ATHI_LAYOUT_ANY}, {0}};

/* ---- dropout, copies ----------------------------------------------------------------------------- */

static bool accepts_dropout(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (unit->in[0]->layout != unit->out[0]->layout) return athi_cpu_no(why, "layouts differ");
    return athi_cpu_is_float(unit, why) && athi_cpu_yes(why, "Philox in vectors");
}
static void run_dropout(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    const int64_t *counters = call->in[1]; /* {seed, step} */
    const athi_images images = athi_cpu_images(node->in[0]);
    s->k->dropout(s->threads, &images, (float)node->attr.dropout.rate, (uint64_t)counters[0],
                  ATHI_PURPOSE(ATHI_RNG_DROPOUT, node->attr.dropout.id), (uint64_t)counters[1] << 32, call->in[0],
                  call->out[0]);
}
static ath_status make_dropout(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_dropout);
}
const athi_kernel athi_cpu_dropout[] = {
    {"own:dropout", accepts_dropout, make_dropout, ATHI_LAYOUT_ANY,
     .bound_note = "its random numbers, ten rounds of Philox for four of them, are operations that are not counted"},
    {0},
};

static bool accepts_copy(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    (void)unit;
    return athi_cpu_yes(why, "memcpy");
}
static void run_copy(const athi_call *call) {
    const ath_tensor *t = call->unit->nodes[0]->in[0];
    memmove(call->out[0], call->in[0], (size_t)(athi_cpu_count(t) * athi_dtype_size(t->dtype)));
}
static ath_status make_copy(athi_make *m, const athi_unit *unit, athi_call *call) {
    (void)unit;
    return athi_cpu_make(m, call, run_copy);
}
const athi_kernel athi_cpu_copy[] = {{"own:copy", accepts_copy, make_copy, ATHI_LAYOUT_ANY}, {0}};
