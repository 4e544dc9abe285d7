/* A Parzen estimate over a conditional space: the density that a set of trials leaves behind.
 *
 * Every parameter with more than one value is an axis; axes under the same conditions, which come and go together,
 * are a group. Each trial of the set is a kernel: a product over its axes.
 *
 *   line       floats                  normal at the trial, truncated to the unit interval of the prior
 *   grid       ints, steps, ordered    the mass of that normal in the cell of a value
 *   branches   unordered choices       the trial's branch once, and the prior in 1 / (trials + 1)
 *
 * A normal is as wide as the larger gap to the neighbours along its axis. One more kernel is the prior. A kernel that
 * lacks a group counts there with the density that those which have it make, so that the whole is a density over
 * points, whatever exists in them, and values of parents keep their correlation with what hangs below. */
#ifndef ATHI_PARZEN_H
#define ATHI_PARZEN_H

#include "tune/sampler_internal.h"

typedef enum athi_axis_kind { ATHI_AXIS_LINE, ATHI_AXIS_GRID, ATHI_AXIS_BRANCHES } athi_axis_kind;

typedef struct athi_axis {
    int param, group;
    athi_axis_kind kind;
    bool is_log, is_affine; /* place = offset + scale * value, or of its logarithm: quicker than the prior's map */
    double offset, scale;
} athi_axis;

typedef struct athi_axes {
    const athi_space *space;
    athi_axis *axis; /* by group, lines first within one */
    int64_t n, n_groups;
    int64_t *first;    /* of a group; n_groups + 1 of them */
    int *axis_of;      /* per parameter; -1: it has one value */
    const double *all; /* places of all trials: axis by axis, `stride` apart; NaN where an axis does not exist */
    int64_t stride;
} athi_axes;

/** Reads the axes of the view's space and the places of its trials. */
ath_status athi_axes_create(athi_arena *arena, const athi_view *view, athi_axes *axes);

/** Trials by index in the view, in order, and what each weighs; the prior weighs 1. */
typedef struct athi_parzen {
    const athi_axes *axes;
    const int64_t *trials;
    const double *weights;
    int64_t n;
} athi_parzen;

/** Points and their places (axis by axis, NaN where it does not exist). */
typedef struct athi_candidates {
    double *points; /* rows of space->n */
    double *places; /* axis * n + candidate */
    int64_t n;
} athi_candidates;

ath_status athi_parzen_draw(athi_arena *arena, const athi_parzen *p, athi_rng *rng, int64_t n,
                            athi_candidates *candidates);
/** Logarithm of the density at each candidate, up to a constant that all estimates over the space share. */
ath_status athi_parzen_score(athi_arena *arena, const athi_parzen *p, const athi_candidates *candidates,
                             double *log_density);

/** Widths of normals at n places in 0..1: the larger gap to the neighbours, at least 1 / min(100, n + 2). */
void athi_parzen_widths(const double *places, int64_t n, double *widths);

#endif
