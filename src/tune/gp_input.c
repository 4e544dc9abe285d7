/* Input warping (see gp_input.h). */
#include "tune/gp_input.h"
#include "tune/gp_internal.h"

#include <cblas.h>

/* v = EDGE + (1 - 2 EDGE) u: at 0 and 1 themselves the slope may be infinite. */
static const double EDGE = 0.005;

static double inner(double u) { return EDGE + (1 - 2 * EDGE) * u; }

double athi_gp_bend(double u, const double shape[2], double *slope) {
    double a = shape[0], b = shape[1], v = inner(u), t = pow(v, a), rest = pow(1 - t, b);
    *slope = (1 - 2 * EDGE) * a * b * t / v * rest / (1 - t);
    return 1 - rest;
}

void athi_gp_bend_by_shape(double u, const double shape[2], double by_shape[2]) {
    double a = shape[0], b = shape[1], v = inner(u), t = pow(v, a), rest = pow(1 - t, b);
    by_shape[0] = a * b * rest / (1 - t) * t * log(v);
    by_shape[1] = -b * rest * log1p(-t);
}

void athi_gp_bend_pairs(const athi_gp *gp, const athi_gp_pairs *pairs, const double *theta) {
    const double *t = theta + athi_gp_at_warp(gp);
    int64_t n = gp->n;
    for (int64_t j = 0; j < gp->d; j++) {
        if (!athi_gp_in_trend(gp->dims[j])) continue;
        double *shape = gp->shape + 2 * j, *w = pairs->bent + j * n, slope;
        shape[0] = exp(*t++), shape[1] = exp(*t++);
        for (int64_t i = 0; i < n; i++) w[i] = athi_gp_bend(gp->x[i * gp->d + j], shape, &slope);
        for (int64_t i = 0, first = 0; i < n; first += n - ++i)
            gp->kernel->coefficients(gp->dims[j], w[i], w + i + 1, n - i - 1,
                                     pairs->coefficient + j * pairs->n + first, NULL);
    }
}

/* Over the pairs of a symmetric F: sum f_ik d(w_i - w_k)^2 = 2 sum_i dw_i (w_i sum_k F_ik - (F w)_i). */
void athi_gp_bend_gradient(const athi_gp *gp, const athi_gp_pairs *pairs, const double *by_distance,
                           double *gradient) {
    int64_t n = gp->n;
    double *sums = pairs->bent + gp->d * n, *product = sums + n, *F = pairs->matrix;
    for (int64_t j = 0, first = 0; j < n; first += n - ++j) {
        F[j * n + j] = 0;
        memcpy(F + j * n + j + 1, by_distance + first, (size_t)(n - j - 1) * sizeof *F);
        product[j] = 1;
    }
    cblas_dsymv(CblasColMajor, CblasLower, (int)n, 1, F, (int)n, product, 1, 0, sums, 1);
    gradient += athi_gp_at_warp(gp);
    for (int64_t j = 0; j < gp->d; j++) {
        if (!athi_gp_in_trend(gp->dims[j])) continue;
        const double *w = pairs->bent + j * n;
        double by[2] = {0};
        cblas_dsymv(CblasColMajor, CblasLower, (int)n, 1, F, (int)n, w, 1, 0, product, 1);
        for (int64_t i = 0; i < n; i++) {
            double by_shape[2], by_w = w[i] * sums[i] - product[i];
            athi_gp_bend_by_shape(gp->x[i * gp->d + j], gp->shape + 2 * j, by_shape);
            by[0] += by_w * by_shape[0], by[1] += by_w * by_shape[1];
        }
        *gradient++ = 2 * gp->weight[j] * by[0];
        *gradient++ = 2 * gp->weight[j] * by[1];
    }
}
