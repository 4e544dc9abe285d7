/* Normalisation: over all axes but the last (batch), or over the last (layer). Included by f32.c and f64.c.
 * Both see x as a matrix [rows, C]; what shares one mean and variance is a column of it, or a row. */

typedef struct norm_dims {
    int64_t rows, C;
    int64_t groups, members;         /* how many means there are, and values under one */
    int64_t group_step, member_step; /* in x */
} norm_dims;

static norm_dims norm_of(athi_shape x, bool batch) {
    const int64_t C = x.dim[x.rank - 1], rows = athi_shape_count(x) / C;
    return batch ? (norm_dims){rows, C, C, rows, 1, C} : (norm_dims){rows, C, rows, C, C, 1};
}

/* y = gamma (x - mean) / sqrt(variance + epsilon) + beta, gamma and beta by channel */
static void norm_train(const athi_call *call, bool batch) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0), *gamma = athi_ref_in(call, 1), *beta = athi_ref_in(call, 2);
    T *y = athi_ref_out(call, 0), *means = athi_ref_out(call, 1), *variances = athi_ref_out(call, 2);
    const norm_dims d = norm_of(node->in[0]->shape, batch);
    for (int64_t g = 0; g < d.groups; g++) {
        const T *xg = x + g * d.group_step;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < d.members; i++) mean += xg[i * d.member_step];
        mean /= (double)d.members;
        for (int64_t i = 0; i < d.members; i++) {
            const double centred = xg[i * d.member_step] - mean;
            variance += centred * centred;
        }
        variance /= (double)d.members;
        const double scale = 1 / sqrt(variance + node->attr.norm.epsilon);
        for (int64_t i = 0; y && i < d.members; i++) {
            const int64_t c = batch ? g : i;
            y[g * d.group_step + i * d.member_step] =
                (T)((xg[i * d.member_step] - mean) * scale * gamma[c] + beta[c]);
        }
        if (means) means[g] = (T)mean;
        if (variances) variances[g] = (T)variance;
    }
}

/* With n values under one mean, x^ = (x - mean) / s, s = sqrt(variance + epsilon) and d = dy gamma:
 *   dx = (d - mean(d) - x^ mean(d x^)) / s,   dgamma = sum(dy x^),   dbeta = sum(dy)
 * (Ioffe and Szegedy 2015, section 3; the same algebra holds for layer normalisation). */
static void norm_grad(const athi_call *call, bool batch) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0), *x = athi_ref_in(call, 1), *gamma = athi_ref_in(call, 2);
    const T *mean = athi_ref_in(call, 3), *variance = athi_ref_in(call, 4);
    T *dx = athi_ref_out(call, 0), *dgamma = athi_ref_out(call, 1), *dbeta = athi_ref_out(call, 2);
    const norm_dims d = norm_of(node->in[1]->shape, batch);
    for (int64_t g = 0; dx && g < d.groups; g++) {
        const double scale = 1 / sqrt(variance[g] + node->attr.norm.epsilon);
        double sum = 0, sum_hat = 0;
        for (int64_t i = 0; i < d.members; i++) {
            const int64_t at = g * d.group_step + i * d.member_step;
            const double grad = (double)dy[at] * gamma[batch ? g : i];
            sum += grad, sum_hat += grad * (x[at] - (double)mean[g]) * scale;
        }
        for (int64_t i = 0; i < d.members; i++) {
            const int64_t at = g * d.group_step + i * d.member_step;
            const double hat = (x[at] - (double)mean[g]) * scale, n = (double)d.members;
            dx[at] = (T)(((double)dy[at] * gamma[batch ? g : i] - sum / n - hat * sum_hat / n) * scale);
        }
    }
    for (int64_t c = 0; c < d.C; c++) {
        double sum = 0, sum_hat = 0;
        for (int64_t r = 0; r < d.rows; r++) {
            const int64_t g = batch ? c : r, at = r * d.C + c;
            sum += dy[at];
            sum_hat += dy[at] * (x[at] - (double)mean[g]) / sqrt(variance[g] + node->attr.norm.epsilon);
        }
        if (dgamma) dgamma[c] = (T)sum_hat;
        if (dbeta) dbeta[c] = (T)sum;
    }
}

static void run_BATCH_NORM_TRAIN(const athi_call *call) { norm_train(call, true); }
static void run_LAYER_NORM(const athi_call *call) { norm_train(call, false); }
static void run_BATCH_NORM_GRAD(const athi_call *call) { norm_grad(call, true); }
static void run_LAYER_NORM_GRAD(const athi_call *call) { norm_grad(call, false); }

/* with the moving mean and variance */
static void run_BATCH_NORM_INFER(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0), *gamma = athi_ref_in(call, 1), *beta = athi_ref_in(call, 2);
    const T *mean = athi_ref_in(call, 3), *variance = athi_ref_in(call, 4);
    T *y = athi_ref_out(call, 0);
    const norm_dims d = norm_of(node->in[0]->shape, true);
    for (int64_t i = 0; i < d.rows * d.C; i++) {
        const int64_t c = i % d.C;
        const double scale = gamma[c] / sqrt(variance[c] + node->attr.norm.epsilon);
        y[i] = (T)((x[i] - (double)mean[c]) * scale + beta[c]);
    }
}
