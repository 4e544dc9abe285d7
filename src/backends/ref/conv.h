/* Convolution (cross-correlation, as everywhere in deep learning) and its gradients. Included by f32.c and
 * f64.c. x [B, H, W, C]   kernel [kh, kw, C/groups, F]   y [B, P, Q, F] Filter f belongs to group f /
 * (F/groups) and sees that group's channels only. */

typedef struct conv_dims {
    int64_t B, H, W, C, P, Q, F;      /* x and y */
    int64_t kh, kw, c_group, f_group; /* kernel; channels and filters of a group */
    int64_t stride[2], dilation[2], pad[2];
} conv_dims;

static conv_dims conv_of(const athi_node *node, athi_shape x, athi_shape kernel, athi_shape y) {
    const int64_t groups = ATHI_MAX(node->attr.window.groups, 1);
    conv_dims d = {.B = x.dim[0], .H = x.dim[1], .W = x.dim[2], .C = x.dim[3], .P = y.dim[1], .Q = y.dim[2]};
    d.F = kernel.dim[3], d.kh = kernel.dim[0], d.kw = kernel.dim[1];
    d.c_group = d.C / groups, d.f_group = d.F / groups;
    for (int i = 0; i < 2; i++) {
        d.stride[i] = ATHI_MAX(node->attr.window.stride[i], 1);
        d.dilation[i] = ATHI_MAX(node->attr.window.dilation[i], 1);
        d.pad[i] =
            athi_window_pad(x.dim[1 + i], kernel.dim[i], d.stride[i], d.dilation[i], node->attr.window.same);
    }
    return d;
}

/* Where in x the first channel of group g lies that cell (p, q) sees through kernel cell (i, j); -1: padding. */
static int64_t conv_x_at(const conv_dims *d, int64_t b, int64_t p, int64_t q, int64_t i, int64_t j,
                         int64_t g) {
    const int64_t h = p * d->stride[0] + i * d->dilation[0] - d->pad[0];
    const int64_t w = q * d->stride[1] + j * d->dilation[1] - d->pad[1];
    if (h < 0 || h >= d->H || w < 0 || w >= d->W) return -1;
    return ((b * d->H + h) * d->W + w) * d->C + g * d->c_group;
}
static int64_t conv_kernel_at(const conv_dims *d, int64_t i, int64_t j, int64_t f) {
    return (i * d->kw + j) * d->c_group * d->F + f; /* + c * F */
}
static int64_t conv_y_at(const conv_dims *d, int64_t b, int64_t p, int64_t q, int64_t f) {
    return ((b * d->P + p) * d->Q + q) * d->F + f;
}

static void run_CONV2D(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0), *kernel = athi_ref_in(call, 1);
    T *y = athi_ref_out(call, 0);
    const conv_dims d = conv_of(node, node->in[0]->shape, node->in[1]->shape, node->out[0].shape);
    for (int64_t b = 0; b < d.B; b++)
        for (int64_t p = 0; p < d.P; p++)
            for (int64_t q = 0; q < d.Q; q++)
                for (int64_t f = 0; f < d.F; f++) {
                    double sum = 0;
                    for (int64_t i = 0; i < d.kh; i++)
                        for (int64_t j = 0; j < d.kw; j++) {
                            const int64_t at = conv_x_at(&d, b, p, q, i, j, f / d.f_group);
                            const T *k = kernel + conv_kernel_at(&d, i, j, f);
                            for (int64_t c = 0; at >= 0 && c < d.c_group; c++)
                                sum += (double)x[at + c] * k[c * d.F];
                        }
                    y[conv_y_at(&d, b, p, q, f)] = (T)sum;
                }
}

/* dx[b, h, w, c] = sum over the cells (p, q), (i, j) that saw it and the filters of its group of dy * kernel */
static void run_CONV2D_GRAD_X(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *dy = athi_ref_in(call, 0), *kernel = athi_ref_in(call, 1);
    T *dx = athi_ref_out(call, 0);
    const conv_dims d = conv_of(node, node->out[0].shape, node->in[1]->shape, node->in[0]->shape);
    for (int64_t b = 0; b < d.B; b++)
        for (int64_t h = 0; h < d.H; h++)
            for (int64_t w = 0; w < d.W; w++)
                for (int64_t c = 0; c < d.C; c++) {
                    const int64_t g = c / d.c_group;
                    double sum = 0;
                    for (int64_t i = 0; i < d.kh; i++)
                        for (int64_t j = 0; j < d.kw; j++) {
                            const int64_t ph = h + d.pad[0] - i * d.dilation[0],
                                          qw = w + d.pad[1] - j * d.dilation[1];
                            const int64_t p = ph / d.stride[0], q = qw / d.stride[1];
                            if (ph < 0 || qw < 0 || ph % d.stride[0] || qw % d.stride[1] || p >= d.P ||
                                q >= d.Q)
                                continue;
                            const T *k = kernel + conv_kernel_at(&d, i, j, 0) + (c % d.c_group) * d.F;
                            const T *row = dy + conv_y_at(&d, b, p, q, 0);
                            for (int64_t f = g * d.f_group; f < (g + 1) * d.f_group; f++)
                                sum += (double)row[f] * k[f];
                        }
                    dx[((b * d.H + h) * d.W + w) * d.C + c] = (T)sum;
                }
}

static void run_CONV2D_GRAD_W(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *x = athi_ref_in(call, 0), *dy = athi_ref_in(call, 1);
    T *dw = athi_ref_out(call, 0);
    const conv_dims d = conv_of(node, node->in[0]->shape, node->out[0].shape, node->in[1]->shape);
    for (int64_t i = 0; i < d.kh; i++)
        for (int64_t j = 0; j < d.kw; j++)
            for (int64_t c = 0; c < d.c_group; c++)
                for (int64_t f = 0; f < d.F; f++) {
                    double sum = 0;
                    for (int64_t b = 0; b < d.B; b++)
                        for (int64_t p = 0; p < d.P; p++)
                            for (int64_t q = 0; q < d.Q; q++) {
                                const int64_t at = conv_x_at(&d, b, p, q, i, j, f / d.f_group);
                                if (at >= 0) sum += (double)x[at + c] * dy[conv_y_at(&d, b, p, q, f)];
                            }
                    dw[conv_kernel_at(&d, i, j, f) + c * d.F] = (T)sum;
                }
}
