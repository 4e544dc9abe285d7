/* The process for the values (see gp_surrogate.h). */
#include "tune/gp_sample.h"
#include "tune/gp_surrogate.h"
#include "tune/gp_surrogate_internal.h"
#include "tune/gp_warp.h"

#include <math.h>

enum { NEIGHBOURS = 4 }; /* of a local turn, times one more than the dimensions */
enum { FANTASY_STREAM = 38, SAMPLE_STREAM = 36 };
static const double EDGE = 0.1;

/* ---- the fit ----------------------------------------------------------------------------------------------- */

static double least_noise(const athi_bayesian_opts *opts) { return fmax(opts->alpha, 1e-8); }

static ath_status create(athi_arena *arena, const athi_bayesian_opts *opts, const athi_encoder *e,
                         const athi_gp_rows *r, athi_gp *gp) {
    ATH_TRY(athi_gp_create(arena, e->dims, e->d, r->x, r->y, r->n, 0, gp));
    athi_gp_add_trend(gp);
    if (opts->input_warp) athi_gp_add_warp(gp);
    return ATH_OK;
}

typedef struct fitted {
    athi_gp_warp warp;
    athi_gp gp; /* with the likeliest hyperparameters */
    athi_gp_pairs pairs;
} fitted;

/* Warps and standardises the values, and fits on them. Of the offsets that one is taken under which the values, as they
 * were, are the likeliest (Snelson et al. 2004, "Warped Gaussian processes"). */
static ath_status fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, bool warped,
                      const athi_encoder *e, athi_gp_rows *r, fitted *f) {
    size_t bytes = (size_t)r->n * sizeof(double);
    double *raw = athi_arena_array(arena, ATHI_MAX(r->n, 1), sizeof *raw), least = INFINITY;
    if (!raw) return ATH_E_NOMEM;
    memcpy(raw, r->y, bytes);
    ATH_TRY(athi_gp_warp_measure(arena, raw, r->n, &f->warp));
    ATH_TRY(create(arena, opts, e, r, &f->gp));
    ATH_TRY(athi_gp_pairs_create(arena, &f->gp, &f->pairs));
    for (int k = 0; k < (warped ? ATHI_GP_WARPS : 1); k++) {
        athi_gp_warp other = {f->warp.least, f->warp.scale, athi_gp_warp_offsets[k]};
        athi_gp tried;
        memcpy(r->y, raw, bytes);
        double slopes = athi_gp_warp_apply(&other, r->y, r->n), loss;
        ATH_TRY(create(arena, opts, e, r, &tried));
        ATH_TRY(athi_gp_fit_pairs(ctx, arena, &tried, &f->pairs, least_noise(opts), ATHI_GP_SHORTEST, 1, 30, &loss));
        if (k > 0 && loss - slopes >= least) break; /* the offsets go from one extreme to the other */
        least = loss - slopes, f->warp.offset = other.offset, f->gp = tried;
    }
    memcpy(r->y, raw, bytes);
    athi_gp_warp_apply(&f->warp, r->y, r->n);
    return ATH_OK;
}

/* Other hyperparameters that the fitted values allow for. */
static ath_status draw(athi_arena *arena, const athi_bayesian_opts *opts, const athi_view *view, const fitted *f,
                       double **thetas) {
    athi_gp_bounds bounds;
    athi_rng rng =
        athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, UINT64_C(1) << SAMPLE_STREAM | (uint64_t)view->trial));
    ATH_TRY(athi_gp_bounds_create(arena, &f->gp, least_noise(opts), ATHI_GP_SHORTEST, &bounds));
    return athi_gp_sample(arena, &f->gp, &f->pairs, &bounds, &rng, opts->hyperparameter_samples, thetas);
}

/* ---- a neighbourhood --------------------------------------------------------------------------------------- */

static int64_t neighbours(const athi_observed *o) {
    return ATHI_MIN(NEIGHBOURS * (o->encoder.d + 1), ATHI_GP_MOST_FITTED);
}

/* The box around the chosen rows, a little wider. What may be absent, and categories, are not bounded. */
static ath_status bound(athi_arena *arena, athi_gp_surrogate *s) {
    const athi_observed *o = s->seen;
    int64_t d = o->encoder.d;
    double *low = athi_arena_array(arena, d, sizeof *low), *high = athi_arena_array(arena, d, sizeof *high);
    if (!low || !high) return ATH_E_NOMEM;
    for (int64_t j = 0; j < d; j++) {
        low[j] = INFINITY, high[j] = -INFINITY;
        for (int64_t k = 0; k < s->n; k++) {
            double v = o->x[s->chosen[k] * d + j];
            low[j] = fmin(low[j], v), high[j] = fmax(high[j], v);
        }
        double wider = EDGE * (high[j] - low[j]) + 1e-6;
        bool free = o->encoder.dims[j].category || o->encoder.dims[j].optional;
        low[j] = free ? -INFINITY : fmax(low[j] - wider, 0);
        high[j] = free ? INFINITY : fmin(high[j] + wider, 1);
    }
    s->acquisition.low = low, s->acquisition.high = high;
    return ATH_OK;
}

/* ---- what it says ------------------------------------------------------------------------------------------ */

static double mean_at(const athi_gp *gp, int64_t i) { return gp->y[i] - gp->noise * gp->alpha[i]; }

/* Posterior mean at each trial, and how likely its value was by what the others said (Rasmussen & Williams 2006,
 * equation 5.12). */
static ath_status look_back(athi_arena *arena, athi_gp_surrogate *s) {
    const athi_gp *gp = &s->value;
    s->log_score = athi_arena_array(arena, ATHI_MAX(s->n, 1), sizeof *s->log_score);
    s->mean = athi_arena_array(arena, ATHI_MAX(s->n, 1), sizeof *s->mean);
    if (!s->log_score || !s->mean) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        double precision = gp->inverse[i * gp->n + i], off = gp->alpha[i] / precision;
        s->mean[i] = mean_at(gp, i);
        s->log_score[i] = 0.5 * (log(precision / (2 * M_PI)) - off * off * precision);
    }
    return ATH_OK;
}

/* To improve upon: the least mean at a trial that kept its constraints, not the luckiest noise. Infinite: none did. */
static double incumbent(const athi_gp_surrogate *s, const athi_gp *gp) {
    double best = INFINITY;
    for (int64_t i = 0; i < s->n; i++)
        if (s->seen->feasible[s->chosen[i]]) best = fmin(best, mean_at(gp, i));
    return best;
}

/* Rows of the running trials behind those of the finished ones, with the values that the model expects. */
static ath_status add_pending(ath_ctx *ctx, athi_arena *arena, const athi_observed *o, athi_gp *gp, athi_gp_rows *r,
                              int64_t q) {
    int64_t d = o->encoder.d;
    const double *pending = o->pending + (o->n_pending - q) * d;
    double *variance = athi_arena_array(arena, q, sizeof *variance);
    double *work = athi_arena_array(arena, q * ATHI_MAX(r->n, 1), sizeof *work);
    if (!variance || !work) return ATH_E_NOMEM;
    athi_gp_predict(gp, pending, q, r->y + r->n, variance, work);
    memcpy(r->x + r->n * d, pending, (size_t)(q * d) * sizeof *r->x);
    gp->n = r->n + q;
    return athi_gp_condition(ctx, arena, gp);
}

/* Draws what the running trials give together. The lower corner of the Cholesky factor is that of their covariance given
 * the finished ones. Draws come in pairs, mirrored. */
static ath_status imagine(ath_ctx *ctx, athi_arena *arena, const athi_gp_surrogate *s, athi_gp *gp, athi_gp_rows *r,
                          athi_acquisition *a) {
    const athi_view *view = s->seen->view;
    int64_t q = ATHI_MIN(s->seen->n_pending, ATHI_GP_MOST_MODELLED), n = r->n + q;
    ATH_TRY(add_pending(ctx, arena, s->seen, gp, r, q));
    double *draw = athi_arena_array(arena, q, sizeof *draw), *best = athi_arena_array(arena, ATHI_FANTASIES, 8);
    double *alpha = athi_arena_array(arena, ATHI_FANTASIES * n, sizeof *alpha);
    double *value = athi_arena_array(arena, ATHI_FANTASIES * n, sizeof *value);
    if (!draw || !best || !alpha || !value) return ATH_E_NOMEM;
    athi_rng rng = athi_rng_at(view->seed,
                               ATHI_PURPOSE(ATHI_RNG_SAMPLER, UINT64_C(1) << FANTASY_STREAM | (uint64_t)view->trial));
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
    a->n_fantasies = isinf(a->best) ? 0 : ATHI_FANTASIES, a->fantasy_alpha = alpha, a->fantasy_best = best;
    return ATH_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

/* The process under `theta`, over the chosen trials. */
static ath_status condition(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                            const athi_gp_surrogate *s, const athi_gp_warp *warp, const double *theta, athi_gp *gp,
                            athi_gp_rows *r) {
    int64_t pending = ATHI_MIN(s->seen->n_pending, ATHI_GP_MOST_MODELLED);
    ATH_TRY(athi_gp_rows_gather(arena, s->seen, s->chosen, s->n, pending, r));
    athi_gp_warp_apply(warp, r->y, s->n);
    ATH_TRY(create(arena, opts, &s->seen->encoder, r, gp));
    memcpy(gp->theta, theta, (size_t)gp->n_theta * sizeof *theta);
    return athi_gp_condition(ctx, arena, gp);
}

/* What is to be gained by a conditioned process. */
static ath_status aim(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, const athi_gp_surrogate *s,
                      athi_gp *gp, athi_gp_rows *r, athi_acquisition *a) {
    a->value = gp;
    a->best = incumbent(s, gp) - opts->explore;
    return s->seen->n_pending > 0 ? imagine(ctx, arena, s, gp, r, a) : ATH_OK;
}

static ath_status add_others(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, const fitted *f,
                             athi_gp_surrogate *s) {
    int64_t n = opts->hyperparameter_samples, width = f->gp.n_theta;
    athi_acquisition *others = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *others);
    athi_gp *gps = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *gps);
    double *thetas;
    if (!others || !gps) return ATH_E_NOMEM;
    ATH_TRY(draw(arena, opts, s->seen->view, f, &thetas));
    for (int64_t k = 0; k < n; k++) {
        athi_gp_rows r;
        ATH_TRY(condition(ctx, arena, opts, s, &f->warp, thetas + k * width, &gps[k], &r));
        ATH_TRY(aim(ctx, arena, opts, s, &gps[k], &r, &others[k]));
    }
    s->acquisition.others = others, s->acquisition.n_others = (int)n;
    return ATH_OK;
}

/* Fits on part of the trials and conditions on more of them; on a local turn on those around the best. */
ath_status athi_gp_model_values(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, athi_gp_turn turn,
                                athi_gp_surrogate *s) {
    const athi_observed *o = s->seen;
    athi_gp_rows r;
    fitted f;
    ATH_TRY(athi_gp_rows_choose(arena, o, ATHI_GP_MOST_FITTED, &s->chosen, &s->n));
    ATH_TRY(athi_gp_rows_gather(arena, o, s->chosen, s->n, 0, &r));
    ATH_TRY(fit(ctx, arena, opts, turn.warped, &o->encoder, &r, &f));
    if (turn.local && o->n > neighbours(o)) {
        athi_gp_read_theta(&f.gp);
        ATH_TRY(athi_gp_rows_nearest(arena, o, &f.gp, neighbours(o), &s->chosen, &s->n));
        ATH_TRY(bound(arena, s));
        ATH_TRY(athi_gp_rows_gather(arena, o, s->chosen, s->n, 0, &r));
        ATH_TRY(fit(ctx, arena, opts, turn.warped, &o->encoder, &r, &f));
    } else {
        ATH_TRY(athi_gp_rows_choose(arena, o, ATHI_GP_MOST_MODELLED, &s->chosen, &s->n));
    }
    athi_gp_rows all;
    ATH_TRY(condition(ctx, arena, opts, s, &f.warp, f.gp.theta, &s->value, &all));
    ATH_TRY(look_back(arena, s));
    ATH_TRY(aim(ctx, arena, opts, s, &s->value, &all, &s->acquisition));
    return opts->hyperparameter_samples > 0 ? add_others(ctx, arena, opts, &f, s) : ATH_OK;
}
