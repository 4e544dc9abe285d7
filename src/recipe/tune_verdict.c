/* What is said when a search has ended: which trial the model holds for the best, and what the winner was worth on fresh
 * seeds. For people as lines, for report.json as a map. */
#include "recipe/internal.h"

#include <math.h>

static ath_status put_number(athi_arena *arena, athi_value *map, const char *key, double v) {
    return isfinite(v) ? athi_value_set(arena, map, key, athi_value_float(arena, v)) : ATH_OK;
}

static ath_status add_incumbent(athi_arena *arena, athi_search *search, athi_value *out, athi_text *lines) {
    athi_incumbent i;
    ATH_TRY(athi_search_incumbent(search, &i));
    if (!i.trial) return ATH_OK;
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, map, "trial", athi_value_int(arena, i.trial->number)));
    ATH_TRY(put_number(arena, map, "mean", i.mean));
    ATH_TRY(put_number(arena, map, "deviation", i.deviation));
    ATH_TRY(put_number(arena, map, "noise", i.noise));
    athi_text_printf(lines, "by the model trial %lld is the best: %.5g +- %.2g (one trial's noise: %.2g)\n",
                     (long long)i.trial->number, i.mean, i.deviation, i.noise);
    return athi_value_set(arena, out, "incumbent", map);
}

static ath_status add_rescored(athi_arena *arena, athi_search *search, athi_value *out, athi_text *lines) {
    athi_rescored r;
    ATH_TRY(athi_search_rescored(search, &r));
    if (!r.trial) return ATH_OK;
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, map, "trial", athi_value_int(arena, r.trial->number)));
    ATH_TRY(athi_value_set(arena, map, "trials", athi_value_int(arena, r.n)));
    ATH_TRY(put_number(arena, map, "value", r.trial->values[0]));
    ATH_TRY(put_number(arena, map, "mean", r.mean));
    ATH_TRY(put_number(arena, map, "deviation", r.deviation));
    ATH_TRY(athi_value_set(arena, map, "fitted", athi_value_bool(arena, r.fitted)));
    athi_text_printf(lines, "trial %lld on %lld fresh seeds: %.5g", (long long)r.trial->number, (long long)r.n, r.mean);
    if (isfinite(r.deviation)) athi_text_printf(lines, " +- %.2g", r.deviation);
    athi_text_printf(lines, ", in the search %.5g%s\n", r.trial->values[0],
                     r.fitted ? "; the search fitted its validation data: trust the fresh figure" : "");
    return athi_value_set(arena, out, "rescored", map);
}

ath_status athi_tune_verdict(ath_ctx *ctx, athi_arena *arena, athi_search *search, athi_value *out,
                             void (*say)(void *user, const char *line), void *user) {
    athi_text lines = {.ctx = ctx};
    ath_status status = add_incumbent(arena, search, out, &lines);
    if (status == ATH_OK) status = add_rescored(arena, search, out, &lines);
    if (status == ATH_OK && lines.failed) status = ATH_E_NOMEM;
    bool said = status == ATH_OK && athi_search_handed_out(search);
    for (char *line = lines.text, *end; said && line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        say(user, line);
    }
    athi_text_free(&lines);
    return status;
}
