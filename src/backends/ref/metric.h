/* Metrics of samples, f32 whatever the predictions are. Included by f32.c and f64.c. */

/* The first of the largest. */
static int64_t argmax(const T *x, int64_t C) {
    int64_t best = 0;
    for (int64_t c = 1; c < C; c++)
        if (x[c] > x[best]) best = c;
    return best;
}

/* Is class `label` among the k with the highest predictions? Equal predictions are all in. */
static bool in_top_k(const T *x, int64_t C, int64_t label, int64_t k) {
    if (label < 0 || label >= C || !isfinite(x[label])) return false;
    int64_t above = 0;
    for (int64_t c = 0; c < C; c++) above += x[c] > x[label];
    return above < k;
}

static void run_SPARSE_CORRECT(const athi_call *call) {
    const int64_t C = last_dim(athi_ref_node(call)->in[0]->shape), rows = count_out(call, 0);
    const T *p = athi_ref_in(call, 0);
    const int32_t *labels = athi_ref_in(call, 1);
    float *out = athi_ref_out(call, 0);
    for (int64_t r = 0; r < rows; r++) out[r] = argmax(p + r * C, C) == labels[r];
}

static void run_DENSE_CORRECT(const athi_call *call) {
    const int64_t C = last_dim(athi_ref_node(call)->in[0]->shape), rows = count_out(call, 0);
    const T *p = athi_ref_in(call, 0), *targets = athi_ref_in(call, 1);
    float *out = athi_ref_out(call, 0);
    for (int64_t r = 0; r < rows; r++) out[r] = argmax(p + r * C, C) == argmax(targets + r * C, C);
}

static void run_SPARSE_TOP_K(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int64_t C = last_dim(node->in[0]->shape), rows = count_out(call, 0);
    const T *p = athi_ref_in(call, 0);
    const int32_t *labels = athi_ref_in(call, 1);
    float *out = athi_ref_out(call, 0);
    for (int64_t r = 0; r < rows; r++) out[r] = in_top_k(p + r * C, C, labels[r], node->attr.loss.k);
}

static void run_DENSE_TOP_K(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int64_t C = last_dim(node->in[0]->shape), rows = count_out(call, 0);
    const T *p = athi_ref_in(call, 0), *targets = athi_ref_in(call, 1);
    float *out = athi_ref_out(call, 0);
    for (int64_t r = 0; r < rows; r++)
        out[r] = in_top_k(p + r * C, C, argmax(targets + r * C, C), node->attr.loss.k);
}

/* The share of a row's predictions that fall on the right side of the threshold. */
static void run_BINARY_CORRECT(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int64_t C = last_dim(node->in[0]->shape), rows = count_out(call, 0);
    const T *p = athi_ref_in(call, 0), *targets = athi_ref_in(call, 1);
    const T threshold = (T)node->attr.loss.threshold;
    float *out = athi_ref_out(call, 0);
    for (int64_t r = 0; r < rows; r++) {
        int64_t right = 0;
        for (int64_t c = r * C; c < (r + 1) * C; c++) right += (p[c] > threshold) == targets[c];
        out[r] = (float)((double)right / (double)C);
    }
}
