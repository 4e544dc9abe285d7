/* Where a child's values lie: near its parent's, inside the range, on its grid, and as the prior measures distance. */
#include "tune/scheduler_internal.h"

#include <math.h>

enum { TRIES = 100 }; /* to keep the constraints; then the parent's point stands */

/* log: times the factor; reverse_log: the distance to the far end, times the factor; else a part of the width. */
static double moved(const athi_space_param *p, double v, double factor) {
    switch (p->prior) {
    case ATHI_PRIOR_LOG: return v * factor;
    case ATHI_PRIOR_REVERSE_LOG: return p->max + p->min - (p->max + p->min - v) * factor;
    case ATHI_PRIOR_UNIFORM:
    case ATHI_PRIOR_NORMAL: break;
    }
    return v + (factor - 1) * (p->max - p->min);
}

static double neighbour(const athi_space_param *p, double v, bool up) {
    bool multiplies = p->step > 0 && (p->prior == ATHI_PRIOR_LOG || p->prior == ATHI_PRIOR_REVERSE_LOG);
    if (multiplies) return up ? v * p->step : v / p->step;
    double step = p->step > 0 ? p->step : 1;
    return up ? v + step : v - step;
}

static double perturbed(const athi_space_param *p, double v, double factor) {
    if (p->type == ATHI_PARAM_CHOICE) return fmin(fmax(v + (factor >= 1 ? 1 : -1), 0), p->n_branches - 1);
    double target = moved(p, v, factor), near = athi_param_snap(p, target);
    bool grid = p->type == ATHI_PARAM_INT || p->step > 0;
    return grid && near == v ? athi_param_snap(p, neighbour(p, v, target > v)) : near;
}

/* One draw: parents of conditions come before what depends on them. */
static void draw(const athi_pbt_opts *o, const athi_schedule *s, const double *parent, athi_rng *rng, double *point) {
    const athi_space *space = s->space;
    for (int64_t k = 0; k < space->n; k++) {
        int i = space->order[k];
        const athi_space_param *p = &space->params[i];
        /* drawn in any case, so that siblings do not shift one another */
        double fate = athi_rng_uniform(rng), fresh = athi_param_from_unit(p, athi_rng_uniform(rng));
        int64_t n = o->perturbation_factors.n, which = (int64_t)(athi_rng_uniform(rng) * (double)n);
        point[i] = (double)NAN;
        if (!athi_space_exists(space, point, i)) continue;
        point[i] = parent[i];
        if (s->fixed && s->fixed[i] && !isnan(parent[i])) continue;
        bool unordered = p->type == ATHI_PARAM_CHOICE && !p->ordered;
        point[i] = isnan(parent[i]) || unordered || fate < o->resample_probability
                       ? fresh
                       : perturbed(p, parent[i], o->perturbation_factors.v[ATHI_MIN(which, n - 1)]);
    }
    athi_space_normalize(space, point);
}

void athi_pbt_explore(const athi_pbt_opts *o, const athi_schedule *s, const double *parent, athi_rng *rng,
                      double *point) {
    for (int i = 0; i < TRIES; i++) {
        draw(o, s, parent, rng, point);
        if (athi_space_allows(s->space, point)) return;
    }
    if (s->space->n) memcpy(point, parent, (size_t)s->space->n * sizeof *point);
}
