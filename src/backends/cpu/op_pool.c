/* Pooling, in any layout: a blocked image [N, C/b, H, W, b] is N C/b images of b channels. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"

typedef struct pool_state {
    athi_cpu_base base;
    athi_pool p;
} pool_state;

athi_pool athi_cpu_pool_of(const athi_node *node, const ath_tensor *x, const ath_tensor *y) {
    const int64_t *size = node->attr.window.size, *stride = node->attr.window.stride;
    const int64_t block = x->layout == ATHI_PLAIN ? x->shape.dim[3] : athi_layout_block(x->layout);
    const bool same = node->attr.window.same;
    return (athi_pool){.N = x->shape.dim[0] * (x->shape.dim[3] / block),
                       .H = x->shape.dim[1],
                       .W = x->shape.dim[2],
                       .C = block,
                       .kernel_h = size[0],
                       .kernel_w = size[1],
                       .stride_h = stride[0],
                       .stride_w = stride[1],
                       .pad_top = athi_window_pad(x->shape.dim[1], size[0], stride[0], 1, same),
                       .pad_left = athi_window_pad(x->shape.dim[2], size[1], stride[1], 1, same),
                       .out_h = y->shape.dim[1],
                       .out_w = y->shape.dim[2]};
}

static bool is_gradient(const athi_node *node) {
    return node->op == ATHI_OP_MAX_POOL2D_GRAD || node->op == ATHI_OP_AVERAGE_POOL2D_GRAD;
}
static bool overlaps(const athi_node *node) {
    const int64_t *size = node->attr.window.size, *stride = node->attr.window.stride;
    return size[0] > stride[0] || size[1] > stride[1];
}

static bool accepts_window(const athi_unit *unit, const athi_node *node, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_float(unit, why)) return false;
    if (athi_cpu_uses_bf16(unit) && overlaps(node) && is_gradient(node))
        return athi_cpu_no(why, "windows overlap, whose gradients are not added up in bf16");
    if (node->attr.window.dilation[0] != 1 || node->attr.window.dilation[1] != 1) return athi_cpu_no(why, "dilated");
    if (node->attr.window.size[0] * node->attr.window.size[1] > 256)
        return athi_cpu_no(why, "a window of more than 256 cells");
    for (int i = 0; i < unit->n_in; i++)
        if (unit->in[i]->shape.rank == 4 && unit->in[i]->layout != node->out[0].layout)
            return athi_cpu_no(why, "layouts differ");
    return athi_cpu_yes(why, "channels in vectors");
}
static bool accepts_pool(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return accepts_window(unit, unit->nodes[0], why);
}

static void run_max_pool(const athi_call *call) {
    const pool_state *s = call->state;
    s->base.k->max_pool(s->base.threads, &s->p, call->in[0], call->out[0], call->out[1]);
}
static void run_max_pool_grad(const athi_call *call) {
    const pool_state *s = call->state;
    s->base.k->max_pool_grad(s->base.threads, &s->p, call->in[0], call->in[1], NULL, call->out[0]);
}
static void run_average_pool(const athi_call *call) {
    const pool_state *s = call->state;
    s->base.k->average_pool(s->base.threads, &s->p, call->in[0], call->out[0]);
}
static void run_average_pool_grad(const athi_call *call) {
    const pool_state *s = call->state;
    s->base.k->average_pool_grad(s->base.threads, &s->p, call->in[0], call->out[0]);
}

static ath_status make_pool(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    const bool grad = is_gradient(node);
    const bool max = node->op == ATHI_OP_MAX_POOL2D || node->op == ATHI_OP_MAX_POOL2D_GRAD;
    pool_state *s = athi_cpu_state(m, call, sizeof *s,
                                   max    ? grad ? run_max_pool_grad : run_max_pool
                                   : grad ? run_average_pool_grad
                                          : run_average_pool);
    if (!s) return ATH_E_NOMEM;
    s->p = grad ? athi_cpu_pool_of(node, &node->out[0], node->in[0])
                : athi_cpu_pool_of(node, node->in[0], &node->out[0]);
    return ATH_OK;
}
const athi_kernel athi_cpu_pool[] = {{"own:pool", accepts_pool, make_pool, ATHI_LAYOUT_ANY},
                                     {"own:int8_pool", athi_cpu_accepts_int8_pool, athi_cpu_make_int8_pool,
                                      ATHI_LAYOUT_PLAIN},
                                     ATHI_CPU_WIDENED,
                                     {0}};

/* ---- max_pool2d_grad + relu_grad (+ sum_to): an image at a time, while it is in the cache ------------- */

typedef struct pool_relu_state {
    athi_cpu_base base;
    athi_pool p;                /* of one image or block of channels */
    int64_t n, channels;        /* how many of them, and channels of one */
    int dy, index, y, dx, sums; /* places; sums -1: none */
    int64_t workspace;          /* bytes for one thread's column sums */
    int64_t size;               /* bytes of an element */
} pool_relu_state;

typedef struct pool_relu_work {
    const pool_relu_state *s;
    const char *dy, *y;
    const uint8_t *index;
    char *dx;
    float *partial; /* sums of each image [n, channels] */
    char *scratch;
} pool_relu_work;

static void pool_relu_part(const void *work, int64_t lo, int64_t hi, int part) {
    const pool_relu_work *w = work;
    const pool_relu_state *s = w->s;
    const int64_t image = s->p.H * s->p.W, small = s->p.out_h * s->p.out_w * s->p.C, large = image * s->p.C;
    for (int64_t i = lo; i < hi; i++) {
        char *dx = w->dx + i * large * s->size;
        s->base.k->max_pool_grad(1, &s->p, w->dy + i * small * s->size, w->index + i * small, NULL, dx);
        s->base.k->relu_grad_column_sums(1, image, s->p.C, dx, w->y + i * large * s->size, dx,
                                         w->partial + i * s->p.C, w->scratch + part * s->workspace);
    }
}

static void run_pool_relu(const athi_call *call) {
    const pool_relu_state *s = call->state;
    const int threads = s->base.threads;
    char *scratch = call->scratch;
    float *partial = (float *)(void *)(scratch + threads * s->workspace), *sums = partial + s->n * s->p.C;
    athi_cpu_for(threads, s->n, 1, 1, pool_relu_part,
                 &(pool_relu_work){.s = s,
                                   .dy = call->in[s->dy],
                                   .y = call->in[s->y],
                                   .index = call->in[s->index],
                                   .dx = call->out[s->dx],
                                   .partial = partial,
                                   .scratch = scratch});
    if (s->sums < 0) return;
    if (s->size == sizeof *sums) sums = call->out[s->sums];
    s->base.floats->column_sums(threads, s->n * s->p.C / s->channels, s->channels, partial, sums, scratch);
    if (sums != call->out[s->sums]) s->base.k->narrow(1, s->channels, sums, call->out[s->sums]);
}

static bool accepts_pool_relu(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *pool = unit->nodes[0], *relu = unit->nodes[1];
    if (relu->in[0] != &pool->out[0] || relu->in[1] == &pool->out[0])
        return athi_cpu_no(why, "not the relu's gradient");
    if (athi_cpu_out_index(unit, &relu->out[0]) < 0) return athi_cpu_no(why, "nobody reads the gradient");
    if (unit->n_nodes > 2) {
        const ath_tensor *sums = &unit->nodes[2]->out[0];
        const int64_t channels = pool->out[0].shape.dim[3];
        if (athi_cpu_count(sums) != channels || athi_cpu_last(sums->shape) != channels)
            return athi_cpu_no(why, "the sums are not over channels");
    }
    if (relu->out[0].layout != pool->out[0].layout) return athi_cpu_no(why, "layouts differ");
    return accepts_window(unit, pool, why);
}

static ath_status make_pool_relu(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *pool = unit->nodes[0], *relu = unit->nodes[1];
    pool_relu_state *s = athi_cpu_state(m, call, sizeof *s, run_pool_relu);
    if (!s) return ATH_E_NOMEM;
    s->p = athi_cpu_pool_of(pool, &pool->out[0], pool->in[0]);
    s->n = s->p.N, s->p.N = 1;
    s->channels = pool->out[0].shape.dim[3];
    s->size = athi_dtype_size(relu->out[0].dtype);
    s->dy = athi_cpu_in_index(unit, pool->in[0]), s->index = athi_cpu_in_index(unit, pool->in[1]);
    s->y = athi_cpu_in_index(unit, relu->in[1]), s->dx = athi_cpu_out_index(unit, &relu->out[0]);
    s->sums = unit->n_nodes > 2 ? athi_cpu_out_index(unit, &unit->nodes[2]->out[0]) : -1;
    s->workspace = (s->base.k->column_sums_workspace(s->channels) + 63) / 64 * 64;
    m->scratch_bytes = m->threads * s->workspace + (s->n * s->p.C + s->channels) * (int64_t)sizeof(float);
    return ATH_OK;
}
const athi_kernel athi_cpu_pool_relu_grad[] = {{"own:pool_relu_grad", accepts_pool_relu, make_pool_relu,
                                                ATHI_LAYOUT_ANY},
                                               {0}};
