/* Pareto dominance: of n rows of m losses (less is better in all), who is beaten by whom. */
#ifndef ATHI_PARETO_H
#define ATHI_PARETO_H

#include "base/base.h"

/** a is nowhere worse than b, and somewhere better. */
bool athi_dominates(const double *a, const double *b, int m);
/** The layer of each row: 0 is the front, 1 the front without layer 0, … (Deb et al. 2002, fast non-dominated sort). */
ath_status athi_pareto_layers(athi_arena *arena, const double *losses, int64_t n, int m, int64_t *layer);

#endif
