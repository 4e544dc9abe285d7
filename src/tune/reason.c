/* The names of failure reasons, as the study stores them and workers write them. */
#include "tune/sampler.h"

static const char *const names[] = {
    [ATHI_REASON_NONE] = "none",       [ATHI_REASON_CRASH] = "crash", [ATHI_REASON_MEMORY] = "memory",
    [ATHI_REASON_TIMEOUT] = "timeout", [ATHI_REASON_NAN] = "nan",     [ATHI_REASON_LOST] = "lost",
};

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
