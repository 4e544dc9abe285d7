/* How weights are found. The loss of a weighted mean needs little of the predictions: with classes only each member's
 * probability of the right class, without them only the products of the members' errors; so a search of thousands of
 * points costs less than one evaluation of a model. */
#include "ensemble/ensemble.h"

#include <math.h>
#include <nlopt.h>

typedef struct ensemble_opts {
    size_t struct_size;
    bool exact;
    int64_t samples;     /* points drawn on the simplex */
    int64_t evaluations; /* of Nelder-Mead at most */
} ensemble_opts;

/* ---- the loss as a function of the weights ------------------------------------------------------- */

typedef struct objective {
    int n;
    int64_t rows;
    double *right;   /* classes: [n][rows] probability of the right class */
    double *product; /* targets: [n][n] mean product of the members' errors */
    double *work;    /* [rows] or none */
    double *weights; /* [n], of Nelder-Mead's point */
} objective;

static void fill_right(const athi_members *m, objective *o) {
    for (int i = 0; i < m->n_members; i++)
        for (int64_t r = 0; r < m->n; r++) o->right[i * m->n + r] = (double)m->p[i][r * m->classes + m->labels[r]];
}

static void fill_products(const athi_members *m, objective *o) {
    int64_t size = m->n * m->classes;
    for (int i = 0; i < m->n_members; i++)
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = 0; k < size; k++)
                sum += ((double)m->p[i][k] - (double)m->targets[k]) * ((double)m->p[j][k] - (double)m->targets[k]);
            o->product[i * o->n + j] = o->product[j * o->n + i] = sum / (double)size;
        }
}

static ath_status objective_open(ath_ctx *ctx, athi_arena *arena, const athi_members *m, objective *o) {
    *o = (objective){.n = m->n_members, .rows = m->n};
    if (m->n < 1) return athi_fail(ctx, ATH_E_DATA, "ensemble: weights need at least one validation sample");
    o->weights = athi_arena_array(arena, o->n, sizeof(double));
    if (m->labels) {
        int64_t cells = 0;
        if (!athi_mul(o->n, m->n, &cells)) return athi_nomem(ctx, INT64_MAX);
        o->right = athi_arena_array(arena, cells, sizeof(double));
        o->work = athi_arena_array(arena, m->n, sizeof(double));
    } else
        o->product = athi_arena_array(arena, (int64_t)o->n * o->n, sizeof(double));
    if (!o->weights || !(o->product || (o->right && o->work))) return ATH_E_NOMEM;
    (m->labels ? fill_right : fill_products)(m, o);
    return ATH_OK;
}

static double loss_of(const objective *o, const double *w) {
    double loss = 0;
    if (o->product) {
        for (int i = 0; i < o->n; i++)
            for (int j = 0; j < o->n; j++) loss += w[i] * w[j] * o->product[i * o->n + j];
        return loss;
    }
    memset(o->work, 0, (size_t)o->rows * sizeof *o->work);
    for (int i = 0; i < o->n; i++)
        for (int64_t r = 0; r < o->rows; r++) o->work[r] += w[i] * o->right[i * o->rows + r];
    for (int64_t r = 0; r < o->rows; r++) loss -= log(fmin(fmax(o->work[r], 1e-7), 1 - 1e-7));
    return loss / (double)o->rows;
}

/* ---- searching ----------------------------------------------------------------------------------- */

static void keep_if_better(const objective *o, const double *w, double *best, double *best_loss) {
    double loss = loss_of(o, w);
    if (!(loss < *best_loss)) return;
    *best_loss = loss;
    memcpy(best, w, (size_t)o->n * sizeof *best);
}

static void plain_average(double *w, int n) {
    for (int i = 0; i < n; i++) w[i] = 1.0 / n;
}

static void single_member(double *w, int n, int member) {
    for (int i = 0; i < n; i++) w[i] = i == member;
}

/* The plain average, each member alone, then points drawn evenly from the simplex. */
static void search_simplex(const objective *o, uint64_t seed, int64_t samples, double *w, double *best,
                           double *best_loss) {
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_ENSEMBLE, 0));
    plain_average(w, o->n);
    keep_if_better(o, w, best, best_loss);
    for (int i = 0; i < o->n; i++) {
        single_member(w, o->n, i);
        keep_if_better(o, w, best, best_loss);
    }
    for (int64_t s = 0; s < samples; s++) {
        double sum = 0;
        for (int i = 0; i < o->n; i++) sum += w[i] = -log(1 - athi_rng_uniform(&rng));
        if (!(sum > 0)) continue;
        for (int i = 0; i < o->n; i++) w[i] /= sum;
        keep_if_better(o, w, best, best_loss);
    }
}

static void softmax(const double *x, int n, double *w) {
    double largest = x[0], sum = 0;
    for (int i = 1; i < n; i++) largest = fmax(largest, x[i]);
    for (int i = 0; i < n; i++) sum += w[i] = exp(x[i] - largest);
    for (int i = 0; i < n; i++) w[i] /= sum;
}

static double softmax_loss(unsigned n, const double *x, double *gradient, void *data) {
    objective *o = data;
    (void)gradient; /* NULL: Nelder-Mead wants none */
    softmax(x, (int)n, o->weights);
    return loss_of(o, o->weights);
}

/* Nelder-Mead on x with w = softmax(x), from the best point so far. */
static ath_status nelder_mead(ath_ctx *ctx, objective *o, int64_t evaluations, double *w, double *best,
                              double *best_loss) {
    enum { LARGEST = 12 }; /* |x|: exp(-12) of the largest weight is as good as none */
    double value = 0;
    nlopt_opt opt = nlopt_create(NLOPT_LN_NELDERMEAD, (unsigned)o->n);
    if (!opt) return athi_fail(ctx, ATH_E_NOMEM, "ensemble: out of memory in NLopt");
    for (int i = 0; i < o->n; i++) w[i] = fmax(log(fmax(best[i], 1e-300)), -LARGEST / 2);
    nlopt_set_min_objective(opt, softmax_loss, o);
    nlopt_set_lower_bounds1(opt, -LARGEST);
    nlopt_set_upper_bounds1(opt, LARGEST);
    nlopt_set_initial_step1(opt, 0.5);
    nlopt_set_ftol_rel(opt, 1e-10);
    nlopt_set_xtol_abs1(opt, 1e-6);
    nlopt_set_maxeval(opt, (int)ATHI_MIN(evaluations, INT32_MAX));
    nlopt_result result = nlopt_optimize(opt, w, &value);
    nlopt_destroy(opt);
    if (result == NLOPT_OUT_OF_MEMORY) return athi_fail(ctx, ATH_E_NOMEM, "ensemble: out of memory in NLopt");
    if (result < 0 && result != NLOPT_ROUNDOFF_LIMITED)
        return athi_fail(ctx, ATH_E_FAILED, "ensemble: NLopt ended with %s", nlopt_result_to_string(result));
    softmax(w, o->n, o->weights);
    double sum = 0;
    for (int i = 0; i < o->n; i++) sum += w[i] = o->weights[i] < 1e-5 ? 0 : o->weights[i];
    for (int i = 0; i < o->n; i++) w[i] /= sum;
    keep_if_better(o, o->weights, best, best_loss);
    keep_if_better(o, w, best, best_loss);
    return ATH_OK;
}

/* What is promised holds for the score as it is reported, rounding and all: a weighting that is no better than the plain
 * average or a single member gives way to it. */
static ath_status keep_promise(ath_ctx *ctx, const athi_members *m, double *w, double *best) {
    int n = m->n_members;
    float *p = athi_alloc_array(ctx, m->n * m->classes, sizeof *p);
    if (!p) return ATH_E_NOMEM;
    athi_ensemble_combine(m, best, false, p);
    double loss = athi_ensemble_evaluate(m, p).loss;
    for (int i = -1; i < n; i++) {
        if (i < 0)
            plain_average(w, n);
        else
            single_member(w, n, i);
        athi_ensemble_combine(m, w, false, p);
        double other = athi_ensemble_evaluate(m, p).loss;
        if (!(other < loss)) continue;
        loss = other;
        memcpy(best, w, (size_t)n * sizeof *best);
    }
    athi_free(ctx, p);
    return ATH_OK;
}

/* ---- the methods --------------------------------------------------------------------------------- */

static ath_status learn_average(ath_ctx *ctx, const void *opts, const athi_members *m, uint64_t seed,
                                double *weights) {
    (void)ctx, (void)opts, (void)seed;
    plain_average(weights, m->n_members);
    return ATH_OK;
}

static ath_status learn_geometric(ath_ctx *ctx, const void *opts, const athi_members *m, uint64_t seed,
                                  double *weights) {
    if (!m->labels)
        return athi_fail(ctx, ATH_E_OPTION,
                         "ensemble.method: geometric averages class probabilities, these models give numbers; "
                         "write average or weighted");
    return learn_average(ctx, opts, m, seed, weights);
}

static ath_status learn(ath_ctx *ctx, const ensemble_opts *opts, const athi_members *m, uint64_t seed, bool refine,
                        double *weights) {
    objective o;
    double best_loss = INFINITY;
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    plain_average(weights, m->n_members);
    double *w = athi_arena_array(arena, m->n_members, sizeof *w);
    ath_status status = w ? objective_open(ctx, arena, m, &o) : ATH_E_NOMEM;
    if (status == ATH_OK && m->n_members > 1) {
        search_simplex(&o, seed, opts->samples, w, weights, &best_loss);
        if (refine && isfinite(best_loss)) status = nelder_mead(ctx, &o, opts->evaluations, w, weights, &best_loss);
        if (status == ATH_OK) status = keep_promise(ctx, m, w, weights);
    }
    athi_arena_destroy(arena);
    return status;
}

static ath_status learn_random(ath_ctx *ctx, const void *opts, const athi_members *m, uint64_t seed,
                               double *weights) {
    return learn(ctx, opts, m, seed, false, weights);
}
static ath_status learn_weighted(ath_ctx *ctx, const void *opts, const athi_members *m, uint64_t seed,
                                 double *weights) {
    return learn(ctx, opts, m, seed, true, weights);
}

static const athi_ensemble_impl average = {learn_average, false}, geometric = {learn_geometric, true},
                                weighted = {learn_weighted, false}, random_search = {learn_random, false};

static const athi_option options[] = {
    {.name = "samples",
     .type = ATHI_OPT_INT,
     .offset = offsetof(ensemble_opts, samples),
     .fallback = "1000",
     .min = 0,
     .max = 10000000,
     .doc = "weightings drawn at random, beside the plain average and each member alone"},
    {.name = "evaluations",
     .type = ATHI_OPT_INT,
     .offset = offsetof(ensemble_opts, evaluations),
     .fallback = "2000",
     .min = 1,
     .max = 10000000,
     .doc = "losses that Nelder-Mead may compute"},
    {0},
};
static const athi_option random_options[] = {
    {.name = "samples",
     .type = ATHI_OPT_INT,
     .offset = offsetof(ensemble_opts, samples),
     .fallback = "10000",
     .min = 1,
     .max = 10000000,
     .doc = "weightings drawn at random, beside the plain average and each member alone"},
    {0},
};

static const athi_row rows[] = {
    {.name = "average", .doc = "The mean of the predictions.", .impl = &average},
    {.name = "geometric", .doc = "The geometric mean of the class probabilities.", .impl = &geometric},
    {.name = "weighted",
     .doc = "A weighted mean; weights minimise the loss on validation data: random search on the simplex, then "
            "Nelder-Mead; never worse there than the plain average or the best member.",
     .options = options,
     .opts_size = sizeof(ensemble_opts),
     .impl = &weighted},
    {.name = "random_search",
     .doc = "A weighted mean; weights are the best of many drawn at random, by the loss on validation data.",
     .options = random_options,
     .opts_size = sizeof(ensemble_opts),
     .impl = &random_search},
    {0},
};

const athi_kind athi_ensembles = {"ensemble method", "ensembles", rows};
