/* Several drivers on one study: each has a name and leases on the trials that it runs. What a dead one leaves is taken
 * over when its leases have run out; what was taken from this one is forgotten here. */
#include "tune/search_internal.h"

#include "base/file.h"

static const double LOOK_SECONDS = 1; /* between two looks for trials of dead drivers */

static bool ours_running(const athi_trial *t) {
    return t->seen >= 0 && !t->outside && (t->state == ATHI_TRIAL_RUNNING || t->state == ATHI_TRIAL_PAUSED);
}

ath_status athi_search_lost(athi_search *s, athi_active *a, ath_status status) {
    if (status != ATH_E_STATE || !s->opts.owner) return status;
    athi_active_drop(s, a);
    return ATH_OK;
}

bool athi_search_others_run(const athi_search *s, const athi_trial *const *trials, int64_t n, int64_t last) {
    for (int64_t i = 0; s->opts.owner && i < n && trials[i]->number <= last; i++)
        if (ours_running(trials[i]) && !athi_active_find(s, trials[i]->number)) return true;
    return false;
}

ath_status athi_search_adopt(athi_search *s, bool at_once) {
    const athi_trial *const *trials;
    int64_t n;
    if (!at_once && (!s->opts.owner || athi_now() < s->looked + LOOK_SECONDS)) return ATH_OK;
    s->looked = athi_now();
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    for (int64_t i = 0; i < n; i++) {
        bool taken;
        bool paused = trials[i]->state == ATHI_TRIAL_PAUSED;
        s->any_success |= trials[i]->state == ATHI_TRIAL_COMPLETE || paused;
        s->any_came |= trials[i]->ended > 0 || paused;
        if (!ours_running(trials[i]) || athi_active_find(s, trials[i]->number)) continue;
        ATH_TRY(athi_store_take(s->opts.store, trials[i]->number, &taken));
        if (taken) ATH_TRY(athi_active_take_over(s, trials[i]));
    }
    return ATH_OK;
}

bool athi_search_shared(const athi_search *s) { return s->opts.owner != NULL; }

ath_status athi_search_renew(athi_search *s) {
    if (!s->opts.owner || athi_now() < s->renewed + ATHI_RENEW_SECONDS) return ATH_OK;
    ATH_TRY(athi_store_renew(s->opts.store));
    for (int64_t i = s->n - 1; i >= 0; i--) {
        bool held;
        ATH_TRY(athi_store_holds(s->opts.store, s->actives[i]->number, &held));
        if (!held) athi_active_drop(s, s->actives[i]);
    }
    s->renewed = athi_now();
    return ATH_OK;
}
