/* SPACE files: the parameters of any program, and how they are searched.
 *
 *     space:                                  names are relative to it: lr, net.units
 *       lr: !float {min: 1e-5, max: 0.1, prior: log}
 *       net: {units: !int {min: 16, max: 256}}
 *     objective: val_loss                     this and the rest as in a recipe's section tune
 *     max_trials: 50
 *
 * The same text is made from nothing by --param and --set. */
#include "recipe/internal.h"

#include "base/file.h"

static const char *const own_keys[] = {"space", "name", "seed", NULL};

/* ---- ranges only --------------------------------------------------------------------------------- */

static ath_status check_ranges(ath_ctx *ctx, athi_arena *arena, const athi_value *map, const char *path);

/* A branch that is called by its one key may have parameters inside; so may {as, value}. */
static ath_status check_branches(ath_ctx *ctx, athi_arena *arena, const athi_value *choice, const char *path) {
    const athi_value *of = choice->type == ATHI_MAP ? athi_value_get(choice, "of") : choice;
    for (int64_t i = 0; of && of->type == ATHI_LIST && i < of->n; i++) {
        const athi_value *b = of->items[i];
        if (b->type != ATHI_MAP || b->tag || b->n != 1 || b->items[0]->type == ATHI_NULL) continue;
        const char *inner = athi_key_path(arena, path, b->keys[0]);
        if (!inner) return ATH_E_NOMEM;
        ATH_TRY(check_ranges(ctx, arena, b->items[0], inner));
    }
    return ATH_OK;
}

/* A constant would reach nobody. */
static ath_status check_ranges(ath_ctx *ctx, athi_arena *arena, const athi_value *v, const char *path) {
    athi_range_kind kind = athi_range_of(v);
    if (kind == ATHI_RANGE_EXPR)
        return athi_fail_at(ctx, v, "%s: !expr derives constants of a recipe; a program computes its own", path);
    if (kind == ATHI_RANGE_CHOICE) return check_branches(ctx, arena, v, path);
    if (kind != ATHI_RANGE_NONE) return ATH_OK;
    if (v->type != ATHI_MAP || v->tag)
        return athi_fail_at(ctx, v,
                            "%s: expected !int, !float, !bool, !choice or a map of these, got %s%s%s; a constant "
                            "belongs into the command",
                            path, v->tag ? "the tag " : "", v->tag ? v->tag : athi_value_type_name(v->type),
                            v->tag ? ", which is none" : "");
    for (int64_t i = 0; i < v->n; i++) {
        const char *inner = athi_key_path(arena, path, v->keys[i]);
        if (!inner) return ATH_E_NOMEM;
        ATH_TRY(check_ranges(ctx, arena, v->items[i], inner));
    }
    return ATH_OK;
}

/* ---- settling ------------------------------------------------------------------------------------ */

static ath_status merge_params(athi_space_file *f, const char *const *params, int n) {
    athi_value *space = athi_value_get(f->root, "space");
    if (n && !space) {
        if (!(space = athi_value_new(f->arena, ATHI_MAP))) return ATH_E_NOMEM;
        ATH_TRY(athi_value_push(f->arena, f->root, "space", space));
    }
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(params[i], '=');
        if (!equals || equals == params[i])
            return athi_fail(
                f->ctx, ATH_E_OPTION,
                "--param %.100s: expected NAME=RANGE, such as 'lr=!float {min: 1e-5, max: 0.1, prior: log}'",
                params[i]);
        for (int k = 0; k < i; k++)
            if (strncmp(params[k], params[i], (size_t)(equals - params[i]) + 1) == 0)
                return athi_fail(f->ctx, ATH_E_OPTION, "--param %.*s stands twice; leave one out",
                                 (int)(equals - params[i]), params[i]);
        ATH_TRY(athi_value_set_option(f->ctx, f->arena, "--param", space, params[i]));
    }
    return ATH_OK;
}

static ath_status read_own(athi_space_file *f) {
    const athi_value *folds = athi_value_get(f->root, "folds"), *keep = athi_value_get(f->root, "keep");
    if (folds) return athi_fail_at(f->ctx, folds, "folds is for recipes; a program splits its own data");
    if (keep) return athi_fail_at(f->ctx, keep, "keep is for recipes; what a program leaves in {dir} stays");
    return athi_name_and_seed(f->ctx, f->root, &f->name, &f->seed);
}

static ath_status settle(athi_space_file *f, const char *const *sets, int n_sets, const char *const *params,
                         int n_params) {
    if (f->root->type != ATHI_MAP || f->root->tag)
        return athi_fail_at(f->ctx, f->root, "expected a map with space: and objective:, got %s",
                            f->root->type == ATHI_NULL ? "nothing" : athi_value_type_name(f->root->type));
    ATH_TRY(merge_params(f, params, n_params));
    for (int i = 0; i < n_sets; i++) ATH_TRY(athi_value_set_path(f->ctx, f->arena, f->root, sets[i]));
    const athi_value *space = athi_value_get(f->root, "space");
    if (!space && athi_value_get(f->root, "model"))
        return athi_fail_at(f->ctx, f->root,
                            "this is a recipe, which is tuned without a command; a SPACE file has "
                            "a map space:");
    if (!space || space->type != ATHI_MAP || space->tag || space->n == 0)
        return athi_fail_at(f->ctx, space ? space : f->root,
                            "there is nothing to search: expected space: with a range such as lr: !float {min: "
                            "1e-5, max: 0.1, prior: log}, or --param 'lr=!float {…}'");
    ATH_TRY(read_own(f));
    ATH_TRY(athi_options_read(f->ctx, f->arena, &athi_tune_row, f->root, own_keys, "space file", &f->tune));
    ATH_TRY(athi_tune_limits(f->ctx, f->arena, &f->tune, &f->limits));
    ATH_TRY(athi_objective_read(f->ctx, f->tune.objective, "objective", &f->objectives));
    ATH_TRY(check_ranges(f->ctx, f->arena, space, ""));
    ATH_TRY(athi_ranges_gather(f->ctx, f->arena, space, &f->space));
    if (!f->space->n) return athi_fail_at(f->ctx, space, "there is nothing to search: space: holds no range");
    return athi_space_settle(f->ctx, f->space, &f->tune);
}

static ath_status create(ath_ctx *ctx, const char *path, const char *name, athi_space_file **file) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_space_file *f = arena ? athi_arena_alloc(arena, (int64_t)sizeof *f) : NULL;
    if (!f) return athi_arena_destroy(arena), ATH_E_NOMEM;
    f->ctx = ctx, f->arena = arena;
    f->path = athi_arena_strdup(arena, path), f->name = athi_arena_strdup(arena, name);
    if (!f->path || !f->name) return athi_arena_destroy(arena), ATH_E_NOMEM;
    *file = f;
    return ATH_OK;
}

/* What was read so far becomes the file, or nothing. */
static ath_status complete(athi_space_file *f, ath_status status, athi_space_file **file) {
    if (status != ATH_OK)
        athi_space_file_destroy(f);
    else
        *file = f;
    return status;
}

static ath_status read_root(athi_space_file *f, const char *path) {
    char *text;
    int64_t n;
    if (!path) {
        f->root = athi_value_new(f->arena, ATHI_MAP);
        return f->root ? ATH_OK : ATH_E_NOMEM;
    }
    if (!(f->name = athi_name_of_file(f->arena, path))) return ATH_E_NOMEM;
    ATH_TRY(athi_file_read(f->ctx, path, false, ATHI_RECIPE_BYTES_MAX, &text, &n));
    ath_status status = athi_yaml_read(f->ctx, f->arena, f->path, text, n, &f->root);
    athi_free(f->ctx, text);
    return status;
}

ath_status athi_space_file_read(ath_ctx *ctx, const char *path, const char *const *sets, int n_sets,
                                const char *const *params, int n_params, athi_space_file **file) {
    athi_space_file *f;
    *file = NULL;
    ATH_TRY(create(ctx, path ? path : "space", "command", &f));
    ath_status status = read_root(f, path);
    if (status == ATH_OK) status = athi_sentence(ctx, settle(f, sets, n_sets, params, n_params), f->path);
    return complete(f, status, file);
}

ath_status athi_space_file_parse(ath_ctx *ctx, const char *path, const char *name, const char *text, int64_t n,
                                 athi_space_file **file) {
    athi_space_file *f;
    *file = NULL;
    ATH_TRY(create(ctx, path, name, &f));
    ath_status status = athi_yaml_read(ctx, f->arena, f->path, text, n, &f->root);
    if (status == ATH_OK) status = athi_sentence(ctx, settle(f, NULL, 0, NULL, 0), f->path);
    return complete(f, status, file);
}

void athi_space_file_destroy(athi_space_file *f) {
    if (f) athi_arena_destroy(f->arena);
}

/* ---- its study ----------------------------------------------------------------------------------- */

/* What must be the same when a study is gone on with: all but budgets and the sampler; and the command. */
static ath_status definition_of(const athi_space_file *f, const char *const *command, athi_value **out) {
    athi_value *map = athi_value_new(f->arena, ATHI_MAP), *list = athi_value_new(f->arena, ATHI_LIST);
    if (!map || !list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < f->root->n; i++)
        if (strcmp(f->root->keys[i], "name") && !athi_tune_key_is_free(f->root->keys[i]))
            ATH_TRY(athi_value_push(f->arena, map, f->root->keys[i], f->root->items[i]));
    for (int64_t i = 0; command && command[i]; i++)
        ATH_TRY(athi_value_append(f->arena, list, athi_value_string(f->arena, command[i])));
    if (command) ATH_TRY(athi_value_set(f->arena, map, "command", list));
    *out = map;
    return ATH_OK;
}

ath_status athi_space_file_study(const athi_space_file *f, const char *path, const char *const *command,
                                 const char *owner, bool alone, athi_store **store) {
    athi_value *definition = NULL;
    *store = NULL;
    ATH_TRY(definition_of(f, command, &definition));
    athi_file_definition now = {f, definition};
    athi_study_info info = {.name = f->name,
                            .n_objectives = f->objectives.n,
                            .maximize = f->objectives.maximize,
                            .objective_names = f->objectives.names,
                            .definition = definition,
                            .space = f->space,
                            .grown = owner ? athi_space_file_grown : NULL,
                            .user = &now,
                            .owner = owner,
                            .alone = alone};
    return athi_store_open(f->ctx, path, &info, store);
}
