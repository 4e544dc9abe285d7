/* Products of matrices, alone and with what follows them: a bias, a relu, the gradient of the relu before. */
#include "backends/cpu/cpu.h"

typedef struct matmul_state {
    athi_cpu_base base;
    athi_gemm gemm;
    int a, b, c;          /* places among the unit's inputs and outputs */
    int bias, mask, sums; /* -1: none */
    int64_t gemm_bytes;   /* of scratch, for the product; the column sums' comes behind */
    /* bf16: floats of scratch for A and B as cells (0: they lie so), and for the product (0: it goes out as f32) */
    int64_t a_cells, b_cells, product;
    bool panels, relu;
} matmul_state;

static void run_matmul(const athi_call *call) {
    const matmul_state *s = call->state;
    athi_gemm g = s->gemm;
    g.a = call->in[s->a], g.b = call->in[s->b], g.c = call->out[s->c];
    if (s->bias >= 0) g.bias = call->in[s->bias];
    if (s->mask >= 0) g.mask = call->in[s->mask];
    s->base.k->sgemm(s->base.threads, &g, call->scratch);
    if (s->sums >= 0)
        s->base.k->column_sums(s->base.threads, g.M, g.N, g.c, call->out[s->sums],
                               (char *)call->scratch + s->gemm_bytes);
}

/* In bf16 the operands become cells and B panels, unless they lie as cells already; then the product is rounded, or goes
 * out as it is where it only was to be cast to f32. */
static void run_matmul_bf16(const athi_call *call) {
    const matmul_state *s = call->state;
    const athi_cpu_kernels *k = s->base.k;
    const int threads = s->base.threads;
    athi_gemm g = s->gemm;
    float *room = (float *)(void *)((char *)call->scratch + s->gemm_bytes), *a = room, *b = a + s->a_cells,
          *product = b + s->b_cells, *sums = product + s->product;
    const int64_t K = call->unit->nodes[0]->in[0]->shape.dim[g.trans_a ? 0 : 1];
    if (g.trans_a)
        k->cells_down(threads, K, g.M, g.M, call->in[s->a], a);
    else if (s->a_cells)
        k->cells_along(threads, g.M, K, call->in[s->a], a);
    if (s->panels)
        k->cells_down(threads, K, g.N, 2 * k->width, call->in[s->b], b);
    else if (s->b_cells)
        k->cells_along(threads, g.N, K, call->in[s->b], b);
    g.a = s->a_cells ? a : call->in[s->a], g.b = s->b_cells ? b : call->in[s->b];
    if (s->panels) g.panels = b;
    g.c = s->product ? product : call->out[s->c];
    k->sgemm(threads, &g, call->scratch);
    if (!s->product) return;
    k->finish_product(threads, g.M, g.N, product, s->bias < 0 ? NULL : call->in[s->bias], s->relu,
                      s->mask < 0 ? NULL : call->in[s->mask], call->out[s->c]);
    if (s->sums < 0) return;
    k->column_sums(threads, g.M, g.N, call->out[s->c], sums, sums + g.N);
    k->narrow(1, g.N, sums, call->out[s->sums]);
}

static void make_bf16(athi_make *m, const athi_unit *unit, athi_call *call) {
    matmul_state *s = call->state;
    athi_gemm *g = &s->gemm;
    const int64_t K = g->K, panel = 2 * s->base.k->width, N = (g->N + panel - 1) / panel * panel;
    call->run = run_matmul_bf16;
    g->K = (K + 1) / 2;
    s->relu = g->relu, g->relu = false;
    s->panels = !g->trans_b;
    s->a_cells = g->trans_a || K % 2 ? g->M * g->K : 0, g->lda = g->trans_a ? g->M : g->K;
    s->b_cells = s->panels ? N * g->K : K % 2 ? g->N * g->K : 0, g->ldb = g->K;
    s->product = unit->out[s->c]->dtype == ATH_BF16 ? g->M * g->N : 0;
    m->scratch_bytes += (s->a_cells + s->b_cells + s->product + g->N) * (int64_t)sizeof(float);
}

/* What the members are is known from the pattern: matmul first, its result in the last member but for sums. */
static ath_status make_matmul(athi_make *m, const athi_unit *unit, athi_call *call) {
    matmul_state *s = athi_cpu_state(m, call, sizeof *s, run_matmul);
    if (!s) return ATH_E_NOMEM;
    const athi_node *product = unit->nodes[0], *value = product, *sums = NULL;
    s->bias = s->mask = s->sums = -1;
    for (int i = 1; i < unit->n_nodes; i++) {
        const athi_node *node = unit->nodes[i];
        switch (node->op) {
        case ATHI_OP_ADD:
            s->bias = athi_cpu_in_index(unit, node->in[node->in[0] == &product->out[0] ? 1 : 0]);
            value = node;
            break;
        case ATHI_OP_RELU: s->gemm.relu = true, value = node; break;
        case ATHI_OP_CAST: value = node; break;
        case ATHI_OP_RELU_GRAD: s->mask = athi_cpu_in_index(unit, node->in[1]), value = node; break;
        default: sums = node;
        }
    }
    const bool ta = product->attr.matmul.transpose_a, tb = product->attr.matmul.transpose_b;
    athi_gemm *g = &s->gemm;
    g->M = product->out[0].shape.dim[0], g->N = product->out[0].shape.dim[1];
    g->K = product->in[0]->shape.dim[ta ? 0 : 1];
    g->trans_a = ta, g->lda = ta ? g->M : g->K;
    g->trans_b = tb, g->ldb = tb ? g->K : g->N;
    g->ldc = g->ldmask = g->N;
    s->a = athi_cpu_in_index(unit, product->in[0]), s->b = athi_cpu_in_index(unit, product->in[1]);
    s->c = athi_cpu_out_index(unit, &value->out[0]);
    s->gemm_bytes = s->base.k->sgemm_workspace(m->threads);
    m->scratch_bytes = s->gemm_bytes;
    if (sums) {
        s->sums = athi_cpu_out_index(unit, &sums->out[0]);
        m->scratch_bytes += s->base.k->column_sums_workspace(g->N);
    }
    if (athi_cpu_uses_bf16(unit)) make_bf16(m, unit, call);
    return ATH_OK;
}

static bool accepts_product(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const bool cast = unit->nodes[unit->n_nodes - 1]->op == ATHI_OP_CAST;
    if (!(cast ? athi_cpu_is_weight_gradient(unit, why) : athi_cpu_is_float(unit, why))) return false;
    const athi_node *node = unit->nodes[0];
    athi_shape a = node->in[0]->shape, c = node->out[0].shape;
    return athi_cpu_yes(why, "%lld x %lld by sums of %lld", (long long)c.dim[0], (long long)c.dim[1],
                        (long long)a.dim[node->attr.matmul.transpose_a ? 0 : 1]);
}

/* add: the other operand is a row of the product's width. */
static bool accepts_bias(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *product = unit->nodes[0], *add = unit->nodes[1];
    const ath_tensor *bias = add->in[add->in[0] == &product->out[0] ? 1 : 0];
    int64_t n = product->out[0].shape.dim[1];
    if (athi_cpu_count(bias) != n || athi_cpu_last(bias->shape) != n)
        return athi_cpu_no(why, "what is added is no row of %lld", (long long)n);
    return accepts_product(unit, why);
}

/* relu_grad(product, y): the product is the gradient, not y. */
static bool accepts_mask(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *product = unit->nodes[0], *mask = unit->nodes[1];
    if (mask->in[0] != &product->out[0] || mask->in[1] == &product->out[0])
        return athi_cpu_no(why, "the product is not the gradient");
    if (athi_cpu_out_index(unit, &mask->out[0]) < 0) return athi_cpu_no(why, "nobody reads the gradient");
    return accepts_product(unit, why);
}

/* … and its columns are summed. */
static bool accepts_mask_sum(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *sums = unit->nodes[2];
    int64_t n = sums->in[0]->shape.dim[1];
    if (athi_cpu_count(&sums->out[0]) != n) return athi_cpu_no(why, "the sums are not over columns");
    return accepts_mask(unit, why);
}

const athi_kernel athi_cpu_matmul[] = {{"own:gemm", accepts_product, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_cast[] = {{"own:gemm", accepts_product, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_bias[] = {{"own:gemm", accepts_bias, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_relu_grad[] = {{"own:gemm", accepts_mask, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_relu_grad_sum[] = {{"own:gemm", accepts_mask_sum, make_matmul, ATHI_LAYOUT_PLAIN},
                                                     {0}};
