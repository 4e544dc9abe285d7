/* The transforms of Winograd's F(4 x 4, 3 x 3) with the points 0, P, -P, Q, -Q and infinity (Lavin, Gray 2016,
 * "Fast Algorithms for Convolutional Neural Networks", section 4.3), a vector of channels at a time:
 *
 *     Y = A' [ (G g G') * (B' d B) ] A          d 6 x 6 inputs, g 3 x 3 weights, Y 4 x 4 outputs
 *     dg = G' [ (A dY A') * (B' d B) ] G         the weight gradient, its exact adjoint
 *
 * A two-dimensional transform is the one-dimensional one over the columns and then over the rows. */
#ifndef ATHI_CPU_WINOGRAD_TILES_H
#define ATHI_CPU_WINOGRAD_TILES_H

#include "backends/cpu/simd.h"

enum { TILE_OUT = 4, TILE_IN = 6, POSITIONS = TILE_IN * TILE_IN, TAPS = 9 };

/* With 1 and 2 most factors are powers of two. Rounded to bfloat16, what is multiplied wants points whose powers lie
 * near each other: the products' error is half as large with 3/4 and 3/2, 1.1 % of the result's root mean square (see
 * tests/backends/test_cpu_bf16.c). */
#ifdef ATHI_STORE_BF16
#define P 0.75f
#define Q 1.5f
#else
#define P 1.0f
#define Q 2.0f
#endif
#define P2      (P * P)
#define Q2      (Q * Q)
#define SHARE_P (1 / (2 * P2 * (P2 - Q2))) /* 1 / product of the distances to the other points */
#define SHARE_Q (1 / (2 * Q2 * (Q2 - P2)))
#define SHARE_0 (1 / (P2 * Q2))

/* B' d */
ATHI_INLINE void input_transform(const vf d[], int step, vf o[TILE_IN]) {
    vf even = d[4 * step] - d[2 * step] * Q2, odd = (d[3 * step] - d[step] * Q2) * P;
    vf far = d[4 * step] - d[2 * step] * P2, near = (d[3 * step] - d[step] * P2) * Q;
    o[0] = d[0] * (P2 * Q2) - d[2 * step] * (P2 + Q2) + d[4 * step];
    o[1] = even + odd, o[2] = even - odd;
    o[3] = far + near, o[4] = far - near;
    o[5] = d[step] * (P2 * Q2) - d[3 * step] * (P2 + Q2) + d[5 * step];
}

/* A' m */
ATHI_INLINE void output_transform(const vf m[], int step, vf o[TILE_OUT]) {
    vf sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    vf sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    o[0] = m[0] + sum + sum2;
    o[1] = difference * P + difference2 * Q;
    o[2] = sum * P2 + sum2 * Q2;
    o[3] = difference * (P2 * P) + difference2 * (Q2 * Q) + m[5 * step];
}

/* A y */
ATHI_INLINE void gradient_transform(const vf y[], int step, vf o[TILE_IN]) {
    vf even = y[0] + y[2 * step] * P2, odd = y[step] * P + y[3 * step] * (P2 * P);
    vf even2 = y[0] + y[2 * step] * Q2, odd2 = y[step] * Q + y[3 * step] * (Q2 * Q);
    o[0] = y[0];
    o[1] = even + odd, o[2] = even - odd;
    o[3] = even2 + odd2, o[4] = even2 - odd2;
    o[5] = y[3 * step];
}

/* G g */
ATHI_INLINE void weight_transform(const vf g[], int step, vf o[TILE_IN]) {
    vf ends = g[0] * SHARE_P + g[2 * step] * (P2 * SHARE_P), middle = g[step] * (P * SHARE_P);
    vf ends2 = g[0] * SHARE_Q + g[2 * step] * (Q2 * SHARE_Q), middle2 = g[step] * (Q * SHARE_Q);
    o[0] = g[0] * SHARE_0;
    o[1] = ends + middle, o[2] = ends - middle;
    o[3] = ends2 + middle2, o[4] = ends2 - middle2;
    o[5] = g[2 * step];
}

/* G' u */
ATHI_INLINE void weight_gradient_transform(const vf u[], int step, vf o[3]) {
    vf sum = u[step] + u[2 * step], difference = u[step] - u[2 * step];
    vf sum2 = u[3 * step] + u[4 * step], difference2 = u[3 * step] - u[4 * step];
    o[0] = u[0] * SHARE_0 + sum * SHARE_P + sum2 * SHARE_Q;
    o[1] = difference * (P * SHARE_P) + difference2 * (Q * SHARE_Q);
    o[2] = u[5 * step] + sum * (P2 * SHARE_P) + sum2 * (Q2 * SHARE_Q);
}

/* Over the columns of a matrix [rows, columns] in place of which the transform gives [results, columns]; then over
 * each row. `transform` is one of those above, inlined. */
#define TRANSFORM_2D(transform, from, rows, to, results)                                                             \
    do {                                                                                                             \
        vf between_[(results) * (rows)], column_[TILE_IN];                                                           \
        ATHI_UNROLL                                                                                                  \
        for (int j_ = 0; j_ < (rows); j_++) {                                                                        \
            transform((from) + j_, rows, column_);                                                                   \
            ATHI_UNROLL                                                                                              \
            for (int i_ = 0; i_ < (results); i_++) between_[i_ * (rows) + j_] = column_[i_];                         \
        }                                                                                                            \
        ATHI_UNROLL                                                                                                  \
        for (int i_ = 0; i_ < (results); i_++) transform(between_ + i_ * (rows), 1, (to) + i_ * (results));          \
    } while (0)

#endif
