/* CMA-ES over the trials (see cmaes.h). Generation by generation, by their numbers, the trials are folded into the state
 * from which the suggestion is drawn: a function of the view, as all samplers are.
 *
 *   members        the numbers that the suggestion would have drawn from the state; a coordinate that the trial tells
 *                  is the trial's. So any trial is a member, whoever proposed it; what lies below a branch that was
 *                  not taken stays as drawn, and says nothing; a grid's value keeps its place within the cell
 *   running        a generation with half of its members ended counts without the others, else it waits
 *   failed         ranked last; lost ones are missing
 *   restart        from a random place with a larger population, when a run stalls (IPOP: Auger and Hansen 2005)
 *   cache          the state after all generations whose members have all ended
 */
#include "tune/cmaes.h"
#include "tune/observed.h"

#include <math.h>

static const uint64_t RESTARTS = (uint64_t)1 << 39; /* a stream apart from the trials' numbers */
static const double FRESH = 1e-9;                   /* a coordinate that varies more than this does not repeat */

/* What the trials before number `first` have led to. */
typedef struct memory {
    athi_cmaes state;
    int64_t first;   /* where the present generation begins */
    int64_t covered; /* trials of the view before it */
    int64_t last;    /* the number of the last of them */
    int64_t restarts;
} memory;

typedef struct kept {
    athi_arena *arena;
    memory memory;
    athi_cmaes_sampler_opts opts;
    const athi_space *space;
    int64_t n_params;
    uint64_t seed;
} kept;

typedef struct run {
    const athi_view *view;
    const athi_cmaes_sampler_opts *opts;
    athi_cmaes_shape shape;
    int *number, *choice; /* the parameters of the shape's dimensions */
    bool plain;           /* nothing but floats that always exist: a trial tells all of its coordinates */
    athi_arena *work;     /* of one generation */
} run;

static uint64_t purpose(uint64_t id) { return ATHI_PURPOSE(ATHI_RNG_SAMPLER, id); }

static ath_status read_shape(athi_arena *arena, run *r) {
    const athi_space *space = r->view->space;
    int64_t most = ATHI_MAX(space->n, 1);
    const athi_space_param **numbers = athi_arena_array(arena, most, sizeof(*numbers));
    const athi_space_param **choices = athi_arena_array(arena, most, sizeof(*choices));
    r->number = athi_arena_array(arena, most, sizeof *r->number);
    r->choice = athi_arena_array(arena, most, sizeof *r->choice);
    if (!numbers || !choices || !r->number || !r->choice) return ATH_E_NOMEM;
    r->shape = (athi_cmaes_shape){.numbers = numbers, .choices = choices};
    r->plain = true;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        int64_t count = athi_param_count(p);
        r->plain = r->plain && count == 0 && p->n_conditions == 0;
        if (count == 1) continue;
        if (p->type == ATHI_PARAM_CHOICE && !p->ordered) {
            r->shape.n_branches += p->n_branches;
            r->choice[r->shape.n_choices] = (int)i;
            choices[r->shape.n_choices++] = p;
        } else {
            r->number[r->shape.n] = (int)i;
            numbers[r->shape.n++] = p;
        }
    }
    return ATH_OK;
}

/* ---- a generation -------------------------------------------------------------------------------------- */

/* The place within the cell of a value that is nearest to what was drawn. */
static double within_cell(const athi_space_param *p, double value, double drawn) {
    double low, high;
    int64_t count = athi_param_count(p);
    if (count == 0) return athi_param_to_unit(p, value);
    athi_param_cell(p, value, &low, &high);
    if (value == athi_param_nth(p, 0)) low = -INFINITY;
    if (value == athi_param_nth(p, count - 1)) high = INFINITY;
    return fmin(fmax(drawn, low), high);
}

static void read_member(const run *r, const athi_cmaes *s, const athi_trial *t, double *numbers, int *branches) {
    if (!r->plain) {
        athi_rng rng = athi_rng_at(r->view->seed, purpose((uint64_t)t->number));
        athi_cmaes_draw(s, &rng, numbers, branches);
    }
    for (int64_t j = 0; j < r->shape.n; j++) {
        double v = t->point[r->number[j]];
        if (!isnan(v)) numbers[j] = within_cell(r->shape.numbers[j], v, numbers[j]);
    }
    for (int64_t c = 0; c < r->shape.n_choices; c++)
        if (!isnan(t->point[r->choice[c]])) branches[c] = (int)t->point[r->choice[c]];
}

/* Ranks: how many beat a member, and half of those that neither beat it nor are beaten. */
static void rank(const athi_view *view, const athi_trial *const *trials, athi_cmaes_member *members, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        bool alone = view->n_objectives == 1 && athi_trial_evidence(view, trials[i]) == ATHI_SAYS_VALUE;
        members[i].loss = alone ? athi_trial_loss(view, trials[i], 0) : NAN;
        members[i].rank = 0;
    }
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = i + 1; j < k; j++) {
            bool first = athi_trial_beats(view, trials[i], trials[j]);
            bool second = !first && athi_trial_beats(view, trials[j], trials[i]);
            members[i].rank += second ? 1 : first ? 0 : 0.5;
            members[j].rank += first ? 1 : second ? 0 : 0.5;
        }
}

static ath_status restart(const run *r, memory *m) {
    double *mean = athi_arena_array(r->work, ATHI_MAX(r->shape.n, 1), sizeof *mean);
    if (!mean) return ATH_E_NOMEM;
    athi_rng rng = athi_rng_at(r->view->seed, purpose(RESTARTS + (uint64_t)++m->restarts));
    for (int64_t j = 0; j < r->shape.n; j++) mean[j] = athi_rng_uniform(&rng);
    double lambda = (double)m->state.lambda * fmax(r->opts->increase, 1);
    athi_cmaes_restart(&m->state, (int64_t)fmin(lambda, 1e6), r->opts->sigma, mean);
    return ATH_OK;
}

/* Folds the `n` visible trials of the present generation into the state. */
static ath_status fold(const run *r, memory *m, const athi_trial *const *trials, int64_t n) {
    const athi_view *view = r->view;
    int64_t k = 0, size = m->state.lambda, numbers = r->shape.n, choices = r->shape.n_choices;
    bool any = false;
    const athi_trial **told = athi_arena_array(r->work, n, sizeof(*told));
    athi_cmaes_member *members = athi_arena_array(r->work, n, sizeof *members);
    double *x = athi_arena_array(r->work, n * numbers, sizeof *x);
    int *b = athi_arena_array(r->work, n * choices, sizeof *b);
    if (!told || !members || !x || !b) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        athi_evidence says = athi_trial_evidence(view, trials[i]);
        if (says != ATHI_SAYS_VALUE && says != ATHI_SAYS_FAILED) continue;
        read_member(r, &m->state, trials[i], x + k * numbers, b + k * choices);
        members[k] = (athi_cmaes_member){.numbers = x + k * numbers, .branches = b + k * choices};
        told[k++] = trials[i];
        any = any || says == ATHI_SAYS_VALUE;
    }
    m->first += size, m->covered += n;
    if (n > 0) m->last = trials[n - 1]->number;
    if (!any || k < 2 || 2 * k < size) return ATH_OK;
    rank(view, told, members, k);
    ath_status status = athi_cmaes_update(r->work, &m->state, members, k);
    if (status != ATH_OK && status != ATH_E_FAILED) return status;
    bool over = status == ATH_E_FAILED || (r->opts->increase > 0 && athi_cmaes_stalled(&m->state));
    return over ? restart(r, m) : ATH_OK;
}

/* How many visible trials the present generation has, and whether they have all ended. */
static int64_t generation(const athi_view *view, const memory *m, bool *ended) {
    int64_t n = 0;
    *ended = true;
    for (; m->covered + n < view->n; n++) {
        const athi_trial *t = view->trials[m->covered + n];
        if (t->number >= m->first + m->state.lambda) break;
        *ended = *ended && athi_trial_evidence(view, t) != ATHI_SAYS_PENDING;
    }
    return n;
}

/* All generations before the suggestion's. `m` covers those that have ended; from the first that has not, a copy is
 * folded on. */
static ath_status fold_all(athi_arena *arena, const run *r, memory *m, const memory **out) {
    memory *copy = NULL;
    while (r->view->trial >= m->first + m->state.lambda) {
        bool ended;
        int64_t n = generation(r->view, m, &ended);
        if (!ended && !copy) {
            copy = athi_arena_memdup(arena, m, sizeof *m);
            if (!copy) return ATH_E_NOMEM;
            ATH_TRY(athi_cmaes_copy(arena, &m->state, &copy->state));
            m = copy;
        }
        ATH_TRY(fold(r, m, r->view->trials + m->covered, n));
        athi_arena_reset(r->work);
    }
    *out = m;
    return ATH_OK;
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

static void destroy(void *data) { athi_arena_destroy(((kept *)data)->arena); }

static bool fits(const run *r, const kept *k) {
    const athi_view *v = r->view;
    const memory *m = &k->memory;
    const athi_cmaes_sampler_opts *a = r->opts, *b = &k->opts;
    bool same = k->seed == v->seed && k->space == v->space && k->n_params == v->space->n &&
                a->population == b->population && a->sigma == b->sigma && a->increase == b->increase;
    if (!same || v->trial < m->first || v->n < m->covered) return false;
    if (m->covered > 0 && v->trials[m->covered - 1]->number != m->last) return false;
    return m->covered == v->n || v->trials[m->covered]->number >= m->first;
}

static ath_status begin(athi_arena *arena, const run *r, memory *m) {
    *m = (memory){0};
    return athi_cmaes_create(arena, &r->shape, r->opts->population, r->opts->sigma, &m->state);
}

/* The memory of the view's cache, if it has one and there is something to remember. */
static ath_status recall(ath_ctx *ctx, athi_arena *arena, const run *r, memory **out) {
    athi_cache *cache = r->view->cache;
    if (!cache) {
        *out = athi_arena_alloc(arena, sizeof **out);
        return *out ? begin(arena, r, *out) : ATH_E_NOMEM;
    }
    if (cache->owner != &athi_sampler_cmaes || !fits(r, cache->data)) {
        athi_cache_clear(cache);
        athi_arena *own = athi_arena_create(ctx);
        kept *k = own ? athi_arena_alloc(own, sizeof *k) : NULL;
        ath_status status = k ? begin(own, r, &k->memory) : ATH_E_NOMEM;
        if (status != ATH_OK) {
            athi_arena_destroy(own);
            return status;
        }
        k->arena = own, k->opts = *r->opts, k->space = r->view->space, k->n_params = r->view->space->n;
        k->seed = r->view->seed;
        *cache = (athi_cache){&athi_sampler_cmaes, k, destroy};
    }
    *out = &((kept *)cache->data)->memory;
    (*out)->state.shape = &r->shape; /* that of the last suggestion is gone */
    return ATH_OK;
}

/* ---- the sampler --------------------------------------------------------------------------------------- */

/* Whether a float of the point lies where it was drawn, from a distribution that is wide enough: no trial has it. */
static bool is_fresh(const run *r, const athi_cmaes *s, const double *numbers, const double *point) {
    for (int64_t j = 0; j < r->shape.n; j++) {
        double spread = s->sigma * s->scale[j] * sqrt(s->covariance[j * r->shape.n + j]);
        bool inside = numbers[j] > 0 && numbers[j] < 1 && athi_param_count(r->shape.numbers[j]) == 0;
        if (inside && spread > FRESH && !isnan(point[r->number[j]])) return true;
    }
    return false;
}

static ath_status draw_point(ath_ctx *ctx, athi_arena *arena, const run *r, const athi_cmaes *s, double *point,
                             bool *exhausted) {
    const athi_space *space = r->view->space;
    double *numbers = athi_arena_array(arena, ATHI_MAX(r->shape.n, 1), sizeof *numbers);
    int *branches = athi_arena_array(arena, ATHI_MAX(r->shape.n_choices, 1), sizeof *branches);
    if (!numbers || !branches) return ATH_E_NOMEM;
    athi_rng rng = athi_rng_at(r->view->seed, purpose((uint64_t)r->view->trial));
    athi_cmaes_draw(s, &rng, numbers, branches);
    for (int64_t i = 0; i < space->n; i++) point[i] = space->params[i].fallback;
    for (int64_t j = 0; j < r->shape.n; j++)
        point[r->number[j]] = athi_param_from_unit(r->shape.numbers[j], fmin(fmax(numbers[j], 0), 1));
    for (int64_t c = 0; c < r->shape.n_choices; c++) point[r->choice[c]] = branches[c];
    athi_space_normalize(space, point);
    if (is_fresh(r, s, numbers, point) && athi_space_allows(space, point)) return ATH_OK;
    return athi_avoid_duplicate(ctx, r->view, point, exhausted);
}

static ath_status search(ath_ctx *ctx, athi_arena *arena, const void *opts, const athi_view *view, double *point,
                         bool *exhausted) {
    run r = {.view = view, .opts = opts};
    memory *m;
    const memory *now;
    ATH_TRY(read_shape(arena, &r));
    ATH_TRY(recall(ctx, arena, &r, &m));
    r.work = athi_arena_create(ctx);
    if (!r.work) return ATH_E_NOMEM;
    ath_status status = fold_all(arena, &r, m, &now);
    athi_arena_destroy(r.work);
    if (status != ATH_OK && view->cache) athi_cache_clear(view->cache); /* a generation may be half folded in */
    return status == ATH_OK ? draw_point(ctx, arena, &r, &now->state, point, exhausted) : status;
}

static const athi_cmaes_sampler_opts defaults = {.sigma = 1.0 / 6, .increase = 2};

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    static const athi_suggestion frame = {.search = search};
    return athi_suggestion_run(ctx, &frame, opts ? opts : &defaults, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_cmaes = {suggest};

#define AT(field) offsetof(athi_cmaes_sampler_opts, field)
const athi_option athi_sampler_cmaes_options[] = {
    {.name = "population",
     .type = ATHI_OPT_INT,
     .offset = AT(population),
     .fallback = "null",
     .min = 2,
     .max = 1000000,
     .nullable = true,
     .doc = "trials of a generation; by default 4 + 2.5 ln(parameters)"},
    {.name = "sigma",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(sigma),
     .fallback = "0.16666666666666666",
     .min = 1e-6,
     .max = 10,
     .doc = "first standard deviation around the middle, in units of each range (by its prior)"},
    {.name = "increase",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(increase),
     .fallback = "2",
     .min = 0,
     .max = 100,
     .doc = "how many times larger the population is after a restart; 0: no restarts"},
    {0},
};
