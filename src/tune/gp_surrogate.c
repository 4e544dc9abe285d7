/* Fitting the processes of a study (see gp_surrogate.h). */
#include "tune/gp_surrogate.h"

#include <math.h>

enum { MOST_FITTED = 120, MOST_MODELLED = 500, MOST_TOP = 5 };
static const double SHORTEST = 0.01;
/* Labels jump at the edge of a failing region; a length that followed the jump would call all of it unknown again. */
static const double LABEL_SHORTEST = 0.3, LABEL_NOISE = 0.03;

/* ---- rows -------------------------------------------------------------------------------------------------- */

/* Which finished trials a model sees: the best and the latest, at most `most`, in the order of the trials. */
static ath_status choose(athi_arena *arena, const athi_observed *o, int64_t most, int64_t **chosen, int64_t *n) {
    bool *taken = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof *taken);
    int64_t count = 0;
    *n = ATHI_MIN(o->n, most);
    *chosen = athi_arena_array(arena, ATHI_MAX(*n, 1), sizeof **chosen);
    if (!taken || !*chosen) return ATH_E_NOMEM;
    int64_t best = *n < o->n ? *n / 2 : *n;
    for (; count < best; count++) taken[o->order[count]] = true;
    for (int64_t i = o->n - 1; count < *n; i--)
        if (!taken[i]) taken[i] = true, count++;
    for (int64_t i = 0, k = 0; i < o->n; i++)
        if (taken[i]) (*chosen)[k++] = i;
    return ATH_OK;
}

/* Their rows and values, with room for `more`. */
typedef struct rows {
    double *x, *y;
    int64_t n;
} rows;

static ath_status gather(athi_arena *arena, const athi_observed *o, const int64_t *chosen, int64_t n, int64_t more,
                         rows *r) {
    int64_t d = o->encoder.d;
    *r = (rows){.n = n};
    r->x = athi_arena_array(arena, ATHI_MAX((n + more) * d, 1), sizeof *r->x);
    r->y = athi_arena_array(arena, ATHI_MAX(n + more, 1), sizeof *r->y);
    if (!r->x || !r->y) return ATH_E_NOMEM;
    for (int64_t k = 0; k < n; k++) {
        memcpy(r->x + k * d, o->x + chosen[k] * d, (size_t)d * sizeof *r->x);
        r->y[k] = o->y[chosen[k]];
    }
    return ATH_OK;
}

/* Returns the value that 0 has become. */
static double standardise(double *y, int64_t n) {
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (y[i] - mean) * (y[i] - mean) / (double)n;
    double scale = sum > 0 ? sqrt(sum) : 1;
    for (int64_t i = 0; i < n; i++) y[i] = (y[i] - mean) / scale;
    return -mean / scale;
}

/* ---- values ------------------------------------------------------------------------------------------------ */

static int starts_for(int64_t n) { return n < 30 ? 3 : n < 60 ? 2 : 1; }

/* Posterior mean at each trial, and how likely its value was by what the others said (Rasmussen & Williams 2006,
 * equation 5.12). */
static ath_status look_back(athi_arena *arena, athi_gp_surrogate *s) {
    const athi_gp *gp = &s->value;
    s->log_score = athi_arena_array(arena, ATHI_MAX(s->n, 1), sizeof *s->log_score);
    s->mean = athi_arena_array(arena, ATHI_MAX(s->n, 1), sizeof *s->mean);
    if (!s->log_score || !s->mean) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        double precision = gp->inverse[i * gp->n + i], off = gp->alpha[i] / precision;
        s->mean[i] = gp->y[i] - gp->noise * gp->alpha[i];
        s->log_score[i] = 0.5 * (log(precision / (2 * M_PI)) - off * off * precision);
    }
    return ATH_OK;
}

/* To improve upon: the least mean at a trial that kept its constraints, not the luckiest noise. Infinite: none did. */
static double incumbent(const athi_gp_surrogate *s) {
    double best = INFINITY;
    for (int64_t i = 0; i < s->n; i++)
        if (s->seen->feasible[s->chosen[i]]) best = fmin(best, s->mean[i]);
    return best;
}

/* Rows of the running trials behind those of the finished ones, with the values that the model expects. */
static ath_status add_pending(ath_ctx *ctx, athi_arena *arena, athi_gp_surrogate *s, rows *r, int64_t q) {
    const athi_observed *o = s->seen;
    int64_t d = o->encoder.d;
    const double *pending = o->pending + (o->n_pending - q) * d;
    double *variance = athi_arena_array(arena, q, sizeof *variance);
    double *work = athi_arena_array(arena, q * ATHI_MAX(r->n, 1), sizeof *work);
    if (!variance || !work) return ATH_E_NOMEM;
    athi_gp_predict(&s->value, pending, q, r->y + r->n, variance, work);
    memcpy(r->x + r->n * d, pending, (size_t)(q * d) * sizeof *r->x);
    s->value.n = r->n + q;
    return athi_gp_condition(ctx, arena, &s->value);
}

/* Draws what the running trials give together. The lower corner of the Cholesky factor is that of their covariance given
 * the finished ones. Draws come in pairs, mirrored. */
static ath_status imagine(ath_ctx *ctx, athi_arena *arena, athi_gp_surrogate *s, rows *r) {
    const athi_view *view = s->seen->view;
    int64_t q = ATHI_MIN(s->seen->n_pending, MOST_MODELLED), n = r->n + q;
    ATH_TRY(add_pending(ctx, arena, s, r, q));
    const athi_gp *gp = &s->value;
    double *draw = athi_arena_array(arena, q, sizeof *draw), *best = athi_arena_array(arena, ATHI_FANTASIES, 8);
    double *alpha = athi_arena_array(arena, ATHI_FANTASIES * n, sizeof *alpha);
    double *value = athi_arena_array(arena, ATHI_FANTASIES * n, sizeof *value);
    if (!draw || !best || !alpha || !value) return ATH_E_NOMEM;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, UINT64_C(1) << 38 | (uint64_t)view->trial));
    for (int f = 0; f < ATHI_FANTASIES; f++) {
        double *y = value + f * n;
        memcpy(y, gp->y, (size_t)n * sizeof *y);
        for (int64_t i = 0; i < q; i++) draw[i] = f % 2 ? -draw[i] : athi_rng_normal(&rng);
        for (int64_t j = 0; j < q; j++)
            for (int64_t i = j; i < q; i++) y[r->n + i] += gp->factor[(r->n + j) * n + r->n + i] * draw[j];
    }
    memcpy(alpha, value, (size_t)(ATHI_FANTASIES * n) * sizeof *alpha);
    athi_gp_solve(gp, alpha, ATHI_FANTASIES);
    for (int f = 0; f < ATHI_FANTASIES; f++) {
        best[f] = INFINITY;
        for (int64_t i = 0; i < n; i++)
            if (i >= s->n || s->seen->feasible[s->chosen[i]])
                best[f] = fmin(best[f], value[f * n + i] - gp->noise * alpha[f * n + i]);
    }
    athi_acquisition *a = &s->acquisition;
    a->n_fantasies = isinf(a->best) ? 0 : ATHI_FANTASIES, a->fantasy_alpha = alpha, a->fantasy_best = best;
    return ATH_OK;
}

/* Fits on part of the trials and conditions on more of them. */
static ath_status model_values(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                               athi_gp_surrogate *s) {
    const athi_observed *o = s->seen;
    int64_t d = o->encoder.d, *few, n;
    rows r;
    athi_gp fitted;
    ATH_TRY(choose(arena, o, MOST_FITTED, &few, &n));
    ATH_TRY(gather(arena, o, few, n, 0, &r));
    standardise(r.y, n);
    ATH_TRY(athi_gp_create(arena, o->encoder.dims, d, r.x, r.y, n, 0, &fitted));
    ATH_TRY(athi_gp_fit(ctx, arena, &fitted, fmax(opts->alpha, 1e-8), SHORTEST, starts_for(n), 30));
    ATH_TRY(choose(arena, o, MOST_MODELLED, &s->chosen, &s->n));
    ATH_TRY(gather(arena, o, s->chosen, s->n, ATHI_MIN(o->n_pending, MOST_MODELLED), &r));
    standardise(r.y, s->n);
    ATH_TRY(athi_gp_create(arena, o->encoder.dims, d, r.x, r.y, s->n, 0, &s->value));
    memcpy(s->value.theta, fitted.theta, (size_t)s->value.n_theta * sizeof *fitted.theta);
    ATH_TRY(athi_gp_condition(ctx, arena, &s->value));
    ATH_TRY(look_back(arena, s));
    s->acquisition.value = &s->value;
    s->acquisition.best = incumbent(s) - opts->explore;
    return o->n_pending > 0 ? imagine(ctx, arena, s, &r) : ATH_OK;
}

/* ---- what limits the points -------------------------------------------------------------------------------- */

/* Labels of finished (1) and failed trials (-1); 0.5 without evidence. */
static ath_status model_failures(ath_ctx *ctx, athi_arena *arena, const athi_observed *o, athi_gp *gp) {
    int64_t d = o->encoder.d, failed = ATHI_MIN(o->n_failed, MOST_MODELLED / 2), *chosen, n;
    rows r;
    ATH_TRY(choose(arena, o, MOST_FITTED, &chosen, &n));
    ATH_TRY(gather(arena, o, chosen, n, failed, &r));
    memcpy(r.x + n * d, o->failed + (o->n_failed - failed) * d, (size_t)(failed * d) * sizeof *r.x);
    for (int64_t i = 0; i < n + failed; i++) r.y[i] = i < n ? 1 : -1;
    ATH_TRY(athi_gp_create(arena, o->encoder.dims, d, r.x, r.y, n + failed, 0.5, gp));
    ATH_TRY(athi_gp_fit(ctx, arena, gp, LABEL_NOISE, LABEL_SHORTEST, 1, 20));
    return athi_gp_condition(ctx, arena, gp);
}

static const athi_trial *trial_of(const athi_observed *o, int64_t i) { return o->view->trials[o->trial[i]]; }

/* Constraint `which`, turned round so that more is better, from the trials that told it. *n 0: none did. */
static ath_status model_constraint(ath_ctx *ctx, athi_arena *arena, const athi_observed *o, int which, athi_gp *gp,
                                   double *zero, int64_t *n) {
    int64_t *chosen, m = 0, k = 0;
    rows r;
    ATH_TRY(choose(arena, o, MOST_FITTED, &chosen, &m));
    for (int64_t i = 0; i < m; i++) {
        const athi_trial *t = trial_of(o, chosen[i]);
        if (which < t->n_constraints && isfinite(t->constraints[which])) chosen[k++] = chosen[i];
    }
    *n = k;
    ATH_TRY(gather(arena, o, chosen, k, 0, &r));
    for (int64_t i = 0; i < k; i++) r.y[i] = -trial_of(o, chosen[i])->constraints[which];
    *zero = standardise(r.y, k);
    ATH_TRY(athi_gp_create(arena, o->encoder.dims, o->encoder.d, r.x, r.y, k, 0, gp));
    ATH_TRY(athi_gp_fit(ctx, arena, gp, 1e-4, SHORTEST, 1, 30));
    return athi_gp_condition(ctx, arena, gp);
}

/* How many of the last RECENT trials were lost to failures, as a share. A finished search for the edge would go on feeling
 * for it for ever: improvements of a thousandth beyond it look likelier than any elsewhere. So the more was lost of late,
 * the surer a point must be. The constants keep the losses of three-branch spaces, the optimum on the edge, under a
 * tenth. */
static double lost_share(const athi_view *view) {
    enum { RECENT = 20, FEWEST = 10 };
    int64_t seen = 0, failed = 0;
    for (int64_t t = view->n - 1; t >= 0 && seen < RECENT; t--) {
        athi_evidence e = athi_trial_evidence(view, view->trials[t]);
        seen += e == ATHI_SAYS_VALUE || e == ATHI_SAYS_FAILED;
        failed += e == ATHI_SAYS_FAILED;
    }
    return (double)failed / (double)ATHI_MAX(seen, FEWEST);
}

static ath_status model_limits(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                               athi_gp_surrogate *s) {
    const athi_observed *o = s->seen;
    athi_acquisition *a = &s->acquisition;
    int most = 0;
    for (int64_t i = 0; i < o->n; i++) most = ATHI_MAX(most, trial_of(o, i)->n_constraints);
    athi_limit *limits = athi_arena_array(arena, most + 1, sizeof *limits);
    athi_gp *gps = athi_arena_array(arena, most + 1, sizeof *gps);
    if (!limits || !gps) return ATH_E_NOMEM;
    a->limits = limits;
    for (int k = 0; k < most; k++) {
        int64_t n;
        athi_limit *l = &limits[a->n_limits];
        *l = (athi_limit){.gp = &gps[a->n_limits], .exponent = 1, .sure = -INFINITY};
        ATH_TRY(model_constraint(ctx, arena, o, k, &gps[a->n_limits], &l->least, &n));
        a->n_limits += n > 0;
    }
    if (o->n_failed == 0 || opts->feasibility <= 0) return ATH_OK;
    double share = lost_share(o->view);
    limits[a->n_limits] = (athi_limit){.gp = &gps[a->n_limits],
                                       .exponent = opts->feasibility * (1 + 20 * share * share),
                                       .sure = fmin(12 * share, 0.9)};
    return model_failures(ctx, arena, o, &gps[a->n_limits++]);
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

ath_status athi_gp_surrogate_fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                                 const athi_observed *seen, athi_gp_surrogate *s) {
    *s = (athi_gp_surrogate){.seen = seen};
    ATH_TRY(model_values(ctx, arena, opts, s));
    ATH_TRY(model_limits(ctx, arena, opts, s));
    return athi_acquisition_create(arena, &s->acquisition);
}

ath_status athi_gp_surrogate_search(ath_ctx *ctx, athi_arena *arena, athi_gp_surrogate *s, athi_rng *rng,
                                    double *point, bool *found) {
    const athi_observed *o = s->seen;
    const athi_space *space = o->view->space;
    athi_tried_set tried;
    ATH_TRY(athi_tried_set_create(arena, o->view, &tried));
    int64_t n_top = ATHI_MIN(o->n, MOST_TOP);
    double *top = athi_arena_array(arena, ATHI_MAX(n_top * space->n, 1), sizeof *top);
    if (!top) return ATH_E_NOMEM;
    for (int64_t k = 0; k < n_top; k++) athi_trial_point(o->view, o->trial[o->order[k]], top + k * space->n);
    return athi_acquisition_search(ctx, arena, &s->acquisition, &o->encoder, &tried, top, n_top, rng, point, found);
}
