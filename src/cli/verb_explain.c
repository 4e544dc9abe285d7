/* explain: what a recipe means before anything is trained. */
#include "cli/profile.h"
#include "passes/passes.h"
#include "recipe/recipe.h"

#include <math.h>

const athi_flag athi_flags_explain[] = {
    ATHI_FLAG_THREADS_ROW,
    ATHI_FLAG_BACKEND_ROW,
    ATHI_FLAG_SET_ROW,
    {"profile", ATHI_FLAG_SWITCH, NULL,
     "time a step call by call, and hold each against this machine's bound for it"},
    {"steps", ATHI_FLAG_COUNT, "N", "steps that --profile times (default: 10)"},
    {"json", ATHI_FLAG_SWITCH, NULL, "the calls of a step as JSON, with --profile their times"},
    {0},
};

/* ---- the space ----------------------------------------------------------------------------------- */

static void put_value(const athi_space_param *p, double v, athi_text *out) {
    char number[32];
    if (p->type == ATHI_PARAM_CHOICE) {
        int i = (int)v;
        athi_text_printf(out, "%s", p->boolean ? (i ? "true" : "false") : p->branches[i].key);
        return;
    }
    athi_format_double(v, number);
    athi_text_printf(out, "%s", number);
}

static void put_domain(const athi_space_param *p, athi_text *out) {
    static const char *const priors[] = {"", ", log", ", reverse log", ", normal"};
    char low[32], high[32], step[32];
    if (p->type == ATHI_PARAM_CHOICE) {
        if (p->boolean) athi_text_printf(out, "true or false");
        for (int i = 0; !p->boolean && i < p->n_branches; i++)
            athi_text_printf(out, "%s%s", i ? " | " : "", p->branches[i].key);
        return;
    }
    athi_format_double(p->min, low), athi_format_double(p->max, high), athi_format_double(p->step, step);
    athi_text_printf(out, "%s %s to %s", p->type == ATHI_PARAM_INT ? "integer" : "number", low, high);
    if (p->step > 0) athi_text_printf(out, p->prior == ATHI_PRIOR_LOG ? ", times %s" : ", step %s", step);
    athi_text_printf(out, "%s", priors[p->prior]);
}

static void put_condition(const athi_space *space, const athi_condition *c, athi_text *out) {
    const athi_space_param *parent = &space->params[c->parent];
    athi_text_printf(out, "%s is ", parent->name);
    put_value(parent, ceil(c->low), out);
    for (double v = ceil(c->low) + 1; parent->type == ATHI_PARAM_CHOICE && v <= c->high; v++) {
        athi_text_printf(out, " or ");
        put_value(parent, v, out);
    }
    if (parent->type != ATHI_PARAM_CHOICE && c->high > c->low) {
        athi_text_printf(out, " to ");
        put_value(parent, fmin(c->high, parent->max), out);
    }
}

static void put_space(const athi_space *space, athi_text *out) {
    double size = athi_space_size(space);
    athi_text_printf(out, "space: %lld parameter%s, ", (long long)space->n, ATHI_PLURAL(space->n));
    if (isinf(size))
        athi_text_printf(out, "continuous\n");
    else
        athi_text_printf(out, "%.15g point%s\n", size, ATHI_PLURAL(size));
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        athi_text_printf(out, "  %s: ", p->name);
        put_domain(p, out);
        athi_text_printf(out, "; default ");
        put_value(p, p->fallback, out);
        for (int c = 0; c < p->n_conditions; c++) {
            athi_text_printf(out, c ? ", or if " : "; only if ");
            put_condition(space, &p->conditions[c], out);
        }
        athi_text_printf(out, "\n");
    }
}

/* ---- layers -------------------------------------------------------------------------------------- */

static void put_layers(const athi_net *net, athi_text *out) {
    int64_t total = 0;
    athi_text_printf(out, "\nlayers:\n");
    for (int64_t i = 0; i < net->n_layers; i++) {
        const athi_layer *l = &net->layers[i];
        char type[112];
        athi_text_printf(out, "  %-24s %-22s %-24s %12lld\n", l->name, l->row->name,
                         athi_typed_shape(l->out->node->compute, l->out->shape, type), (long long)l->n_params);
        total += l->n_params;
    }
    athi_text_printf(out, "  %-24s %-22s %-24s %12lld parameters\n", "", "", "", (long long)total);
}

/* ---- the plan ------------------------------------------------------------------------------------ */

/* "other: its reason; taken: its reason" -> the one that runs first, behind it those that refused. */
static void put_why(const athi_unit *u, const char *why, athi_text *out) {
    const char *taken = why;
    for (const char *p = why; u->kernel && (p = strstr(p, u->kernel->name)); p++) taken = p;
    athi_text_printf(out, "\n       %s", taken);
    if (taken - why > 2) athi_text_printf(out, "  (not %.*s)", (int)(taken - why - 2), why);
    athi_text_printf(out, "\n");
}

static double put_unit(const athi_unit *u, int64_t index, athi_text *out) {
    char type[112], name[128];
    double flops, bytes;
    athi_unit_cost(u, &flops, &bytes);
    athi_unit_ops(u, name, sizeof name);
    const athi_node *last = u->nodes[u->n_nodes - 1];
    athi_text_printf(out, "  %3lld  %-34s %-20s %-20s ", (long long)index, name, last->layer,
                     athi_unit_type(u, type));
    athi_put_scaled(out, flops, "FLOP");
    const char *why = u->why ? u->why : u->kernel ? u->kernel->name : "no call: the value is seen differently";
    put_why(u, why, out);
    return flops;
}

static void put_memory(const athi_memory_need *need, athi_text *out) {
    athi_text_printf(out, "memory: block ");
    athi_put_scaled(out, (double)need->block, "B (weights, optimizer, statistics), gradients ");
    athi_put_scaled(out, (double)need->gradients, "B, slab ");
    athi_put_scaled(out, (double)need->slab, need->batches ? "B, augmented batches " : "B");
    if (need->batches) athi_put_scaled(out, (double)need->batches, "B");
    athi_text_printf(out, "\n        at the peak of a training ");
    athi_put_scaled(out, (double)need->peak, "B, with ");
    athi_put_scaled(out, (double)need->data, "B of samples and ");
    athi_put_scaled(out, (double)need->program, "B of the program and its libraries\n");
}

static ath_status put_plan(athi_cli *cli, ath_model *model, const athi_data *data, const athi_memory_need *need,
                           athi_text *out) {
    athi_plan *plan = NULL;
    double flops = 0;
    ATH_TRY(athi_model_plan(model, ATHI_MODE_TRAIN, data->batch, &plan));
    const athi_graph *g = athi_plan_graph(plan);
    athi_text_printf(out, "\none step of training, batch %lld, backend %s, %d threads:\n", (long long)data->batch,
                     model->backend->name, cli->ctx->threads);
    for (int64_t i = 0; i < g->n_units; i++) flops += put_unit(g->units[i], i + 1, out);
    athi_text_printf(out, "\nwork: ");
    athi_put_scaled(out, flops, "FLOP a step, ");
    athi_put_scaled(out, flops / (double)data->batch, "FLOP a sample\n");
    put_memory(need, out);
    return ATH_OK;
}

/* ---- the profile --------------------------------------------------------------------------------- */

/* A step as it is planned, or (steps > 0) as it was timed. */
static ath_status make_profile(athi_cli *cli, const athi_data *data, ath_model *model, athi_profile *profile) {
    int64_t steps = athi_cli_has(cli, "profile") ? athi_cli_count(cli, "steps", 10) : 0,
            batch = ATHI_MIN(data->batch, data->train.n);
    if (steps) return athi_profile_steps(model, cli->arena, data, batch, steps, NULL, profile);
    athi_plan *plan = NULL;
    ATH_TRY(athi_model_plan(model, ATHI_MODE_TRAIN, batch, &plan));
    *profile = (athi_profile){.batch = batch, .n = athi_plan_graph(plan)->n_units};
    profile->units = athi_arena_array(cli->arena, profile->n, (int64_t)sizeof *profile->units);
    if (!profile->units) return ATH_E_NOMEM;
    for (int64_t i = 0; i < profile->n; i++) {
        athi_profile_unit *u = &profile->units[i];
        *u = (athi_profile_unit){.unit = athi_plan_graph(plan)->units[i]};
        athi_unit_cost(u->unit, &u->flops, &u->bytes);
    }
    return ATH_OK;
}

static ath_status memory_value(athi_arena *a, const athi_memory_need *need, athi_value **out) {
    const struct {
        const char *name;
        int64_t bytes;
    } rows[] = {{"block", need->block},     {"gradients", need->gradients}, {"slab", need->slab},
                {"batches", need->batches}, {"data", need->data},           {"program", need->program},
                {"peak", need->peak}};
    if (!(*out = athi_value_new(a, ATHI_MAP))) return ATH_E_NOMEM;
    for (int i = 0; i < ATHI_COUNT(rows); i++)
        ATH_TRY(athi_value_set(a, *out, rows[i].name, athi_value_int(a, rows[i].bytes)));
    return ATH_OK;
}

static ath_status print_json(athi_cli *cli, const athi_profile *p, ath_model *model, const athi_memory_need *need) {
    athi_arena *a = cli->arena;
    athi_value *map = athi_value_new(a, ATHI_MAP), *units = athi_value_new(a, ATHI_LIST), *machine = NULL,
               *memory = NULL;
    if (!map || !units) return ATH_E_NOMEM;
    ATH_TRY(memory_value(a, need, &memory));
    ATH_TRY(athi_value_set(a, map, "memory", memory));
    ATH_TRY(athi_value_set(a, map, "batch", athi_value_int(a, p->batch)));
    ATH_TRY(athi_value_set(a, map, "backend", athi_value_string(a, model->backend->name)));
    ATH_TRY(athi_value_set(a, map, "threads", athi_value_int(a, cli->ctx->threads)));
    if (p->steps) {
        ATH_TRY(athi_value_set(a, map, "step_seconds", athi_value_float(a, p->step)));
        ATH_TRY(athi_value_set(a, map, "gather_seconds", athi_value_float(a, p->gather)));
    }
    if (p->machine.threads) {
        ATH_TRY(athi_machine_value(a, &p->machine, &machine));
        ATH_TRY(athi_value_set(a, map, "machine", machine));
    }
    for (int64_t i = 0; i < p->n; i++) {
        athi_value *unit = NULL;
        ATH_TRY(athi_unit_value(a, &p->units[i], &unit));
        ATH_TRY(athi_value_append(a, units, unit));
    }
    ATH_TRY(athi_value_set(a, map, "units", units));
    return athi_cli_json(cli, map);
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static ath_status explain_model(athi_cli *cli, const athi_data *data, athi_job *job, int64_t program,
                                athi_text *out) {
    athi_memory_need need;
    int n_snapshots = 0;
    int64_t n_state = 0;
    char shape[96];
    athi_text_printf(out, "\ndata: %lld training, %lld validation, %lld test samples of shape %s",
                     (long long)data->train.n, (long long)data->validation.n, (long long)data->test.n,
                     athi_shape_str(data->sample_shape, shape));
    if (data->n_classes) athi_text_printf(out, ", %lld classes", (long long)data->n_classes);
    athi_text_printf(out, "\n");
    put_layers(job->model->net, out);
    athi_callbacks_need(job->callbacks, job->n_callbacks, &n_snapshots, &n_state);
    ATH_TRY(athi_model_prepare(job->model, job->seed, n_snapshots, n_state, NULL));
    const bool json = athi_cli_has(cli, "json"), plan = !json && !athi_cli_has(cli, "profile");
    if (json || plan) ATH_TRY(athi_memory_of_training(job->model, data, program, &need));
    if (plan) return put_plan(cli, job->model, data, &need, out);
    athi_profile profile;
    ATH_TRY(make_profile(cli, data, job->model, &profile));
    return json ? print_json(cli, &profile, job->model, &need) : athi_put_profile(cli, &profile, out);
}

static ath_status explain(athi_cli *cli, const athi_recipe *recipe, athi_text *out) {
    athi_value *bound = NULL;
    athi_data *data = NULL;
    athi_job job = {0};
    const int64_t program = athi_memory_resident();
    athi_text_printf(out, "%s, seed %lld\n", recipe->name, (long long)recipe->seed);
    put_space(recipe->space, out);
    ATH_TRY(athi_recipe_bind(recipe, cli->arena, NULL, recipe->seed, &bound));
    ath_status status = athi_bound_data(cli->ctx, bound, recipe->folder, athi_cli_cache(cli->arena), &data);
    if (status == ATH_OK) status = athi_bound_build(cli->ctx, cli->arena, bound, data, &job);
    athi_place_in(cli->ctx, status, recipe->path);
    if (status == ATH_OK) status = explain_model(cli, data, &job, program, out);
    athi_model_destroy(job.model);
    athi_data_close(data);
    return status;
}

ath_status athi_verb_explain(athi_cli *cli) {
    athi_recipe *recipe = NULL;
    athi_text text = {.ctx = cli->ctx};
    ATH_TRY(athi_recipe_read(cli->ctx, cli->arguments[0], cli->sets, cli->n_sets, &recipe));
    ath_status status = explain(cli, recipe, &text);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK && !athi_cli_has(cli, "json")) printf("%s", text.text);
    athi_text_free(&text);
    athi_recipe_destroy(recipe);
    return status;
}
