/* Kernels of int8 inference: plain functions over bytes that know nothing of graphs. See int8.c. */
#ifndef ATHI_CPU_INT8_H
#define ATHI_CPU_INT8_H

#include "backends/cpu/kernels.h"
#include "graph/quantize.h"

/** A convolution of x [N, H, W, C] with w [kernel_h, kernel_w, C, F] to [N, out_h, out_w, F]. A product of matrices
 *  [M, K] x [K, F] is one of N = H = 1, W = M, C = K. */
typedef struct athi_int8 {
    int64_t N, H, W, C, F, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, out_h,
        out_w;
    int64_t pool; /* 2: only the largest sum of 2 x 2 windows goes on, to [N, out_h / 2, out_w / 2, F]; 1: all do */
    bool pools_bytes; /* any other pooling follows */
} athi_int8;

/* One call: y = sum * rates[f], or with row_scales (of the pixels) sum / (row_scales[pixel] kernel_scale[f]); then a
 * bias and a relu; and q = y * q_scale as bytes. */
typedef struct athi_int8_call {
    const int8_t *x;
    const void *packed; /* by `pack` */
    const float *rates, *row_scales, *kernel_scale;
    const float *bias; /* [F], or NULL */
    bool relu;
    float *y;  /* or NULL */
    int8_t *q; /* or NULL */
    const float *q_scale;
    const athi_pool *pool; /* pools_bytes: of one image of q, whose place the pooled one takes; or NULL */
    void *workspace;
} athi_int8_call;

struct athi_int8_kernels {
    int64_t (*packed_bytes)(const athi_int8 *c);
    int64_t (*workspace)(int threads, const athi_int8 *c);
    void (*pack)(const athi_int8 *c, const int8_t *w, void *packed);
    void (*run)(int threads, const athi_int8 *c, const athi_int8_call *call);
    void (*quantize)(int threads, int64_t n, const float *x, float scale, int8_t *q);
    void (*quantize_rows)(int threads, int64_t M, int64_t K, const float *x, int8_t *q, float *scales);
    void (*max_pool)(int threads, const athi_pool *p, const int8_t *x, int8_t *y);
};

#endif
