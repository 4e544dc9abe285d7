/* Bayesian optimisation: Gaussian processes over the finished trials (gp_surrogate.h) and log expected improvement.
 *
 *   first points   the default, then a Latin hypercube over the priors (branches are met by their weights)
 *   values         signed so that less is better, the bad tail compressed, standardised; several objectives are summed */
#include "tune/design.h"
#include "tune/gp_surrogate.h"

enum { ENOUGH_VALUES = 3 };

static ath_status modelled_point(ath_ctx *ctx, athi_arena *arena, const athi_bayesian_opts *opts,
                                 const athi_observed *o, athi_rng *rng, double *point, bool *found) {
    athi_gp_surrogate surrogate;
    ATH_TRY(athi_gp_surrogate_fit(ctx, arena, opts, athi_gp_turn_of(o->view), o, &surrogate));
    return athi_gp_surrogate_search(ctx, arena, &surrogate, rng, point, found);
}

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    const athi_bayesian_opts *opts = options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    athi_observed o;
    bool found = false;
    ATH_TRY(athi_observe(arena, view, &o));
    int64_t first = opts->num_initial_points > 0 ? opts->num_initial_points : athi_design_size(view, o.encoder.d);
    if (o.n + o.n_failed + o.n_pending >= first && o.n >= ATHI_MIN(ENOUGH_VALUES, first) && o.encoder.d > 0) {
        ath_status status = modelled_point(ctx, arena, opts, &o, &rng, point, &found);
        if (status != ATH_OK && status != ATH_E_FAILED) return status; /* without a model, a first point will do */
    }
    if (!found) ATH_TRY(athi_design_point(arena, view, first, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static const athi_bayesian_opts defaults = {.alpha = 1e-6, .feasibility = 1};

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_bayesian = {suggest};

#define AT(field) offsetof(athi_bayesian_opts, field)
const athi_option athi_sampler_bayesian_options[] = {
    ATHI_ROW_FIRST_POINTS,
    ATHI_ROW_ALPHA("1e-6"),
    {.name = "explore",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(explore),
     .fallback = "0",
     .min = 0,
     .max = 10,
     .doc = "improvement asked for beyond the best, in units of the values' standard deviation"},
    ATHI_ROW_FEASIBILITY,
    {.name = "input_warp",
     .type = ATHI_OPT_BOOL,
     .offset = AT(input_warp),
     .fallback = "false",
     .doc = "numbers are warped before distances are taken, as the likelihood asks for "
            "(https://arxiv.org/abs/1402.0929)"},
    {.name = "hyperparameter_samples",
     .type = ATHI_OPT_INT,
     .offset = AT(hyperparameter_samples),
     .fallback = "0",
     .min = 0,
     .max = ATHI_ACQUISITION_MAX_OTHERS,
     .doc =
         "sets of hyperparameters drawn by slice sampling; the improvement is the mean over them and the likeliest "
         "one (https://arxiv.org/abs/1206.2944)"},
    {0},
};
