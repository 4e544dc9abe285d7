/* Between the files of the schedulers. */
#ifndef ATHI_SCHEDULER_INTERNAL_H
#define ATHI_SCHEDULER_INTERNAL_H

#include "tune/scheduler.h"

extern const athi_scheduler_impl athi_scheduler_asha, athi_scheduler_hyperband, athi_scheduler_bohb,
    athi_scheduler_pbt, athi_scheduler_median, athi_scheduler_percentile, athi_scheduler_threshold,
    athi_scheduler_patience;
extern const athi_option athi_asha_options[], athi_hyperband_options[], athi_pbt_options[], athi_median_options[],
    athi_percentile_options[], athi_threshold_options[], athi_patience_options[];

enum { ATHI_ASHA_PROMOTION, ATHI_ASHA_STOPPING };
enum { ATHI_BRACKETS_CORRECTED, ATHI_BRACKETS_KERASTUNER };

/* What grace_period, max_t and rungs count. */
enum { ATHI_TIME_STEPS, ATHI_TIME_SECONDS };
extern const char *const athi_time_attrs[]; /* by these numbers */
#define ATHI_ROW_TIME_ATTR(opts)                                                                                     \
    {                                                                                                                \
        .name = "time_attr", .type = ATHI_OPT_ENUM, .offset = offsetof(opts, time_attr), .fallback = "steps",        \
        .names = athi_time_attrs,                                                                                    \
        .doc = "what is counted: steps, or seconds that a trial has run for, looked at when it reports"              \
    }

/* Rows of asha, hyperband and bohb; names are Ray Tune's. */
typedef struct athi_rung_opts {
    size_t struct_size;
    bool exact;
    int64_t max_t, grace_period, brackets;
    double reduction_factor;
    int type, time_attr;
} athi_rung_opts;

/* What the rows of asha and hyperband share. */
#define ATHI_ROW_MAX_T                                                                                               \
    {                                                                                                                \
        .name = "max_t", .type = ATHI_OPT_INT, .offset = offsetof(athi_rung_opts, max_t), .fallback = "0", .min = 0, \
        .max = 1e9, .doc = "steps of a whole trial; 0: the recipe's epochs. In seconds it has to be given"           \
    }
#define ATHI_ROW_REDUCTION_FACTOR                                                                                    \
    {                                                                                                                \
        .name = "reduction_factor", .type = ATHI_OPT_FLOAT, .offset = offsetof(athi_rung_opts, reduction_factor),    \
        .fallback = "3", .min = 1.1, .max = 1000, .doc = "of so many trials one goes on"                             \
    }
static inline int64_t athi_rung_max_t(const athi_rung_opts *o, const athi_schedule *s) {
    return o->max_t || s->seconds ? o->max_t : s->max_t;
}
bool athi_rung_seconds(const void *opts);

/* Row of pbt; names are Ray Tune's. */
typedef struct athi_pbt_opts {
    size_t struct_size;
    bool exact;
    int64_t max_t, perturbation_interval, population;
    double quantile_fraction, resample_probability;
    athi_floats perturbation_factors;
} athi_pbt_opts;

/* Rows of median, percentile, threshold and patience. */
typedef struct athi_curve_opts {
    size_t struct_size;
    bool exact;
    int64_t grace_period, min_samples, patience;
    double percentile, lower, upper, min_delta;
    int time_attr;
} athi_curve_opts;

/** A trial's point as its child may try it: other values, near the old ones, of the parameters that are not fixed. */
void athi_pbt_explore(const athi_pbt_opts *o, const athi_schedule *s, const double *parent, athi_rng *rng,
                      double *point);

/** The bracket that the j-th trial of a hyperband falls into, from 0, the most aggressive; for tests too. */
int64_t athi_hyperband_bracket(const athi_rung_opts *o, int64_t max_t, int64_t j);
/** Trials and steps of rung r of a bracket; 0 trials: there is no such rung. */
void athi_hyperband_rung(const athi_rung_opts *o, int64_t max_t, int64_t bracket, int64_t r, int64_t *trials,
                         int64_t *steps);

#endif
