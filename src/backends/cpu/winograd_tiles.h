/* The transforms of Winograd's F(4 x 4, 3 x 3) with the points 0, 1, -1, 2, -2 and infinity (Lavin, Gray 2016,
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

/* B' d */
ATHI_INLINE void input_transform(const vf d[], int step, vf o[TILE_IN]) {
    vf a = d[2 * step], b = d[4 * step];
    vf even = b - a * 4.0f, odd = d[3 * step] - d[step] * 4.0f;
    vf far = b - a, near = (d[3 * step] - d[step]) * 2.0f;
    o[0] = d[0] * 4.0f - a * 5.0f + b;
    o[1] = even + odd, o[2] = even - odd;
    o[3] = far + near, o[4] = far - near;
    o[5] = d[step] * 4.0f - d[3 * step] * 5.0f + d[5 * step];
}

/* A' m */
ATHI_INLINE void output_transform(const vf m[], int step, vf o[TILE_OUT]) {
    vf sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
    vf sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
    o[0] = m[0] + sum + sum2;
    o[1] = difference + difference2 * 2.0f;
    o[2] = sum + sum2 * 4.0f;
    o[3] = difference + difference2 * 8.0f + m[5 * step];
}

/* A y */
ATHI_INLINE void gradient_transform(const vf y[], int step, vf o[TILE_IN]) {
    vf even = y[0] + y[2 * step], odd = y[step] + y[3 * step];
    vf even2 = y[0] + y[2 * step] * 4.0f, odd2 = y[step] * 2.0f + y[3 * step] * 8.0f;
    o[0] = y[0];
    o[1] = even + odd, o[2] = even - odd;
    o[3] = even2 + odd2, o[4] = even2 - odd2;
    o[5] = y[3 * step];
}

/* G g */
ATHI_INLINE void weight_transform(const vf g[], int step, vf o[TILE_IN]) {
    vf ends = (g[0] + g[2 * step]) * (-1.0f / 6), middle = g[step] * (1.0f / 6);
    vf ends2 = g[0] * (1.0f / 24) + g[2 * step] * (1.0f / 6), middle2 = g[step] * (1.0f / 12);
    o[0] = g[0] * 0.25f;
    o[1] = ends - middle, o[2] = ends + middle;
    o[3] = ends2 + middle2, o[4] = ends2 - middle2;
    o[5] = g[2 * step];
}

/* G' u */
ATHI_INLINE void weight_gradient_transform(const vf u[], int step, vf o[3]) {
    vf sum = (u[step] + u[2 * step]) * (1.0f / 6), difference = (u[2 * step] - u[step]) * (1.0f / 6);
    vf sum2 = u[3 * step] + u[4 * step], difference2 = u[3 * step] - u[4 * step];
    o[0] = u[0] * 0.25f - sum + sum2 * (1.0f / 24);
    o[1] = difference + difference2 * (1.0f / 12);
    o[2] = u[5 * step] - sum + sum2 * (1.0f / 6);
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
