/* Which trials a Gaussian process sees, as its rows and values. */
#ifndef ATHI_GP_ROWS_H
#define ATHI_GP_ROWS_H

#include "tune/observed.h"

typedef struct athi_gp_rows {
    double *x, *y;
    int64_t n;
} athi_gp_rows;

/** At most `most` of the trials with a value: the best and the latest, half each; in the order of the trials. */
ath_status athi_gp_rows_choose(athi_arena *arena, const athi_observed *o, int64_t most, int64_t **chosen, int64_t *n);
/** The `most` nearest to the best one, by the distance of a process; in the order of the trials. */
ath_status athi_gp_rows_nearest(athi_arena *arena, const athi_observed *o, const athi_gp *gp, int64_t most,
                                int64_t **chosen, int64_t *n);
/** Their rows and values, with room for `more`. */
ath_status athi_gp_rows_gather(athi_arena *arena, const athi_observed *o, const int64_t *chosen, int64_t n,
                               int64_t more, athi_gp_rows *r);

#endif
