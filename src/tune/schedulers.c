/* The table of schedulers, and what they share. */
#include "tune/scheduler_internal.h"

#include <math.h>

static const athi_row rows[] = {
    {"asha",
     "Asynchronous successive halving (https://arxiv.org/abs/1810.05934): at each rung the best 1 / reduction_factor "
     "go "
     "on.",
     athi_asha_options, sizeof(athi_rung_opts), &athi_scheduler_asha, NULL},
    {"hyperband",
     "Hyperband (https://arxiv.org/abs/1603.06560): halving in brackets that begin with more or with fewer steps.",
     athi_hyperband_options, sizeof(athi_rung_opts), &athi_scheduler_hyperband, NULL},
    {"bohb",
     "Hyperband whose sampler learns from the largest step with enough trials (https://arxiv.org/abs/1807.01774).",
     athi_hyperband_options, sizeof(athi_rung_opts), &athi_scheduler_bohb, NULL},
    {"pbt",
     "Population-based training (https://arxiv.org/abs/1711.09846): at each interval the worst are replaced by "
     "children of "
     "the best, which go on from their state with other values.",
     athi_pbt_options, sizeof(athi_pbt_opts), &athi_scheduler_pbt, NULL},
    {"median", "Stops a trial whose best report is worse than the median of the others' running means (Vizier).",
     athi_median_options, sizeof(athi_curve_opts), &athi_scheduler_median, NULL},
    {"percentile", "Stops a trial whose best report is not among the best of the others' at that step.",
     athi_percentile_options, sizeof(athi_curve_opts), &athi_scheduler_percentile, "percentile"},
    {"threshold", "Stops a trial whose report lies outside lower..upper.", athi_threshold_options,
     sizeof(athi_curve_opts), &athi_scheduler_threshold, NULL},
    {"patience", "Stops a trial that has not become better for so many reports.", athi_patience_options,
     sizeof(athi_curve_opts), &athi_scheduler_patience, "patience"},
    {0}};
const athi_kind athi_schedulers = {"scheduler", "schedulers", rows};

const char *const athi_time_attrs[] = {"steps", "seconds", NULL};

bool athi_rung_seconds(const void *opts) { return ((const athi_rung_opts *)opts)->time_attr == ATHI_TIME_SECONDS; }

bool athi_scheduler_forks(const athi_row *row) { return ((const athi_scheduler_impl *)row->impl)->fork != NULL; }

int64_t athi_schedule_at(const athi_schedule *s, const athi_report *r) {
    return s->seconds ? (int64_t)r->seconds : r->step;
}

int64_t athi_schedule_step(const athi_schedule *s, const athi_trial *t) {
    return t->n_reports ? athi_schedule_at(s, &t->reports[t->n_reports - 1]) : 0;
}

/* Its reports up to a step, without those that it has from its parent. */
static int64_t count_own(const athi_schedule *s, const athi_trial *t, int64_t step) {
    int64_t n = 0;
    for (int64_t i = athi_trial_first(t); i < t->n_reports && athi_schedule_at(s, &t->reports[i]) <= step; i++) n++;
    return n;
}

double athi_schedule_loss(const athi_schedule *s, const athi_trial *t, int64_t step) {
    bool failed = t->state == ATHI_TRIAL_FAILED && t->reason != ATHI_REASON_LOST && t->reason != ATHI_REASON_NONE;
    double best = INFINITY;
    if (t->outside || (athi_schedule_step(s, t) < step && !failed)) return (double)NAN;
    if (athi_schedule_step(s, t) < step) return INFINITY;
    if (athi_trial_begin(t) && !count_own(s, t, step)) return (double)NAN;
    for (int64_t i = athi_trial_first(t); i < t->n_reports && athi_schedule_at(s, &t->reports[i]) <= step; i++) {
        double v = s->maximize ? -t->reports[i].value : t->reports[i].value;
        if (v < best) best = v;
    }
    return best;
}
