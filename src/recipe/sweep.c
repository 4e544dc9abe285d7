/* A sweep as a search over given points. */
#include "recipe/sweep.h"

#include "recipe/internal.h"

#include <ctype.h>
#include <stdio.h>

enum { POINTS_MAX = 10000 };

/* ---- the section --------------------------------------------------------------------------------- */

#define OPT(field) offsetof(athi_sweep_opts, field)
static const athi_option sweep_options[] = {
    {"name", ATHI_OPT_STRING, OPT(name), "null", .nullable = true,
     .doc = "of its folder below sweeps/; null: the paths, joined by +"},
    {"over", ATHI_OPT_VALUE, OPT(over), NULL,
     .doc = "a map of paths in the recipe to lists of values: {data.batch: [8, 16]}; several: every combination"},
    {"steps", ATHI_OPT_INT, OPT(steps), "8", .min = 1, .max = 1e9, .doc = "updates that are timed for each value"},
    {"warm_up", ATHI_OPT_INT, OPT(warm_up), "2", .min = 0, .max = 1e9, .doc = "updates before them"},
    {"epochs", ATHI_OPT_INT, OPT(epochs), "0", .min = 0, .max = 1e9,
     .doc = "in place of timed steps: whole trainings of so many epochs, each worth its best epoch"},
    {"objective", ATHI_OPT_VALUE, OPT(objective), "null", .nullable = true,
     .doc = "of whole trainings, as tune.objective; null: that one"},
    {"jobs", ATHI_OPT_INT, OPT(jobs), "1", .min = 0, .max = 1024,
     .doc = "values at a time; 0: as many as there are processors for"},
    {"threads", ATHI_OPT_INT, OPT(threads), "0", .min = 0, .max = 1024,
     .doc = "threads of each job; 0: its share of the processors, at least one"},
    {0}};
#undef OPT
const athi_row athi_sweep_row = {"sweep",
                                 "every value of a constant, timed or trained; a map, or a list of maps",
                                 sweep_options,
                                 sizeof(athi_sweep_opts),
                                 NULL,
                                 NULL};

static ath_status check_over(ath_ctx *ctx, const athi_value *over) {
    int64_t points = 1;
    if (over->type != ATHI_MAP || over->tag || over->n < 1)
        return athi_fail_at(ctx, over,
                            "sweep: over must be a map of paths to lists of values, such as {data.batch: [8, 16]}");
    for (int64_t i = 0; i < over->n; i++) {
        const athi_value *values = over->items[i];
        if (values->type != ATHI_LIST || values->tag || values->n < 1)
            return athi_fail_at(ctx, values, "sweep: over: %.60s needs a list of values, such as [8, 16]",
                                over->keys[i]);
        if (!athi_mul(points, values->n, &points) || points > POINTS_MAX)
            return athi_fail_at(ctx, over, "sweep: over: more than %d combinations; take fewer values", POINTS_MAX);
        for (int64_t k = 0; k < values->n; k++)
            for (int64_t j = 0; j < k; j++)
                if (athi_value_equal(values->items[j], values->items[k]))
                    return athi_fail_at(ctx, values, "sweep: over: a value of %.60s stands twice", over->keys[i]);
    }
    return ATH_OK;
}

/* "data.batch", "data.batch+train.optimizer" */
static ath_status default_name(athi_arena *arena, athi_sweep_opts *o) {
    const char *name = "";
    for (int64_t i = 0; name && i < o->over->n; i++)
        name = athi_arena_printf(arena, "%s%s%s", name, i ? "+" : "", o->over->keys[i]);
    o->name = name;
    return name ? ATH_OK : ATH_E_NOMEM;
}

ath_status athi_sweep_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_sweep_opts *o) {
    ATH_TRY(athi_options_read(ctx, arena, &athi_sweep_row, v, NULL, "sweep", o));
    ATH_TRY(check_over(ctx, o->over));
    if (o->objective && o->objective->type == ATHI_LIST)
        return athi_fail_at(ctx, o->objective, "sweep: objective must be one report, such as val_accuracy");
    if (!o->name) return default_name(arena, o);
    if (*o->name && !strchr(o->name, '/') && o->name[0] != '.') return ATH_OK;
    return athi_fail_at(ctx, v, "sweep: name must be the name of a folder, got '%.60s'", o->name);
}

ath_status athi_sweeps_read(athi_recipe *r) {
    athi_value *v = athi_value_get(r->root, "sweep");
    bool list = v && v->type == ATHI_LIST && !v->tag;
    if (!v || (v->type == ATHI_BOOL && !v->boolean && !v->tag)) return ATH_OK;
    int64_t n = list ? v->n : 1;
    r->sweeps = athi_arena_array(r->arena, n + 1, (int64_t)sizeof *r->sweeps);
    if (!r->sweeps) return ATH_E_NOMEM;
    for (; r->n_sweeps < n; r->n_sweeps++) {
        athi_value *one = list ? v->items[r->n_sweeps] : v;
        athi_sweep_opts *o = &r->sweeps[r->n_sweeps];
        ATH_TRY(athi_placed(r->ctx, athi_sweep_read(r->ctx, r->arena, one, o), one));
        for (int k = 0; k < r->n_sweeps; k++)
            if (strcmp(r->sweeps[k].name, o->name) == 0)
                return athi_fail_at(r->ctx, one, "sweep: two are called '%.60s'; give one of them another name",
                                    o->name);
    }
    return ATH_OK;
}

/* ---- the recipe of its search -------------------------------------------------------------------- */

typedef struct maker {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_recipe *recipe;
    const athi_sweep_opts *o;
    const athi_value *before; /* points of an earlier start, or NULL */
} maker;

/* The sentence ends with what is wrong; before it stands the whole assignment, which nobody has written. */
static ath_status no_such_path(const maker *m, ath_status status, const char *path) {
    char sentence[ATHI_ERRMSG_MAX];
    const char *reason = sentence;
    snprintf(sentence, sizeof sentence, "%s", m->ctx->errmsg);
    for (const char *p = sentence; (p = strstr(p, ": ")); reason = p += 2) {}
    return athi_fail(m->ctx, status, "%s: sweep: over: %s: %s", m->recipe->path, path, reason);
}

/* The constant becomes a choice that is called by its path. */
static ath_status put_choice(const maker *m, athi_value *root, int64_t i) {
    athi_text text = {.ctx = m->ctx};
    const char *path = m->o->over->keys[i];
    athi_text_printf(&text, "%s=!choice {ordered: true, name: \"%s\", of: ", path, path);
    ath_status status = athi_json_write(&text, m->o->over->items[i], 0);
    athi_text_printf(&text, "}");
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_value_set_path(m->ctx, m->arena, root, text.text);
    athi_text_free(&text);
    return status == ATH_OK || status == ATH_E_NOMEM ? status : no_such_path(m, status, path);
}

/* How a point names a branch: scalars as they are, a map by its key, a list by its JSON text. */
static ath_status put_value(const maker *m, athi_value *point, const char *path, const athi_value *v) {
    if (v->type == ATHI_MAP && v->n == 1)
        return athi_value_set(m->arena, point, path, athi_value_string(m->arena, v->keys[0]));
    if (v->type != ATHI_LIST) return athi_value_set(m->arena, point, path, athi_value_copy(m->arena, v));
    athi_text text = {.ctx = m->ctx};
    ath_status status = athi_json_write(&text, v, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_value_set(m->arena, point, path, athi_value_string(m->arena, text.text));
    athi_text_free(&text);
    return status;
}

static bool is_among(const athi_value *list, const athi_value *v) {
    for (int64_t i = 0; list && i < list->n; i++)
        if (athi_value_equal(list->items[i], v)) return true;
    return false;
}

/* Combination k, the last path fastest. */
static ath_status make_point(const maker *m, int64_t k, int64_t n, athi_value **out) {
    const athi_value *over = m->o->over;
    athi_value *point = *out = athi_value_new(m->arena, ATHI_MAP);
    if (!point) return ATH_E_NOMEM;
    for (int64_t i = 0; i < over->n; i++) {
        n /= over->items[i]->n;
        ATH_TRY(put_value(m, point, over->keys[i], over->items[i]->items[k / n]));
        k %= n;
    }
    return ATH_OK;
}

/* A sweep grows by new values only: what was begun is never dropped. */
static ath_status left_out(const maker *m, const athi_value *point) {
    athi_text text = {.ctx = m->ctx};
    ath_status status = athi_json_write(&text, point, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK)
        status =
            athi_fail(m->ctx, ATH_E_OPTION,
                      "%s: sweep %s: it was begun with %.120s, which is not among its values now; name that too, "
                      "or give this sweep another name, or start over with --overwrite",
                      m->recipe->path, m->o->name, text.text);
    athi_text_free(&text);
    return status;
}

/* Every combination: first those of an earlier start in their order, since trial n of a search has point n. */
static ath_status make_points(const maker *m, athi_value **out) {
    athi_value *points = *out = athi_value_new(m->arena, ATHI_LIST), *all = athi_value_new(m->arena, ATHI_LIST),
               *point;
    int64_t n = 1;
    if (!points || !all) return ATH_E_NOMEM;
    for (int64_t i = 0; i < m->o->over->n; i++) n *= m->o->over->items[i]->n;
    for (int64_t k = 0; k < n; k++) {
        ATH_TRY(make_point(m, k, n, &point));
        ATH_TRY(athi_value_append(m->arena, all, point));
    }
    for (int64_t i = 0; m->before && i < m->before->n; i++) {
        if (!is_among(all, m->before->items[i])) return left_out(m, m->before->items[i]);
        ATH_TRY(athi_value_append(m->arena, points, athi_value_copy(m->arena, m->before->items[i])));
    }
    for (int64_t k = 0; k < n; k++)
        if (!is_among(m->before, all->items[k])) ATH_TRY(athi_value_append(m->arena, points, all->items[k]));
    return ATH_OK;
}

static ath_status put(const maker *m, athi_value *map, const char *key, athi_value *v) {
    return athi_value_set(m->arena, map, key, v);
}

static ath_status make_objective(const maker *m, athi_value **out) {
    const athi_value *given = m->o->objective ? m->o->objective : m->recipe->tune.objective;
    if (m->o->epochs) {
        bool several = !m->o->objective && given && given->type == ATHI_LIST;
        *out = given ? athi_value_copy(m->arena, several ? given->items[0] : given)
                     : athi_value_string(m->arena, "val_loss");
        return *out ? ATH_OK : ATH_E_NOMEM;
    }
    *out = athi_value_new(m->arena, ATHI_MAP);
    if (!*out) return ATH_E_NOMEM;
    ATH_TRY(put(m, *out, "metric", athi_value_string(m->arena, "samples_per_second")));
    return put(m, *out, "direction", athi_value_string(m->arena, "max"));
}

static ath_status make_tune(const maker *m, athi_value **out) {
    athi_value *tune = *out = athi_value_new(m->arena, ATHI_MAP), *points = NULL, *objective = NULL;
    if (!tune) return ATH_E_NOMEM;
    ATH_TRY(make_points(m, &points));
    ATH_TRY(make_objective(m, &objective));
    ATH_TRY(put(m, tune, "sampler", athi_value_string(m->arena, "random")));
    ATH_TRY(put(m, tune, "points", points));
    ATH_TRY(put(m, tune, "max_trials", athi_value_int(m->arena, points->n)));
    ATH_TRY(put(m, tune, "objective", objective));
    ATH_TRY(put(m, tune, "jobs", athi_value_int(m->arena, m->o->jobs)));
    return put(m, tune, "threads", athi_value_int(m->arena, m->o->threads));
}

/* What is measured stands in the name, which belongs to the study's definition: 8 steps cannot go on as 16. */
static ath_status make_root(const maker *m, athi_value **out) {
    static const char *const stages[] = {"name",    "sweep",    "tune",
                                         "retrain", "ensemble", "quantize"}; /* not its own */
    athi_value *root = *out = athi_value_new(m->arena, ATHI_MAP), *tune = NULL;
    const char *name = m->o->epochs ? athi_arena_printf(m->arena, "%s: %s, %lld epochs", m->recipe->name, m->o->name,
                                                        (long long)m->o->epochs)
                                    : athi_arena_printf(m->arena, "%s: %s, %lld steps after %lld", m->recipe->name,
                                                        m->o->name, (long long)m->o->steps, (long long)m->o->warm_up);
    if (!root || !name) return ATH_E_NOMEM;
    ATH_TRY(put(m, root, "name", athi_value_string(m->arena, name)));
    const athi_value *given = m->recipe->root;
    for (int64_t i = 0; i < given->n; i++) {
        bool stage = false;
        for (int k = 0; k < ATHI_COUNT(stages); k++) stage = stage || strcmp(given->keys[i], stages[k]) == 0;
        if (!stage) ATH_TRY(put(m, root, given->keys[i], athi_value_copy(m->arena, given->items[i])));
    }
    char epochs[64];
    snprintf(epochs, sizeof epochs, "train.epochs=%lld", (long long)m->o->epochs);
    if (m->o->epochs) ATH_TRY(athi_value_set_path(m->ctx, m->arena, root, epochs));
    for (int64_t i = 0; i < m->o->over->n; i++) ATH_TRY(put_choice(m, root, i));
    ATH_TRY(make_tune(m, &tune));
    return put(m, root, "tune", tune);
}

ath_status athi_sweep_sentence(ath_ctx *ctx, ath_status status, const char *path, const char *name) {
    char sentence[ATHI_ERRMSG_MAX];
    size_t n = strlen(path);
    snprintf(sentence, sizeof sentence, "%s", ctx->errmsg);
    if (strncmp(sentence, path, n) != 0 || sentence[n] != ':' || !isdigit((unsigned char)sentence[n + 1]))
        return status;
    const char *rest = sentence + n;
    while (isdigit((unsigned char)*rest) || *rest == ':' || *rest == ' ') rest++;
    return athi_fail(ctx, status, "%s: sweep %s: %s", path, name, rest);
}

ath_status athi_sweep_recipe(const athi_recipe *recipe, const athi_sweep_opts *sweep, const athi_value *before,
                             athi_recipe **out) {
    athi_value *root = NULL;
    athi_text text = {.ctx = recipe->ctx};
    maker m = {recipe->ctx, athi_arena_create(recipe->ctx), recipe, sweep, before};
    *out = NULL;
    if (!m.arena) return ATH_E_NOMEM;
    ath_status status = make_root(&m, &root);
    if (status == ATH_OK) status = athi_json_write(&text, root, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_recipe_parse(recipe->ctx, recipe->path, text.text, text.length, NULL, 0, out);
    if (status != ATH_OK) athi_sweep_sentence(recipe->ctx, status, recipe->path, sweep->name);
    athi_text_free(&text);
    athi_arena_destroy(m.arena);
    return status;
}
