/* What of a recipe or a SPACE file may be another at the next start of its study: the ranges. A range may grow, and a
 * constant become one; then past trials had the constant. Whether the spaces agree is for tune/space_edit.c to say; here
 * all else is compared, what stands inside the branches of choices included. */
#include "recipe/internal.h"

#include <math.h>
#include <stdio.h>

typedef struct growing {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_space *was, *is;
    athi_origins origins; /* which ranges are which parameters of `is` */
    double *past;         /* a value a parameter of `is`, NaN: unknown */
    /* The first that cannot have become what it is: its path, and both values, NULL where there is none. */
    const char *path;
    const athi_value *before, *now;
} growing;

static ath_status compare(growing *g, const athi_value *was, const athi_value *is, bool *fits);

/* ---- the first misfit ---------------------------------------------------------------------------- */

static bool misfit(growing *g, const athi_value *was, const athi_value *is) {
    g->path = NULL, g->before = was, g->now = is;
    return false;
}

/* On the way out its path becomes longer at the front. */
static ath_status within(growing *g, const char *key, bool fits) {
    if (fits) return ATH_OK;
    g->path = g->path ? athi_arena_printf(g->arena, "%s.%s", key, g->path) : athi_arena_strdup(g->arena, key);
    return g->path ? ATH_OK : ATH_E_NOMEM;
}

/* ---- maps and lists ------------------------------------------------------------------------------ */

static bool is_among(const char *const *keys, const char *key) {
    for (int i = 0; keys && keys[i]; i++)
        if (!strcmp(keys[i], key)) return true;
    return false;
}

/* But for the keys `skip`. */
static ath_status compare_maps(growing *g, const athi_value *was, const athi_value *is, const char *const *skip,
                               bool *fits) {
    *fits = true;
    for (int64_t i = 0; *fits && i < was->n; i++) {
        const athi_value *now = athi_value_get(is, was->keys[i]);
        if (is_among(skip, was->keys[i])) continue;
        if (now)
            ATH_TRY(compare(g, was->items[i], now, fits));
        else
            *fits = misfit(g, was->items[i], NULL);
        ATH_TRY(within(g, was->keys[i], *fits));
    }
    for (int64_t i = 0; *fits && i < is->n; i++) {
        if (is_among(skip, is->keys[i]) || athi_value_get(was, is->keys[i])) continue;
        *fits = misfit(g, NULL, is->items[i]);
        ATH_TRY(within(g, is->keys[i], *fits));
    }
    return ATH_OK;
}

static ath_status compare_lists(growing *g, const athi_value *was, const athi_value *is, bool *fits) {
    *fits = was->n == is->n || misfit(g, was, is);
    for (int64_t i = 0; *fits && i < was->n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        ATH_TRY(compare(g, was->items[i], is->items[i], fits));
        ATH_TRY(within(g, number, *fits));
    }
    return ATH_OK;
}

/* ---- ranges -------------------------------------------------------------------------------------- */

static bool is_range(const athi_value *v) {
    athi_range_kind kind = athi_range_of(v);
    return kind != ATHI_RANGE_NONE && kind != ATHI_RANGE_EXPR;
}

/* Two ranges in one place are one parameter, whose values the spaces compare: here what stands in common branches. */
static ath_status compare_ranges(growing *g, const athi_value *was, const athi_value *is, bool *fits) {
    const athi_value *name_was = athi_value_get(was, "name"), *name_is = athi_value_get(is, "name");
    *fits = (name_was && name_is ? athi_value_equal(name_was, name_is) : name_was == name_is) || misfit(g, was, is);
    if (!*fits || athi_range_of(was) != ATHI_RANGE_CHOICE || athi_range_of(is) != ATHI_RANGE_CHOICE) return ATH_OK;
    athi_range a, b;
    ATH_TRY(athi_range_read(g->ctx, g->arena, was, "it", -1, &a));
    ATH_TRY(athi_range_read(g->ctx, g->arena, is, "it", -1, &b));
    for (int i = 0; *fits && i < a.param.n_branches; i++)
        for (int k = 0; k < b.param.n_branches; k++)
            if (!strcmp(a.param.branches[i].key, b.param.branches[k].key))
                ATH_TRY(compare(g, a.branches[i], b.branches[k], fits));
    return ATH_OK;
}

/* The parameters of a range had this value; one that was a parameter already, elsewhere, had others. */
static ath_status set_past(growing *g, const athi_value *range, double value, bool *fits) {
    for (int64_t i = 0; i < g->origins.n; i++) {
        const int at = g->origins.list[i].param;
        const athi_value *origin = g->origins.list[i].range; /* perhaps a copy: both know their place in one text */
        const athi_space_param *p = &g->is->params[at];
        if (origin->line != range->line || origin->column != range->column) continue;
        *fits = athi_space_find(g->was, p->name) < 0 && (isnan(g->past[at]) || g->past[at] == value);
        if (!*fits) return ATH_OK;
        if (p->type != ATHI_PARAM_CHOICE && athi_param_snap(p, value) != value)
            return athi_fail(g->ctx, ATH_E_STATE,
                             "parameter '%s' was the constant %s in the trials so far, which is none of its values",
                             p->name, ATHI_SHORTEST(value));
        g->past[at] = value;
    }
    return ATH_OK;
}

/* The branch that the constant was, with what became a range inside it. */
static ath_status find_branch(growing *g, const athi_value *was, const athi_value *is, double *value, bool *fits) {
    athi_range range;
    const int64_t bytes = g->is->n * (int64_t)sizeof *g->past;
    double *before = athi_arena_memdup(g->arena, g->past, bytes);
    if (!before && bytes) return ATH_E_NOMEM;
    ATH_TRY(athi_range_read(g->ctx, g->arena, is, "it", -1, &range));
    *fits = false;
    for (int k = 0; !*fits && k < range.param.n_branches; k++) {
        *value = k;
        ATH_TRY(compare(g, was, range.branches[k], fits));
        if (!*fits) memcpy(g->past, before, (size_t)bytes);
    }
    return ATH_OK;
}

static ath_status from_constant(growing *g, const athi_value *was, const athi_value *is, bool *fits) {
    double value = 0;
    switch (athi_range_of(is)) {
    case ATHI_RANGE_CHOICE: ATH_TRY(find_branch(g, was, is, &value, fits)); break;
    case ATHI_RANGE_BOOL: *fits = was->type == ATHI_BOOL, value = was->boolean; break;
    default: *fits = athi_value_number(was, &value); break;
    }
    if (*fits) ATH_TRY(set_past(g, is, value, fits));
    if (!*fits) misfit(g, was, is);
    return ATH_OK;
}

/* `fits`: the one can have become the other. */
static ath_status compare(growing *g, const athi_value *was, const athi_value *is, bool *fits) {
    *fits = athi_value_equal(was, is);
    if (*fits) return ATH_OK;
    if (is_range(is)) return is_range(was) ? compare_ranges(g, was, is, fits) : from_constant(g, was, is, fits);
    if (!was->tag && !is->tag && was->type == is->type) {
        if (is->type == ATHI_MAP) return compare_maps(g, was, is, NULL, fits);
        if (is->type == ATHI_LIST) return compare_lists(g, was, is, fits);
    }
    misfit(g, was, is);
    return ATH_OK;
}

/* ---- both kinds of definitions ------------------------------------------------------------------- */

/* As both are read back from a study: with tags, and every value in a place of its own. */
static ath_status reread(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_value **out) {
    athi_text text = {.ctx = ctx};
    ath_status status = athi_json_write(&text, v, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_yaml_read(ctx, arena, "definition", text.text, text.length, out);
    athi_text_free(&text);
    return status;
}

static ath_status prepare(growing *g) {
    g->past = athi_arena_array(g->arena, g->is->n, (int64_t)sizeof *g->past);
    for (int64_t i = 0; g->past && i < g->is->n; i++) g->past[i] = NAN;
    return g->past || !g->is->n ? ATH_OK : ATH_E_NOMEM;
}

static void conclude(const growing *g, bool fits, athi_growth *growth) {
    *growth = fits ? (athi_growth){.was = g->was, .past = g->past}
                   : (athi_growth){.path = g->path ? g->path : "", .before = g->before, .now = g->now};
}

/* One that this version does not understand any more is another one. */
static ath_status unless_damaged(ath_status status, const athi_value *was, const athi_value *is,
                                 athi_growth *growth) {
    if (status == ATH_OK || status == ATH_E_NOMEM || status == ATH_E_STATE) return status;
    *growth = (athi_growth){.path = "", .before = was, .now = is};
    return ATH_OK;
}

static ath_status grown_recipe(growing *g, const athi_value *was, const athi_value *is, athi_growth *growth) {
    static const char *const apart[] = {"tune", NULL}, *const of_space[] = {"constraints", NULL};
    const athi_value *tune_was = athi_value_get(was, "tune"), *tune_is = athi_value_get(is, "tune");
    athi_space *space_was, *space_is;
    bool fits;
    ATH_TRY(athi_ranges_walk(g->ctx, g->arena, was, &space_was));
    ATH_TRY(athi_space_rules_add(g->ctx, space_was, athi_value_get(tune_was, "constraints")));
    ATH_TRY(athi_ranges_origins(g->ctx, g->arena, is, &space_is, &g->origins));
    g->was = space_was, g->is = space_is;
    ATH_TRY(prepare(g));
    ATH_TRY(compare_maps(g, was, is, apart, &fits));
    const bool maps = tune_was && tune_is && tune_was->type == ATHI_MAP && tune_is->type == ATHI_MAP;
    if (fits) {
        if (maps)
            ATH_TRY(compare_maps(g, tune_was, tune_is, of_space, &fits));
        else
            fits = tune_was == tune_is || misfit(g, tune_was, tune_is); /* both NULL */
        ATH_TRY(within(g, "tune", fits));
    }
    conclude(g, fits, growth);
    return ATH_OK;
}

ath_status athi_recipe_grown(const void *user, athi_arena *arena, const athi_value *before, athi_growth *growth) {
    const athi_recipe *recipe = user;
    growing g = {.ctx = recipe->ctx, .arena = arena};
    athi_value *definition, *was, *is;
    ATH_TRY(athi_recipe_definition(recipe, arena, &definition));
    ATH_TRY(reread(g.ctx, arena, before, &was));
    ATH_TRY(reread(g.ctx, arena, definition, &is));
    return unless_damaged(grown_recipe(&g, was, is, growth), was, is, growth);
}

/* ---- commands ------------------------------------------------------------------------------------ */

/* May a word of the command before stand for this one? A parameter that is new had its default. */
static ath_status same_word(growing *g, const char *was, const char *is, bool *same) {
    const char *const word[] = {is, NULL}, *const * filled;
    double *point = athi_arena_array(g->arena, g->is->n, (int64_t)sizeof *point);
    if (!point) return ATH_E_NOMEM;
    *same = !strcmp(was, is);
    if (*same || strchr(was, '{') || !strchr(is, '{') || !strcmp(is, "{args}")) return ATH_OK;
    athi_space_default(g->is, point);
    ATH_TRY(athi_command_argv(g->ctx, g->arena, &(athi_command){.argv = word, .space = g->is},
                              &(athi_task){.point = point}, "", &filled));
    *same = !strcmp(was, filled[0]);
    return ATH_OK;
}

/* The command before in the same order, with words between that tell the new parameters. */
static ath_status compare_commands(growing *g, const athi_value *was, const athi_value *is, bool *fits) {
    int64_t at = 0;
    *fits = was == is || (was && is);
    for (int64_t i = 0; *fits && is && i < is->n && at < was->n; i++) {
        bool same;
        ATH_TRY(same_word(g, was->items[at]->text, is->items[i]->text, &same));
        at += same;
    }
    *fits = *fits && (!was || at == was->n);
    if (!*fits) misfit(g, was, is);
    return within(g, "command", *fits);
}

static bool all_texts(const athi_value *list) {
    bool fine = !list || list->type == ATHI_LIST;
    for (int64_t i = 0; fine && list && i < list->n; i++) fine = list->items[i]->type == ATHI_STRING;
    return fine;
}

static ath_status grown_file(growing *g, const athi_value *was, const athi_value *is, athi_growth *growth) {
    static const char *const apart[] = {"space", "constraints", "command", NULL};
    const athi_value *space = athi_value_get(was, "space"), *command = athi_value_get(was, "command");
    athi_space *space_was;
    bool fits;
    if (!space || !all_texts(command)) return ATH_E_DATA;
    ATH_TRY(athi_ranges_gather(g->ctx, g->arena, space, &space_was));
    ATH_TRY(athi_space_rules_add(g->ctx, space_was, athi_value_get(was, "constraints")));
    g->was = space_was;
    ATH_TRY(prepare(g));
    ATH_TRY(compare_maps(g, was, is, apart, &fits));
    if (fits) ATH_TRY(compare_commands(g, command, athi_value_get(is, "command"), &fits));
    conclude(g, fits, growth);
    return ATH_OK;
}

ath_status athi_space_file_grown(const void *user, athi_arena *arena, const athi_value *before, athi_growth *growth) {
    const athi_file_definition *now = user;
    growing g = {.ctx = now->file->ctx, .arena = arena, .is = now->file->space};
    athi_value *was, *is;
    ATH_TRY(reread(g.ctx, arena, before, &was));
    ATH_TRY(reread(g.ctx, arena, now->definition, &is));
    return unless_damaged(grown_file(&g, was, is, growth), was, is, growth);
}
