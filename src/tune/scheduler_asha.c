/* Asynchronous successive halving (Li et al. 2018). Rungs lie at grace_period * reduction_factor^k. By promotion a trial
 * pauses at its rung, and goes on once it is among the best floor(n / reduction_factor) of the n that came there; by
 * stopping it goes on at once if it is, and the first ones if they are the best so far. Trials that failed count as the
 * worst, of equal ones the older is better. With several brackets the later ones begin at a higher rung. */
#include "tune/scheduler_internal.h"

#include "base/philox.h"

#include <math.h>

enum { RUNGS_MAX = 64, DEFAULT_RUNGS = 27 };

static int64_t whole(const void *opts, const athi_schedule *s) { return athi_rung_max_t(opts, s); }

/* The first rung: a 27th of a whole trial unless told, so that three halvings by three lie before its end. */
static int64_t grace_of(const athi_rung_opts *o, const athi_schedule *s) {
    return o->grace_period ? o->grace_period : ATHI_MAX(athi_rung_max_t(o, s) / DEFAULT_RUNGS, 1);
}

/* The k-th rung of all, 0 when it lies at the end of a trial or beyond. */
static int64_t rung_at(const athi_rung_opts *o, const athi_schedule *s, int64_t k) {
    double step = floor((double)grace_of(o, s) * pow(o->reduction_factor, (double)k) + 1e-9);
    return k < RUNGS_MAX && step < (double)athi_rung_max_t(o, s) ? (int64_t)step : 0;
}

/* Bracket b begins at rung b. It gets Hyperband's share of the trials: reduction_factor^-b of the first one's. */
static int64_t bracket_of(const athi_rung_opts *o, const athi_schedule *s, int64_t number) {
    double total = 0, at = 0;
    int64_t n = 0;
    while (n < o->brackets && (n == 0 || rung_at(o, s, n))) total += pow(o->reduction_factor, -(double)n), n++;
    if (n == 1) return 0;
    athi_rng rng = athi_rng_at(s->seed, ATHI_PURPOSE(ATHI_RNG_SCHEDULER, number));
    double u = total * athi_rng_uniform(&rng);
    for (int64_t b = 0; b < n; b++) {
        at += pow(o->reduction_factor, -(double)b);
        if (u < at) return b;
    }
    return n - 1;
}

static ath_status check(ath_ctx *ctx, const void *opts, const athi_schedule *s) {
    const athi_rung_opts *o = opts;
    if (!athi_rung_max_t(o, s))
        return athi_fail(ctx, ATH_E_OPTION,
                         "asha: how many steps a whole trial takes is unknown; give scheduler: {asha: {max_t: 27}}");
    if (grace_of(o, s) > athi_rung_max_t(o, s))
        return athi_fail(ctx, ATH_E_OPTION, "asha: grace_period %lld lies beyond max_t %lld",
                         (long long)grace_of(o, s), (long long)athi_rung_max_t(o, s));
    return ATH_OK;
}

static bool promotes(const athi_rung_opts *o, const athi_schedule *s) {
    return s->pauses && o->type == ATHI_ASHA_PROMOTION;
}

static int64_t until(const void *opts, const athi_schedule *s, int64_t number, int64_t step) {
    const athi_rung_opts *o = opts;
    if (!promotes(o, s)) return 0;
    for (int64_t k = bracket_of(o, s, number), at; (at = rung_at(o, s, k)); k++)
        if (at > step) return at;
    return 0;
}

/* Of the trials of a bracket that came to a rung, this one among them: how many, and how many are better than it. */
static void standing(const athi_rung_opts *o, const athi_schedule *s, int64_t bracket, int64_t rung,
                     const athi_trial *t, int64_t *n, int64_t *better) {
    double own = athi_schedule_loss(s, t, rung);
    *n = 1, *better = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *other = s->trials[i];
        double loss = athi_schedule_loss(s, other, rung);
        if (other == t || isnan(loss) || bracket_of(o, s, other->number) != bracket) continue;
        ++*n;
        *better += loss < own || (loss == own && other->number < t->number);
    }
}

static bool among_best(const athi_rung_opts *o, int64_t n, int64_t better) {
    return (double)better < floor((double)n / o->reduction_factor + 1e-9);
}

/* The best of a bracket's trials that wait at its rung k, NULL: none does. */
static const athi_trial *best_waiting(const athi_rung_opts *o, const athi_schedule *s, int64_t bracket, int64_t k) {
    int64_t rung = rung_at(o, s, k), above = rung_at(o, s, k + 1);
    const athi_trial *best = NULL;
    double least = INFINITY;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        int64_t step = athi_schedule_step(s, t);
        if (t->state != ATHI_TRIAL_PAUSED || step < rung || (above && step >= above)) continue;
        if (bracket_of(o, s, t->number) != bracket) continue;
        double loss = athi_schedule_loss(s, t, rung);
        if (!best || loss < least) best = t, least = loss; /* of equal ones the older */
    }
    return best;
}

/* A search too small for its rungs would end with nobody at the end: when nothing runs and nothing is complete, the
 * trial that came furthest goes on, the best of equals. */
static int64_t finisher(const athi_schedule *s) {
    const athi_trial *best = NULL;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (t->outside) continue;
        if (t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_COMPLETE) return -1;
        if (t->state != ATHI_TRIAL_PAUSED) continue;
        int64_t step = athi_schedule_step(s, t), furthest = best ? athi_schedule_step(s, best) : -1;
        if (step > furthest ||
            (step == furthest && athi_schedule_loss(s, t, step) < athi_schedule_loss(s, best, step)))
            best = t;
    }
    return best ? best->number : -1;
}

/* From the highest rung down, the best of those that wait there and may go on. In a bracket the best one may if any may. */
static int64_t promote(const void *opts, const athi_schedule *s) {
    const athi_rung_opts *o = opts;
    int64_t top = 0;
    while (rung_at(o, s, top)) top++;
    for (int64_t k = top - 1; k >= 0; k--) {
        int64_t best = -1, least = INT64_MAX;
        for (int64_t bracket = 0; bracket <= k && bracket < o->brackets; bracket++) {
            const athi_trial *t = best_waiting(o, s, bracket, k);
            int64_t n, better;
            if (!t) continue;
            standing(o, s, bracket, rung_at(o, s, k), t, &n, &better);
            if (!among_best(o, n, better) || better > least || (better == least && t->number > best)) continue;
            best = t->number, least = better;
        }
        if (best >= 0) return best;
    }
    return s->closed ? finisher(s) : -1;
}

static bool keep(const void *opts, const athi_schedule *s, const athi_trial *t, int64_t before, int64_t step) {
    const athi_rung_opts *o = opts;
    if (promotes(o, s)) return true;
    int64_t bracket = bracket_of(o, s, t->number);
    for (int64_t k = bracket, rung; (rung = rung_at(o, s, k)); k++) {
        int64_t n, better;
        if (rung > step || rung <= before) continue;
        standing(o, s, bracket, rung, t, &n, &better);
        if (better > 0 && !among_best(o, n, better)) return false;
    }
    return true;
}

static int64_t fidelity(const void *opts, const athi_schedule *s, int64_t least) {
    const athi_rung_opts *o = opts;
    int64_t best = 0;
    for (int64_t k = 0, rung = rung_at(o, s, 0); rung; rung = rung_at(o, s, ++k)) {
        int64_t n = 0;
        for (int64_t i = 0; i < s->n; i++) n += isfinite(athi_schedule_loss(s, s->trials[i], rung));
        if (n >= least) best = rung;
    }
    return best;
}

const athi_scheduler_impl athi_scheduler_asha = {.seconds = athi_rung_seconds,
                                                 .check = check,
                                                 .max_t = whole,
                                                 .until = until,
                                                 .promote = promote,
                                                 .keep = keep,
                                                 .fidelity = fidelity};

#define AT(field) offsetof(athi_rung_opts, field)
static const char *const types[] = {"promotion", "stopping", NULL};
const athi_option athi_asha_options[] = {
    ATHI_ROW_MAX_T,
    {.name = "grace_period",
     .type = ATHI_OPT_INT,
     .offset = AT(grace_period),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .doc = "steps that every trial may take; 0: a 27th of max_t"},
    ATHI_ROW_REDUCTION_FACTOR,
    ATHI_ROW_TIME_ATTR(athi_rung_opts),
    {.name = "brackets",
     .type = ATHI_OPT_INT,
     .offset = AT(brackets),
     .fallback = "1",
     .min = 1,
     .max = 16,
     .doc = "groups of trials, of which each begins to halve a rung later"},
    {.name = "type",
     .type = ATHI_OPT_ENUM,
     .offset = AT(type),
     .fallback = "promotion",
     .names = types,
     .doc = "promotion: trials pause and the best go on; stopping: the others are stopped (a command that is not "
            "resumable)"},
    {0}};
