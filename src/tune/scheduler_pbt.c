/* Population-based training (Jaderberg et al. 2017), in generations: every member pauses at each multiple of
 * perturbation_interval. When all have come there the worst end, and in the place of each a child goes on from the state of
 * one of the best with other values (scheduler_pbt_explore.c); the others go on as they are. So no trial ever changes, and
 * who was quicker decides nothing.
 *
 * A study of several populations has one after the other. Trials that the sampler has proposed are the first members, children
 * belong to the population of their parents. A member that failed on the way is replaced at the next boundary too. */
#include "tune/scheduler_internal.h"

#include "base/philox.h"

#include <math.h>

enum { DEFAULT_INTERVALS = 10 };

static int64_t whole(const void *opts, const athi_schedule *s) {
    const athi_pbt_opts *o = opts;
    return o->max_t ? o->max_t : s->max_t;
}

static int64_t interval_of(const athi_pbt_opts *o, const athi_schedule *s) {
    return o->perturbation_interval ? o->perturbation_interval : ATHI_MAX(whole(o, s) / DEFAULT_INTERVALS, 1);
}

static ath_status check_fixed(ath_ctx *ctx, const athi_schedule *s) {
    for (int64_t i = 0; i < s->space->n; i++)
        if (!s->fixed || !s->fixed[i]) return ATH_OK;
    return athi_fail(
        ctx, ATH_E_OPTION,
        "pbt: no parameter can change while a model is trained: each of them changes the tensors of its state "
        "or the data; add a range in train, such as the learning_rate's, or take another scheduler");
}

static ath_status check(ath_ctx *ctx, const void *opts, const athi_schedule *s) {
    const athi_pbt_opts *o = opts;
    if (!s->pauses)
        return athi_fail(
            ctx, ATH_E_OPTION,
            "pbt pauses trials, and their children go on from what they have left in {dir}: a command must say "
            "resumable: true and go on where ATHANOR_RESUMED is 1");
    if (!s->forks)
        return athi_fail(
            ctx, ATH_E_OPTION,
            "pbt: a child goes on from its parent's state, which nobody copies here; take asha, or tune a recipe "
            "or a resumable command");
    if (!whole(o, s))
        return athi_fail(ctx, ATH_E_OPTION,
                         "pbt: how many steps a whole trial takes is unknown; give scheduler: {pbt: {max_t: 27}}");
    if (interval_of(o, s) >= whole(o, s))
        return athi_fail(ctx, ATH_E_OPTION,
                         "pbt: perturbation_interval %lld is not below max_t %lld: no trial would ever be replaced",
                         (long long)interval_of(o, s), (long long)whole(o, s));
    if (o->perturbation_factors.n < 1)
        return athi_fail(ctx, ATH_E_OPTION, "pbt: perturbation_factors is empty; expected some such as [1.2, 0.8]");
    for (int64_t i = 0; i < o->perturbation_factors.n; i++)
        if (!(o->perturbation_factors.v[i] > 0) || !isfinite(o->perturbation_factors.v[i]))
            return athi_fail(ctx, ATH_E_OPTION, "pbt: perturbation_factors: expected finite numbers above 0, got %g",
                             o->perturbation_factors.v[i]);
    return check_fixed(ctx, s);
}

static int64_t until(const void *opts, const athi_schedule *s, int64_t number, int64_t step) {
    int64_t interval = interval_of(opts, s), next = (step / interval + 1) * interval;
    (void)number;
    return next < whole(opts, s) ? next : 0;
}

/* ---- the population --------------------------------------------------------------------------------- */

static bool is_child(const athi_trial *t) { return t->relation == ATHI_RELATION_CHILD; }
static bool is_live(const athi_trial *t) { return t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_PAUSED; }
static bool is_ours(const athi_trial *t) {
    return t->seen >= 0 && !t->outside && t->relation != ATHI_RELATION_RESCORE && t->state != ATHI_TRIAL_WAITING;
}

/* The last population: its trials are those from `first` on, since the one before had ended when it began. */
typedef struct population {
    const athi_pbt_opts *o;
    const athi_schedule *s;
    int64_t first, interval;
    bool full; /* no more are proposed for it */
} population;

static population last_population(const athi_pbt_opts *o, const athi_schedule *s) {
    population p = {.o = o, .s = s, .first = s->n, .interval = interval_of(o, s)};
    int64_t size = o->population ? ATHI_MIN(o->population, s->max_trials) : s->max_trials, proposed = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (!is_ours(s->trials[i]) || is_child(s->trials[i])) continue;
        if (proposed++ % size == 0) p.first = i;
    }
    p.full = proposed > 0 && (proposed % size == 0 || s->closed);
    return p;
}

static const athi_trial *member(const population *p, int64_t i) {
    const athi_trial *t = p->s->trials[i];
    return i >= p->first && is_ours(t) ? t : NULL;
}

/* The last boundary before a step: one that reports every third step alone waits a little behind it. */
static int64_t boundary_at(const population *p, int64_t step) { return step / p->interval * p->interval; }
static int64_t boundary_of(const population *p, const athi_trial *t) {
    return boundary_at(p, athi_schedule_step(p->s, t));
}

static bool came_to(const population *p, const athi_trial *t, int64_t at) {
    return athi_trial_begin(t) < at && athi_schedule_step(p->s, t) >= at;
}

/* Has everybody come who will? Trials that ended before did not. */
static bool is_ripe(const population *p, int64_t at) {
    bool any = false;
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *t = member(p, i);
        if (!t) continue;
        if (is_live(t) && athi_schedule_step(p->s, t) < at) return false;
        any = any || came_to(p, t, at);
    }
    return any && p->full && at > 0 && at < whole(p->o, p->s);
}

/* The report with which it came there: its state is of then, whatever was better before. */
static double loss_at(const population *p, const athi_trial *t, int64_t at) {
    int64_t i = 0;
    while (i < t->n_reports && t->reports[i].step < at) i++;
    double value = i < t->n_reports ? t->reports[i].value : (double)NAN;
    return isnan(value) ? (double)INFINITY : p->s->maximize ? -value : value;
}

typedef struct standing {
    int64_t n, better; /* who came there, and who of them is better than the trial */
    int64_t quantile;  /* how many are the best of them, and the worst */
} standing;

static standing stands(const population *p, const athi_trial *t, int64_t at) {
    standing out = {0};
    double own = loss_at(p, t, at);
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *other = member(p, i);
        if (!other || !came_to(p, other, at)) continue;
        double loss = loss_at(p, other, at);
        out.n++;
        out.better += other != t && (loss < own || (loss == own && other->number < t->number));
    }
    out.quantile =
        ATHI_MIN((int64_t)ceil((double)out.n * p->o->quantile_fraction - 1e-9), out.n / 2); /* as Ray Tune */
    return out;
}

static bool is_among_worst(const population *p, const athi_trial *t, int64_t at) {
    standing r = stands(p, t, at);
    return came_to(p, t, at) && r.better >= r.n - r.quantile;
}

/* ---- who ends ----------------------------------------------------------------------------------------- */

static bool gives_up(const void *opts, const athi_schedule *s, const athi_trial *t) {
    population p = last_population(opts, s);
    int64_t at = boundary_of(&p, t);
    return !s->over && member(&p, t->number) && is_ripe(&p, at) && is_among_worst(&p, t, at);
}

/* ---- who takes its place ------------------------------------------------------------------------------ */

/* Places that are free at a boundary: of those who ended there or before it, none after, less the children. */
static int64_t free_places(const population *p, int64_t at) {
    int64_t places = 0;
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *t = member(p, i);
        if (!t) continue;
        bool pruned = t->state == ATHI_TRIAL_PRUNED, ended = pruned || t->state == ATHI_TRIAL_FAILED;
        bool before = athi_schedule_step(p->s, t) < at;
        bool there = pruned && boundary_of(p, t) == at && is_among_worst(p, t, at);
        places += ended && athi_trial_begin(t) < at && (before || there);
        places -= is_child(t) && boundary_at(p, athi_trial_begin(t)) <= at;
    }
    return places;
}

/* Of those that wait at the boundary and stay, the best ones: the k-th of them, or how many there are. */
static int64_t donors(const population *p, int64_t at, bool best, int64_t k, const athi_trial **out) {
    int64_t n = 0;
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *t = member(p, i);
        if (!t || t->state != ATHI_TRIAL_PAUSED || !came_to(p, t, at) || boundary_of(p, t) != at) continue;
        standing r = stands(p, t, at);
        if (best ? r.better >= ATHI_MAX(r.quantile, 1) : r.better >= r.n - r.quantile) continue;
        if (n++ == k) *out = t;
    }
    return n;
}

/* The last boundary to which everybody has come, 0: none. */
static int64_t last_boundary(const population *p) {
    int64_t at = 0;
    while (is_ripe(p, at + p->interval)) at += p->interval;
    return at;
}

/* Has somebody told the boundary's step, but not stopped yet? While places are free nobody has been let go on. */
static bool any_stopping(const population *p, int64_t at) {
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *t = member(p, i);
        if (t && t->state == ATHI_TRIAL_RUNNING && came_to(p, t, at) && boundary_of(p, t) == at) return true;
    }
    return false;
}

static athi_fork fork_next(const void *opts, const athi_schedule *s, double *point) {
    const athi_pbt_opts *o = opts;
    population p = last_population(o, s);
    const athi_trial *parent = NULL;
    int64_t at = last_boundary(&p);
    if (!at || s->over || free_places(&p, at) <= 0 || any_stopping(&p, at)) return (athi_fork){.parent = -1};
    /* one that ended early may be among the best, with a state of another step */
    bool best = donors(&p, at, true, -1, &parent) > 0;
    int64_t n = donors(&p, at, best, -1, &parent);
    if (!n) return (athi_fork){.parent = -1};
    athi_rng rng = athi_rng_at(s->seed, ATHI_PURPOSE(ATHI_RNG_SCHEDULER, s->n));
    donors(&p, at, best, ATHI_MIN((int64_t)(athi_rng_uniform(&rng) * (double)n), n - 1), &parent);
    athi_pbt_explore(o, s, parent->point, &rng, point);
    return (athi_fork){.parent = parent->number, .step = athi_schedule_step(s, parent)};
}

/* ---- who goes on -------------------------------------------------------------------------------------- */

/* A parent stays until its children have its state. */
static bool is_settled(const population *p, int64_t at) {
    const athi_trial *unused = NULL;
    for (int64_t i = p->first; i < p->s->n; i++) {
        const athi_trial *t = member(p, i);
        if (t && is_live(t) && is_among_worst(p, t, at)) return false;
    }
    return free_places(p, at) <= 0 || donors(p, at, false, -1, &unused) == 0;
}

static int64_t promote(const void *opts, const athi_schedule *s) {
    population p = last_population(opts, s);
    for (int64_t i = p.first; i < s->n; i++) {
        const athi_trial *t = member(&p, i);
        if (!t || t->state != ATHI_TRIAL_PAUSED) continue;
        int64_t at = boundary_of(&p, t);
        if (s->over || (is_ripe(&p, at) && is_settled(&p, at))) return t->number;
    }
    return -1;
}

/* The next population begins when the one before has ended, so that the sampler knows what it has found. */
static bool admits(const void *opts, const athi_schedule *s) {
    population p = last_population(opts, s);
    for (int64_t i = p.first; i < s->n && p.full; i++)
        if (member(&p, i) && is_live(s->trials[i])) return false;
    return true;
}

const athi_scheduler_impl athi_scheduler_pbt = {.check = check,
                                                .max_t = whole,
                                                .until = until,
                                                .promote = promote,
                                                .admits = admits,
                                                .gives_up = gives_up,
                                                .fork = fork_next};

#define AT(field) offsetof(athi_pbt_opts, field)
const athi_option athi_pbt_options[] = {
    {.name = "max_t",
     .type = ATHI_OPT_INT,
     .offset = AT(max_t),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .doc = "steps of a whole trial; 0: the recipe's epochs"},
    {.name = "perturbation_interval",
     .type = ATHI_OPT_INT,
     .offset = AT(perturbation_interval),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .doc = "steps after which the worst are replaced, again and again; 0: a tenth of max_t"},
    {.name = "population",
     .type = ATHI_OPT_INT,
     .offset = AT(population),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .doc = "trials side by side; more max_trials than that are further populations, one after the other; 0: all are "
            "one. "
            "Children do not count as trials of max_trials"},
    {.name = "quantile_fraction",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(quantile_fraction),
     .fallback = "0.25",
     .min = 0,
     .max = 0.5,
     .doc = "the part that is replaced, and the part that their parents are drawn from"},
    {.name = "resample_probability",
     .type = ATHI_OPT_FLOAT,
     .offset = AT(resample_probability),
     .fallback = "0.25",
     .min = 0,
     .max = 1,
     .doc = "of a child's value to be drawn anew from the whole range"},
    {.name = "perturbation_factors",
     .type = ATHI_OPT_FLOATS,
     .offset = AT(perturbation_factors),
     .fallback = "[1.2, 0.8]",
     .doc = "of which one multiplies a value with prior log; other values move by so much less one of the range's "
            "width; what "
            "has a grid goes at least to the neighbour, a choice without order is drawn anew"},
    {0}};
