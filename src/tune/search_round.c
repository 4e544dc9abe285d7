/* Rounds: how a search in order with several jobs decides where trials pause and the best of them go on. Nothing is decided
 * while anything runs, so that who was quicker decides nothing. Then as many decisions are made as there are jobs, one
 * after the other, of which each sees as running what those before it have begun, all in one commit. So a round follows
 * from what the one before has left, and a search that was killed in its middle first brings the round's trials to where
 * they pause. */
#include "tune/search_internal.h"

typedef struct round {
    athi_search *search;
    athi_decision *decision;
} round;

static ath_status decide_all(void *user) {
    round *r = user;
    athi_search *s = r->search;
    const athi_trial *const *trials;
    int64_t n;
    *r->decision = (athi_decision){.next = ATHI_NEXT_WAIT};
    ATH_TRY(athi_store_trials(s->opts.store, s->opts.space, &trials, &n));
    if (athi_search_others_run(s, trials, n, n)) return ATH_OK;
    s->exhausted = false; /* found out again: another start would not know it */
    for (int i = 0; i < s->opts.jobs; i++) {
        const int64_t ready = athi_search_ready(s);
        const bool exhausted = s->exhausted;
        ATH_TRY(athi_search_decide(s, r->decision));
        if (athi_search_ready(s) == ready && s->exhausted == exhausted) return ATH_OK;
    }
    return ATH_OK;
}

ath_status athi_search_round(athi_search *s, athi_decision *d) {
    round r = {.search = s, .decision = d};
    *d = (athi_decision){.next = ATHI_NEXT_WAIT};
    return athi_search_under_way(s) ? ATH_OK : athi_search_group(s, false, decide_all, &r);
}
