/* Softmax, the cross-entropies with it, and the metrics of classes, over the rows of a matrix. */
#include "backends/cpu/cpu.h"

static bool accepts_rows(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_is_f32(unit, why) || !athi_cpu_is_plain(unit, why)) return false;
    const ath_tensor *x = unit->in[0];
    return athi_cpu_yes(why, "rows of %lld in vectors", (long long)athi_cpu_last(x->shape));
}
static bool accepts_sharp(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    if (unit->nodes[0]->attr.loss.smoothing != 0) return athi_cpu_no(why, "labels are smoothed");
    return accepts_rows(unit, why);
}

static void run_softmax(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const ath_tensor *x = call->unit->nodes[0]->in[0];
    s->k->softmax(s->threads, athi_cpu_rows(x), athi_cpu_last(x->shape), call->in[0], call->out[0]);
}
static void run_softmax_grad(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const ath_tensor *y = call->unit->nodes[0]->in[1];
    s->k->softmax_grad(s->threads, athi_cpu_rows(y), athi_cpu_last(y->shape), call->in[0], call->in[1], call->out[0]);
}

/* Labels come from data that was checked when it was read; one outside the classes gives NaN all the same, and never
 * reads beyond the row. Calls `rows` for each run of rows whose labels are good, and fills the others. */
typedef struct label_run {
    const athi_call *call;
    const int32_t *labels;
    int64_t M, N;
    float *per_row, *per_class; /* outputs [M] and [M, N], or NULL: NaN goes there */
} label_run;
static void each_good_run(const label_run *r, void (*rows)(const label_run *r, int64_t first, int64_t n)) {
    int64_t first = 0;
    for (int64_t i = 0; i <= r->M; i++) {
        if (i < r->M && r->labels[i] >= 0 && r->labels[i] < r->N) continue;
        if (i > first) rows(r, first, i - first);
        first = i + 1;
        if (i == r->M) break;
        if (r->per_row) r->per_row[i] = __builtin_nanf("");
        for (int64_t j = 0; r->per_class && j < r->N; j++) r->per_class[i * r->N + j] = __builtin_nanf("");
    }
}

static void xent_rows(const label_run *r, int64_t first, int64_t n) {
    const athi_cpu_base *s = r->call->state;
    s->k->softmax_xent(s->threads, n, r->N, (const float *)r->call->in[0] + first * r->N, r->labels + first,
                       (float *)r->call->out[0] + first, (float *)r->call->out[1] + first * r->N);
}
static void run_sparse_xent(const athi_call *call) {
    const ath_tensor *x = call->unit->nodes[0]->in[0];
    each_good_run(&(label_run){call, call->in[1], athi_cpu_rows(x), athi_cpu_last(x->shape), call->out[0],
                               call->out[1]},
                  xent_rows);
}

static void xent_grad_rows(const label_run *r, int64_t first, int64_t n) {
    const athi_cpu_base *s = r->call->state;
    s->k->softmax_xent_grad(s->threads, n, r->N, (const float *)r->call->in[1] + first * r->N, r->labels + first,
                            (const float *)r->call->in[0] + first, 1, (float *)r->call->out[0] + first * r->N);
}
static void run_sparse_xent_grad(const athi_call *call) {
    const ath_tensor *p = call->unit->nodes[0]->in[1];
    each_good_run(&(label_run){call, call->in[2], athi_cpu_rows(p), athi_cpu_last(p->shape), NULL, call->out[0]},
                  xent_grad_rows);
}

static void run_dense_xent(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    const ath_tensor *x = node->in[0];
    s->k->softmax_dense_xent(s->threads, athi_cpu_rows(x), athi_cpu_last(x->shape), call->in[0], call->in[1],
                             (float)node->attr.loss.smoothing, call->out[0], call->out[1]);
}
static void run_dense_xent_grad(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const athi_node *node = call->unit->nodes[0];
    const ath_tensor *p = node->in[1];
    s->k->softmax_dense_xent_grad(s->threads, athi_cpu_rows(p), athi_cpu_last(p->shape), call->in[1], call->in[2],
                                  (float)node->attr.loss.smoothing, call->in[0], 1, call->out[0]);
}
static void run_sparse_correct(const athi_call *call) {
    const athi_cpu_base *s = call->state;
    const ath_tensor *x = call->unit->nodes[0]->in[0];
    s->k->argmax_equals(s->threads, athi_cpu_rows(x), athi_cpu_last(x->shape), call->in[0], call->in[1],
                        call->out[0]);
}

static ath_status make_rows(athi_make *m, const athi_unit *unit, athi_call *call) {
    switch (unit->nodes[0]->op) {
    case ATHI_OP_SOFTMAX: return athi_cpu_make(m, call, run_softmax);
    case ATHI_OP_SOFTMAX_GRAD: return athi_cpu_make(m, call, run_softmax_grad);
    case ATHI_OP_SPARSE_XENT: return athi_cpu_make(m, call, run_sparse_xent);
    case ATHI_OP_SPARSE_XENT_GRAD: return athi_cpu_make(m, call, run_sparse_xent_grad);
    case ATHI_OP_DENSE_XENT: return athi_cpu_make(m, call, run_dense_xent);
    case ATHI_OP_DENSE_XENT_GRAD: return athi_cpu_make(m, call, run_dense_xent_grad);
    default: return athi_cpu_make(m, call, run_sparse_correct);
    }
}

const athi_kernel athi_cpu_softmax[] = {{"own:softmax", accepts_rows, make_rows, ATHI_LAYOUT_PLAIN},
                                        ATHI_CPU_WIDENED,
                                        {0}};
const athi_kernel athi_cpu_softmax_grad[] = {{"own:softmax_grad", accepts_rows, make_rows, ATHI_LAYOUT_PLAIN},
                                             ATHI_CPU_WIDENED,
                                             {0}};
const athi_kernel athi_cpu_sparse_xent[] = {{"own:softmax_xent", accepts_sharp, make_rows, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_sparse_xent_grad[] = {{"own:softmax_xent_grad", accepts_sharp, make_rows,
                                                  ATHI_LAYOUT_PLAIN},
                                                 {0}};
const athi_kernel athi_cpu_dense_xent[] = {{"own:softmax_xent", accepts_rows, make_rows, ATHI_LAYOUT_PLAIN}, {0}};
const athi_kernel athi_cpu_dense_xent_grad[] = {{"own:softmax_xent_grad", accepts_rows, make_rows, ATHI_LAYOUT_PLAIN},
                                                {0}};
const athi_kernel athi_cpu_sparse_correct[] = {{"own:argmax", accepts_rows, make_rows, ATHI_LAYOUT_PLAIN}, {0}};
