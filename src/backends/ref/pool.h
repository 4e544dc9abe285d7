/* Pooling over windows of images. Included by f32.c and f64.c. Cells outside the image never count: they are
 * no candidates for the maximum, and the average divides by the cells inside. */

typedef struct pool_dims {
    int64_t B, H, W, C, P, Q; /* x [B, H, W, C], y [B, P, Q, C] */
    int64_t size[2], stride[2], dilation[2], pad[2];
} pool_dims;

static pool_dims pool_of(const athi_node *node, athi_shape x, athi_shape y) {
    pool_dims d = {.B = x.dim[0], .H = x.dim[1], .W = x.dim[2], .C = x.dim[3], .P = y.dim[1], .Q = y.dim[2]};
    for (int i = 0; i < 2; i++) {
        d.size[i] = node->attr.window.size[i];
        d.stride[i] = ATHI_MAX(node->attr.window.stride[i], 1);
        d.dilation[i] = ATHI_MAX(node->attr.window.dilation[i], 1);
        d.pad[i] =
            athi_window_pad(x.dim[1 + i], d.size[i], d.stride[i], d.dilation[i], node->attr.window.same);
    }
    return d;
}

/* Offset in x of cell `cell` of the window of (b, p, q), channel c; -1: outside. */
static int64_t pool_at(const pool_dims *d, int64_t b, int64_t p, int64_t q, int64_t c, int64_t cell) {
    const int64_t h = p * d->stride[0] + cell / d->size[1] * d->dilation[0] - d->pad[0];
    const int64_t w = q * d->stride[1] + cell % d->size[1] * d->dilation[1] - d->pad[1];
    if (h < 0 || h >= d->H || w < 0 || w >= d->W) return -1;
    return ((b * d->H + h) * d->W + w) * d->C + c;
}

/* For every cell of y: its offset is `o`, (b, p, q, c) its place. */
#define POOL_EACH(d)                                                                                         \
    for (int64_t o = 0, b = 0; b < (d).B; b++)                                                               \
        for (int64_t p = 0; p < (d).P; p++)                                                                  \
            for (int64_t q = 0; q < (d).Q; q++)                                                              \
                for (int64_t c = 0; c < (d).C; c++, o++)

/* y, and the number of the largest cell in its window (the first of equals; NaN is the largest). */
static void run_MAX_POOL2D(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0);
    T *y = athi_ref_out(call, 0);
    uint8_t *index = athi_ref_out(call, 1);
    const pool_dims d = pool_of(node, node->in[0]->shape, node->out[0].shape);
    POOL_EACH(d) {
        T best = -(T)INFINITY;
        int64_t best_cell = -1;
        for (int64_t cell = 0; cell < d.size[0] * d.size[1]; cell++) {
            const int64_t at = pool_at(&d, b, p, q, c, cell);
            if (at < 0 || (best_cell >= 0 && !(x[at] > best || x[at] != x[at]))) continue;
            best = x[at], best_cell = cell;
        }
        if (y) y[o] = best;
        if (index) index[o] = (uint8_t)best_cell;
    }
}

static void run_MAX_POOL2D_GRAD(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0);
    const uint8_t *index = athi_ref_in(call, 1);
    T *dx = athi_ref_out(call, 0);
    const pool_dims d = pool_of(node, node->out[0].shape, node->in[0]->shape);
    memset(dx, 0, (size_t)count_out(call, 0) * sizeof(T));
    POOL_EACH(d) {
        const int64_t at = pool_at(&d, b, p, q, c, index[o]);
        if (at >= 0) dx[at] += dy[o];
    }
}

static int64_t pool_inside(const pool_dims *d, int64_t p, int64_t q) {
    int64_t inside = 0;
    for (int64_t cell = 0; cell < d->size[0] * d->size[1]; cell++)
        inside += pool_at(d, 0, p, q, 0, cell) >= 0;
    return inside;
}

static void run_AVERAGE_POOL2D(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0);
    T *y = athi_ref_out(call, 0);
    const pool_dims d = pool_of(node, node->in[0]->shape, node->out[0].shape);
    POOL_EACH(d) {
        double sum = 0;
        for (int64_t cell = 0; cell < d.size[0] * d.size[1]; cell++) {
            const int64_t at = pool_at(&d, b, p, q, c, cell);
            if (at >= 0) sum += x[at];
        }
        y[o] = (T)(sum / (double)pool_inside(&d, p, q));
    }
}

static void run_AVERAGE_POOL2D_GRAD(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0);
    T *dx = athi_ref_out(call, 0);
    const pool_dims d = pool_of(node, node->out[0].shape, node->in[0]->shape);
    memset(dx, 0, (size_t)count_out(call, 0) * sizeof(T));
    POOL_EACH(d) {
        const T share = (T)(dy[o] / (double)pool_inside(&d, p, q));
        for (int64_t cell = 0; cell < d.size[0] * d.size[1]; cell++) {
            const int64_t at = pool_at(&d, b, p, q, c, cell);
            if (at >= 0) dx[at] += share;
        }
    }
}
#undef POOL_EACH
