/* show --replay: every suggestion of a study done again, and whether it has the same bits. */
#include "cli/cli.h"
#include "tune/search.h"

#include <math.h>

static bool is_same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

/* "trial 27: units is 48, was 32; momentum is 0.5, was absent" */
static ath_status print_difference(const athi_study *s, const athi_trial *t, const double *now) {
    athi_text text = {.ctx = s->ctx};
    const char *separator = ": ";
    athi_text_printf(&text, "trial %lld", (long long)t->number);
    for (int64_t k = 0; k < s->space->n; k++) {
        const athi_space_param *p = &s->space->params[k];
        if (is_same(now[k], t->point[k])) continue;
        const double values[] = {now[k], t->point[k]};
        for (int i = 0; i < ATHI_COUNT(values); i++) {
            athi_text_printf(&text, i ? ", was " : "%s%s is ", separator, p->name);
            if (isnan(values[i]))
                athi_text_printf(&text, "absent");
            else
                athi_study_put_value(p, values[i], &text);
        }
        separator = "; ";
    }
    if (!text.failed) athi_cli_plain(stdout, text.text), putchar('\n');
    ath_status status = text.failed ? ATH_E_NOMEM : ATH_OK;
    athi_text_free(&text);
    return status;
}

static ath_status print_all(const athi_study *s, const athi_replay *r) {
    const int64_t same = r->count[ATHI_REPLAYED_SAME], unknown = r->count[ATHI_REPLAYED_UNKNOWN];
    printf("%s: %lld suggestions done again: %lld have the same bits\n", s->info->name,
           (long long)(same + r->count[ATHI_REPLAYED_DIFFERENT]), (long long)same);
    if (unknown)
        printf("%lld more cannot be: their start was not written down, the space has changed since, or reports of "
               "trials under way counted\n",
               (long long)unknown);
    for (int64_t i = 0; i < r->n; i++)
        if (r->verdicts[i] == ATHI_REPLAYED_DIFFERENT)
            ATH_TRY(print_difference(s, s->trials[i], r->points + i * s->space->n));
    return ATH_OK;
}

/* {"same": 24, "different": [27], "unknown": 0} */
static ath_status print_json(athi_cli *cli, const athi_replay *r) {
    athi_value *map = athi_value_new(cli->arena, ATHI_MAP), *list = athi_value_new(cli->arena, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < r->n; i++)
        if (r->verdicts[i] == ATHI_REPLAYED_DIFFERENT)
            ATH_TRY(athi_value_append(cli->arena, list, athi_value_int(cli->arena, i)));
    ATH_TRY(athi_value_push(cli->arena, map, "same", athi_value_int(cli->arena, r->count[ATHI_REPLAYED_SAME])));
    ATH_TRY(athi_value_push(cli->arena, map, "different", list));
    ATH_TRY(athi_value_push(cli->arena, map, "unknown", athi_value_int(cli->arena, r->count[ATHI_REPLAYED_UNKNOWN])));
    return athi_cli_json(cli, map);
}

ath_status athi_show_replay(athi_cli *cli, athi_study *s) {
    athi_replay r;
    ATH_TRY(athi_search_replay(cli->ctx, cli->arena, s->store, s->space, &r));
    ATH_TRY(athi_cli_has(cli, "json") ? print_json(cli, &r) : print_all(s, &r));
    if (!r.count[ATHI_REPLAYED_DIFFERENT]) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_FAILED,
                     "%lld suggestions are not what they were: the study was changed by hand, or another version of "
                     "the program or another kind of processor computed them",
                     (long long)r.count[ATHI_REPLAYED_DIFFERENT]);
}
