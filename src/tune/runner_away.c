/* When the study cannot be reached: a server that restarts, a network that is down, another process that holds the
 * file. Trials under way go on; what they write is taken when the study is back. */
#include "tune/runner_internal.h"

#include "base/file.h"

static const double AGAIN_SECONDS = 1, PATIENCE_SECONDS = 600;

static bool passes(ath_status status) { return status == ATH_E_BUSY; }

static void tell(athi_runner *r, const char *key, const char *text) {
    athi_task nobody = {.trial = -1};
    athi_value *event = athi_value_new(r->scratch, ATHI_MAP);
    if (event && athi_value_set(r->scratch, event, key, athi_value_string(r->scratch, text)) == ATH_OK)
        athi_runner_tell(r, &nobody, event);
}

/* Nobody read meanwhile what an execution wrote, nor saw its end: that time is not its own. */
static void put_off_deadlines(athi_runner *r, double seconds) {
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].deadline > 0) r->slots[i].deadline += seconds;
}

ath_status athi_runner_bear(athi_runner *r, ath_status status) {
    double now = athi_now();
    if (status == ATH_OK && r->since > 0) {
        put_off_deadlines(r, now - r->since);
        r->since = 0;
        tell(r, "back", "the study can be reached again");
    }
    if (!passes(status) || (r->since > 0 && now - r->since > PATIENCE_SECONDS)) return status;
    if (!(r->since > 0)) {
        r->since = now;
        tell(r, "away", ath_errmsg(r->ctx));
    }
    r->away = true;
    r->ask_at = now + AGAIN_SECONDS;
    return ATH_OK;
}

void athi_runner_ask_again(athi_runner *r) {
    if (r->away && athi_now() >= r->ask_at) r->away = false;
}
