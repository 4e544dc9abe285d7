/* Ranges: what !int, !float, !bool and !choice say, and what they are called.
 *
 * A parameter is called by its `name:`, else by its path from the top of the recipe: keys, and numbers for
 * list elements. What stands inside a branch has the branch's key in its path; a branch that is a map with one
 * key brings it by itself, a list is named by its number. */
#include "recipe/internal.h"

#include <math.h>

const char *const athi_range_tags[] = {"!int", "!float", "!bool", "!choice", "!expr", NULL};
const char *const athi_ranged_sections[] = {"dtype_policy", "data", "model", "train", NULL};

athi_range_kind athi_range_of(const athi_value *v) {
    for (int i = 0; v->tag && athi_range_tags[i]; i++)
        if (strcmp(v->tag, athi_range_tags[i]) == 0) return (athi_range_kind)(i + 1);
    return ATHI_RANGE_NONE;
}

/* ---- paths --------------------------------------------------------------------------------------- */

const char *athi_item_path(athi_arena *arena, const char *path, int64_t i) {
    return athi_arena_printf(arena, "%s.%lld", path, (long long)i);
}

const char *athi_key_path(athi_arena *arena, const char *path, const char *key) {
    return *path ? athi_arena_printf(arena, "%s.%s", path, key) : athi_arena_strdup(arena, key);
}

const char *athi_branch_path(athi_arena *arena, const athi_range *range, int64_t k, const char *path) {
    if (range->branches[k]->type == ATHI_LIST && !range->own_path[k]) return athi_item_path(arena, path, k);
    return range->own_path[k] ? athi_key_path(arena, path, range->param.branches[k].key) : path;
}

const char *athi_with_index(athi_arena *arena, const char *text, int64_t index) {
    const char *at = index >= 0 ? strstr(text, "{i}") : NULL;
    if (!at) return text;
    athi_text out = {.ctx = athi_arena_ctx(arena)};
    for (; at; text = at + 3, at = strstr(text, "{i}")) {
        athi_text_add(&out, text, at - text);
        athi_text_printf(&out, "%lld", (long long)index);
    }
    athi_text_add(&out, text, (int64_t)strlen(text));
    const char *copy = out.failed ? NULL : athi_arena_strdup(arena, out.text);
    athi_text_free(&out);
    return copy;
}

/* ---- definitions --------------------------------------------------------------------------------- */

/* What the tags take; the defaults are worked out by the space. */
typedef struct range_opts {
    size_t struct_size;
    bool exact;
    double min, max, step;
    const athi_value *prior, *fallback, *of, *weights;
    const char *name;
    bool ordered;
} range_opts;
#define OPT(field) offsetof(range_opts, field)
#define ROW_NAME                                                                                                     \
    {                                                                                                                \
        "name", ATHI_OPT_STRING, OPT(name), "null",                                                                  \
            .nullable = true,                                                                                        \
            .doc = "what the parameter is called; the same name and definition elsewhere is the same parameter"      \
    }
#define ROW_DEFAULT                                                                                                  \
    {                                                                                                                \
        "default", ATHI_OPT_VALUE, OPT(fallback), "null",                                                            \
            .nullable = true, .doc = "the value without a search; else min, the first, false"                        \
    }
static const athi_option number_options[] = {
    {"min", ATHI_OPT_FLOAT, OPT(min), NULL, .doc = "smallest value"},
    {"max", ATHI_OPT_FLOAT, OPT(max), NULL, .doc = "largest value"},
    {"step", ATHI_OPT_FLOAT, OPT(step), "0",
     .doc = "distance of the values; a factor with prior log; 0: none for !float, 1 for !int"},
    {"prior", ATHI_OPT_VALUE, OPT(prior), "uniform", .doc = "uniform, log, reverse_log or {normal: {mean, std}}"},
    ROW_DEFAULT,
    ROW_NAME,
    {0}};
static const athi_option bool_options[] = {ROW_DEFAULT, ROW_NAME, {0}};
static const athi_option choice_options[] = {{"of", ATHI_OPT_VALUE, OPT(of), NULL, .doc = "the branches"},
                                             ROW_DEFAULT,
                                             ROW_NAME,
                                             {"weights", ATHI_OPT_VALUE, OPT(weights), "null", .nullable = true,
                                              .doc = "prior probabilities, one a branch; any scale"},
                                             {"ordered", ATHI_OPT_BOOL, OPT(ordered), "false",
                                              .doc = "the branches have an order, which samplers may use"},
                                             {0}};
static const athi_row range_rows[] = {
    {"!int", "an integer within min..max", number_options, sizeof(range_opts), NULL, NULL},
    {"!float", "a number within min..max", number_options, sizeof(range_opts), NULL, NULL},
    {"!bool", "true or false", bool_options, sizeof(range_opts), NULL, NULL},
    {"!choice", "one of several values or parts of a recipe", choice_options, sizeof(range_opts), NULL, "of"},
    {0}};
const athi_kind athi_ranges = {"range", "ranges", range_rows};

typedef struct normal_opts {
    size_t struct_size;
    bool exact;
    double mean, std;
} normal_opts;
static const athi_option normal_options[] = {{"mean", ATHI_OPT_FLOAT, offsetof(normal_opts, mean), NULL,
                                              .doc = "mean"},
                                             {"std", ATHI_OPT_FLOAT, offsetof(normal_opts, std), NULL,
                                              .doc = "standard deviation"},
                                             {0}};
static const athi_row prior_rows[] = {{"uniform", "every value alike", NULL, 0, NULL, NULL},
                                      {"log", "every order of magnitude alike", NULL, 0, NULL, NULL},
                                      {"reverse_log", "log, denser towards max", NULL, 0, NULL, NULL},
                                      {"normal", "a normal distribution, cut at min and max", normal_options,
                                       sizeof(normal_opts), NULL, NULL},
                                      {0}};
static const athi_kind priors = {"prior", "priors", prior_rows};

static ath_status read_prior(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_space_param *p) {
    const athi_row *row;
    void *opts;
    ATH_TRY(athi_spec_read(ctx, arena, &priors, v, "prior", &row, &opts));
    p->prior = (athi_prior)(row - prior_rows);
    if (opts) p->mean = ((normal_opts *)opts)->mean, p->std = ((normal_opts *)opts)->std;
    return ATH_OK;
}

static ath_status read_number(ath_ctx *ctx, athi_arena *arena, const range_opts *o, athi_space_param *p) {
    p->min = o->min, p->max = o->max, p->step = o->step;
    ATH_TRY(read_prior(ctx, arena, o->prior, p));
    if (!o->fallback || (athi_value_number(o->fallback, &p->fallback) && !o->fallback->tag)) return ATH_OK;
    return athi_fail_at(ctx, o->fallback, "default must be a number, got %s",
                        athi_value_type_name(o->fallback->type));
}

static ath_status read_bool(ath_ctx *ctx, const range_opts *o, athi_space_param *p) {
    p->boolean = true;
    if (!o->fallback) p->fallback = 0;
    if (!o->fallback) return ATH_OK;
    if (o->fallback->type != ATHI_BOOL || o->fallback->tag)
        return athi_fail_at(ctx, o->fallback, "default must be true or false, got %s",
                            athi_value_type_name(o->fallback->type));
    p->fallback = o->fallback->boolean;
    return ATH_OK;
}

/* ---- branches ------------------------------------------------------------------------------------ */

/* 64, rmsprop, null, [3,5]: what a study stores. */
static const char *value_key(athi_arena *arena, const athi_value *v) {
    if (v->type == ATHI_STRING && !v->tag) return athi_arena_strdup(arena, v->text);
    athi_text text = {.ctx = athi_arena_ctx(arena)};
    const char *key = NULL;
    if (athi_json_write(&text, v, 0) == ATH_OK) key = athi_arena_strdup(arena, text.text);
    athi_text_free(&text);
    return key;
}

static bool is_named(const athi_value *v) {
    return v->type == ATHI_MAP && !v->tag && athi_value_get(v, "as") && athi_value_get(v, "value") && v->n == 2;
}

/* The name of branch k, its value without `as`, and whether the name belongs into the path. */
static ath_status read_branch(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_range *range, int64_t k) {
    athi_branch *b = &range->param.branches[k];
    range->branches[k] = v;
    if (is_named(v)) {
        const athi_value *as = athi_value_get(v, "as");
        if (as->tag || as->type == ATHI_LIST || as->type == ATHI_MAP || !as->text || !*as->text)
            return athi_fail_at(ctx, as, "as must be a name, got %s", athi_value_type_name(as->type));
        b->key = athi_arena_strdup(arena, as->text);
        range->branches[k] = athi_value_get(v, "value");
        range->own_path[k] = 1;
    } else if (v->tag) {
        return athi_fail_at(ctx, v, "a branch that is itself a range needs a name: write {as: NAME, value: %s …}",
                            v->tag);
    } else if (v->type == ATHI_MAP) {
        if (v->n != 1)
            return athi_fail_at(ctx, v,
                                "a branch that is a map has one key, by which it is called, got %lld; write "
                                "{as: NAME, value: {…}}",
                                (long long)v->n);
        b->key = athi_arena_strdup(arena, v->keys[0]);
    } else {
        b->key = value_key(arena, v);
    }
    b->value = range->branches[k];
    return b->key ? ATH_OK : ATH_E_NOMEM;
}

static ath_status read_weights(ath_ctx *ctx, const athi_value *list, athi_space_param *p) {
    if (list->type != ATHI_LIST || list->n != p->n_branches)
        return athi_fail_at(ctx, list, "weights must be a list of %d numbers, one a branch", p->n_branches);
    for (int64_t k = 0; k < list->n; k++) {
        double *w = &p->branches[k].weight;
        if (!athi_value_number(list->items[k], w) || !(*w > 0) || !isfinite(*w))
            return athi_fail_at(ctx, list->items[k], "a weight must be a number > 0; take the branch out instead");
    }
    return ATH_OK;
}

/* A branch by its value or its key. */
static ath_status read_choice_default(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_space_param *p) {
    const char *key = value_key(arena, v);
    if (!key) return ATH_E_NOMEM;
    for (int k = 0; k < p->n_branches; k++)
        if (strcmp(p->branches[k].key, key) == 0 || athi_value_equal(p->branches[k].value, v)) {
            p->fallback = k;
            return ATH_OK;
        }
    const char *near = athi_nearest(key, p->branches, p->n_branches, sizeof *p->branches);
    return athi_fail_at(ctx, v, "default '%.60s' is none of the branches%s%s%s", key, near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "");
}

static ath_status read_choice(ath_ctx *ctx, athi_arena *arena, const athi_value *at, const range_opts *o,
                              athi_range *range) {
    athi_space_param *p = &range->param;
    if (o->of->type != ATHI_LIST || o->of->tag || o->of->n < 1)
        return athi_fail_at(ctx, at, "!choice needs a list of branches: !choice [a, b] or !choice {of: [a, b]}");
    int64_t n = o->of->n;
    p->branches = athi_arena_array(arena, n, (int64_t)sizeof *p->branches);
    range->branches = athi_arena_array(arena, n, (int64_t)sizeof *range->branches);
    range->own_path = athi_arena_array(arena, n, (int64_t)sizeof *range->own_path);
    if (!p->branches || !range->branches || !range->own_path) return ATH_E_NOMEM;
    p->n_branches = (int)n, p->ordered = o->ordered;
    for (int64_t k = 0; k < n; k++) ATH_TRY(read_branch(ctx, arena, o->of->items[k], range, k));
    if (o->weights) ATH_TRY(read_weights(ctx, o->weights, p));
    return o->fallback ? read_choice_default(ctx, arena, o->fallback, p) : ATH_OK;
}

/* ---- one range ----------------------------------------------------------------------------------- */

static ath_status read_definition(ath_ctx *ctx, athi_arena *arena, const athi_value *v, range_opts *o) {
    const athi_row *row = &range_rows[athi_range_of(v) - 1];
    athi_value *plain = athi_arena_memdup(arena, v, (int64_t)sizeof *v); /* the tag has been understood */
    if (!plain) return ATH_E_NOMEM;
    plain->tag = NULL;
    return athi_options_read(ctx, arena, row, plain, NULL, row->name, o);
}

ath_status athi_range_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, const char *path, int64_t index,
                           athi_range *range) {
    static const athi_param_type types[] = {[ATHI_RANGE_INT] = ATHI_PARAM_INT,
                                            [ATHI_RANGE_FLOAT] = ATHI_PARAM_FLOAT,
                                            [ATHI_RANGE_BOOL] = ATHI_PARAM_CHOICE,
                                            [ATHI_RANGE_CHOICE] = ATHI_PARAM_CHOICE};
    athi_range_kind kind = athi_range_of(v);
    range_opts o;
    *range = (athi_range){0};
    ath_status status = read_definition(ctx, arena, v, &o);
    if (status != ATH_OK) {
        if (status != ATH_E_NOMEM) athi_fail_prefix(ctx, status, "parameter '%s'", path);
        return athi_placed(ctx, status, v);
    }
    athi_space_param *p = &range->param;
    *p = (athi_space_param){.type = types[kind], .fallback = (double)NAN, .line = v->line, .column = v->column};
    p->name = o.name ? athi_with_index(arena, o.name, index) : path;
    if (!p->name) return ATH_E_NOMEM;
    if (!*p->name) return athi_fail_at(ctx, v, "%s: name must not be empty", v->tag);
    if (kind == ATHI_RANGE_CHOICE)
        status = read_choice(ctx, arena, v, &o, range);
    else
        status = kind == ATHI_RANGE_BOOL ? read_bool(ctx, &o, p) : read_number(ctx, arena, &o, p);
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    athi_fail_prefix(ctx, status, "parameter '%s'", p->name);
    return athi_placed(ctx, status, v);
}

/* ---- repeat -------------------------------------------------------------------------------------- */

bool athi_is_repeat(const athi_value *v) {
    return v->type == ATHI_MAP && !v->tag && v->n == 1 && strcmp(v->keys[0], "repeat") == 0;
}

ath_status athi_repeat_parts(ath_ctx *ctx, const athi_value *v, const athi_value **times, const athi_value **body) {
    const athi_value *inner = v->items[0];
    *times = athi_value_get(inner, "times"), *body = athi_value_get(inner, "body");
    for (int64_t i = 0; inner->type == ATHI_MAP && i < inner->n; i++)
        if (strcmp(inner->keys[i], "times") != 0 && strcmp(inner->keys[i], "body") != 0)
            return athi_fail_key(ctx, inner, i, "repeat: '%.60s' is not an option of repeat; it has: times, body",
                                 inner->keys[i]);
    if (*times && *body && (*body)->type == ATHI_LIST && !(*body)->tag) return ATH_OK;
    return athi_fail_at(ctx, inner, "repeat: expected {times: N, body: [layers]}");
}
