/* int8 inference: sums are exact integers, scales are applied in float32 in the order that the ops' rows say, so that
 * another backend can give the same bits. */
#include "backends/ref/ref.h"
#include "graph/quantize.h"

static float scale_at(const athi_call *call, int k, int64_t i) {
    return (float)athi_ref_read(athi_ref_in(call, k), athi_ref_node(call)->in[k]->dtype, i);
}

void athi_ref_quantize(const athi_call *call) {
    const ath_tensor *x = athi_ref_node(call)->in[0];
    const float scale = scale_at(call, 1, 0);
    int8_t *out = athi_ref_out(call, 0);
    const int64_t n = athi_shape_count(x->shape);
    for (int64_t i = 0; i < n; i++)
        out[i] = athi_quantize((float)athi_ref_read(athi_ref_in(call, 0), x->dtype, i), scale);
}

/* x [M, K]: each row by its own largest magnitude */
void athi_ref_quantize_rows(const athi_call *call) {
    const ath_tensor *x = athi_ref_node(call)->in[0];
    const int64_t M = x->shape.dim[0], K = x->shape.dim[1];
    const void *in = athi_ref_in(call, 0);
    int8_t *out = athi_ref_out(call, 0);
    for (int64_t i = 0; i < M; i++) {
        float most = 0;
        for (int64_t k = 0; k < K; k++) most = fmaxf(most, fabsf((float)athi_ref_read(in, x->dtype, i * K + k)));
        const float scale = athi_quantize_scale(most);
        athi_ref_write(athi_ref_out(call, 1), x->dtype, i, (double)scale);
        for (int64_t k = 0; k < K; k++)
            out[i * K + k] = athi_quantize((float)athi_ref_read(in, x->dtype, i * K + k), scale);
    }
}

/* x [M, K], kernel [K, N] */
void athi_ref_quantized_matmul(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int8_t *x = athi_ref_in(call, 0), *w = athi_ref_in(call, 1);
    const int64_t M = node->out[0].shape.dim[0], N = node->out[0].shape.dim[1], K = node->in[0]->shape.dim[1];
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            int32_t sum = 0;
            for (int64_t k = 0; k < K; k++) sum += x[i * K + k] * w[k * N + j];
            const float scale = scale_at(call, 2, i) * scale_at(call, 3, j);
            athi_ref_write(athi_ref_out(call, 0), node->out[0].dtype, i * N + j, (double)((float)sum / scale));
        }
}

typedef struct window {
    int64_t H, W, C, F, P, Q, size[2], stride[2], dilation[2], pad[2];
} window;

/* x [B, H, W, C], kernel [kh, kw, C, F], y [B, P, Q, F] */
static window window_of(const athi_node *node) {
    const int64_t *x = node->in[0]->shape.dim, *y = node->out[0].shape.dim;
    window d = {.H = x[1], .W = x[2], .C = x[3], .P = y[1], .Q = y[2], .F = y[3]};
    for (int i = 0; i < 2; i++) {
        d.size[i] = node->attr.window.size[i];
        d.stride[i] = ATHI_MAX(node->attr.window.stride[i], 1);
        d.dilation[i] = ATHI_MAX(node->attr.window.dilation[i], 1);
        d.pad[i] = athi_window_pad(x[1 + i], d.size[i], d.stride[i], d.dilation[i], node->attr.window.same);
    }
    return d;
}

/* Offset of cell `cell` of the window of (b, p, q) in an image, channel 0; -1: outside. */
static int64_t cell_at(const window *d, int64_t b, int64_t p, int64_t q, int64_t cell) {
    const int64_t h = p * d->stride[0] + cell / d->size[1] * d->dilation[0] - d->pad[0];
    const int64_t w = q * d->stride[1] + cell % d->size[1] * d->dilation[1] - d->pad[1];
    if (h < 0 || h >= d->H || w < 0 || w >= d->W) return -1;
    return ((b * d->H + h) * d->W + w) * d->C;
}

void athi_ref_quantized_conv2d(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int8_t *x = athi_ref_in(call, 0), *w = athi_ref_in(call, 1);
    const window d = window_of(node);
    const int64_t n = athi_shape_count(node->out[0].shape);
    for (int64_t o = 0; o < n; o++) {
        const int64_t f = o % d.F, q = o / d.F % d.Q, p = o / (d.F * d.Q) % d.P, b = o / (d.F * d.Q * d.P);
        int32_t sum = 0;
        for (int64_t cell = 0; cell < d.size[0] * d.size[1]; cell++) {
            const int64_t at = cell_at(&d, b, p, q, cell);
            for (int64_t c = 0; at >= 0 && c < d.C; c++) sum += x[at + c] * w[(cell * d.C + c) * d.F + f];
        }
        const float rate = 1.0f / (scale_at(call, 2, 0) * scale_at(call, 3, f));
        athi_ref_write(athi_ref_out(call, 0), node->out[0].dtype, o, (double)((float)sum * rate));
    }
}

/* max_pool2d of int8 values; the place of the maximum is not kept, since there are no gradients. */
void athi_ref_int8_max_pool(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const int8_t *x = athi_ref_in(call, 0);
    int8_t *y = athi_ref_out(call, 0);
    uint8_t *index = athi_ref_out(call, 1);
    const window d = window_of(node);
    const int64_t n = athi_shape_count(node->out[0].shape);
    for (int64_t o = 0; o < n; o++) {
        const int64_t f = o % d.F, q = o / d.F % d.Q, p = o / (d.F * d.Q) % d.P, b = o / (d.F * d.Q * d.P);
        int best = -128, place = 0;
        for (int64_t cell = 0; cell < d.size[0] * d.size[1]; cell++) {
            const int64_t at = cell_at(&d, b, p, q, cell);
            if (at >= 0 && x[at + f] > best) best = x[at + f], place = (int)cell;
        }
        y[o] = (int8_t)best;
        if (index) index[o] = (uint8_t)place;
    }
}
