/* Checks before any time is spent: the default point, every branch of every choice and both ends of every
 * range, each bound, read and (with the data's shapes) built. */
#include "recipe/internal.h"

#include <math.h>

/* Makes a parameter exist: its ancestors take values that allow it, their defaults where these do. */
static void make_exist(const athi_space *space, double *point, int64_t param) {
    const athi_space_param *p = &space->params[param];
    if (p->n_conditions == 0) return;
    const athi_condition *c = &p->conditions[0];
    for (int k = 0; k < p->n_conditions; k++) {
        double usual = space->params[p->conditions[k].parent].fallback;
        if (usual >= p->conditions[k].low && usual <= p->conditions[k].high) c = &p->conditions[k];
    }
    make_exist(space, point, c->parent);
    const athi_space_param *parent = &space->params[c->parent];
    double usual = parent->fallback;
    point[c->parent] = usual >= c->low && usual <= c->high ? usual : athi_param_snap(parent, c->low);
    if (point[c->parent] < c->low) point[c->parent] = c->high; /* the grid has no value at low */
}

void athi_recipe_vary(const athi_space *space, int64_t param, double value, double *point) {
    for (int64_t j = 0; j < space->n; j++) point[j] = (double)NAN;
    make_exist(space, point, param);
    point[param] = value;
    athi_space_normalize(space, point);
}

typedef struct visiting {
    const athi_recipe *recipe;
    athi_arena *arena;
    double *point;
    athi_visit *visit;
    void *user;
} visiting;

static ath_status visit_point(visiting *v, const athi_space_param *p, double value) {
    const athi_recipe *r = v->recipe;
    athi_value *bound;
    athi_arena_reset(v->arena);
    ath_status status = athi_bind_point(r, v->arena, v->point, r->seed, &bound);
    if (status == ATH_OK) status = v->visit(v->user, r, v->arena, bound);
    if (status == ATH_OK || status == ATH_E_NOMEM) return status;
    athi_sentence(r->ctx, status, r->path);
    if (!p || value == p->fallback) return status;
    char sentence[ATHI_ERRMSG_MAX], number[32];
    memcpy(sentence, r->ctx->errmsg, sizeof sentence);
    athi_format_double(value, number);
    return athi_fail(r->ctx, status, "%s (when %s is %s)", sentence, p->name,
                     p->type == ATHI_PARAM_CHOICE ? p->branches[(int)value].key : number);
}

static ath_status visit_param(visiting *v, int64_t i) {
    const athi_space *space = v->recipe->space;
    const athi_space_param *p = &space->params[i];
    bool choice = p->type == ATHI_PARAM_CHOICE;
    int n = choice ? p->n_branches : 2;
    for (int k = 0; k < n; k++) {
        double value = choice ? k : athi_param_snap(p, k ? p->max : p->min);
        if (value == p->fallback && p->n_conditions == 0) continue; /* the default point */
        athi_recipe_vary(space, i, value, v->point);
        ATH_TRY(visit_point(v, p, value));
    }
    return ATH_OK;
}

ath_status athi_recipe_visit(const athi_recipe *recipe, athi_visit *visit, void *user) {
    visiting v = {recipe, athi_arena_create(recipe->ctx), NULL, visit, user};
    v.point = athi_alloc_array(recipe->ctx, recipe->space->n + 1, (int64_t)sizeof *v.point);
    ath_status status = v.arena && v.point ? ATH_OK : ATH_E_NOMEM;
    if (status == ATH_OK) {
        athi_space_default(recipe->space, v.point);
        status = visit_point(&v, NULL, 0);
    }
    for (int64_t i = 0; i < recipe->space->n && status == ATH_OK; i++) status = visit_param(&v, i);
    athi_free(recipe->ctx, v.point);
    athi_arena_destroy(v.arena);
    return status;
}

typedef struct checking {
    const athi_data *data;
    athi_objectives objectives; /* none: nothing is searched */
} checking;

static ath_status check_objective(const checking *c, const athi_recipe *r, athi_arena *arena, const athi_job *job,
                                  const char *objective) {
    const char *const *reports = NULL;
    int n = 0;
    ATH_TRY(athi_report_names(job->model, arena, c->data->validation.n > 0, job->callbacks, job->n_callbacks,
                              &reports, &n));
    for (int i = 0; i < n; i++)
        if (strcmp(reports[i], objective) == 0) return ATH_OK;
    const char *near = athi_nearest(objective, reports, n, sizeof *reports);
    bool validated = strncmp(objective, "val_", 4) == 0 && !c->data->validation.n;
    if (validated)
        return athi_fail_at(r->ctx, r->tune.objective,
                            "tune.objective: %s needs validation data; give data.validation, such as 0.2", objective);
    return athi_fail_at(r->ctx, r->tune.objective, "tune.objective: '%.60s' is not reported; %s%s%s", objective,
                        near ? "did you mean '" : "add it to metrics", near ? near : "", near ? "'?" : "");
}

static ath_status build_bound(void *user, const athi_recipe *recipe, athi_arena *arena, const athi_value *bound) {
    const checking *c = user;
    athi_job job = {0};
    ATH_TRY(athi_bound_build(recipe->ctx, arena, bound, c->data, &job));
    ath_status status = ATH_OK;
    for (int k = 0; status == ATH_OK && k < c->objectives.n; k++)
        status = check_objective(c, recipe, arena, &job, c->objectives.names[k]);
    athi_model_destroy(job.model);
    return status;
}

ath_status athi_recipe_check(const athi_recipe *recipe, const athi_data *data) {
    checking c = {.data = data};
    if (recipe->tunes) ATH_TRY(athi_recipe_objective(recipe, &c.objectives));
    return athi_recipe_visit(recipe, build_bound, &c);
}
