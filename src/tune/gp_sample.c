/* Hyperparameters drawn from their posterior: slice sampling (Neal 2003), one of theta after the other, from its maximum. */
#include "tune/gp_sample.h"

#include <math.h>

enum { MOST_STEPS = 4 };       /* of growing a slice, to each side */
static const double WIDTH = 1; /* of a slice at first: about the posterior's deviation, of logarithms */

typedef struct walk {
    const athi_gp *gp;
    const athi_gp_pairs *pairs;
    const athi_gp_bounds *bounds;
    athi_rng *rng;
    double *theta, *unused;
    double height; /* negative log posterior at theta */
} walk;

static double at(const walk *w, int64_t j, double value) {
    double old = w->theta[j];
    if (value < w->bounds->low[j] || value > w->bounds->high[j]) return INFINITY;
    w->theta[j] = value;
    double height = athi_gp_objective(w->gp, w->pairs, w->theta, w->unused);
    w->theta[j] = old;
    return height;
}

static void step(walk *w, int64_t j) {
    double now = w->theta[j], level = w->height - log(1 - athi_rng_uniform(w->rng));
    double left = now - WIDTH * athi_rng_uniform(w->rng), right = left + WIDTH;
    for (int k = 0; k < MOST_STEPS && at(w, j, left) < level; k++) left -= WIDTH;
    for (int k = 0; k < MOST_STEPS && at(w, j, right) < level; k++) right += WIDTH;
    for (int tries = 0; tries < 30; tries++) { /* `now` itself lies in the slice, so this ends well before */
        double value = left + athi_rng_uniform(w->rng) * (right - left), height = at(w, j, value);
        if (height <= level) {
            w->theta[j] = value, w->height = height;
            return;
        }
        if (value < now)
            left = value;
        else
            right = value;
    }
}

ath_status athi_gp_sample(athi_arena *arena, const athi_gp *gp, const athi_gp_pairs *pairs,
                          const athi_gp_bounds *bounds, athi_rng *rng, int64_t count, double **thetas) {
    int64_t p = gp->n_theta;
    double *work = athi_arena_array(arena, 2 * p, sizeof *work);
    *thetas = athi_arena_array(arena, ATHI_MAX(count * p, 1), sizeof **thetas);
    if (!work || !*thetas) return ATH_E_NOMEM;
    walk w = {.gp = gp, .pairs = pairs, .bounds = bounds, .rng = rng, .theta = work, .unused = work + p};
    memcpy(w.theta, gp->theta, (size_t)p * sizeof *w.theta);
    w.height = athi_gp_objective(gp, pairs, w.theta, w.unused);
    for (int64_t k = 0; k < count; k++) {
        for (int64_t j = 0; j < p; j++) step(&w, j);
        memcpy(*thetas + k * p, w.theta, (size_t)p * sizeof *w.theta);
    }
    return ATH_OK;
}
