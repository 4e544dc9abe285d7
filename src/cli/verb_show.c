/* show and best: the trials of a study, and which of them won. */
#include "cli/cli.h"
#include "report/export.h"

#include <math.h>

const athi_flag athi_flags_study[] = {
    ATHI_FLAG_STUDY_ROW,
    {"replay", ATHI_FLAG_SWITCH, NULL, "do every suggestion again and say whether it has the same bits"},
    ATHI_FLAG_JSON_ROW,
    {0},
};
const athi_flag athi_flags_best[] = {
    ATHI_FLAG_STUDY_ROW,
    {"command", ATHI_FLAG_SWITCH, NULL, "the command line that does it again, quoted for a shell"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

ath_status athi_cli_look(athi_cli *cli, ath_status (*at)(athi_cli *cli, athi_study *study)) {
    athi_study s;
    ath_status status =
        athi_study_open(cli->ctx, cli->arena, cli->arguments[0], athi_cli_text(cli, "study", NULL), &s);
    if (status == ATH_OK) status = at(cli, &s);
    athi_study_close(&s);
    return status;
}

/* "units 64, optimizer adam"; what would break the line is written as JSON does. */
static void put_params(const athi_study *s, const athi_trial *t, athi_text *out) {
    const char *comma = "";
    for (int64_t k = 0; k < s->space->n; k++) {
        const athi_space_param *p = &s->space->params[s->space->order[k]];
        double v = t->point[s->space->order[k]];
        if (isnan(v)) continue;
        athi_text_printf(out, "%s%s ", comma, p->name);
        comma = ", ";
        if (p->type == ATHI_PARAM_FLOAT)
            athi_text_printf(out, "%.4g", v);
        else
            athi_study_put_value(p, v, out);
    }
}

static void print_line(const char *text) {
    athi_cli_plain(stdout, text);
    putchar('\n');
}

/* ---- show ---------------------------------------------------------------------------------------- */

static ath_status print_trial(const athi_study *s, const athi_trial *t, bool best) {
    athi_text text = {.ctx = s->ctx};
    bool told = false;
    athi_text_printf(&text, "%c%5lld  %-8s  ", best ? '*' : ' ', (long long)t->number, athi_state_name(t->state));
    for (int k = 0; k < s->info->n_objectives; k++) {
        bool there = !isnan(t->values[k]) || t->state == ATHI_TRIAL_COMPLETE;
        if (there)
            athi_text_printf(&text, "%12.5g  ", t->values[k]);
        else
            athi_text_printf(&text, "%12s  ", t->reason && !told ? athi_reason_name(t->reason) : "");
        told = true;
    }
    if (t->ended > 0)
        athi_text_printf(&text, "%7.1f s  ", t->ended - t->started);
    else
        athi_text_printf(&text, "%9s  ", "");
    put_params(s, t, &text);
    if (t->relation == ATHI_RELATION_CHILD)
        athi_text_printf(&text, "  (from trial %lld at step %lld)", (long long)t->relative,
                         (long long)t->relative_step);
    if (!athi_study_feasible(t)) athi_text_printf(&text, "  (breaks a constraint)");
    if (!text.failed) print_line(text.text);
    ath_status status = text.failed ? ATH_E_NOMEM : ATH_OK;
    athi_text_free(&text);
    return status;
}

static ath_status show_json(const athi_study *s) {
    athi_text text = {.ctx = s->ctx};
    ath_status status = athi_export_json_short(s, &text);
    if (status == ATH_OK) fputs(text.text, stdout);
    athi_text_free(&text);
    return status;
}

static ath_status print_head(const athi_study *s, int64_t n_best) {
    int64_t counts[ATHI_STATES] = {0};
    athi_text what = {.ctx = s->ctx}, columns = {.ctx = s->ctx};
    for (int64_t i = 0; i < s->n; i++) counts[s->trials[i]->state]++;
    athi_text_printf(&what, "%s: %lld trial%s", s->info->name, (long long)s->n, ATHI_PLURAL(s->n));
    for (int i = 0; i < ATHI_STATES; i++)
        if (counts[i])
            athi_text_printf(&what, ", %lld %s", (long long)counts[i], athi_state_name((athi_trial_state)i));
    if (s->info->n_objectives > 1) athi_text_printf(&what, "; %lld on the Pareto front (*)", (long long)n_best);
    athi_text_printf(&columns, " trial  state     ");
    for (int k = 0; k < s->info->n_objectives; k++) athi_text_printf(&columns, "%12s  ", s->info->objective_names[k]);
    athi_text_printf(&columns, "%9s  parameters", "time");
    const bool failed = what.failed || columns.failed;
    if (!failed) print_line(what.text), putchar('\n'), print_line(columns.text);
    athi_text_free(&what), athi_text_free(&columns);
    return failed ? ATH_E_NOMEM : ATH_OK;
}

static ath_status show(athi_cli *cli, athi_study *s) {
    int64_t n = 0;
    const athi_trial **best;
    if (athi_cli_has(cli, "json")) return show_json(s);
    ATH_TRY(athi_study_best(s, cli->arena, &best, &n));
    ATH_TRY(print_head(s, n));
    for (int64_t i = 0; i < s->n; i++)
        ATH_TRY(print_trial(s, s->trials[i], athi_study_is_best(best, n, s->trials[i])));
    return ATH_OK;
}

ath_status athi_verb_show(athi_cli *cli) {
    return athi_cli_look(cli, athi_cli_has(cli, "replay") ? athi_show_replay : show);
}

/* ---- best ---------------------------------------------------------------------------------------- */

static ath_status add_line(const athi_study *s, athi_arena *arena, const athi_trial *t, athi_value *map) {
    athi_text line = {.ctx = s->ctx};
    ath_status status = athi_study_line(s, t, &line);
    if (status == ATH_OK && line.length)
        status = athi_value_set(arena, map, "command", athi_value_string(arena, line.text));
    athi_text_free(&line);
    return status;
}

/* One objective: the trial; several: {"front": [trials]}. */
static ath_status best_json(athi_cli *cli, const athi_study *s, const athi_trial *const *best, int64_t n) {
    athi_value *map = NULL, *list = athi_value_new(cli->arena, ATHI_LIST);
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        ATH_TRY(athi_study_trial(s, cli->arena, best[i], false, &map));
        if (athi_cli_has(cli, "command")) ATH_TRY(add_line(s, cli->arena, best[i], map));
        ATH_TRY(athi_value_append(cli->arena, list, map));
    }
    if (s->info->n_objectives == 1) return athi_cli_json(cli, map);
    if (!(map = athi_value_new(cli->arena, ATHI_MAP))) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(cli->arena, map, "front", list));
    return athi_cli_json(cli, map);
}

static void print_values(const athi_study *s, const athi_trial *t) {
    printf("trial %lld:", (long long)t->number);
    for (int k = 0; k < s->info->n_objectives; k++) {
        printf("%s ", k ? "," : "");
        athi_cli_plain(stdout, s->info->objective_names[k]);
        printf(" %.6g", t->values[k]);
    }
    printf("\n");
}

/* Of several, each below its trial as a comment of the shell; what the line alone does not do is said in one too. */
static ath_status print_command(const athi_study *s, const athi_trial *t) {
    athi_text line = {.ctx = s->ctx};
    if (t->relation == ATHI_RELATION_CHILD)
        printf("# trial %lld began with the state of trial %lld at step %lld; from the beginning this is another "
               "training\n",
               (long long)t->number, (long long)t->relative, (long long)t->relative_step);
    if (s->info->n_objectives > 1) printf("# ");
    if (s->info->n_objectives > 1) print_values(s, t);
    ath_status status = athi_study_line(s, t, &line);
    if (status == ATH_OK && !line.length)
        status = athi_fail(s->ctx, ATH_E_UNSUPPORTED,
                           "study '%s' was made neither by a command nor by a recipe, so no command line does its "
                           "trials again; leave --command away for the parameters",
                           s->info->name);
    if (status == ATH_OK) printf("%s\n", line.text);
    athi_text_free(&line);
    return status;
}

/* Where its state came from, back to the beginning. */
static ath_status print_lineage(const athi_study *s, const athi_trial *t) {
    while (t->relation == ATHI_RELATION_CHILD && t->relative >= 0 && t->relative < t->number) {
        athi_text text = {.ctx = s->ctx};
        athi_text_printf(&text, "  up to step %lld as trial %lld: ", (long long)t->relative_step,
                         (long long)t->relative);
        t = s->trials[t->relative];
        put_params(s, t, &text);
        if (!text.failed) print_line(text.text);
        bool failed = text.failed;
        athi_text_free(&text);
        if (failed) return ATH_E_NOMEM;
    }
    return ATH_OK;
}

static ath_status print_best(const athi_study *s, const athi_trial *t) {
    print_values(s, t);
    for (int64_t k = 0; k < s->space->n; k++) {
        const athi_space_param *p = &s->space->params[s->space->order[k]];
        athi_text text = {.ctx = s->ctx};
        if (isnan(t->point[s->space->order[k]])) continue;
        athi_text_printf(&text, "  %s: ", p->name);
        athi_study_put_value(p, t->point[s->space->order[k]], &text);
        if (!text.failed) print_line(text.text);
        bool failed = text.failed;
        athi_text_free(&text);
        if (failed) return ATH_E_NOMEM;
    }
    return print_lineage(s, t);
}

static ath_status best(athi_cli *cli, athi_study *s) {
    const athi_trial **found;
    int64_t n, complete = 0;
    ATH_TRY(athi_study_best(s, cli->arena, &found, &n));
    for (int64_t i = 0; i < s->n; i++) complete += athi_study_counts(s, s->trials[i]);
    if (!n)
        return athi_fail(cli->ctx, ATH_E_NOTFOUND,
                         "study '%s' has no complete trial%s yet; `athanor show` lists them", s->info->name,
                         complete ? " that meets its constraints" : "");
    if (athi_cli_has(cli, "json")) return best_json(cli, s, found, n);
    for (int64_t i = 0; i < n; i++)
        ATH_TRY(athi_cli_has(cli, "command") ? print_command(s, found[i]) : print_best(s, found[i]));
    return ATH_OK;
}

ath_status athi_verb_best(athi_cli *cli) { return athi_cli_look(cli, best); }
