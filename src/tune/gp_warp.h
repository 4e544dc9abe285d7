/* Output warping of the values that a Gaussian process models: z = ln(offset + (y - least) / scale). The smaller the
 * offset, the more it magnifies what lies close to the best value, and the more it compresses heavy tails. */
#ifndef ATHI_GP_WARP_H
#define ATHI_GP_WARP_H

#include "base/base.h"

typedef struct athi_gp_warp {
    double least, scale; /* of the values: the best, and from there to the median */
    double offset;       /* infinity: values stay as they are */
} athi_gp_warp;

/** Offsets worth a comparison, from none to the strongest. */
enum { ATHI_GP_WARPS = 6 };
extern const double athi_gp_warp_offsets[ATHI_GP_WARPS];

/** For these values; the offset is infinity. */
ath_status athi_gp_warp_measure(athi_arena *arena, const double *y, int64_t n, athi_gp_warp *warp);
/** Warps and standardises. What lies below `least`, as values that were not measured may, is taken for it. The logarithm
 * of the density of y is that of the result plus what is returned. */
double athi_gp_warp_apply(const athi_gp_warp *warp, double *y, int64_t n);

/** To mean 0 and deviation 1. *scale: the deviation before, 1 if there was none; NULL: not asked for. Returns what 0 has
 * become. */
double athi_standardise(double *y, int64_t n, double *scale);

#endif
