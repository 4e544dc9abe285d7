/* What a suggestion may see: with one job or `deterministic`, only what does not depend on who was quicker. */
#include "tune/search_internal.h"

#include <math.h>

static bool in_order(const athi_search *s) { return s->opts.deterministic || s->opts.jobs == 1; }

bool athi_search_must_wait(const athi_search *s, int64_t next) {
    for (int64_t i = 0; in_order(s) && !s->in_rounds && i < s->n; i++)
        if (s->actives[i]->number <= next - s->opts.jobs && s->actives[i]->executions[0].phase != ATHI_PHASE_PAUSED)
            return true;
    return false;
}

bool athi_search_hides(const athi_search *s, int64_t number, int64_t next) {
    return in_order(s) && number > next - s->opts.jobs;
}

const athi_trial *athi_search_hidden(athi_search *s, const athi_trial *t) {
    double *unknown = athi_arena_array(s->scratch, s->info->n_objectives, sizeof(double));
    athi_trial *copy = athi_arena_memdup(s->scratch, t, sizeof(*t));
    if (!copy || !unknown) return NULL;
    for (int k = 0; k < s->info->n_objectives; k++) unknown[k] = NAN;
    copy->state = ATHI_TRIAL_RUNNING, copy->reason = ATHI_REASON_NONE, copy->message = NULL;
    copy->values = unknown, copy->reports = NULL, copy->n_reports = 0, copy->n_executions = 0, copy->ended = 0;
    copy->execution_values = NULL, copy->execution_best = NULL, copy->constraints = NULL, copy->n_constraints = 0;
    return copy;
}

ath_status athi_search_view(athi_search *s, const athi_trial *const *trials, int64_t n, athi_view *view,
                            int64_t *seen) {
    const athi_trial **list = athi_arena_array(s->scratch, n, sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    int64_t kept = 0;
    *seen = 0;
    for (int64_t i = 0; i < n; i++) {
        const athi_trial *t = trials[i];
        if (t->outside || t->state == ATHI_TRIAL_WAITING) continue;
        if (athi_search_hides(s, t->number, n)) t = athi_search_hidden(s, t);
        if (!t) return ATH_E_NOMEM;
        if (athi_trial_finished(t)) ++*seen;
        list[kept++] = t;
    }
    *view = (athi_view){.space = s->opts.space,
                        .trials = list,
                        .n = kept,
                        .n_objectives = s->info->n_objectives,
                        .maximize = s->info->maximize,
                        .seed = s->opts.seed,
                        .trial = n,
                        .budget = s->opts.max_trials,
                        .cache = &s->cache};
    return ATH_OK;
}
