/* NSGA-II (Deb et al. 2002, doi 10.1109/4235.996017), with one offspring at a time (Durillo et al. 2009, doi
 * 10.1007/978-3-642-01020-0_18: steady state does better, and nobody waits for a generation's last trial).
 *
 *   population   the first `population` trials are a Sobol sequence; in the order of their numbers each that has ended
 *                joins, and who ranks last of one too many leaves
 *   ranking      feasible before infeasible, those by how far they break constraints (section VI), then by layer, then
 *                by crowding distance
 *   parents      winners of binary tournaments
 *   crossover    numbers: simulated binary (Deb and Agrawal 1995), eta 20; choices: either parent's branch
 *   mutation     each parameter with the chance 1/d: floats polynomial, eta 20; grids a step or two; another branch
 *   conditions   what a parent lacks comes from the other; what both lack is drawn
 *   cache        the population after all trials that have ended, up to the first that has not */
#include "tune/observed.h"
#include "tune/pareto.h"
#include "tune/population.h"

#include <math.h>

static const double ETA_CROSSOVER = 20, ETA_MUTATION = 20; /* Deb et al. 2002, section V */
enum { CLONES = 16 };                                      /* tries to make an offspring differ from its parent */

typedef struct member {
    int64_t trial; /* index in the view */
    double violation, crowding;
    int64_t layer; /* of the feasible */
} member;

typedef struct population {
    athi_population head;
    member *members;
    int64_t n; /* alive */
} population;

/* ---- ranking ------------------------------------------------------------------------------------------- */

static bool ranks_before(const member *a, const member *b) {
    if (a->violation != b->violation) return a->violation < b->violation;
    if (a->layer != b->layer) return a->layer < b->layer;
    return a->crowding != b->crowding ? a->crowding > b->crowding : a->trial < b->trial;
}

static ath_status rank_members(athi_arena *scratch, const athi_view *view, population *p) {
    int m = view->n_objectives;
    int64_t n = 0;
    double *losses = athi_arena_array(scratch, ATHI_MAX(p->n, 1) * m, sizeof *losses),
           *distance = athi_arena_array(scratch, ATHI_MAX(p->n, 1), sizeof *distance);
    int64_t *layer = athi_arena_array(scratch, ATHI_MAX(p->n, 1), sizeof *layer);
    if (!losses || !distance || !layer) return ATH_E_NOMEM;
    for (int64_t i = 0; i < p->n; i++) {
        if (p->members[i].violation > 0) continue;
        for (int k = 0; k < m; k++) losses[n * m + k] = athi_trial_loss(view, view->trials[p->members[i].trial], k);
        n++;
    }
    ATH_TRY(athi_pareto_layers(scratch, losses, n, m, layer));
    ATH_TRY(athi_crowding(scratch, losses, n, m, layer, distance));
    for (int64_t i = 0, at = 0; i < p->n; i++) {
        if (p->members[i].violation > 0) continue;
        p->members[i].layer = layer[at], p->members[i].crowding = distance[at++];
    }
    return ATH_OK;
}

/* ---- the population ------------------------------------------------------------------------------------ */

static bool make_places(athi_arena *arena, athi_population *head) {
    population *p = (population *)head;
    p->members = athi_arena_array(arena, head->size + 1, sizeof *p->members);
    return p->members != NULL;
}

static ath_status join(athi_arena *scratch, const athi_view *view, athi_population *head, int64_t t) {
    population *p = (population *)head;
    const athi_trial *trial = view->trials[t];
    if (athi_trial_evidence(view, trial) != ATHI_SAYS_VALUE) return ATH_OK;
    for (int k = 0; k < view->n_objectives; k++) /* a pruned trial may lack some */
        if (isnan(athi_trial_loss(view, trial, k))) return ATH_OK;
    p->members[p->n++] = (member){.trial = t, .violation = athi_trial_violation(trial)};
    if (p->n <= head->size) return ATH_OK;
    int64_t worst = 0;
    athi_arena_reset(scratch);
    ATH_TRY(rank_members(scratch, view, p));
    for (int64_t i = 1; i < p->n; i++)
        if (ranks_before(&p->members[worst], &p->members[i])) worst = i;
    memmove(p->members + worst, p->members + worst + 1, (size_t)(p->n - worst - 1) * sizeof *p->members);
    p->n--;
    return ATH_OK;
}

static void copy_members(athi_population *to, const athi_population *from) {
    population *p = (population *)to;
    const population *known = (const population *)from;
    memcpy(p->members, known->members, (size_t)known->n * sizeof *p->members);
    p->n = known->n;
}

static const athi_population_kind living = {&athi_sampler_nsga2, sizeof(population), make_places, join, copy_members};

static ath_status populate(ath_ctx *ctx, athi_arena *arena, const athi_view *view, int64_t size, population *p) {
    athi_arena *scratch = athi_arena_create(ctx);
    if (!scratch) return ATH_E_NOMEM;
    ath_status status = athi_populate(ctx, arena, scratch, view, &living, size, &p->head);
    athi_arena_reset(scratch);
    if (status == ATH_OK) status = rank_members(scratch, view, p);
    athi_arena_destroy(scratch);
    return status;
}

/* ---- offspring ----------------------------------------------------------------------------------------- */

static int64_t tournament(const population *p, athi_rng *rng) {
    int64_t a = (int64_t)athi_rng_below(rng, (uint64_t)p->n), b = (int64_t)athi_rng_below(rng, (uint64_t)p->n);
    return ranks_before(&p->members[a], &p->members[b]) ? a : b;
}

/* Simulated binary crossover in the unit interval of the prior. */
static double cross(const athi_space_param *p, double a, double b, athi_rng *rng) {
    double u = athi_rng_uniform(rng);
    bool other = athi_rng_below(rng, 2);
    if (isnan(a) || isnan(b)) return isnan(a) ? b : a;
    if (p->type == ATHI_PARAM_CHOICE && !p->ordered) return other ? b : a;
    double x = athi_param_to_unit(p, other ? b : a), y = athi_param_to_unit(p, other ? a : b),
           power = 1 / (ETA_CROSSOVER + 1), beta = u < 0.5 ? pow(2 * u, power) : pow(1 / (2 * (1 - u)), power);
    return athi_param_from_unit(p, fmin(fmax(((1 + beta) * x + (1 - beta) * y) / 2, 0), 1));
}

static double mutate(const athi_space_param *p, double v, athi_rng *rng) {
    if (athi_param_count(p) > 0) return athi_param_move(p, v, rng);
    double u = athi_rng_uniform(rng), x = athi_param_to_unit(p, v), power = 1 / (ETA_MUTATION + 1);
    /* by the distance to the end that it may reach, so that no mutation leaves the range (Deb's code, "bounded") */
    double low = pow(1 - x, ETA_MUTATION + 1), high = pow(x, ETA_MUTATION + 1);
    double step =
        u < 0.5 ? pow(2 * u + (1 - 2 * u) * low, power) - 1 : 1 - pow(2 * (1 - u) + 2 * (u - 0.5) * high, power);
    return athi_param_from_unit(p, fmin(fmax(x + step, 0), 1));
}

static bool same(const athi_space *space, const double *a, const double *b) {
    for (int64_t i = 0; i < space->n; i++)
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

static ath_status breed(athi_arena *arena, const athi_nsga2_opts *opts, const athi_view *view, const population *p,
                        athi_rng *rng, double *point) {
    const athi_space *space = view->space;
    double *a = athi_arena_array(arena, 2 * ATHI_MAX(space->n, 1), sizeof *a), *b = a ? a + space->n : NULL;
    if (!a) return ATH_E_NOMEM;
    athi_trial_point(view, p->members[tournament(p, rng)].trial, a);
    athi_trial_point(view, p->members[tournament(p, rng)].trial, b);
    bool crosses = athi_rng_uniform(rng) < opts->crossover;
    double chance = opts->mutation > 0 ? opts->mutation : 1 / (double)space->n;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *param = &space->params[i];
        bool swapped = athi_rng_uniform(rng) < 0.5, mutated = athi_rng_uniform(rng) < chance;
        double draw = athi_rng_uniform(rng);
        point[i] = crosses && swapped ? cross(param, a[i], b[i], rng) : a[i];
        if (isnan(point[i])) point[i] = isnan(b[i]) ? athi_param_from_unit(param, draw) : b[i];
        if (mutated) point[i] = mutate(param, point[i], rng);
    }
    athi_space_normalize(space, point);
    for (int tries = 0; tries < CLONES && same(space, point, a); tries++) { /* a clone would teach nothing */
        int64_t i = (int64_t)athi_rng_below(rng, (uint64_t)space->n);
        if (!isnan(point[i])) point[i] = mutate(&space->params[i], point[i], rng);
        athi_space_normalize(space, point);
    }
    return ATH_OK;
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    const athi_nsga2_opts *opts = options;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    population p;
    if (view->trial < opts->population || view->space->n == 0)
        return athi_sampler_sobol.suggest(ctx, NULL, view, point, exhausted);
    ATH_TRY(populate(ctx, arena, view, opts->population, &p));
    if (p.n < 2) return athi_sampler_sobol.suggest(ctx, NULL, view, point, exhausted);
    ATH_TRY(breed(arena, opts, view, &p, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static const athi_nsga2_opts defaults = {.population = 50, .crossover = 0.9};

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_nsga2 = {suggest};

#define AT(field) offsetof(athi_nsga2_opts, field)
const athi_option athi_sampler_nsga2_options[] = {
    {.name = "population",
     .type = ATHI_OPT_INT,
     .offset = AT(population),
     .fallback = "50",
     .min = 2,
     .max = 100000,
     .doc = "members; the first so many trials are a Sobol sequence"},
    {.name = "crossover",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(crossover),
     .fallback = "0.9",
     .min = 0,
     .max = 1,
     .doc = "chance that an offspring has two parents"},
    {.name = "mutation",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(mutation),
     .fallback = "null",
     .min = 0.0001,
     .max = 1,
     .nullable = true,
     .doc = "chance of each parameter to change; by default one over their number"},
    {0},
};
