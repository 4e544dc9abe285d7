/* How much hypervolume a point is expected to add: of independent processes, one an objective, over the boxes that
 * nothing dominates yet. In each box what is added is a product over the objectives, and with G(c) = E[max(c - Y, 0)]
 * its factors are G(high) - G(low) (Yang et al. 2019, doi 10.1007/s10898-019-00798-7): exact, with exact derivatives. */
#ifndef ATHI_VOLUME_GAIN_H
#define ATHI_VOLUME_GAIN_H

#include "tune/gp.h"
#include "tune/hypervolume.h"

typedef struct athi_volume_gain {
    int m;
    const athi_gp *const *gps; /* of the losses */
    athi_boxes boxes;
    double *work; /* made by athi_volume_gain_create */
} athi_volume_gain;

/** `gain` holds processes and boxes. */
ath_status athi_volume_gain_create(athi_arena *arena, athi_volume_gain *gain);
/** The logarithm at one row; adds its derivatives by the dimensions `free` to `gradient`. */
double athi_volume_gain_at(const athi_volume_gain *gain, const double *row, const int *free, int n_free,
                           double *gradient);
/** At m rows, at most ATHI_ACQUISITION_BATCH. */
void athi_volume_gain_many(const athi_volume_gain *gain, const double *rows, int64_t m, double *values);

#endif
