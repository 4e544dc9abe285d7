/* Pareto dominance: of n rows of m losses (less is better in all), who is beaten by whom. */
#ifndef ATHI_PARETO_H
#define ATHI_PARETO_H

#include "base/base.h"

/** a is nowhere worse than b, and somewhere better. */
bool athi_dominates(const double *a, const double *b, int m);
/** The layer of each row: 0 is the front, 1 the front without layer 0, … (Deb et al. 2002). Equal rows lie in the same. */
ath_status athi_pareto_layers(athi_arena *arena, const double *losses, int64_t n, int m, int64_t *layer);
/** How far the rows of each layer lie from their neighbours in it, infinite at the ends of an objective's range (Deb et
 * al. 2002, section III-B). */
ath_status athi_crowding(athi_arena *arena, const double *losses, int64_t n, int m, const int64_t *layer,
                         double *distance);

#endif
