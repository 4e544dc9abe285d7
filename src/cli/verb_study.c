/* show, best, export: looking into a study. */
#include "base/file.h"
#include "cli/cli.h"
#include "recipe/recipe.h"
#include "tune/store.h"

#include <math.h>
#include <sys/stat.h>

const athi_flag athi_flags_study[] = {
    {"study", ATHI_FLAG_TEXT, "NAME", "which study, where the file holds several"},
    ATHI_FLAG_JSON_ROW,
    {0},
};
const athi_flag athi_flags_export[] = {
    {"study", ATHI_FLAG_TEXT, "NAME", "which study, where the file holds several"},
    {"format", ATHI_FLAG_TEXT, "csv|json", "default: csv"},
    {0},
};

static const char *const state_names[] = {"waiting", "running", "paused", "complete", "pruned", "failed"};

typedef struct study {
    athi_cli *cli;
    athi_store *store;
    athi_recipe *recipe; /* the definition, where it is one; owns the space then */
    const athi_space *space;
    const athi_study_info *info;
    const athi_trial *const *trials;
    int64_t n;
} study;

/* ---- opening ------------------------------------------------------------------------------------- */

static ath_status find_file(athi_cli *cli, const char **path) {
    struct stat about;
    const char *given = cli->arguments[0];
    if (stat(given, &about) != 0)
        return athi_fail(cli->ctx, ATH_E_NOTFOUND,
                         "%s: there is no such folder or file; give a run's folder or a study.db", given);
    *path = S_ISDIR(about.st_mode) ? athi_arena_printf(cli->arena, "%s/study.db", given) : given;
    if (!*path) return ATH_E_NOMEM;
    if (!athi_file_exists(*path))
        return athi_fail(cli->ctx, ATH_E_NOTFOUND, "%s: there is no study.db in it; `athanor run` makes one", given);
    return ATH_OK;
}

/* A search from C stores its space; a recipe's follows from the recipe. */
static ath_status find_space(study *s) {
    athi_cli *cli = s->cli;
    const char *text = NULL;
    athi_value *value = NULL;
    athi_space *space = NULL;
    ATH_TRY(athi_store_get(s->store, cli->arena, "space", &text));
    if (text) {
        ATH_TRY(athi_json_read(cli->ctx, cli->arena, text, (int64_t)strlen(text), &value));
        ATH_TRY(athi_space_read(cli->ctx, cli->arena, value, &space));
        s->space = space;
        return ATH_OK;
    }
    if (!athi_value_get(s->info->definition, "model"))
        return athi_fail(cli->ctx, ATH_E_UNSUPPORTED, "study '%s' was not made by Athanor: its space is not in it",
                         s->info->name);
    athi_text json = {.ctx = cli->ctx};
    ath_status status = athi_json_write(&json, s->info->definition, 0);
    if (status == ATH_OK && json.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK)
        status = athi_recipe_parse(cli->ctx, s->info->name, json.text, json.length, NULL, 0, &s->recipe);
    athi_text_free(&json);
    if (status == ATH_OK) s->space = s->recipe->space;
    return status;
}

static ath_status open_study(athi_cli *cli, study *s) {
    const char *path = NULL;
    *s = (study){.cli = cli};
    ATH_TRY(find_file(cli, &path));
    ATH_TRY(athi_store_open_existing(cli->ctx, path, athi_cli_text(cli, "study", NULL), &s->store));
    s->info = athi_store_info(s->store);
    ATH_TRY(find_space(s));
    return athi_store_trials(s->store, s->space, &s->trials, &s->n);
}

static void close_study(study *s) {
    athi_store_close(s->store);
    athi_recipe_destroy(s->recipe);
}

/* ---- trials as values ---------------------------------------------------------------------------- */

static ath_status trial_value(study *s, const athi_trial *t, athi_value **out) {
    athi_arena *a = s->cli->arena;
    athi_value *map = athi_value_new(a, ATHI_MAP), *params = NULL, *list = athi_value_new(a, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    ATH_TRY(athi_space_point_write(a, s->space, t->point, &params));
    ATH_TRY(athi_value_set(a, map, "trial", athi_value_int(a, t->number)));
    ATH_TRY(athi_value_set(a, map, "state", athi_value_string(a, state_names[t->state])));
    if (t->reason != ATHI_REASON_NONE)
        ATH_TRY(athi_value_set(a, map, "reason", athi_value_string(a, athi_reason_name(t->reason))));
    if (t->message) ATH_TRY(athi_value_set(a, map, "message", athi_value_string(a, t->message)));
    if (t->state == ATHI_TRIAL_COMPLETE) {
        athi_value *values = athi_value_new(a, ATHI_MAP);
        if (!values) return ATH_E_NOMEM;
        for (int i = 0; i < s->info->n_objectives; i++)
            ATH_TRY(athi_value_set(a, values, s->info->objective_names[i], athi_value_float(a, t->values[i])));
        ATH_TRY(athi_value_set(a, map, "values", values));
    }
    ATH_TRY(athi_value_set(a, map, "params", params));
    for (int64_t e = 0; e < t->n_executions; e++) {
        athi_value *x = athi_value_new(a, ATHI_MAP);
        if (!x) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(a, x, "value", athi_value_float(a, t->execution_values[e])));
        ATH_TRY(athi_value_set(a, x, "best_step", athi_value_int(a, t->execution_best[e])));
        ATH_TRY(athi_value_append(a, list, x));
    }
    ATH_TRY(athi_value_set(a, map, "executions", list));
    if (t->ended > 0) ATH_TRY(athi_value_set(a, map, "seconds", athi_value_float(a, t->ended - t->started)));
    *out = map;
    return ATH_OK;
}

static ath_status all_json(study *s) {
    athi_arena *a = s->cli->arena;
    athi_value *map = athi_value_new(a, ATHI_MAP), *list = athi_value_new(a, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        athi_value *t = NULL;
        ATH_TRY(trial_value(s, s->trials[i], &t));
        ATH_TRY(athi_value_append(a, list, t));
    }
    ATH_TRY(athi_value_set(a, map, "study", athi_value_string(a, s->info->name)));
    ATH_TRY(athi_value_set(a, map, "trials", list));
    return athi_cli_json(s->cli, map);
}

/* "units 64, optimizer adam" */
static void put_params(const athi_value *params, athi_text *out) {
    for (int64_t i = 0; params && i < params->n; i++) {
        const athi_value *v = params->items[i];
        athi_text_printf(out, "%s%s ", i ? ", " : "", params->keys[i]);
        if (v->type == ATHI_STRING)
            athi_text_printf(out, "%s", v->text);
        else if (v->type == ATHI_FLOAT)
            athi_text_printf(out, "%.4g", v->number);
        else
            athi_json_write(out, v, 0);
    }
}

static const athi_trial *best_of(const study *s) {
    const athi_trial *best = NULL;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (t->state != ATHI_TRIAL_COMPLETE || isnan(t->values[0])) continue;
        if (!best || (s->info->maximize[0] ? t->values[0] > best->values[0] : t->values[0] < best->values[0]))
            best = t;
    }
    return best;
}

/* ---- show ---------------------------------------------------------------------------------------- */

static ath_status print_trial(study *s, const athi_trial *t, bool best) {
    athi_value *params = NULL;
    athi_text text = {.ctx = s->cli->ctx};
    ATH_TRY(athi_space_point_write(s->cli->arena, s->space, t->point, &params));
    athi_text_printf(&text, "%c%5lld  %-8s  ", best ? '*' : ' ', (long long)t->number, state_names[t->state]);
    if (t->state == ATHI_TRIAL_COMPLETE)
        athi_text_printf(&text, "%10.5g", t->values[0]);
    else
        athi_text_printf(&text, "%10s", t->reason ? athi_reason_name(t->reason) : "");
    if (t->ended > 0)
        athi_text_printf(&text, "  %7.1f s  ", t->ended - t->started);
    else
        athi_text_printf(&text, "  %9s  ", "");
    put_params(params, &text);
    if (!text.failed) printf("%s\n", text.text);
    athi_text_free(&text);
    return ATH_OK;
}

static ath_status show(study *s) {
    if (athi_cli_has(s->cli, "json")) return all_json(s);
    int64_t counts[ATHI_COUNT(state_names)] = {0};
    const athi_trial *best = best_of(s);
    for (int64_t i = 0; i < s->n; i++) counts[s->trials[i]->state]++;
    printf("%s: %lld trials", s->info->name, (long long)s->n);
    for (int i = 0; i < ATHI_COUNT(state_names); i++)
        if (counts[i]) printf(", %lld %s", (long long)counts[i], state_names[i]);
    printf("\n\n trial  state     %10s  %9s  parameters\n", s->info->objective_names[0], "time");
    for (int64_t i = 0; i < s->n; i++) ATH_TRY(print_trial(s, s->trials[i], s->trials[i] == best));
    return ATH_OK;
}

/* ---- best ---------------------------------------------------------------------------------------- */

static ath_status best(study *s) {
    const athi_trial *t = best_of(s);
    athi_value *value = NULL;
    if (!t)
        return athi_fail(s->cli->ctx, ATH_E_NOTFOUND,
                         "study '%s' has no complete trial yet; `athanor show` lists them", s->info->name);
    ATH_TRY(trial_value(s, t, &value));
    if (athi_cli_has(s->cli, "json")) return athi_cli_json(s->cli, value);
    printf("trial %lld: %s %.6g\n", (long long)t->number, s->info->objective_names[0], t->values[0]);
    const athi_value *params = athi_value_get(value, "params");
    for (int64_t i = 0; params && i < params->n; i++) {
        athi_text text = {.ctx = s->cli->ctx};
        ath_status status = athi_json_write(&text, params->items[i], 0);
        const char *shown = params->items[i]->type == ATHI_STRING ? params->items[i]->text : text.text;
        if (status == ATH_OK) printf("  %s: %s\n", params->keys[i], shown);
        athi_text_free(&text);
        ATH_TRY(status);
    }
    return ATH_OK;
}

/* ---- export -------------------------------------------------------------------------------------- */

/* RFC 4180: quotes around what holds a comma, a quote or a line's end. */
static void put_field(athi_text *out, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        athi_text_printf(out, "%s", text);
        return;
    }
    athi_text_printf(out, "\"");
    for (; *text; text++) athi_text_printf(out, *text == '"' ? "\"\"" : "%c", *text);
    athi_text_printf(out, "\"");
}

static ath_status put_csv_trial(study *s, const athi_trial *t, athi_text *out) {
    char number[32];
    athi_value *params = NULL;
    ATH_TRY(athi_space_point_write(s->cli->arena, s->space, t->point, &params));
    athi_text_printf(out, "%lld,%s,", (long long)t->number, state_names[t->state]);
    put_field(out, t->reason ? athi_reason_name(t->reason) : "");
    for (int i = 0; i < s->info->n_objectives; i++) {
        athi_format_double(t->values ? t->values[i] : (double)NAN, number);
        athi_text_printf(out, ",%s", t->state == ATHI_TRIAL_COMPLETE ? number : "");
    }
    for (int64_t i = 0; i < s->space->n; i++) {
        const athi_value *v = athi_value_get(params, s->space->params[i].name);
        athi_text text = {.ctx = s->cli->ctx};
        if (v && v->type != ATHI_STRING) ATH_TRY(athi_json_write(&text, v, 0));
        athi_text_printf(out, ",");
        if (v) put_field(out, v->type == ATHI_STRING ? v->text : text.text);
        athi_text_free(&text);
    }
    athi_format_double(t->ended - t->started, number);
    athi_text_printf(out, ",%s\n", t->ended > 0 ? number : "");
    return ATH_OK;
}

static ath_status export_csv(study *s) {
    athi_text out = {.ctx = s->cli->ctx};
    athi_text_printf(&out, "trial,state,reason");
    for (int i = 0; i < s->info->n_objectives; i++) {
        athi_text_printf(&out, ",");
        put_field(&out, s->info->objective_names[i]);
    }
    for (int64_t i = 0; i < s->space->n; i++) {
        athi_text_printf(&out, ",");
        put_field(&out, s->space->params[i].name);
    }
    athi_text_printf(&out, ",seconds\n");
    ath_status status = ATH_OK;
    for (int64_t i = 0; status == ATH_OK && i < s->n; i++) status = put_csv_trial(s, s->trials[i], &out);
    if (status == ATH_OK && out.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) printf("%s", out.text);
    athi_text_free(&out);
    return status;
}

static ath_status export(study *s) {
    const char *format = athi_cli_text(s->cli, "format", "csv");
    if (strcmp(format, "csv") == 0) return export_csv(s);
    if (strcmp(format, "json") == 0) return all_json(s);
    return athi_fail(s->cli->ctx, ATH_E_OPTION, "export: --format is csv or json, got '%s'", format);
}

/* ---- the verbs ----------------------------------------------------------------------------------- */

static ath_status look(athi_cli *cli, ath_status (*at)(study *s)) {
    study s;
    ath_status status = open_study(cli, &s);
    if (status == ATH_OK) status = at(&s);
    close_study(&s);
    return status;
}

ath_status athi_verb_show(athi_cli *cli) { return look(cli, show); }
ath_status athi_verb_best(athi_cli *cli) { return look(cli, best); }
ath_status athi_verb_export(athi_cli *cli) { return look(cli, export); }
