/* Sums and means over axes, and relu's gradient with the sums of its columns (the gradient of a bias).
 *
 * A reduction sees x as [outer, folded, inner]. A blocked image [N, C/b, H, W, b] that is folded over height and
 * width is [N C/b, H W, b]; over the batch too, it is that and then the sum of N rows of C channels. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"

bool athi_cpu_fold_axes(athi_shape x, uint32_t mask, athi_cpu_fold *out) {
    *out = (athi_cpu_fold){1, 1, 1};
    int stage = 0; /* outer, folded, inner */
    for (int i = 0; i < x.rank; i++) {
        const bool fold = mask >> i & 1u;
        if (x.dim[i] == 1) continue;
        if (fold && stage == 2) return false;
        if (fold) stage = 1;
        if (!fold && stage == 1) stage = 2;
        *(stage == 0 ? &out->outer : stage == 1 ? &out->folded : &out->inner) *= x.dim[i];
    }
    return true;
}

uint32_t athi_cpu_sum_to_mask(athi_shape from, athi_shape to) {
    uint32_t mask = 0;
    for (int i = 0; i < from.rank; i++) {
        const int k = i - (from.rank - to.rank);
        if (k < 0 || (to.dim[k] == 1 && from.dim[i] != 1)) mask |= 1u << i;
    }
    return mask;
}

enum { BATCH = 1, HEIGHT = 2, WIDTH = 4, CHANNELS = 8 };

static uint32_t mask_of(const athi_node *node) {
    return node->op == ATHI_OP_SUM_TO ? athi_cpu_sum_to_mask(node->in[0]->shape, node->out[0].shape)
                                      : node->attr.axes.mask;
}

typedef struct reduce_state {
    athi_cpu_base base;
    athi_cpu_fold fold;
    int64_t batch;     /* > 0: the outer rows are [batch, …] and the batch is summed in a second step */
    float scale;       /* of the mean; 1: none */
    int64_t size;      /* bytes of an element of x */
    int64_t workspace; /* bytes of column_sums, for each outer row's thread */
    /* relu's gradient beside: */
    int dy, y, dx, sums; /* places; y < 0: sums alone */
} reduce_state;

static bool is_blocked_fold(const ath_tensor *x, uint32_t mask) {
    return x->layout != ATHI_PLAIN && (mask == (HEIGHT | WIDTH) || mask == (BATCH | HEIGHT | WIDTH));
}

/* Sets fold and batch from the value that is folded. */
static bool set_fold(const ath_tensor *x, uint32_t mask, athi_cpu_fold *fold, int64_t *batch) {
    *batch = 0;
    if (x->layout == ATHI_PLAIN) return athi_cpu_fold_axes(x->shape, mask, fold);
    if (!is_blocked_fold(x, mask)) return false;
    const int64_t b = athi_layout_block(x->layout), *d = x->shape.dim;
    *fold = (athi_cpu_fold){d[0] * d[3] / b, d[1] * d[2], b};
    if (mask & BATCH) *batch = d[0];
    return true;
}

static bool accepts_fold(const athi_unit *unit, const athi_node *node, char why[ATHI_WHY_MAX]) {
    athi_cpu_fold f;
    int64_t batch;
    if (!athi_cpu_is_float(unit, why)) return false;
    if (!set_fold(node->in[0], mask_of(node), &f, &batch)) return athi_cpu_no(why, "the axes do not stand together");
    return athi_cpu_yes(why, "%lld x the sum of %lld rows of %lld", (long long)f.outer, (long long)f.folded,
                        (long long)f.inner);
}
static bool accepts_reduce(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return accepts_fold(unit, unit->nodes[0], why);
}

/* One outer row after the other, or many at once where there are many. */
typedef struct outer_work {
    const reduce_state *s;
    const char *x, *y;
    char *dx;
    float *out;
    char *scratch;
    int threads; /* inside one row */
} outer_work;

static void outer_part(const void *work, int64_t lo, int64_t hi, int part) {
    const outer_work *w = work;
    const athi_cpu_fold f = w->s->fold;
    const athi_cpu_kernels *k = w->s->base.k;
    char *scratch = w->scratch + part * w->s->workspace;
    for (int64_t i = lo; i < hi; i++) {
        const int64_t at = i * f.folded * f.inner * w->s->size;
        if (w->y)
            k->relu_grad_column_sums(w->threads, f.folded, f.inner, w->x + at, w->y + at, w->dx + at,
                                     w->out + i * f.inner, scratch);
        else
            k->column_sums(w->threads, f.folded, f.inner, w->x + at, w->out + i * f.inner, scratch);
    }
}

static void run_reduce(const athi_call *call) {
    const reduce_state *s = call->state;
    const athi_cpu_kernels *k = s->base.k;
    const int threads = s->base.threads;
    const athi_cpu_fold f = s->fold;
    const int64_t n = athi_cpu_count(call->unit->out[s->sums]);
    char *scratch = call->scratch;
    float *room = (float *)(void *)(scratch + threads * s->workspace);
    float *out = s->size == sizeof *out ? call->out[s->sums] : room; /* bf16 is what becomes of the sums at last */
    float *first = s->batch ? room + n : out;
    outer_work w = {.s = s, .x = call->in[s->dy], .out = first, .scratch = scratch, .threads = 1};
    if (s->y >= 0) w.y = call->in[s->y], w.dx = call->out[s->dx];
    if (f.inner == 1 && !w.y) {
        k->row_sums(threads, f.outer, f.folded, w.x, first);
    } else if (f.outer == 1) {
        w.threads = threads;
        outer_part(&w, 0, 1, 0);
    } else {
        athi_cpu_for(threads, f.outer, 16384 / ATHI_MAX(f.folded * f.inner, 1) + 1, 1, outer_part, &w);
    }
    if (s->batch) s->base.floats->column_sums(threads, s->batch, f.outer / s->batch * f.inner, first, out, scratch);
    if (s->scale != 1) s->base.floats->binary_scalar[ATHI_BINARY_MUL](1, n, out, s->scale, out);
    if (out == room) k->narrow(1, n, out, call->out[s->sums]);
}

static ath_status make_fold(athi_make *m, const athi_unit *unit, const athi_node *node, athi_call *call) {
    reduce_state *s = athi_cpu_state(m, call, sizeof *s, run_reduce);
    if (!s) return ATH_E_NOMEM;
    set_fold(node->in[0], mask_of(node), &s->fold, &s->batch);
    s->scale = 1;
    s->size = athi_dtype_size(node->in[0]->dtype);
    if (node->op == ATHI_OP_MEAN)
        s->scale = (float)((double)athi_cpu_count(&node->out[0]) / (double)athi_cpu_count(node->in[0]));
    s->dy = 0, s->y = s->dx = -1;
    s->sums = athi_cpu_out_index(unit, &node->out[0]);
    const int64_t channels = s->batch ? s->fold.outer / s->batch * s->fold.inner : 0;
    s->workspace = (s->base.k->column_sums_workspace(ATHI_MAX(s->fold.inner, channels)) + 63) / 64 * 64;
    m->scratch_bytes = m->threads * s->workspace + athi_cpu_count(&node->out[0]) * (int64_t)sizeof(float);
    if (s->batch) m->scratch_bytes += s->fold.outer * s->fold.inner * (int64_t)sizeof(float);
    return ATH_OK;
}
static ath_status make_reduce(athi_make *m, const athi_unit *unit, athi_call *call) {
    return make_fold(m, unit, unit->nodes[0], call);
}

const athi_kernel athi_cpu_reduce[] = {{"own:sum", accepts_reduce, make_reduce, ATHI_LAYOUT_ANY}, {0}};

/* ---- relu_grad + sum_to -------------------------------------------------------------------------- */

static bool accepts_relu_grad_sum(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *relu = unit->nodes[0], *sum = unit->nodes[1];
    if (relu->in[0]->layout != relu->in[1]->layout) return athi_cpu_no(why, "layouts differ");
    if (athi_cpu_out_index(unit, &relu->out[0]) < 0) return athi_cpu_no(why, "nobody reads the gradient");
    return accepts_fold(unit, sum, why);
}
static ath_status make_relu_grad_sum(athi_make *m, const athi_unit *unit, athi_call *call) {
    ATH_TRY(make_fold(m, unit, unit->nodes[1], call));
    const athi_node *relu = unit->nodes[0];
    reduce_state *s = call->state;
    s->dy = athi_cpu_in_index(unit, relu->in[0]);
    s->y = athi_cpu_in_index(unit, relu->in[1]);
    s->dx = athi_cpu_out_index(unit, &relu->out[0]);
    return ATH_OK;
}
const athi_kernel athi_cpu_relu_grad_sum[] = {{"own:relu_grad_sum", accepts_relu_grad_sum, make_relu_grad_sum,
                                               ATHI_LAYOUT_ANY},
                                              {0}};
