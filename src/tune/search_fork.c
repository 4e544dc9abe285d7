/* Trials that begin from the state of another (population-based training). The study knows of one first; then its state is
 * copied, before anything else is handed out, so that its parent still waits. A start that comes upon one which has not
 * begun copies again what is missing. */
#include "tune/search_internal.h"

ath_status athi_search_inherit(athi_search *s, athi_active *a, const athi_trial *t) {
    athi_execution *e = &a->executions[0];
    if (e->phase == ATHI_PHASE_DONE || e->last_step != t->relative_step) return ATH_OK;
    a->parent = t->relative;
    if (!s->opts.inherit) return ATH_OK; /* another scheduler goes on with the study */
    return s->opts.inherit(s->opts.inherit_user, t->number, t->relative, false);
}

ath_status athi_search_fork(athi_search *s, const athi_schedule *schedule, bool *forked) {
    const athi_trial *const *trials;
    int64_t n, number = 0, finished = 0;
    athi_arena_reset(s->scratch);
    double *point = athi_arena_array(s->scratch, s->opts.space->n, sizeof(double));
    if (!point) return ATH_E_NOMEM;
    athi_fork fork = s->scheduler->fork(s->opts.scheduler_opts, schedule, point);
    *forked = false;
    if (fork.parent < 0 || !athi_active_find(s, fork.parent))
        return ATH_OK; /* none, or the parent's driver does it */
    for (int64_t i = 0; i < schedule->n; i++) finished += athi_trial_finished(schedule->trials[i]);
    athi_beginning beginning = {.point = point,
                                .seen = finished,
                                .relation = ATHI_RELATION_CHILD,
                                .relative = fork.parent,
                                .relative_step = fork.step,
                                .optimistic = s->opts.owner,
                                .after = schedule->n};
    *forked = true;
    ATH_TRY(athi_store_begin(s->opts.store, s->opts.space, &beginning, &number));
    if (number < 0) return ATH_OK; /* another driver was quicker */
    ATH_TRY(s->opts.inherit(s->opts.inherit_user, number, fork.parent, true));
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    return athi_active_take_over(s, trials[number]);
}
