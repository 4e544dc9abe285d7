/* Hyperband (Li et al. 2018): brackets of successive halving, filled one after the other, the most aggressive first, and
 * again from the first. In a bracket trials are promoted as KerasTuner does it, as soon as those that are left could not
 * all be better: no rung waits for all its trials.
 *
 *   corrected   s_max = floor(log R), n = ceil((s_max + 1) / (s + 1) eta^s), floor(n / eta^i) of them at R eta^(i - s)
 *   kerastuner  its own sizes: ceil(ceil(1 + log R) / (b + 1) eta^(b - r)) at ceil(R / eta^(b - r)), for R = 100 and 3:
 *               98 at 2, 33 at 4, 11 at 12, 4 at 34, 2 at 100; …; 254 records in all */
#include "tune/scheduler_internal.h"

#include <math.h>

static const double TINY = 1e-9; /* log 243 / log 3 is 5 */

static int64_t whole(const void *opts, const athi_schedule *s) { return athi_rung_max_t(opts, s); }

static int64_t highest(const athi_rung_opts *o, int64_t max_t) {
    return (int64_t)floor(log((double)max_t) / log(o->reduction_factor) + TINY);
}

void athi_hyperband_rung(const athi_rung_opts *o, int64_t max_t, int64_t bracket, int64_t r, int64_t *trials,
                         int64_t *steps) {
    double eta = o->reduction_factor, top = (double)highest(o, max_t), b = top - (double)bracket, R = (double)max_t;
    *trials = *steps = 0;
    if (b < 0 || r > (int64_t)b) return;
    double left = b - (double)r;
    if (o->type == ATHI_BRACKETS_KERASTUNER) {
        double most = ceil(1 + log(R) / log(eta) - TINY);
        *trials = (int64_t)ceil(most / (b + 1) * pow(eta, left) - TINY);
        *steps = (int64_t)ceil(R / pow(eta, left) - TINY);
    } else {
        double n = ceil((top + 1) / (b + 1) * pow(eta, b) - TINY);
        *trials = (int64_t)floor(n / pow(eta, (double)r) + TINY);
        *steps = (int64_t)fmax(floor(R / pow(eta, left) + TINY), 1);
    }
}

/* Trials of all brackets together. */
static int64_t round_size(const athi_rung_opts *o, int64_t max_t) {
    int64_t sum = 0, n, steps;
    for (int64_t b = 0; b <= highest(o, max_t); b++) athi_hyperband_rung(o, max_t, b, 0, &n, &steps), sum += n;
    return sum;
}

int64_t athi_hyperband_bracket(const athi_rung_opts *o, int64_t max_t, int64_t j) {
    int64_t at = j % round_size(o, max_t), n, steps, b = 0;
    for (;; b++) {
        athi_hyperband_rung(o, max_t, b, 0, &n, &steps);
        if (at < n) return b;
        at -= n;
    }
}

static ath_status check(ath_ctx *ctx, const void *opts, const athi_schedule *s) {
    const athi_rung_opts *o = opts;
    if (!athi_rung_max_t(o, s))
        return athi_fail(ctx, ATH_E_OPTION,
                         "hyperband: how many steps a whole trial takes is unknown; give scheduler: "
                         "{hyperband: {max_t: 27}}");
    if (!s->pauses)
        return athi_fail(ctx, ATH_E_OPTION,
                         "hyperband pauses trials and goes on with the best: a command must say "
                         "resumable: true and go on where ATHANOR_RESUMED is 1; or take asha, which "
                         "then stops them");
    return ATH_OK;
}

static int64_t until(const void *opts, const athi_schedule *s, int64_t number, int64_t step) {
    const athi_rung_opts *o = opts;
    int64_t max_t = athi_rung_max_t(o, s), bracket = athi_hyperband_bracket(o, max_t, number), n, at;
    for (int64_t r = 0;; r++) {
        athi_hyperband_rung(o, max_t, bracket, r, &n, &at);
        if (!n || at >= max_t) return 0;
        if (at > step) return at;
    }
}

/* The trials of the bracket that trial j belongs to, from the first to before `end`: they follow one another. */
static void bracket_trials(const athi_rung_opts *o, int64_t max_t, int64_t j, int64_t *first, int64_t *end) {
    int64_t size = round_size(o, max_t), n, steps;
    *end = j / size * size;
    for (int64_t b = 0; *end <= j; b++) {
        athi_hyperband_rung(o, max_t, b, 0, &n, &steps);
        *first = *end, *end += n;
    }
}

/* May the best of those that wait at rung r of this trial's bracket go on? Those that came there and those of them that
 * went beyond are counted over the bracket. */
static bool due(const athi_rung_opts *o, const athi_schedule *s, const athi_trial *t, int64_t r, int64_t *better) {
    int64_t max_t = athi_rung_max_t(o, s), bracket = athi_hyperband_bracket(o, max_t, t->number), n, next, at, above;
    int64_t came = 0, left = 0, coming = 0, first = 0, end = 0;
    athi_hyperband_rung(o, max_t, bracket, r, &n, &at);
    athi_hyperband_rung(o, max_t, bracket, r + 1, &next, &above);
    double own = athi_schedule_loss(s, t, at);
    *better = 0;
    bracket_trials(o, max_t, t->number, &first, &end);
    for (int64_t i = first; i < ATHI_MIN(end, s->n); i++) { /* trials stand by their numbers */
        const athi_trial *other = s->trials[i];
        double loss = athi_schedule_loss(s, other, at);
        coming += isnan(loss) && other->state == ATHI_TRIAL_RUNNING;
        if (isnan(loss)) continue;
        bool beyond = isfinite(loss) && (other->state != ATHI_TRIAL_PAUSED || athi_schedule_step(s, other) >= above);
        came++, left += beyond;
        *better += !beyond && other != t && (loss < own || (loss == own && other->number < t->number));
    }
    if (s->closed && came < n && !coming) { /* the bracket will not be filled: in proportion */
        next = (int64_t)ceil((double)next * (double)came / (double)n - TINY), n = came;
    }
    return left < next && came - left > n - next;
}

static int64_t promote(const void *opts, const athi_schedule *s) {
    const athi_rung_opts *o = opts;
    int64_t max_t = athi_rung_max_t(o, s), best = -1, highest_step = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        int64_t step = athi_schedule_step(s, t), n, at, better;
        if (t->state != ATHI_TRIAL_PAUSED || step < highest_step) continue;
        int64_t bracket = athi_hyperband_bracket(o, max_t, t->number), r = 0;
        for (;; r++) { /* the rung at which it waits */
            int64_t more;
            athi_hyperband_rung(o, max_t, bracket, r + 1, &n, &more);
            athi_hyperband_rung(o, max_t, bracket, r, &n, &at);
            if (!more || more > step) break;
        }
        if (due(o, s, t, r, &better) && better == 0 && (best < 0 || step > highest_step))
            best = t->number, highest_step = step;
    }
    return best;
}

static int64_t fidelity(const void *opts, const athi_schedule *s, int64_t least) {
    const athi_rung_opts *o = opts;
    int64_t max_t = athi_rung_max_t(o, s), best = 0;
    for (int64_t b = 0; b <= highest(o, max_t); b++)
        for (int64_t r = 0, n, at;; r++) {
            int64_t count = 0;
            athi_hyperband_rung(o, max_t, b, r, &n, &at);
            if (!n) break;
            for (int64_t i = 0; i < s->n; i++) count += isfinite(athi_schedule_loss(s, s->trials[i], at));
            if (count >= least && at > best && at < max_t) best = at;
        }
    return best;
}

const athi_scheduler_impl athi_scheduler_hyperband = {
    .seconds = athi_rung_seconds, .check = check, .max_t = whole, .until = until, .promote = promote};
const athi_scheduler_impl athi_scheduler_bohb = {.seconds = athi_rung_seconds,
                                                 .check = check,
                                                 .max_t = whole,
                                                 .until = until,
                                                 .promote = promote,
                                                 .fidelity = fidelity};

#define AT(field) offsetof(athi_rung_opts, field)
static const char *const sizes[] = {"corrected", "kerastuner", NULL};
const athi_option athi_hyperband_options[] = {ATHI_ROW_MAX_T,
                                              ATHI_ROW_REDUCTION_FACTOR,
                                              ATHI_ROW_TIME_ATTR(athi_rung_opts),
                                              {.name = "brackets",
                                               .type = ATHI_OPT_ENUM,
                                               .offset = AT(type),
                                               .fallback = "corrected",
                                               .names = sizes,
                                               .doc = "sizes of the brackets: the paper's, or KerasTuner's"},
                                              {0}};
