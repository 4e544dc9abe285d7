/* The expected gain of hypervolume (see volume_gain.h). G is scaled by its value at the reference, so that sums of
 * products neither overflow nor vanish before their logarithm is taken, and computed once for each coordinate. */
#include "tune/volume_gain.h"
#include "tune/acquisition.h"

#include <math.h>

/* Per objective and coordinate: G over G(reference), and its derivatives by mean and deviation, scaled alike. */
typedef struct table {
    double *value, *by_mean, *by_deviation;
    double log_scale;
} table;

static int64_t cells(const athi_volume_gain *g) { return g->boxes.n_coordinates * g->m; }

static int64_t largest(const athi_volume_gain *g) {
    int64_t n = 1;
    for (int k = 0; k < g->m; k++) n = ATHI_MAX(n, g->gps[k]->n);
    return n;
}

ath_status athi_volume_gain_create(athi_arena *arena, athi_volume_gain *g) {
    g->work = athi_arena_array(arena, 3 * cells(g) + ATHI_ACQUISITION_BATCH * largest(g), sizeof *g->work);
    return g->work ? ATH_OK : ATH_E_NOMEM;
}

static table tabulate(const athi_volume_gain *g, int k, double mean, double deviation) {
    int64_t n = g->boxes.n_coordinates, all = cells(g);
    const double *c = g->boxes.coordinate + k * n;
    table t = {g->work + k * n, g->work + all + k * n, g->work + 2 * all + k * n, 0};
    t.value[0] = t.by_mean[0] = t.by_deviation[0] = 0;
    for (int64_t i = n - 1; i > 0; i--) {
        double z = (c[i] - mean) / deviation, slope, log_g = log(deviation) + athi_log_improvement(z, &slope);
        if (i == n - 1) t.log_scale = log_g;
        t.value[i] = exp(log_g - t.log_scale);
        t.by_mean[i] = -t.value[i] * slope / deviation;
        t.by_deviation[i] = t.value[i] * (1 - slope * z) / deviation;
    }
    return t;
}

/* The logarithm of the gain, and its derivatives by each mean and deviation. */
static double gain_of(const athi_volume_gain *g, const double *mean, const double *variance, double *by_mean,
                      double *by_deviation) {
    table t[ATHI_BOXES_OBJECTIVES_MAX];
    double sum = 0, log_scale = 0;
    for (int k = 0; k < g->m; k++) {
        t[k] = tabulate(g, k, mean[k], sqrt(variance[k]));
        log_scale += t[k].log_scale, by_mean[k] = by_deviation[k] = 0;
    }
    for (int64_t b = 0; b < g->boxes.n; b++) {
        const int32_t *low = g->boxes.low + b * g->m, *high = g->boxes.high + b * g->m;
        double side[ATHI_BOXES_OBJECTIVES_MAX], product = 1;
        for (int k = 0; k < g->m; k++) product *= side[k] = fmax(t[k].value[high[k]] - t[k].value[low[k]], 0);
        sum += product;
        for (int k = 0; k < g->m; k++) {
            double others = 1;
            for (int j = 0; j < g->m; j++) others *= j == k ? 1 : side[j];
            by_mean[k] += others * (t[k].by_mean[high[k]] - t[k].by_mean[low[k]]);
            by_deviation[k] += others * (t[k].by_deviation[high[k]] - t[k].by_deviation[low[k]]);
        }
    }
    for (int k = 0; k < g->m; k++) {
        by_mean[k] = sum > 0 ? by_mean[k] / sum : 0;
        by_deviation[k] = sum > 0 ? by_deviation[k] / sum : 0;
    }
    return sum > 0 ? log(sum) + log_scale : -INFINITY;
}

double athi_volume_gain_at(const athi_volume_gain *g, const double *row, const int *free, int n_free,
                           double *gradient) {
    enum { M = ATHI_BOXES_OBJECTIVES_MAX };
    double mean[M], variance[M], by_mean[M], by_deviation[M];
    double dm[M][ATHI_ACQUISITION_MAX_FREE], dv[M][ATHI_ACQUISITION_MAX_FREE], *work = g->work + 3 * cells(g);
    for (int k = 0; k < g->m; k++)
        athi_gp_gradient(g->gps[k], row, free, n_free, &mean[k], &variance[k], dm[k], dv[k], work);
    double value = gain_of(g, mean, variance, by_mean, by_deviation);
    for (int k = 0; k < g->m; k++)
        for (int f = 0; f < n_free; f++)
            gradient[f] += by_mean[k] * dm[k][f] + by_deviation[k] * dv[k][f] / (2 * sqrt(variance[k]));
    return value;
}

void athi_volume_gain_many(const athi_volume_gain *g, const double *rows, int64_t m, double *values) {
    enum { M = ATHI_BOXES_OBJECTIVES_MAX };
    double mean[M][ATHI_ACQUISITION_BATCH], variance[M][ATHI_ACQUISITION_BATCH], unused[2][M];
    for (int k = 0; k < g->m; k++) athi_gp_predict(g->gps[k], rows, m, mean[k], variance[k], g->work + 3 * cells(g));
    for (int64_t i = 0; i < m; i++) {
        double at[M], spread[M];
        for (int k = 0; k < g->m; k++) at[k] = mean[k][i], spread[k] = variance[k][i];
        values[i] = gain_of(g, at, spread, unused[0], unused[1]);
    }
}
