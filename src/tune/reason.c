/* The names of states and of failure reasons, as the study stores them, workers write them and people read them. */
#include "tune/sampler.h"

static const char *const names[] = {
    [ATHI_REASON_NONE] = "none",       [ATHI_REASON_CRASH] = "crash", [ATHI_REASON_MEMORY] = "memory",
    [ATHI_REASON_TIMEOUT] = "timeout", [ATHI_REASON_NAN] = "nan",     [ATHI_REASON_LOST] = "lost",
};

static const char *const states[] = {
    [ATHI_TRIAL_WAITING] = "waiting",   [ATHI_TRIAL_RUNNING] = "running", [ATHI_TRIAL_PAUSED] = "paused",
    [ATHI_TRIAL_COMPLETE] = "complete", [ATHI_TRIAL_PRUNED] = "pruned",   [ATHI_TRIAL_FAILED] = "failed",
};

const char *athi_state_name(athi_trial_state state) {
    return (int)state >= 0 && (int)state < ATHI_COUNT(states) ? states[state] : states[ATHI_TRIAL_FAILED];
}

const char *athi_reason_name(athi_reason reason) {
    return (int)reason >= 0 && (int)reason < ATHI_COUNT(names) ? names[reason] : names[ATHI_REASON_CRASH];
}

bool athi_reason_find(const char *name, athi_reason *out) {
    for (int i = 0; name && i < ATHI_COUNT(names); i++)
        if (!strcmp(names[i], name)) {
            *out = (athi_reason)i;
            return true;
        }
    return false;
}
