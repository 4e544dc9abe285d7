/* Schedulers that look at a curve after each report and only stop: median, percentile, threshold, patience. None stops
 * before its grace period. */
#include "tune/scheduler_internal.h"

#include <math.h>

static bool ends_early(const athi_curve_opts *o, int64_t step) { return step < o->grace_period; }

/* The mean of a trial's losses up to a step: what Vizier compares with. */
static double running_mean(const athi_schedule *s, const athi_trial *t, int64_t step) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = athi_trial_first(t); i < t->n_reports && athi_schedule_at(s, &t->reports[i]) <= step; i++, n++)
        sum += s->maximize ? -t->reports[i].value : t->reports[i].value;
    return n ? sum / (double)n : (double)NAN;
}

/* Of the others that came to this step: how many, and how many are better than `own` by `measure`. */
static void compare(const athi_schedule *s, const athi_trial *t, int64_t step, double own,
                    double (*measure)(const athi_schedule *, const athi_trial *, int64_t), int64_t *n,
                    int64_t *better) {
    *n = *better = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *other = s->trials[i];
        if (other == t || other->outside || athi_schedule_step(s, other) < step) continue;
        double loss = measure(s, other, step);
        if (isnan(loss)) continue;
        ++*n, *better += loss < own;
    }
}

static bool median(const void *opts, const athi_schedule *s, const athi_trial *t, int64_t before, int64_t step) {
    const athi_curve_opts *o = opts;
    int64_t n, better;
    (void)before;
    if (ends_early(o, step)) return true;
    compare(s, t, step, athi_schedule_loss(s, t, step), running_mean, &n, &better);
    return n < o->min_samples || 2 * better <= n;
}

static bool percentile(const void *opts, const athi_schedule *s, const athi_trial *t, int64_t before, int64_t step) {
    const athi_curve_opts *o = opts;
    int64_t n, better;
    (void)before;
    if (ends_early(o, step)) return true;
    compare(s, t, step, athi_schedule_loss(s, t, step), athi_schedule_loss, &n, &better);
    return n < o->min_samples || 100 * (double)better <= o->percentile * (double)n;
}

static bool threshold(const void *opts, const athi_schedule *s, const athi_trial *t, int64_t before, int64_t step) {
    const athi_curve_opts *o = opts;
    double value = t->n_reports ? t->reports[t->n_reports - 1].value : 0;
    (void)before, (void)s;
    return ends_early(o, step) || (value >= o->lower && value <= o->upper); /* NaN lies nowhere */
}

static bool patience(const void *opts, const athi_schedule *s, const athi_trial *t, int64_t before, int64_t step) {
    const athi_curve_opts *o = opts;
    double best = INFINITY;
    int64_t since = 0;
    (void)before;
    for (int64_t i = athi_trial_first(t); i < t->n_reports; i++) {
        double loss = s->maximize ? -t->reports[i].value : t->reports[i].value;
        since = loss < best - o->min_delta ? 0 : since + 1;
        if (loss < best) best = loss;
    }
    return ends_early(o, step) || since < o->patience;
}

static ath_status check_threshold(ath_ctx *ctx, const void *opts, const athi_schedule *s) {
    const athi_curve_opts *o = opts;
    (void)s;
    if (o->lower <= o->upper) return ATH_OK;
    return athi_fail(ctx, ATH_E_OPTION, "threshold: lower %g is greater than upper %g; swap them", o->lower,
                     o->upper);
}

static bool seconds(const void *opts) { return ((const athi_curve_opts *)opts)->time_attr == ATHI_TIME_SECONDS; }

const athi_scheduler_impl athi_scheduler_median = {.seconds = seconds, .keep = median},
                          athi_scheduler_percentile = {.seconds = seconds, .keep = percentile},
                          athi_scheduler_threshold = {.seconds = seconds,
                                                      .check = check_threshold,
                                                      .keep = threshold},
                          athi_scheduler_patience = {.seconds = seconds, .keep = patience};

#define AT(field) offsetof(athi_curve_opts, field)
#define ROW_GRACE                                                                                                    \
    {                                                                                                                \
        .name = "grace_period", .type = ATHI_OPT_INT, .offset = AT(grace_period), .fallback = "1", .min = 1,         \
        .max = 1e9, .doc = "steps that every trial may take"                                                         \
    }
#define ROW_TIME ATHI_ROW_TIME_ATTR(athi_curve_opts)
#define ROW_SAMPLES                                                                                                  \
    {                                                                                                                \
        .name = "min_samples", .type = ATHI_OPT_INT, .offset = AT(min_samples), .fallback = "3", .min = 1,           \
        .max = 1e9, .doc = "other trials that must have come as far"                                                 \
    }
const athi_option athi_median_options[] = {ROW_GRACE, ROW_SAMPLES, ROW_TIME, {0}};
const athi_option athi_percentile_options[] = {{.name = "percentile",
                                                .type = ATHI_OPT_FLOAT,
                                                .offset = AT(percentile),
                                                .fallback = "25",
                                                .min = 0,
                                                .max = 100,
                                                .doc = "of the trials, the best so many percent go on"},
                                               ROW_GRACE,
                                               ROW_SAMPLES,
                                               ROW_TIME,
                                               {0}};
const athi_option athi_threshold_options[] = {{.name = "lower",
                                               .type = ATHI_OPT_FLOAT,
                                               .offset = AT(lower),
                                               .fallback = "-1e300",
                                               .min = -1e300,
                                               .max = 1e300,
                                               .doc = "smallest value that goes on"},
                                              {.name = "upper",
                                               .type = ATHI_OPT_FLOAT,
                                               .offset = AT(upper),
                                               .fallback = "1e300",
                                               .min = -1e300,
                                               .max = 1e300,
                                               .doc = "largest value that goes on"},
                                              ROW_GRACE,
                                              ROW_TIME,
                                              {0}};
const athi_option athi_patience_options[] = {{.name = "patience",
                                              .type = ATHI_OPT_INT,
                                              .offset = AT(patience),
                                              .fallback = "10",
                                              .min = 1,
                                              .max = 1e9,
                                              .doc = "reports without an improvement"},
                                             {.name = "min_delta",
                                              .type = ATHI_OPT_FLOAT,
                                              .offset = AT(min_delta),
                                              .fallback = "0",
                                              .min = 0,
                                              .max = 1e300,
                                              .doc = "what counts as an improvement"},
                                             ROW_GRACE,
                                             ROW_TIME,
                                             {0}};
