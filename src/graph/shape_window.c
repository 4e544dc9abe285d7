/* Shape rules of convolution and pooling over [batch, height, width, channels]. */
#include "graph/rules.h"

int64_t athi_window_out(int64_t n, int64_t size, int64_t stride, int64_t dilation, bool same) {
    if (n == ATHI_DYN) return ATHI_DYN;
    int64_t extent = (size - 1) * dilation + 1;
    if (same) return (n + stride - 1) / stride;
    return n < extent ? 0 : (n - extent) / stride + 1;
}

int64_t athi_window_pad(int64_t n, int64_t size, int64_t stride, int64_t dilation, bool same) {
    if (!same || n == ATHI_DYN) return 0;
    int64_t extent = (size - 1) * dilation + 1;
    int64_t total = (athi_window_out(n, size, stride, dilation, true) - 1) * stride + extent - n;
    return total > 0 ? total / 2 : 0;
}

/* Strides, dilations and groups that were left 0 become 1; then the legal ranges, and the rank of the image. */
static ath_status check_window(athi_node *node, athi_shape x) {
    char text[96];
    enum { LARGEST = 1 << 20 }; /* keeps products of window fields far from overflow */
    for (int i = 0; i < 2; i++) {
        int64_t *stride = &node->attr.window.stride[i], *dilation = &node->attr.window.dilation[i];
        if (*stride == 0) *stride = 1;
        if (*dilation == 0) *dilation = 1;
        int64_t size = node->attr.window.size[i];
        if (size < 1 || *stride < 1 || *dilation < 1 || size > LARGEST || *stride > LARGEST || *dilation > LARGEST)
            return athi_shape_fail(node,
                                   "expected window sizes, strides and dilations from 1 to %d, got %lld, %lld, %lld",
                                   LARGEST, (long long)size, (long long)*stride, (long long)*dilation);
    }
    if (node->attr.window.groups == 0) node->attr.window.groups = 1;
    const int64_t *stride = node->attr.window.stride, *dilation = node->attr.window.dilation;
    if ((stride[0] > 1 || stride[1] > 1) && (dilation[0] > 1 || dilation[1] > 1))
        return athi_shape_fail(node,
                               "expected strides or dilations above 1, not both, got strides [%lld, %lld] and "
                               "dilations [%lld, %lld]; leave one of them at 1",
                               (long long)stride[0], (long long)stride[1], (long long)dilation[0],
                               (long long)dilation[1]);
    if (x.rank == 4) return ATH_OK;
    const char *remedy = "";
    if (x.rank == 2 && x.dim[1] == 784)
        remedy = "; add reshape: {target_shape: [28, 28, 1]}";
    else if (x.rank == 3 || x.rank == 2)
        remedy = "; add reshape with a target_shape of [height, width, channels]";
    return athi_shape_fail(node, "expected input of rank 4 [batch, height, width, channels], got %s%s",
                           athi_shape_str(x, text), remedy);
}

static ath_status window_shape(athi_node *node, athi_shape x, int64_t channels, athi_shape *out) {
    *out = athi_dims(x.dim[0], 0, 0, channels);
    char text[96];
    for (int i = 0; i < 2; i++) {
        int64_t size = node->attr.window.size[i], dilation = node->attr.window.dilation[i];
        out->dim[1 + i] =
            athi_window_out(x.dim[1 + i], size, node->attr.window.stride[i], dilation, node->attr.window.same);
        if (out->dim[1 + i] == 0)
            return athi_shape_fail(node,
                                   "a window of %lld cells does not fit into the %lld of %s (%s); use padding: same "
                                   "or fewer layers that shrink the image",
                                   (long long)((size - 1) * dilation + 1), (long long)x.dim[1 + i],
                                   athi_shape_str(x, text), i ? "width" : "height");
    }
    return ATH_OK;
}

ath_status athi_infer_conv2d(athi_node *node) {
    athi_shape x = node->in[0]->shape, k = node->in[1]->shape, out;
    char a[96], b[96];
    if (k.rank != 4)
        return athi_shape_fail(node, "expected a kernel [height, width, channels / groups, filters], got %s",
                               athi_shape_str(k, a));
    for (int i = 0; i < 2; i++) node->attr.window.size[i] = k.dim[i];
    ATH_TRY(check_window(node, x));
    int64_t groups = node->attr.window.groups, channels = x.dim[3];
    if (groups < 1 || k.dim[3] % groups != 0 || (channels != ATHI_DYN && channels % groups != 0))
        return athi_shape_fail(node, "expected groups that divide the %lld channels and the %lld filters, got %lld",
                               (long long)channels, (long long)k.dim[3], (long long)groups);
    if (channels != ATHI_DYN && channels / groups != k.dim[2])
        return athi_shape_fail(node, "expected a kernel over %lld channels for the input %s in %lld groups, got %s",
                               (long long)(channels / groups), athi_shape_str(x, a), (long long)groups,
                               athi_shape_str(k, b));
    if (node->in[0]->dtype != node->in[1]->dtype)
        return athi_shape_fail(node, "expected input and kernel of one type, got %s and %s",
                               athi_dtype_name(node->in[0]->dtype), athi_dtype_name(node->in[1]->dtype));
    ATH_TRY(window_shape(node, x, k.dim[3], &out));
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

ath_status athi_infer_conv2d_grad_w(athi_node *node) {
    athi_shape x = node->in[0]->shape, dy = node->in[1]->shape;
    ATH_TRY(check_window(node, x));
    if (dy.rank != 4) return athi_shape_fail(node, "expected dy of rank 4, got rank %d", dy.rank);
    int64_t groups = node->attr.window.groups;
    if (groups < 1 || x.dim[3] % groups) return athi_shape_fail(node, "expected groups that divide the channels");
    athi_shape out = athi_dims(node->attr.window.size[0], node->attr.window.size[1], x.dim[3] / groups, dy.dim[3]);
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

/* The gradients with respect to x: their shape is an attribute. */
ath_status athi_infer_window_x(athi_node *node) {
    athi_shape x = node->attr.window.x, expected;
    char a[96], b[96];
    ATH_TRY(check_window(node, x));
    int64_t channels = x.dim[3];
    if (node->op == ATHI_OP_CONV2D_GRAD_X) {
        athi_shape k = node->in[1]->shape;
        if (k.rank != 4) return athi_shape_fail(node, "expected a kernel of rank 4, got rank %d", k.rank);
        channels = k.dim[3];
    }
    for (int i = 0; i < 4; i++)
        if (x.dim[i] < 1 && x.dim[i] != ATHI_DYN)
            return athi_shape_fail(node, "expected sizes >= 1 of x, got %s", athi_shape_str(x, a));
    ATH_TRY(window_shape(node, x, channels, &expected));
    if (!athi_shapes_agree(expected, node->in[0]->shape))
        return athi_shape_fail(node, "expected dy of shape %s, got %s", athi_shape_str(expected, a),
                               athi_shape_str(node->in[0]->shape, b));
    return athi_set_out(node, 0, x, node->in[0]->dtype);
}

ath_status athi_infer_average_pool2d(athi_node *node) {
    athi_shape x = node->in[0]->shape, out;
    ATH_TRY(check_window(node, x));
    ATH_TRY(window_shape(node, x, x.dim[3], &out));
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

ath_status athi_infer_max_pool2d(athi_node *node) {
    ATH_TRY(athi_infer_average_pool2d(node));
    int64_t cells = node->attr.window.size[0] * node->attr.window.size[1];
    if (cells > 256) /* the position is kept in a byte */
        return athi_shape_fail(node, "expected a window of at most 256 cells, got %lld; use global_max_pooling2d",
                               (long long)cells);
    return athi_set_out(node, 1, node->out[0].shape, ATH_U8);
}
