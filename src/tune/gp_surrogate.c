/* Fitting the processes of a study (see gp_surrogate.h). */
#include "tune/gp_surrogate.h"
#include "tune/gp_surrogate_internal.h"
#include "tune/gp_warp.h"

#include <math.h>

enum { MOST_TOP = 5, LOCAL_TURN = 3, WARPED_TURN = 2 };
enum { COARSE = 50 }; /* values of a grid */
/* Labels jump at the edge of a failing region; a length that followed the jump would call all of it unknown again. */
static const double LABEL_SHORTEST = 0.3, LABEL_NOISE = 0.03;

/* ---- what limits the points -------------------------------------------------------------------------------- */

/* Labels of finished (1) and failed trials (-1); 0.5 without evidence. */
static ath_status model_failures(ath_ctx *ctx, athi_arena *arena, const athi_observed *o, athi_gp *gp) {
    int64_t d = o->encoder.d, failed = ATHI_MIN(o->n_failed, ATHI_GP_MOST_MODELLED / 2), *chosen, n;
    athi_gp_rows r;
    ATH_TRY(athi_gp_rows_choose(arena, o, ATHI_GP_MOST_FITTED, &chosen, &n));
    ATH_TRY(athi_gp_rows_gather(arena, o, chosen, n, failed, &r));
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
    athi_gp_rows r;
    ATH_TRY(athi_gp_rows_choose(arena, o, ATHI_GP_MOST_FITTED, &chosen, &m));
    for (int64_t i = 0; i < m; i++) {
        const athi_trial *t = trial_of(o, chosen[i]);
        if (which < t->n_constraints && isfinite(t->constraints[which])) chosen[k++] = chosen[i];
    }
    *n = k;
    ATH_TRY(athi_gp_rows_gather(arena, o, chosen, k, 0, &r));
    for (int64_t i = 0; i < k; i++) r.y[i] = -trial_of(o, chosen[i])->constraints[which];
    *zero = athi_standardise(r.y, k, NULL);
    ATH_TRY(athi_gp_create(arena, o->encoder.dims, o->encoder.d, r.x, r.y, k, 0, gp));
    ATH_TRY(athi_gp_fit(ctx, arena, gp, 1e-4, ATHI_GP_SHORTEST, 1, 30));
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

/* On grids alone a closer look finds nothing smaller, and takes the noise of a few neighbours for a slope. */
static bool has_fine_parameter(const athi_space *space) {
    for (int64_t i = 0; i < space->n; i++) {
        int64_t count = athi_param_count(&space->params[i]);
        if (space->params[i].type != ATHI_PARAM_CHOICE && (count == 0 || count > COARSE)) return true;
    }
    return false;
}

athi_gp_turn athi_gp_turn_of(const athi_view *view) {
    return (athi_gp_turn){.warped = view->trial % WARPED_TURN != 0,
                          .local = view->trial % LOCAL_TURN == 0 && has_fine_parameter(view->space)};
}

ath_status athi_gp_surrogate_fit(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts, athi_gp_turn turn,
                                 const athi_observed *seen, athi_gp_surrogate *s) {
    *s = (athi_gp_surrogate){.seen = seen};
    ATH_TRY(athi_gp_model_values(ctx, arena, opts, turn, s));
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
