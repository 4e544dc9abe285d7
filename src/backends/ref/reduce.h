/* Reductions over axes. Included by f32.c and f64.c. */

static double fold_sum(const T *x, athi_fold *f) {
    double sum = 0;
    for (int64_t i = 0; i < f->n_cells; i++, athi_walk_next(&f->cells))
        sum += x[f->kept.offset[0] + f->cells.offset[0]];
    return sum;
}

/* out[kept] = sum or mean of x over the axes of `mask` */
static void sum_axes(const athi_call *call, uint32_t mask, bool mean) {
    const T *x = athi_ref_in(call, 0);
    T *out = athi_ref_out(call, 0);
    athi_fold f = athi_fold_axes(athi_ref_node(call)->in[0]->shape, mask);
    for (int64_t i = 0; i < f.n_kept; i++, athi_walk_next(&f.kept)) {
        const double sum = fold_sum(x, &f);
        out[i] = (T)(mean ? sum / (double)f.n_cells : sum);
    }
}

static void run_SUM(const athi_call *call) { sum_axes(call, athi_ref_node(call)->attr.axes.mask, false); }
static void run_MEAN(const athi_call *call) { sum_axes(call, athi_ref_node(call)->attr.axes.mask, true); }

/* The inverse of broadcasting: axes that the target lacks, or where it has 1, are summed. */
static void run_SUM_TO(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const athi_shape x = node->in[0]->shape, to = node->out[0].shape;
    uint32_t mask = 0;
    for (int i = 0; i < x.rank; i++) {
        const int k = i - (x.rank - to.rank);
        if (k < 0 || (to.dim[k] == 1 && x.dim[i] != 1)) mask |= 1u << i;
    }
    sum_axes(call, mask, false);
}

/* NaN wins, as in Keras. */
static void run_MAX(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0);
    T *out = athi_ref_out(call, 0);
    athi_fold f = athi_fold_axes(node->in[0]->shape, node->attr.axes.mask);
    for (int64_t i = 0; i < f.n_kept; i++, athi_walk_next(&f.kept)) {
        T best = -(T)INFINITY;
        for (int64_t j = 0; j < f.n_cells; j++, athi_walk_next(&f.cells)) {
            const T v = x[f.kept.offset[0] + f.cells.offset[0]];
            if (v > best || v != v) best = v;
        }
        out[i] = best;
    }
}

/* dx = dy / (how many cells hold the maximum y) at those cells, else 0 */
static void run_MAX_GRAD(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0), *x = athi_ref_in(call, 1), *y = athi_ref_in(call, 2);
    T *dx = athi_ref_out(call, 0);
    athi_fold f = athi_fold_axes(node->in[1]->shape, node->attr.axes.mask);
    for (int64_t i = 0; i < f.n_kept; i++, athi_walk_next(&f.kept)) {
        int64_t ties = 0;
        for (int64_t j = 0; j < f.n_cells; j++, athi_walk_next(&f.cells))
            ties += x[f.kept.offset[0] + f.cells.offset[0]] == y[i];
        for (int64_t j = 0; j < f.n_cells; j++, athi_walk_next(&f.cells)) {
            const int64_t at = f.kept.offset[0] + f.cells.offset[0];
            dx[at] = x[at] == y[i] ? (T)(dy[i] / (double)ties) : 0;
        }
    }
}
