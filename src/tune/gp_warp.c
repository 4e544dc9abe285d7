/* Output warping (see gp_warp.h). */
#include "tune/gp_warp.h"

#include <math.h>
#include <stdlib.h>

const double athi_gp_warp_offsets[ATHI_GP_WARPS] = {INFINITY, 1, 0.3, 0.1, 0.03, 0.01};

static int ascending(const void *pa, const void *pb) {
    const double *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

ath_status athi_gp_warp_measure(athi_arena *arena, const double *y, int64_t n, athi_gp_warp *warp) {
    *warp = (athi_gp_warp){.scale = 1, .offset = INFINITY};
    if (n == 0) return ATH_OK;
    double *sorted = athi_arena_array(arena, n, sizeof *sorted);
    if (!sorted) return ATH_E_NOMEM;
    memcpy(sorted, y, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    warp->least = sorted[0];
    if (sorted[n / 2] > sorted[0]) warp->scale = sorted[n / 2] - sorted[0];
    return ATH_OK;
}

double athi_standardise(double *y, int64_t n, double *scale) {
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (y[i] - mean) * (y[i] - mean) / (double)n;
    double deviation = sum > 0 ? sqrt(sum) : 1;
    for (int64_t i = 0; i < n; i++) y[i] = (y[i] - mean) / deviation;
    if (scale) *scale = deviation;
    return -mean / deviation;
}

double athi_gp_warp_apply(const athi_gp_warp *w, double *y, int64_t n) {
    double slopes = 0, scale;
    for (int64_t i = 0; i < n && isfinite(w->offset); i++) {
        double from_best = w->offset + fmax(y[i] - w->least, 0) / w->scale;
        slopes -= log(from_best * w->scale);
        y[i] = log(from_best);
    }
    athi_standardise(y, n, &scale);
    return slopes - (double)n * log(scale);
}
