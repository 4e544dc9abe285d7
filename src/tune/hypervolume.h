/* The hypervolume below a reference point: what a set of rows of m losses (less is better) dominates. */
#ifndef ATHI_HYPERVOLUME_H
#define ATHI_HYPERVOLUME_H

#include "base/base.h"

/** The exact volume. Rows that are not below the reference in all objectives add nothing. */
ath_status athi_hypervolume(athi_arena *arena, const double *losses, int64_t n, int m, const double *reference,
                            double *volume);
/** What each row adds to the volume of the others. */
ath_status athi_hypervolume_contributions(athi_arena *arena, const double *losses, int64_t n, int m,
                                          const double *reference, double *contribution);

/* Disjoint boxes that fill what no row dominates and lies below the reference; unbounded below. Bounds are indices into
 * the sorted coordinates of the objectives: coordinate[k][0] is -infinity, the last one the reference's. */
typedef struct athi_boxes {
    int m;
    int64_t n, n_coordinates;
    double *coordinate;  /* m rows of n_coordinates */
    int32_t *low, *high; /* n rows of m */
} athi_boxes;
enum { ATHI_BOXES_OBJECTIVES_MAX = 3 };
/** For two or three objectives. */
ath_status athi_boxes_create(athi_arena *arena, const double *losses, int64_t n, int m, const double *reference,
                             athi_boxes *boxes);

#endif
