/* Asynchronous differential evolution, rand/1/bin (Storn and Price 1997) with the constants of DEHB (Awad et al. 2021,
 * arXiv 2105.09821): factor 0.5, crossover 0.5, population 20.
 *
 *   population   place i belongs to the trials i, i + size, i + 2 size, …: in the order of their numbers each that has
 *                ended takes it unless the present owner beats it. The first `size` trials are a Sobol sequence
 *   suggestion   of trial n, for place n mod size: three other owners a, b, c give a + F (b - c); each parameter is the
 *                owner's or that of the mutant, at least one the mutant's
 *   outside      a number that leaves its range is drawn anew; a parameter that one of the three lacks is drawn
 *   choices      the mutant has a's branch, or with the chance F, where b and c differ, one of theirs
 *   failed       worse than all others; running ones own nothing; lost ones do not count
 *   cache        the owners after all trials that have ended, up to the first that has not
 *
 * A function of the view: so any number may be pending, and no one waits for the last of a generation. */
#include "tune/observed.h"
#include "tune/population.h"

#include <math.h>

typedef struct population {
    athi_population head;
    int64_t *owner; /* per place: index in the view, -1: nobody yet */
} population;

/* ---- the population ------------------------------------------------------------------------------------ */

static bool make_places(athi_arena *arena, athi_population *head) {
    population *p = (population *)head;
    p->owner = athi_arena_array(arena, head->size, sizeof *p->owner);
    for (int64_t i = 0; p->owner && i < head->size; i++) p->owner[i] = -1;
    return p->owner != NULL;
}

static ath_status take_place(athi_arena *scratch, const athi_view *view, athi_population *head, int64_t t) {
    (void)scratch;
    const athi_trial *trial = view->trials[t];
    athi_evidence says = athi_trial_evidence(view, trial);
    if (says != ATHI_SAYS_VALUE && says != ATHI_SAYS_FAILED) return ATH_OK;
    int64_t *owner = &((population *)head)->owner[trial->number % head->size];
    if (*owner < 0 || !athi_trial_beats(view, view->trials[*owner], trial)) *owner = t;
    return ATH_OK;
}

static void copy_owners(athi_population *to, const athi_population *from) {
    memcpy(((population *)to)->owner, ((const population *)from)->owner, (size_t)to->size * sizeof(int64_t));
}

static const athi_population_kind owners = {&athi_sampler_de, sizeof(population), make_places, take_place,
                                            copy_owners};

/* ---- a suggestion -------------------------------------------------------------------------------------- */

/* Owners of three places that are neither `place` nor each other's; false: there are too few. */
static bool draw_three(const population *p, int64_t place, athi_rng *rng, int64_t three[3]) {
    int64_t owned = 0;
    for (int64_t i = 0; i < p->head.size; i++) owned += i != place && p->owner[i] >= 0;
    if (owned < 3) return false;
    for (int k = 0; k < 3; k++) {
        bool again = true;
        while (again) {
            int64_t i = (int64_t)athi_rng_below(rng, (uint64_t)p->head.size);
            again = i == place || p->owner[i] < 0;
            three[k] = p->owner[i];
            for (int j = 0; j < k; j++) again = again || three[j] == three[k];
        }
    }
    return true;
}

/* One parameter of the mutant. */
static double mutant(const athi_space_param *p, const double v[3], double factor, athi_rng *rng) {
    double draw = athi_rng_uniform(rng), chance = athi_rng_uniform(rng);
    if (isnan(v[0]) || isnan(v[1]) || isnan(v[2])) return athi_param_from_unit(p, draw);
    if (p->type == ATHI_PARAM_CHOICE && !p->ordered)
        return v[1] == v[2] || chance >= factor ? v[0] : v[draw < 0.5 ? 1 : 2];
    double u = athi_param_to_unit(p, v[0]) + factor * (athi_param_to_unit(p, v[1]) - athi_param_to_unit(p, v[2]));
    return athi_param_from_unit(p, u >= 0 && u <= 1 ? u : draw);
}

static ath_status evolve(athi_arena *arena, const athi_de_opts *opts, const athi_view *view, const population *p,
                         const int64_t three[3], athi_rng *rng, double *point) {
    const athi_space *space = view->space;
    double *parents = athi_arena_array(arena, 4 * ATHI_MAX(space->n, 1), sizeof *parents);
    if (!parents) return ATH_E_NOMEM;
    int64_t target = p->owner[view->trial % p->head.size];
    for (int k = 0; k < 3; k++) athi_trial_point(view, three[k], parents + k * space->n);
    double *own = parents + 3 * space->n;
    athi_trial_point(view, target >= 0 ? target : three[0], own);
    int64_t forced = (int64_t)athi_rng_below(rng, (uint64_t)space->n);
    for (int64_t i = 0; i < space->n; i++) {
        const double v[3] = {parents[i], parents[space->n + i], parents[2 * space->n + i]};
        bool crossed = athi_rng_uniform(rng) < opts->crossover || i == forced;
        double changed = mutant(&space->params[i], v, opts->factor, rng);
        point[i] = crossed || isnan(own[i]) ? changed : own[i];
    }
    athi_space_normalize(space, point);
    return ATH_OK;
}

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *options, const athi_view *view, double *point,
                         bool *exhausted) {
    const athi_de_opts *opts = options;
    population p;
    int64_t three[3];
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    if (view->trial < opts->population || view->space->n == 0)
        return athi_sampler_sobol.suggest(ctx, NULL, view, point, exhausted);
    ATH_TRY(athi_populate(ctx, arena, NULL, view, &owners, opts->population, &p.head));
    if (!draw_three(&p, view->trial % p.head.size, &rng, three))
        return athi_sampler_sobol.suggest(ctx, NULL, view, point, exhausted);
    ATH_TRY(evolve(arena, opts, view, &p, three, &rng, point));
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

static const athi_de_opts defaults = {.population = 20, .factor = 0.5, .crossover = 0.5};

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_de = {suggest};

#define AT(field) offsetof(athi_de_opts, field)
const athi_option athi_sampler_de_options[] = {
    {.name = "population",
     .type = ATHI_OPT_INT,
     .offset = AT(population),
     .fallback = "20",
     .min = 4,
     .max = 1000000,
     .doc = "places; the first so many trials are a Sobol sequence"},
    {.name = "factor",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(factor),
     .fallback = "0.5",
     .min = 0,
     .max = 2,
     .doc = "F, what the difference of two members is multiplied with"},
    {.name = "crossover",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(crossover),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .doc = "CR, the chance of a parameter to be the mutant's"},
    {0},
};
