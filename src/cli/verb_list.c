/* list: what there is, from the same rows that recipes are read with; and docs/options.md, made from them too. */
#include "cli/cli.h"
#include "ensemble/ensemble.h"
#include "recipe/sweep.h"
#include "train/quantize.h"
#include "graph/backend.h"
#include "zoo/zoo.h"

const athi_flag athi_flags_list[] = {
    {"markdown", ATHI_FLAG_SWITCH, NULL, "everything as docs/options.md"},
    ATHI_FLAG_JSON_ROW,
    {0},
};

static const athi_kind *const kinds[] = {
    &athi_layers,    &athi_composites, &athi_activations, &athi_initializers, &athi_regularizers,
    &athi_losses,    &athi_policies,   &athi_metrics,     &athi_optimizers,   &athi_schedules,
    &athi_callbacks, &athi_samplers,   &athi_stop_rules,  &athi_schedulers,   &athi_ensembles,
    &athi_sources,   &athi_augments,   &athi_readers,     &athi_calibrations,
};

/* The sections of a recipe are rows too. */
static const athi_row *const sections[] = {&athi_data_row,     &athi_train_row,    &athi_tune_row, &athi_retrain_row,
                                           &athi_ensemble_row, &athi_quantize_row, &athi_sweep_row};

/* ---- options as text ----------------------------------------------------------------------------- */

static const char *type_name(const athi_option *o) {
    static const char *const names[] = {"integer", "number",   "boolean", "boolean", "text",
                                        "one of",  "integers", "numbers", "",        "value"};
    return o->type == ATHI_OPT_SPEC ? o->kind->name : names[o->type];
}

static void put_number(athi_text *out, double v) {
    char text[32];
    athi_format_double(v, text);
    athi_text_printf(out, "%s", text);
}

static bool is_number(const athi_option *o) {
    return o->type == ATHI_OPT_INT || o->type == ATHI_OPT_FLOAT || o->type == ATHI_OPT_INTS ||
           o->type == ATHI_OPT_FLOATS;
}

/* "integer, 1 and up" */
static void put_type(athi_text *out, const athi_option *o) {
    athi_text_printf(out, "%s", type_name(o));
    for (int i = 0; o->type == ATHI_OPT_ENUM && o->names[i]; i++)
        athi_text_printf(out, "%s%s", i ? ", " : " ", o->names[i]);
    if (!is_number(o) || (o->min == 0 && o->max == 0)) return;
    athi_text_printf(out, ", ");
    put_number(out, o->min);
    if (o->max < o->min || o->max > 1e300) {
        athi_text_printf(out, " and up");
        return;
    }
    athi_text_printf(out, " to ");
    put_number(out, o->max);
}

static void put_search(athi_text *out, const athi_option *o) {
    if (o->search_min == 0 && o->search_max == 0) return;
    put_number(out, o->search_min);
    athi_text_printf(out, " to ");
    put_number(out, o->search_max);
    if (o->scale == ATHI_LOG) athi_text_printf(out, ", log");
}

static void put_row(athi_text *out, const athi_row *row) {
    athi_text_printf(out, "%s: %s\n", row->name, row->doc);
    for (const athi_option *o = row->options; o && o->name; o++) {
        athi_text_printf(out, "    %s: %s (", o->name, o->doc);
        put_type(out, o);
        athi_text_printf(out, "; %s%s", o->fallback ? "default " : "required", o->fallback ? o->fallback : "");
        if (o->search_min != 0 || o->search_max != 0) athi_text_printf(out, "; search ");
        put_search(out, o);
        athi_text_printf(out, ")\n");
    }
}

/* ---- docs/options.md ----------------------------------------------------------------------------- */

/* A cell of a table: what Markdown would take for its own is escaped. */
static void put_cell(athi_text *out, const char *text) {
    for (; *text; text++) athi_text_printf(out, *text == '|' || *text == '<' ? "\\%c" : "%c", *text);
}

static void put_markdown_row(athi_text *out, const athi_row *row) {
    athi_text_printf(out, "\n### %s\n\n", row->name);
    put_cell(out, row->doc);
    athi_text_printf(out, "\n");
    if (row->options && row->options[0].name)
        athi_text_printf(out, "\n| option | type | default | to search | |\n|---|---|---|---|---|\n");
    for (const athi_option *o = row->options; o && o->name; o++) {
        athi_text_printf(out, "| `%s` | ", o->name);
        put_type(out, o);
        if (o->fallback)
            athi_text_printf(out, " | `%s` | ", o->fallback);
        else
            athi_text_printf(out, " | required | ");
        put_search(out, o);
        athi_text_printf(out, " | ");
        put_cell(out, o->doc);
        athi_text_printf(out, " |\n");
    }
}

ath_status athi_cli_markdown(athi_text *out) {
    athi_text_printf(out, "# Options\n\nMade by `athanor list --markdown` from the rows that recipes are read with. "
                          "`athanor list KIND` shows the same.\n\n## Sections of a recipe\n");
    for (int i = 0; i < ATHI_COUNT(sections); i++) put_markdown_row(out, sections[i]);
    for (int k = 0; k < ATHI_COUNT(kinds); k++) {
        char title[64];
        snprintf(title, sizeof title, "%s", kinds[k]->plural);
        title[0] = (char)(title[0] - 'a' + 'A');
        athi_text_printf(out, "\n## %s\n", title);
        for (const athi_row *row = kinds[k]->rows; row->name; row++) put_markdown_row(out, row);
    }
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

/* ---- what is no row ------------------------------------------------------------------------------ */

static void put_backends(athi_text *out) {
    for (int i = 0; athi_backends[i]; i++) {
        const char *missing = athi_backends[i]->unavailable ? athi_backends[i]->unavailable() : NULL;
        athi_text_printf(out, "%s: %s%s%s%s\n", athi_backends[i]->name, athi_backends[i]->doc,
                         missing ? " (not here: " : "", missing ? missing : "", missing ? ")" : "");
    }
}

static void put_ops(athi_text *out) {
    for (int op = 0; op < ATHI_OP_COUNT_OF; op++) {
        const athi_op_info *info = &athi_op_table[op];
        athi_text_printf(out, "%s: ", info->name);
        if (info->max_in == info->min_in)
            athi_text_printf(out, "%d in", info->min_in);
        else
            athi_text_printf(out, "%d or more in", info->min_in);
        athi_text_printf(out, ", %d out; %s%s\n", info->n_out, info->grad ? "has a gradient" : "no gradient: ",
                         info->grad      ? ""
                         : info->no_grad ? info->no_grad
                                         : "it has no result");
    }
}

static void put_sections(athi_text *out) {
    for (int i = 0; i < ATHI_COUNT(sections); i++) put_row(out, sections[i]);
}

/* ---- as JSON ------------------------------------------------------------------------------------- */

static ath_status put_text(athi_arena *a, athi_value *map, const char *key, const char *text) {
    return athi_value_set(a, map, key, athi_value_string(a, text));
}

/* {"doc": …, "options": {"units": {"type": …, "default": …, "doc": …}}} under the row's name */
static ath_status add_row(athi_arena *a, athi_value *to, const athi_row *row) {
    athi_value *r = athi_value_new(a, ATHI_MAP), *options = athi_value_new(a, ATHI_MAP);
    if (!r || !options) return ATH_E_NOMEM;
    ATH_TRY(put_text(a, r, "doc", row->doc));
    for (const athi_option *o = row->options; o && o->name; o++) {
        athi_value *v = athi_value_new(a, ATHI_MAP);
        if (!v) return ATH_E_NOMEM;
        ATH_TRY(put_text(a, v, "type", type_name(o)));
        if (o->fallback) ATH_TRY(athi_value_set(a, v, "default", athi_value_scalar(a, o->fallback)));
        ATH_TRY(put_text(a, v, "doc", o->doc));
        ATH_TRY(athi_value_set(a, options, o->name, v));
    }
    ATH_TRY(athi_value_set(a, r, "options", options));
    return athi_value_set(a, to, row->name, r);
}

static ath_status add_kind(athi_arena *a, athi_value *to, const athi_kind *kind) {
    for (const athi_row *row = kind->rows; row->name; row++) ATH_TRY(add_row(a, to, row));
    return ATH_OK;
}

static ath_status add_sections(athi_arena *a, athi_value *to) {
    for (int i = 0; i < ATHI_COUNT(sections); i++) ATH_TRY(add_row(a, to, sections[i]));
    return ATH_OK;
}

/* {"cpu": {"doc": …, "missing": null or why it is not here}} */
static ath_status add_backends(athi_arena *a, athi_value *to) {
    for (int i = 0; athi_backends[i]; i++) {
        const char *missing = athi_backends[i]->unavailable ? athi_backends[i]->unavailable() : NULL;
        athi_value *v = athi_value_new(a, ATHI_MAP);
        if (!v) return ATH_E_NOMEM;
        ATH_TRY(put_text(a, v, "doc", athi_backends[i]->doc));
        ATH_TRY(missing ? put_text(a, v, "missing", missing)
                        : athi_value_set(a, v, "missing", athi_value_new(a, ATHI_NULL)));
        ATH_TRY(athi_value_set(a, to, athi_backends[i]->name, v));
    }
    return ATH_OK;
}

/* {"add": {"min_inputs": 2, "max_inputs": 2, "outputs": 1, "gradient": true}} */
static ath_status add_ops(athi_arena *a, athi_value *to) {
    for (int op = 0; op < ATHI_OP_COUNT_OF; op++) {
        const athi_op_info *info = &athi_op_table[op];
        athi_value *v = athi_value_new(a, ATHI_MAP);
        if (!v) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(a, v, "min_inputs", athi_value_int(a, info->min_in)));
        ATH_TRY(athi_value_set(a, v, "max_inputs", athi_value_int(a, info->max_in)));
        ATH_TRY(athi_value_set(a, v, "outputs", athi_value_int(a, info->n_out)));
        ATH_TRY(athi_value_set(a, v, "gradient", athi_value_bool(a, info->grad != NULL)));
        ATH_TRY(athi_value_set(a, to, info->name, v));
    }
    return ATH_OK;
}

/* Lists that are no athi_kind. */
static const struct {
    const char *name, *doc;
    void (*put)(athi_text *out);
    ath_status (*add)(athi_arena *arena, athi_value *to);
} others[] = {
    {"sections", "parts of a recipe", put_sections, add_sections},
    {"backends", "what computes", put_backends, add_backends},
    {"ops", "what graphs are made of", put_ops, add_ops},
};

/* ---- the verb ------------------------------------------------------------------------------------ */

static int names_of_kinds(const char **names) {
    int n = 0;
    for (int i = 0; i < ATHI_COUNT(kinds); i++) names[n++] = kinds[i]->plural;
    for (int i = 0; i < ATHI_COUNT(others); i++) names[n++] = others[i].name;
    return n;
}

static const athi_kind *find_kind(const char *name) {
    for (int i = 0; i < ATHI_COUNT(kinds); i++)
        if (strcmp(kinds[i]->plural, name) == 0 || strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}

static ath_status no_such_kind(athi_cli *cli, const char *name) {
    const char *names[ATHI_COUNT(kinds) + ATHI_COUNT(others)];
    int n = names_of_kinds(names);
    const char *near = athi_nearest(name, names, n, sizeof names[0]);
    return athi_fail(cli->ctx, ATH_E_OPTION, "list: there is no kind '%s'%s%s%s; `athanor list` shows them", name,
                     near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static ath_status put_kind(athi_cli *cli, const char *name, athi_text *out) {
    const athi_kind *kind = find_kind(name);
    for (int i = 0; i < ATHI_COUNT(others); i++)
        if (strcmp(others[i].name, name) == 0) return others[i].put(out), ATH_OK;
    if (!kind) return no_such_kind(cli, name);
    for (const athi_row *row = kind->rows; row->name; row++) put_row(out, row);
    return ATH_OK;
}

static ath_status add_named(athi_cli *cli, const char *name, athi_value *to) {
    const athi_kind *kind = find_kind(name);
    for (int i = 0; i < ATHI_COUNT(others); i++)
        if (strcmp(others[i].name, name) == 0) return others[i].add(cli->arena, to);
    return kind ? add_kind(cli->arena, to, kind) : no_such_kind(cli, name);
}

/* Of one kind its rows, else every kind under its plural. */
static ath_status list_json(athi_cli *cli) {
    const char *names[ATHI_COUNT(kinds) + ATHI_COUNT(others)];
    const int n = names_of_kinds(names);
    athi_value *all = athi_value_new(cli->arena, ATHI_MAP);
    if (!all) return ATH_E_NOMEM;
    if (cli->n_arguments) ATH_TRY(add_named(cli, cli->arguments[0], all));
    for (int i = 0; !cli->n_arguments && i < n; i++) {
        athi_value *kind = athi_value_new(cli->arena, ATHI_MAP);
        if (!kind) return ATH_E_NOMEM;
        ATH_TRY(add_named(cli, names[i], kind));
        ATH_TRY(athi_value_set(cli->arena, all, names[i], kind));
    }
    return athi_cli_json(cli, all);
}

ath_status athi_verb_list(athi_cli *cli) {
    if (athi_cli_has(cli, "json")) return list_json(cli);
    athi_text text = {.ctx = cli->ctx};
    ath_status status = ATH_OK;
    if (athi_cli_has(cli, "markdown"))
        status = athi_cli_markdown(&text);
    else if (cli->n_arguments)
        status = put_kind(cli, cli->arguments[0], &text);
    else {
        for (int i = 0; i < ATHI_COUNT(kinds); i++) {
            athi_text_printf(&text, "%-13s ", kinds[i]->plural);
            for (const athi_row *row = kinds[i]->rows; row->name; row++)
                athi_text_printf(&text, "%s%s", row == kinds[i]->rows ? "" : ", ", row->name);
            athi_text_printf(&text, "\n");
        }
        for (int i = 0; i < ATHI_COUNT(others); i++)
            athi_text_printf(&text, "%-13s %s\n", others[i].name, others[i].doc);
    }
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) printf("%s", text.text);
    athi_text_free(&text);
    return status;
}
