/* What a point is worth trying: log expected improvement (Ament et al. 2023, "Unexpected improvements to
 * expected improvement") plus the logarithms of the probabilities that it keeps within its limits; and the search for
 * the maximum. */
#ifndef ATHI_ACQUISITION_H
#define ATHI_ACQUISITION_H

#include "tune/gp.h"
#include "tune/sampler_internal.h"

/* Something that should be at least `least`: a constraint turned round; labels, 1 finished and -1 failed. */
typedef struct athi_limit {
    const athi_gp *gp;
    double least;
    double exponent; /* of the probability */
    double sure;     /* means below it are punished beyond their probability; -infinity: none are */
} athi_limit;

typedef struct athi_acquisition {
    const athi_gp *value; /* of what is minimised */
    double best;          /* to improve upon; infinity: nothing yet, the limits alone count */
    /* What the running trials may give: for each of several draws the process's alpha, and what it leaves to improve
     * upon. The improvement is the mean over them (Snoek et al. 2012, 3.3). 0: nothing runs. */
    int n_fantasies;
    const double *fantasy_alpha, *fantasy_best; /* value->n apart */
    /* The same trials under other hyperparameters: the improvement is the mean over this and them. */
    struct athi_acquisition *others;
    int n_others;                        /* at most ATHI_ACQUISITION_MAX_OTHERS */
    const struct athi_volume_gain *gain; /* several objectives: takes the place of all the above; NULL: one */
    const athi_limit *limits;
    int n_limits;
    const double *low,
        *high;    /* a box of rows that the search keeps to; infinite: not bounded; NULL: the whole cube */
    double *work; /* ATHI_ACQUISITION_BATCH * the largest n */
    double *mixed_alpha, *gradients; /* gradients: of this and each of the others */
} athi_acquisition;

enum {
    ATHI_ACQUISITION_BATCH = 128,
    ATHI_ACQUISITION_MAX_FREE = 256,
    ATHI_ACQUISITION_MAX_OTHERS = 16,
    ATHI_FANTASIES = 16
};

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
                                   const athi_encoder *encoder, const athi_tried_set *tried, const double *top,
                                   int64_t n_top, athi_rng *rng, double *point, bool *found);

#endif
