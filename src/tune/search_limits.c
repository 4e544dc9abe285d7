/* When no new trial begins any more: budgets of trials and of time, and the stop rule. */
#include "tune/search_internal.h"
#include "tune/stop_rules.h"

/* Finished trials that another program added are knowledge, not work; scoring the winner again is no search, and children
 * replace others. */
static int64_t count_begun(const athi_trial *const *trials, int64_t n) {
    int64_t begun = 0;
    for (int64_t i = 0; i < n; i++)
        begun += trials[i]->relation != ATHI_RELATION_RESCORE && trials[i]->relation != ATHI_RELATION_CHILD &&
                 trials[i]->state != ATHI_TRIAL_WAITING && !(athi_trial_finished(trials[i]) && trials[i]->seen < 0);
    return begun;
}

/* Seconds during which any of our trials ran, over all starts: the union of their times. What ran when an earlier
 * start was killed counts from this one's beginning. */
static double seconds_spent(const athi_search *s, const athi_trial *const *trials, int64_t n) {
    double spent = 0, until = 0, now = athi_store_clock();
    for (int64_t i = 0; i < n; i++) { /* numbers are in the order of beginnings */
        const athi_trial *t = trials[i];
        if (t->seen < 0 || t->started <= 0) continue;
        double begin = t->started, end = t->ended;
        if (end <= 0) begin = ATHI_MAX(begin, s->opened), end = now;
        begin = ATHI_MAX(begin, until);
        if (end > begin) spent += end - begin, until = end;
    }
    return spent;
}

/* Asked again only when another trial has ended. */
static ath_status ask_rule(athi_search *s, const athi_trial *const *trials, int64_t n) {
    const athi_stop_impl *rule = s->opts.stop ? s->opts.stop->impl : NULL;
    athi_view view;
    int64_t seen;
    if (!rule || s->stopped || s->info->n_objectives != 1) return ATH_OK;
    athi_arena_reset(s->scratch);
    ATH_TRY(athi_search_view(s, trials, n, &view, &seen));
    if (seen == s->rule_seen) return ATH_OK;
    s->rule_seen = seen;
    return rule->reached(s->ctx, s->opts.stop_opts, &view, &s->stopped);
}

ath_status athi_search_limit(athi_search *s, const athi_trial *const *trials, int64_t n, athi_end *end) {
    *end = (athi_end){0};
    if (count_begun(trials, n) >= s->opts.max_trials)
        end->why = "max_trials";
    else if (s->exhausted)
        end->why = "exhausted";
    if (end->why && !(s->scheduler && s->scheduler->fork)) return ATH_OK;
    const char *over = NULL;
    if (s->opts.max_seconds > 0 && seconds_spent(s, trials, n) >= s->opts.max_seconds) over = "max_seconds";
    if (!over) ATH_TRY(ask_rule(s, trials, n));
    if (s->stopped) over = s->opts.stop->name;
    end->over = over != NULL;
    if (!end->why) end->why = over;
    return ATH_OK;
}
