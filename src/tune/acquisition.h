/* What a point is worth trying: log expected improvement (Ament et al. 2023, "Unexpected improvements to
 * expected improvement") plus the logarithm of the probability that it does not fail; and the search for its
 * maximum. */
#ifndef ATHI_ACQUISITION_H
#define ATHI_ACQUISITION_H

#include "tune/gp.h"
#include "tune/sampler_internal.h"

typedef struct athi_acquisition {
    const athi_gp *value;    /* of what is minimised */
    const athi_gp *feasible; /* of labels: 1 finished, -1 failed; NULL: nothing failed */
    double best;             /* to improve upon */
    double exponent;         /* of the probability */
    double *work;            /* ATHI_ACQUISITION_BATCH * the larger n */
} athi_acquisition;

enum { ATHI_ACQUISITION_BATCH = 128, ATHI_ACQUISITION_MAX_FREE = 256 };

/** log(density(z) + z * cdf(z)) of the normal distribution, and its derivative. */
double athi_log_improvement(double z, double *slope);
/** log(cdf(z)) of the normal distribution, and its derivative. */
double athi_log_cdf(double z, double *slope);

ath_status athi_acquisition_create(athi_arena *arena, athi_acquisition *a);
/** At one row, with derivatives by the dimensions `free` (at most ATHI_ACQUISITION_MAX_FREE). */
double athi_acquisition_at(const athi_acquisition *a, const double *row, const int *free, int n_free,
                           double *gradient);
void athi_acquisition_many(const athi_acquisition *a, const double *rows, int64_t m, double *values);

/* ---- points as rows of the model -------------------------------------------------------------------- */

typedef struct athi_encoder {
    const athi_space *space;
    int64_t d;
    int *param; /* of each dimension: those with more than one value */
    athi_gp_dim *dims;
} athi_encoder;
ath_status athi_encoder_create(athi_arena *arena, const athi_space *space, athi_encoder *encoder);
void athi_encode(const athi_encoder *encoder, const double *point, double *row);

/** Another value near v: a normal step of 0.2, 0.05 or 0.01 of the unit interval, one or two steps of a small grid, any
 * branch of an unordered choice. */
double athi_param_move(const athi_space_param *p, double v, athi_rng *rng);

/** Writes the best untried point that it finds: all of a small finite space, else draws and mutations of
 * `top` (points of the best trials), of which the best start L-BFGS on the continuous parameters in turn with
 * trying the values of the others. *found false: everything looked at had been tried. */
ath_status athi_acquisition_search(ath_ctx *ctx, athi_arena *arena, const athi_acquisition *a,
                                   const athi_encoder *encoder, const athi_tried_set *tried,
                                   const double *top, int64_t n_top, athi_rng *rng, double *point,
                                   bool *found);

#endif
