/* Between the files of the schedulers. */
#ifndef ATHI_SCHEDULER_INTERNAL_H
#define ATHI_SCHEDULER_INTERNAL_H

#include "tune/scheduler.h"

extern const athi_scheduler_impl athi_scheduler_asha, athi_scheduler_hyperband, athi_scheduler_bohb,
    athi_scheduler_median, athi_scheduler_percentile, athi_scheduler_threshold, athi_scheduler_patience;
extern const athi_option athi_asha_options[], athi_hyperband_options[], athi_median_options[],
    athi_percentile_options[], athi_threshold_options[], athi_patience_options[];

enum { ATHI_ASHA_PROMOTION, ATHI_ASHA_STOPPING };
enum { ATHI_BRACKETS_CORRECTED, ATHI_BRACKETS_KERASTUNER };

/* Rows of asha, hyperband and bohb; names are Ray Tune's. */
typedef struct athi_rung_opts {
    size_t struct_size;
    bool exact;
    int64_t max_t, grace_period, brackets;
    double reduction_factor;
    int type;
} athi_rung_opts;

/* Rows of median, percentile, threshold and patience. */
typedef struct athi_curve_opts {
    size_t struct_size;
    bool exact;
    int64_t grace_period, min_samples, patience;
    double percentile, lower, upper, min_delta;
} athi_curve_opts;

/** The bracket that the j-th trial of a hyperband falls into, from 0, the most aggressive; for tests too. */
int64_t athi_hyperband_bracket(const athi_rung_opts *o, int64_t max_t, int64_t j);
/** Trials and steps of rung r of a bracket; 0 trials: there is no such rung. */
void athi_hyperband_rung(const athi_rung_opts *o, int64_t max_t, int64_t bracket, int64_t r, int64_t *trials,
                         int64_t *steps);

#endif
