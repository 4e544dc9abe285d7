/* Recipes: reading, settling the sections, what identifies a recipe. */
#include "recipe/internal.h"

#include "recipe/quantize.h"
#include "recipe/sweep.h"

#include <stdio.h>

static const char *const sections[] = {"name", "seed",    "dtype_policy", "data",     "model", "train",
                                       "tune", "retrain", "ensemble",     "quantize", "sweep"};
static const struct {
    const char *name, *what;
} reserved[] = {{"init", "beginning with given weights; use `athanor train --init FILE`"},
                {"distribute", "training on several machines or devices"}};

/* ---- the top ------------------------------------------------------------------------------------- */

static ath_status unknown_key(ath_ctx *ctx, const athi_value *root, int64_t i) {
    const char *key = root->keys[i];
    for (int k = 0; k < ATHI_COUNT(reserved); k++)
        if (strcmp(reserved[k].name, key) == 0)
            return athi_fail_key(ctx, root, i, "%s is reserved, but not available in this version: %s", key,
                                 reserved[k].what);
    if (strcmp(key, "space") == 0)
        return athi_fail_key(
            ctx, root, i,
            "'space' is not a section of a recipe, whose ranges stand in their places; if this is a SPACE "
            "file, a command must follow: athanor tune FILE -- COMMAND {args}");
    const char *near = athi_nearest(key, sections, ATHI_COUNT(sections), sizeof *sections);
    if (near)
        return athi_fail_key(ctx, root, i, "'%.60s' is not a section of a recipe; did you mean '%s'?", key, near);
    return athi_fail_key(
        ctx, root, i,
        "'%.60s' is not a section of a recipe; there are name, seed, dtype_policy, data, model, train, tune, "
        "retrain, ensemble, quantize, sweep",
        key);
}

static ath_status check_top(ath_ctx *ctx, const athi_value *root) {
    static const char *const needed[] = {"data", "model", "train"};
    if (root->type != ATHI_MAP || root->tag)
        return athi_fail_at(ctx, root, "a recipe is a map with the sections data, model and train, got %s",
                            root->type == ATHI_NULL ? "nothing" : athi_value_type_name(root->type));
    for (int64_t i = 0; i < root->n; i++) {
        bool known = false;
        for (int k = 0; k < ATHI_COUNT(sections); k++) known = known || strcmp(sections[k], root->keys[i]) == 0;
        if (!known) return unknown_key(ctx, root, i);
    }
    for (int k = 0; k < ATHI_COUNT(needed); k++)
        if (!athi_value_get(root, needed[k])) return athi_fail_at(ctx, root, "the section %s is missing", needed[k]);
    const athi_value *train = athi_value_get(root, "train");
    if (train->type == ATHI_LIST && !train->tag)
        return athi_fail_at(ctx, train,
                            "train: a list of phases is reserved, but not available in this version; write one map");
    return ATH_OK;
}

const char *athi_name_of_file(athi_arena *arena, const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    return dot && dot > base ? athi_arena_strndup(arena, base, dot - base) : athi_arena_strdup(arena, base);
}

ath_status athi_name_and_seed(ath_ctx *ctx, const athi_value *root, const char **name, uint64_t *seed) {
    const athi_value *n = athi_value_get(root, "name"), *s = athi_value_get(root, "seed");
    if (n && (n->type != ATHI_STRING || n->tag || !*n->text || strchr(n->text, '/')))
        return athi_fail_at(ctx, n, "name must be a text without '/', got %s",
                            n->type != ATHI_STRING ? athi_value_type_name(n->type)
                            : *n->text             ? n->text
                                                   : "an empty one");
    if (s && (s->type != ATHI_INT || s->tag))
        return athi_fail_at(ctx, s, "seed must be an integer from -2^63 to 2^63 - 1, got %s",
                            s->type == ATHI_FLOAT ? ATHI_SHORTEST(s->number) : athi_value_type_name(s->type));
    if (n) *name = n->text;
    if (s) *seed = (uint64_t)s->integer;
    return ATH_OK;
}

/* A section that may be left out, or be `false`. */
static ath_status read_stage(athi_recipe *r, const athi_row *row, void *opts, bool *named) {
    const athi_value *v = athi_value_get(r->root, row->name);
    *named = v && !(v->type == ATHI_BOOL && !v->boolean && !v->tag);
    if (!*named) return ATH_OK;
    bool usual = v->type == ATHI_BOOL && !v->tag; /* true: every default */
    ath_status status = athi_options_read(r->ctx, r->arena, row, usual ? NULL : v, NULL, row->name, opts);
    return athi_placed(r->ctx, status, v);
}

static ath_status settle(athi_recipe *r, const char *const *sets, int n_sets) {
    for (int i = 0; i < n_sets; i++) ATH_TRY(athi_value_set_path(r->ctx, r->arena, r->root, sets[i]));
    ATH_TRY(check_top(r->ctx, r->root));
    if (!(r->name = athi_name_of_file(r->arena, r->path))) return ATH_E_NOMEM;
    ATH_TRY(athi_name_and_seed(r->ctx, r->root, &r->name, &r->seed));
    ATH_TRY(read_stage(r, &athi_tune_row, &r->tune, &r->tunes));
    ATH_TRY(athi_tune_limits(r->ctx, r->arena, &r->tune, &r->limits));
    if (r->tune.resumable)
        return athi_fail_at(r->ctx, athi_value_get(athi_value_get(r->root, "tune"), "resumable"),
                            "tune.resumable is for commands; trainings of a recipe always go on from their state");
    ATH_TRY(read_stage(r, &athi_retrain_row, &r->retrain, &r->retrains));
    ATH_TRY(read_stage(r, &athi_ensemble_row, &r->ensemble, &r->ensembles));
    ATH_TRY(read_stage(r, &athi_quantize_row, &r->quantize, &r->quantizes));
    ATH_TRY(athi_quantize_opts_check(r->ctx, &r->quantize));
    ATH_TRY(athi_sweeps_read(r));
    const athi_value *folds = athi_value_get(athi_value_get(r->root, "tune"), "folds");
    if (r->tune.folds == 1)
        return athi_fail_at(r->ctx, folds, "tune.folds: one fold leaves nothing to train on; take 2 or more");
    if (r->tune.folds && athi_value_get(athi_value_get(r->root, "data"), "validation"))
        return athi_fail_at(r->ctx, folds,
                            "tune.folds takes the validation data from the training data; leave out data.validation");
    ATH_TRY(athi_ranges_walk(r->ctx, r->arena, r->root, &r->space));
    return athi_space_settle(r->ctx, r->space, &r->tune);
}

static ath_status check_bound(void *user, const athi_recipe *recipe, athi_arena *arena, const athi_value *bound) {
    (void)user;
    return athi_bound_check(recipe->ctx, arena, bound);
}

/* ---- reading ------------------------------------------------------------------------------------- */

static ath_status recipe_create(ath_ctx *ctx, const char *path, athi_recipe **recipe) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_recipe *r = arena ? athi_arena_alloc(arena, (int64_t)sizeof *r) : NULL;
    if (!r) return athi_arena_destroy(arena), ATH_E_NOMEM;
    r->ctx = ctx, r->arena = arena;
    const char *slash = strrchr(path, '/');
    r->path = athi_arena_strdup(arena, path);
    r->folder = athi_arena_strndup(arena, path, slash ? ATHI_MAX(slash - path, 1) : 0);
    if (!r->path || !r->folder) return athi_arena_destroy(arena), ATH_E_NOMEM;
    *recipe = r;
    return ATH_OK;
}

ath_status athi_recipe_parse(ath_ctx *ctx, const char *name, const char *text, int64_t n, const char *const *sets,
                             int n_sets, athi_recipe **recipe) {
    *recipe = NULL;
    athi_recipe *r;
    ATH_TRY(recipe_create(ctx, name, &r));
    ath_status status = athi_yaml_read(ctx, r->arena, r->path, text, n, &r->root); /* its sentence has the place */
    if (status == ATH_OK) status = athi_sentence(ctx, settle(r, sets, n_sets), r->path);
    if (status == ATH_OK) status = athi_recipe_visit(r, check_bound, NULL);
    if (status != ATH_OK)
        athi_recipe_destroy(r);
    else
        *recipe = r;
    return status;
}

ath_status athi_recipe_read(ath_ctx *ctx, const char *path, const char *const *sets, int n_sets,
                            athi_recipe **recipe) {
    char *text;
    int64_t n;
    *recipe = NULL;
    ATH_TRY(athi_file_read(ctx, path, false, ATHI_RECIPE_BYTES_MAX, &text, &n));
    const bool model = n > 8 && text[7] == 0 && text[8] == '{'; /* safetensors: the size of a header, and it */
    ath_status status = model ? athi_fail(ctx, ATH_E_OPTION,
                                          "%s: this is a finished model, not a recipe; `athanor evaluate` and "
                                          "`athanor predict` use models",
                                          path)
                              : athi_recipe_parse(ctx, path, text, n, sets, n_sets, recipe);
    athi_free(ctx, text);
    return status;
}

void athi_recipe_destroy(athi_recipe *recipe) {
    if (recipe) athi_arena_destroy(recipe->arena);
}

/* ---- identity ------------------------------------------------------------------------------------ */

ath_status athi_recipe_definition(const athi_recipe *recipe, athi_arena *arena, athi_value **definition) {
    *definition = NULL;
    athi_value *copy = athi_value_new(arena, ATHI_MAP);
    if (!copy) return ATH_E_NOMEM;
    for (int64_t i = 0; i < recipe->root->n; i++) /* a sweep has a study of its own */
        if (strcmp(recipe->root->keys[i], "sweep") != 0)
            ATH_TRY(
                athi_value_push(arena, copy, recipe->root->keys[i], athi_value_copy(arena, recipe->root->items[i])));
    athi_value *tune = athi_value_get(copy, "tune");
    if (tune && tune->type == ATHI_MAP) {
        athi_value *kept = athi_value_new(arena, ATHI_MAP);
        if (!kept) return ATH_E_NOMEM;
        for (int64_t i = 0; i < tune->n; i++)
            if (!athi_tune_key_is_free(tune->keys[i]))
                ATH_TRY(athi_value_push(arena, kept, tune->keys[i], tune->items[i]));
        ATH_TRY(athi_value_set(arena, copy, "tune", kept));
    }
    *definition = copy;
    return ATH_OK;
}
