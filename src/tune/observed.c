/* Reading the trials of a view for a model (see observed.h). */
#include "tune/observed.h"
#include "tune/pareto.h"

#include <math.h>

double athi_trial_loss(const athi_view *view, const athi_trial *t, int objective) {
    double v = t->values ? t->values[objective] : NAN;
    if (t->state == ATHI_TRIAL_PRUNED && isnan(v) && athi_trial_first(t) < t->n_reports && objective == 0)
        v = t->reports[t->n_reports - 1].value;
    return view->maximize[objective] ? -v : v;
}

athi_evidence athi_trial_evidence(const athi_view *view, const athi_trial *t) {
    if (!t->point || t->outside) return ATHI_SAYS_NOTHING;
    switch (t->state) {
    case ATHI_TRIAL_WAITING:
    case ATHI_TRIAL_RUNNING:
    case ATHI_TRIAL_PAUSED: return ATHI_SAYS_PENDING;
    case ATHI_TRIAL_FAILED:
        return t->reason == ATHI_REASON_LOST || t->reason == ATHI_REASON_NONE ? ATHI_SAYS_NOTHING : ATHI_SAYS_FAILED;
    case ATHI_TRIAL_COMPLETE:
    case ATHI_TRIAL_PRUNED: break;
    }
    for (int k = 0; k < view->n_objectives; k++)
        if (!isfinite(athi_trial_loss(view, t, k)))
            return t->state == ATHI_TRIAL_COMPLETE ? ATHI_SAYS_FAILED : ATHI_SAYS_NOTHING;
    return ATHI_SAYS_VALUE;
}

double athi_trial_violation(const athi_trial *t) {
    double sum = 0;
    for (int k = 0; k < t->n_constraints; k++) {
        if (isnan(t->constraints[k])) return INFINITY;
        sum += fmax(t->constraints[k], 0);
    }
    return sum;
}

typedef enum level { WELL, STOPPED, BREAKS, FAILED } level;

static level level_of(const athi_view *view, const athi_trial *t) {
    if (athi_trial_evidence(view, t) != ATHI_SAYS_VALUE) return FAILED;
    if (athi_trial_violation(t) > 0) return BREAKS;
    return t->state == ATHI_TRIAL_PRUNED ? STOPPED : WELL;
}

bool athi_trial_beats(const athi_view *view, const athi_trial *a, const athi_trial *b) {
    level la = level_of(view, a), lb = level_of(view, b);
    if (la != lb || la == FAILED) return la < lb;
    if (la == BREAKS) return athi_trial_violation(a) < athi_trial_violation(b);
    double x[ATHI_OBJECTIVES_MAX], y[ATHI_OBJECTIVES_MAX];
    for (int k = 0; k < view->n_objectives; k++)
        x[k] = athi_trial_loss(view, a, k), y[k] = athi_trial_loss(view, b, k);
    return athi_dominates(x, y, view->n_objectives);
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* Indices by class, then value; stable. */
static void sort(const double *y, const bool *first, int64_t *order, int64_t n) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t gap = n / 2; gap > 0; gap /= 2)
        for (int64_t i = gap; i < n; i++) {
            int64_t t = order[i], j = i;
            for (; j >= gap; j -= gap) {
                int64_t o = order[j - gap];
                if (first && first[o] != first[t] ? first[o] : y[o] < y[t] || (y[o] == y[t] && o < t)) break;
                order[j] = o;
            }
            order[j] = t;
        }
}

/* Values beyond three deviations (of the better half) above the median lose their size but keep their order. */
static void standardise(double *y, int64_t *order, int64_t n) {
    sort(y, NULL, order, n);
    double median = n % 2 ? y[order[n / 2]] : (y[order[n / 2 - 1]] + y[order[n / 2]]) / 2, spread = 0, mean = 0,
           sum = 0;
    int64_t better = 0;
    for (int64_t i = 0; i < n; i++)
        if (y[i] <= median) spread += (y[i] - median) * (y[i] - median), better++;
    spread = sqrt(spread / (double)ATHI_MAX(better, 1));
    double fence = median + 3 * spread;
    for (int64_t i = 0; spread > 0 && i < n; i++)
        if (y[i] > fence) y[i] = fence + spread * log1p((y[i] - fence) / spread);
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (y[i] - mean) * (y[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++) y[i] = sum > 0 ? (y[i] - mean) / sqrt(sum) : 0;
}

static void rank(athi_observed *o) {
    sort(o->y, NULL, o->order, o->n);
    for (int64_t i = 0, end; i < o->n; i = end) {
        for (end = i + 1; end < o->n && o->y[o->order[end]] == o->y[o->order[i]];) end++;
        for (int64_t k = i; k < end; k++) o->log_rank[o->order[k]] = log((double)(i + end) / 2 / (double)o->n);
    }
}

static ath_status read_values(athi_arena *arena, athi_observed *o) {
    double *one = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof *one);
    if (!one) return ATH_E_NOMEM;
    for (int k = 0; k < o->view->n_objectives && o->n > 0; k++) {
        for (int64_t i = 0; i < o->n; i++) one[i] = athi_trial_loss(o->view, o->view->trials[o->trial[i]], k);
        standardise(one, o->order, o->n);
        for (int64_t i = 0; i < o->n; i++) o->y[i] += one[i];
    }
    rank(o);
    for (int64_t i = 0; i < o->n; i++) o->feasible[i] = athi_trial_violation(o->view->trials[o->trial[i]]) <= 0;
    sort(o->y, o->feasible, o->order, o->n);
    return ATH_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

ath_status athi_observe(athi_arena *arena, const athi_view *view, athi_observed *o) {
    *o = (athi_observed){.view = view};
    ATH_TRY(athi_encoder_create(arena, view->space, &o->encoder));
    int64_t rows = ATHI_MAX(view->n, 1), width = ATHI_MAX(o->encoder.d, 1), cells;
    if (!athi_mul(rows, width, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *point = athi_arena_array(arena, ATHI_MAX(view->space->n, 1), sizeof *point);
    o->x = athi_arena_array(arena, cells, sizeof *o->x);
    o->failed = athi_arena_array(arena, cells, sizeof *o->failed);
    o->pending = athi_arena_array(arena, cells, sizeof *o->pending);
    o->y = athi_arena_array(arena, rows, sizeof *o->y);
    o->log_rank = athi_arena_array(arena, rows, sizeof *o->log_rank);
    o->feasible = athi_arena_array(arena, rows, sizeof *o->feasible);
    o->trial = athi_arena_array(arena, rows, sizeof *o->trial);
    o->order = athi_arena_array(arena, rows, sizeof *o->order);
    if (!point || !o->x || !o->failed || !o->pending || !o->y || !o->log_rank || !o->feasible || !o->trial ||
        !o->order)
        return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++) {
        athi_evidence says = athi_trial_evidence(view, view->trials[t]);
        if (says == ATHI_SAYS_NOTHING) continue;
        if (says == ATHI_SAYS_VALUE) o->trial[o->n] = t;
        double *to = says == ATHI_SAYS_VALUE    ? o->x + o->n++ * o->encoder.d
                     : says == ATHI_SAYS_FAILED ? o->failed + o->n_failed++ * o->encoder.d
                                                : o->pending + o->n_pending++ * o->encoder.d;
        athi_trial_point(view, t, point);
        athi_encode(&o->encoder, point, to);
    }
    return read_values(arena, o);
}
