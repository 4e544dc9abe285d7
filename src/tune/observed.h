/* What the trials of a view say: those with a value as rows of a model, those that failed, those under way. */
#ifndef ATHI_OBSERVED_H
#define ATHI_OBSERVED_H

#include "tune/acquisition.h"

typedef enum athi_evidence {
    ATHI_SAYS_NOTHING, /* lost, or of another space */
    ATHI_SAYS_VALUE,   /* complete, or pruned with a report */
    ATHI_SAYS_FAILED,  /* crash, memory, timeout, nan */
    ATHI_SAYS_PENDING, /* under way */
} athi_evidence;
athi_evidence athi_trial_evidence(const athi_view *view, const athi_trial *trial);
/** The value of an objective, less is better; of a pruned trial its last report. NaN: none. */
double athi_trial_loss(const athi_view *view, const athi_trial *trial, int objective);
/** How far it breaks its constraints: the sum of what lies above 0. */
double athi_trial_violation(const athi_trial *trial);

/** Both say something: is a the better one? In this order: complete trials by their value (several objectives: by
 * dominance), pruned ones by their last report, those that break constraints by how far, failed ones. */
bool athi_trial_beats(const athi_view *view, const athi_trial *a, const athi_trial *b);

typedef struct athi_observed {
    const athi_view *view;
    athi_encoder encoder;
    double *x, *y; /* with a value: rows; losses, the bad tail compressed, standardised, objectives summed */
    double
        *log_rank;  /* ln of a trial's rank by y over n, ties in the middle: resolves the best, whatever the values */
    bool *feasible; /* it keeps its constraints */
    double *failed; /* rows */
    double *pending; /* rows */
    int64_t n, n_failed, n_pending;
    int64_t *trial; /* of those with a value: index in the view */
    int64_t *order; /* of those with a value: feasible ones first, by y */
} athi_observed;
ath_status athi_observe(athi_arena *arena, const athi_view *view, athi_observed *observed);

#endif
