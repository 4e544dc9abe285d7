/* Which parameters of a recipe a trial can change when it goes on from another's state: those that leave the tensors of the
 * state block, and the data, as they are. Found out by building: a parameter's values one after the other, all else at its
 * defaults. */
#include "recipe/internal.h"

/* All that a state file depends on, as a text. */
static ath_status describe_state(const ath_model *model, const athi_job *job, athi_text *out) {
    const athi_graph *g = model->net->graph;
    int n_snapshots = 1;
    int64_t n_state = 0;
    athi_callbacks_need(job->callbacks, job->n_callbacks, &n_snapshots, &n_state);
    athi_text_printf(out, "%d %lld", n_snapshots, (long long)n_state);
    for (int64_t i = 0; i < g->n_variables; i++) {
        char shape[96];
        const athi_variable *v = g->variables[i];
        athi_text_printf(out, "\n%s %d %s", v->name, (int)v->dtype, athi_shape_str(v->shape, shape));
    }
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

/* The samples' order and number decide where a state goes on; how many of them make a batch does not. */
static ath_status describe_data(athi_arena *arena, const athi_value *bound, athi_text *out) {
    const athi_value *data = athi_value_get(bound, "data");
    athi_value *rest = athi_value_new(arena, ATHI_MAP);
    if (!rest) return ATH_E_NOMEM;
    for (int64_t i = 0; data && i < data->n; i++)
        if (strcmp(data->keys[i], "batch") != 0) ATH_TRY(athi_value_push(arena, rest, data->keys[i], data->items[i]));
    return athi_json_write(out, rest, 0);
}

static ath_status describe(const athi_recipe *r, const athi_data *data, athi_arena *arena, const double *point,
                           athi_text *out) {
    athi_value *bound = NULL;
    athi_job job = {0};
    athi_arena_reset(arena);
    ATH_TRY(athi_bind_point(r, arena, point, r->seed, &bound));
    ATH_TRY(describe_data(arena, bound, out));
    ATH_TRY(athi_bound_build(r->ctx, arena, bound, data, &job));
    ath_status status = describe_state(job.model, &job, out);
    athi_model_destroy(job.model);
    return status;
}

static ath_status changes_state(const athi_recipe *r, const athi_data *data, athi_arena *arena, int64_t i,
                                double *point, bool *changes) {
    const athi_space_param *p = &r->space->params[i];
    bool choice = p->type == ATHI_PARAM_CHOICE;
    int n = choice ? p->n_branches : 2;
    athi_text first = {.ctx = r->ctx};
    ath_status status = ATH_OK;
    for (int k = 0; status == ATH_OK && !*changes && k < n; k++) {
        athi_text other = {.ctx = r->ctx};
        athi_recipe_vary(r->space, i, choice ? k : athi_param_snap(p, k ? p->max : p->min), point);
        status = describe(r, data, arena, point, k ? &other : &first);
        *changes = status == ATH_OK && k && strcmp(first.text, other.text) != 0;
        athi_text_free(&other);
    }
    athi_text_free(&first);
    return status;
}

ath_status athi_recipe_fixed(const athi_recipe *r, athi_arena *arena, const athi_data *data, const bool **fixed) {
    bool *list = athi_arena_array(arena, r->space->n + 1, (int64_t)sizeof *list);
    double *point = athi_arena_array(arena, r->space->n + 1, (int64_t)sizeof *point);
    athi_arena *scratch = athi_arena_create(r->ctx);
    ath_status status = list && point && scratch ? ATH_OK : ATH_E_NOMEM;
    for (int64_t i = 0; status == ATH_OK && i < r->space->n; i++)
        status = changes_state(r, data, scratch, i, point, &list[i]);
    athi_arena_destroy(scratch);
    *fixed = list;
    return status;
}
