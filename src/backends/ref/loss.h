/* Softmax over the last axis, and the losses of samples. Included by f32.c and f64.c. Everything sees its
 * input as a matrix [rows, C]. */

static int64_t last_dim(athi_shape s) { return s.rank ? s.dim[s.rank - 1] : 1; }

/* log(sum(exp(z))), computed so that it neither overflows nor loses the largest term */
static double log_sum_exp(const T *z, int64_t C) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < C; c++) top = z[c] > top || z[c] != z[c] ? z[c] : top;
    for (int64_t c = 0; c < C; c++) sum += exp(z[c] - top);
    return top + log(sum);
}

static void run_SOFTMAX(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0);
    T *y = athi_ref_out(call, 0);
    const int64_t C = last_dim(node->in[0]->shape), n = count_in(call, 0);
    for (int64_t at = 0; at < n; at += C) {
        const double log_sum = log_sum_exp(x + at, C);
        for (int64_t c = 0; c < C; c++) y[at + c] = (T)exp(x[at + c] - log_sum);
    }
}

/* dx = y (dy - sum(dy y)) */
static void run_SOFTMAX_GRAD(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0), *y = athi_ref_in(call, 1);
    T *dx = athi_ref_out(call, 0);
    const int64_t C = last_dim(node->in[0]->shape), n = count_in(call, 0);
    for (int64_t at = 0; at < n; at += C) {
        double dot = 0;
        for (int64_t c = 0; c < C; c++) dot += (double)dy[at + c] * y[at + c];
        for (int64_t c = 0; c < C; c++) dx[at + c] = (T)(y[at + c] * (dy[at + c] - dot));
    }
}

/* What a class should get. A label outside the classes asks for what cannot be: NaN, so that it is seen. */
typedef struct xent_target {
    const int32_t *labels; /* one a row, or */
    const T *targets;      /* C a row */
    double smoothing;
    int64_t C;
} xent_target;

static double target_at(const xent_target *t, int64_t row, int64_t c) {
    double want;
    if (t->labels) {
        if (t->labels[row] < 0 || t->labels[row] >= t->C) return NAN;
        want = t->labels[row] == c;
    } else
        want = t->targets[row * t->C + c];
    return want * (1 - t->smoothing) + t->smoothing / (double)t->C;
}

/* loss = -sum(target log(softmax(logits))), and the probabilities for the gradient */
static void xent(const athi_call *call, bool sparse) {
    const athi_node *node = athi_ref_node(call);
    const T *z = athi_ref_in(call, 0);
    T *loss = athi_ref_out(call, 0), *probabilities = athi_ref_out(call, 1);
    const int64_t C = last_dim(node->in[0]->shape), rows = count_in(call, 0) / C;
    const xent_target t = {sparse ? athi_ref_in(call, 1) : NULL, sparse ? NULL : athi_ref_in(call, 1),
                           node->attr.loss.smoothing, C};
    for (int64_t r = 0; r < rows; r++) {
        const double log_sum = log_sum_exp(z + r * C, C);
        double sum = 0;
        for (int64_t c = 0; c < C; c++) {
            const double want = target_at(&t, r, c);
            if (want != 0) sum += want * (log_sum - z[r * C + c]);
            if (probabilities) probabilities[r * C + c] = (T)exp(z[r * C + c] - log_sum);
        }
        if (loss) loss[r] = (T)sum;
    }
}

/* dlogits = dloss (p sum(target) - target) */
static void xent_grad(const athi_call *call, bool sparse) {
    const athi_node *node = athi_ref_node(call);
    const T *dloss = athi_ref_in(call, 0), *p = athi_ref_in(call, 1);
    T *dz = athi_ref_out(call, 0);
    const int64_t C = last_dim(node->in[1]->shape), rows = count_in(call, 1) / C;
    const xent_target t = {sparse ? athi_ref_in(call, 2) : NULL, sparse ? NULL : athi_ref_in(call, 2),
                           node->attr.loss.smoothing, C};
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < C; c++) sum += target_at(&t, r, c);
        for (int64_t c = 0; c < C; c++)
            dz[r * C + c] = (T)(dloss[r] * (p[r * C + c] * sum - target_at(&t, r, c)));
    }
}

static void run_SPARSE_XENT(const athi_call *call) { xent(call, true); }
static void run_DENSE_XENT(const athi_call *call) { xent(call, false); }
static void run_SPARSE_XENT_GRAD(const athi_call *call) { xent_grad(call, true); }
static void run_DENSE_XENT_GRAD(const athi_call *call) { xent_grad(call, false); }

/* -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)) = max(z, 0) - z t + log(1 + exp(-|z|)) */
static void run_SIGMOID_XENT(const athi_call *call) {
    const double smoothing = athi_ref_node(call)->attr.loss.smoothing;
    const T *z = athi_ref_in(call, 0), *targets = athi_ref_in(call, 1);
    T *loss = athi_ref_out(call, 0);
    const int64_t n = count_in(call, 0);
    for (int64_t i = 0; i < n; i++) {
        const double t = targets[i] * (1 - smoothing) + smoothing / 2;
        loss[i] = (T)((z[i] > 0 ? (double)z[i] : 0) - z[i] * t + log1p(exp(-fabs((double)z[i]))));
    }
}

static void run_SIGMOID_XENT_GRAD(const athi_call *call) {
    const double smoothing = athi_ref_node(call)->attr.loss.smoothing;
    const T *dloss = athi_ref_in(call, 0), *z = athi_ref_in(call, 1), *targets = athi_ref_in(call, 2);
    T *dz = athi_ref_out(call, 0);
    const int64_t n = count_in(call, 1);
    for (int64_t i = 0; i < n; i++) {
        const double t = targets[i] * (1 - smoothing) + smoothing / 2;
        dz[i] = (T)(dloss[i] * (1 / (1 + exp(-(double)z[i])) - t));
    }
}
