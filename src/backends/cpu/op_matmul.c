/* Products of matrices, alone and with what follows them: a bias, a relu, the gradient of the relu before. */
#include "backends/cpu/cpu.h"

typedef struct matmul_state {
    athi_cpu_base base;
    athi_gemm gemm;
    int a, b, c;          /* places among the unit's inputs and outputs */
    int bias, mask, sums; /* -1: none */
    int64_t gemm_bytes;   /* of scratch, for the product; the column sums' comes behind */
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
    return ATH_OK;
}

static bool accepts_product(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_f32(unit, why)) return false;
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
const athi_kernel athi_cpu_matmul_bias[] = {{"own:gemm", accepts_bias, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_relu_grad[] = {{"own:gemm", accepts_mask, make_matmul, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_matmul_relu_grad_sum[] = {{"own:gemm", accepts_mask_sum, make_matmul, ATHI_LAYOUT_PLAIN},
                                                     {0}};
