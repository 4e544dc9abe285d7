/* The model: block, gradients, plans by (mode, batch) over one slab; weights to and from files. */
#include "train/internal.h"

#include "base/file.h"
#include "passes/passes.h"

#include <stdio.h>

ath_status athi_model_create(ath_ctx *ctx, ath_model **out) {
    ath_model *m = athi_alloc(ctx, sizeof *m);
    if (!m) return ATH_E_NOMEM;
    m->ctx = ctx;
    ath_status status = athi_backend_find(ctx, ctx->backend, &m->backend);
    if (status == ATH_OK) status = athi_net_create(ctx, &m->net);
    if (status == ATH_OK) m->net->graph->ctx = ctx;
    if (status != ATH_OK)
        athi_model_destroy(m);
    else
        *out = m;
    return status;
}

void athi_model_destroy(ath_model *m) {
    if (!m) return;
    for (int i = 0; i < ATHI_PLANS_MAX; i++) athi_plan_destroy(m->plans[i].plan);
    athi_state_destroy(m->state);
    athi_net_destroy(m->net);
    athi_free(m->ctx, m->slab);
    athi_free(m->ctx, m->grads);
    athi_free(m->ctx, m);
}

/* ---- preparing ----------------------------------------------------------------------------------- */

static const char *const snapshot_prefix[] = {"best", "best/1"};

static bool is_weight(const athi_variable *v) { return v->role == ATHI_TRAINABLE || v->role == ATHI_STATISTIC; }

static ath_status add_variables(ath_model *m, int n_snapshots, int64_t n_callback_state) {
    athi_graph *g = m->net->graph;
    m->progress = athi_variable_add(g, "train/progress", athi_dims(ATHI_PROGRESS_SIZE), ATH_I64, ATHI_TRAIN);
    m->values = athi_variable_add(g, "train/values", athi_dims(ATHI_VALUES_SIZE), ATH_F64, ATHI_TRAIN);
    m->callbacks =
        athi_variable_add(g, "train/callbacks", athi_dims(ATHI_MAX(n_callback_state, 1)), ATH_F64, ATHI_TRAIN);
    int64_t n = g->n_variables;
    for (int k = 0; k < n_snapshots; k++) {
        m->first_copy[k] = g->n_variables;
        for (int64_t i = 0; i < n; i++) {
            const athi_variable *v = g->variables[i];
            if (!is_weight(v)) continue;
            const char *name = athi_arena_printf(g->arena, "%s/%s", snapshot_prefix[k], v->name);
            if (!name || !athi_variable_add(g, name, v->shape, v->dtype, ATHI_BEST)) break;
        }
    }
    return athi_graph_check(g);
}

static ath_status initialize(ath_model *m, uint64_t seed) {
    const athi_net *net = m->net;
    for (int64_t i = 0; i < net->n_params; i++)
        ATH_TRY(athi_param_init(m->ctx, net, i, seed, athi_state_at(m->state, net->params[i].variable)));
    const athi_optimizer_impl *impl = net->optimizer ? net->optimizer->impl : NULL;
    int64_t n_trainable = 0, slot = 0;
    for (int64_t i = 0; i < net->graph->n_variables; i++)
        n_trainable += net->graph->variables[i]->role == ATHI_TRAINABLE;
    for (int64_t i = 0; i < net->graph->n_variables; i++) {
        const athi_variable *v = net->graph->variables[i];
        if (v->role != ATHI_SLOT) continue;
        double fill = impl && impl->fill ? impl->fill(net->optimizer_opts, (int)(slot++ / n_trainable)) : 0;
        float *w = athi_state_at(m->state, v);
        for (int64_t j = 0, n = athi_shape_count(v->shape); j < n; j++) w[j] = (float)fill;
    }
    if (net->counters) ((int64_t *)athi_state_at(m->state, net->counters))[0] = (int64_t)seed;
    return ATH_OK;
}

ath_status athi_model_check_compute(const ath_model *m) {
    char why[ATHI_WHY_MAX] = "";
    const athi_graph *g = m->net->graph;
    for (int64_t i = 0; m->backend->computes && i < g->n_nodes; i++)
        if (!m->backend->computes(g->nodes[i]->compute, why))
            return athi_fail(m->ctx, ATH_E_UNSUPPORTED,
                             "mixed_bfloat16: %s; take float32, or backend ref, which emulates bfloat16", why);
    return ATH_OK;
}

ath_status athi_model_prepare(ath_model *m, uint64_t seed, int n_snapshots, int64_t n_callback_state,
                              const athi_value *metadata) {
    ATH_TRY(athi_graph_check(m->net->graph));
    ATH_TRY(athi_model_check_compute(m));
    ATH_TRY(add_variables(m, n_snapshots, n_callback_state));
    m->n_snapshots = n_snapshots;
    ATH_TRY(athi_state_create(m->ctx, m->net->graph, metadata, &m->state));
    m->grads = athi_alloc(m->ctx, m->state->trainable_bytes);
    if (!m->grads) return ATH_E_NOMEM;
    m->backend->enter(m->ctx->threads);
    return initialize(m, seed);
}

/* ---- plans --------------------------------------------------------------------------------------- */

static ath_status bind(ath_model *m, struct athi_plan *plan) {
    athi_spaces spaces = {.slab = m->slab,
                          .block = m->state->data,
                          .grads = m->grads,
                          .trainable_bytes = m->state->trainable_bytes,
                          .variables = m->net->graph->variables,
                          .n_variables = m->net->graph->n_variables,
                          .version = &m->version};
    return athi_plan_bind(plan, &spaces);
}

void athi_model_forget_plans(ath_model *m) {
    for (int i = 0; i < ATHI_PLANS_MAX; i++) {
        athi_plan_destroy(m->plans[i].plan);
        m->plans[i] = (struct athi_plan_slot){0};
    }
}

/* One slab serves all plans, since only one runs at a time. */
static ath_status grow_slab(ath_model *m, int64_t bytes) {
    if (bytes <= m->slab_bytes) return ATH_OK;
    athi_free(m->ctx, m->slab);
    m->slab_bytes = 0;
    m->slab = NULL;
    if (athi_memory_fits(m->ctx, bytes, "a step with this batch") == ATH_OK) m->slab = athi_alloc(m->ctx, bytes);
    if (!m->slab) { /* none may run without it */
        athi_model_forget_plans(m);
        return ATH_E_NOMEM;
    }
    m->slab_bytes = bytes;
    for (int i = 0; i < ATHI_PLANS_MAX; i++)
        if (m->plans[i].plan) ATH_TRY(bind(m, m->plans[i].plan));
    return ATH_OK;
}

static ath_status compile(ath_model *m, athi_mode mode, int64_t batch, struct athi_plan **plan) {
    const athi_net *net = m->net;
    athi_shape shapes[16]; /* inputs, targets, weights */
    int n = (int)net->n_inputs;
    if (n > 14) return athi_fail(m->ctx, ATH_E_UNSUPPORTED, "a model may have at most 14 inputs, this one has %d", n);
    for (int i = 0; i < n; i++) shapes[i] = net->inputs[i].shape;
    if (net->target_slot >= 0) shapes[n++] = net->target_shape;
    if (net->weight_slot >= 0) shapes[n++] = athi_dims(batch);
    for (int i = 0; i < n; i++) shapes[i].dim[0] = batch;
    return athi_compile(net->graph,
                        &(athi_compile_opts){.mode = mode,
                                             .backend = m->backend,
                                             .threads = m->ctx->threads,
                                             .input_shapes = shapes,
                                             .n_slots = n,
                                             .emit_update = athi_net_emit_update,
                                             .user = m->net},
                        plan);
}

ath_status athi_model_plan(ath_model *m, athi_mode mode, int64_t batch, struct athi_plan **plan) {
    struct athi_plan_slot *slot = &m->plans[0];
    for (int i = 0; i < ATHI_PLANS_MAX; i++) {
        struct athi_plan_slot *s = &m->plans[i];
        if (s->plan && s->mode == mode && s->batch == batch) {
            s->used = ++m->clock;
            *plan = s->plan;
            return ATH_OK;
        }
        if (s->used < slot->used) slot = s;
    }
    struct athi_plan *made = NULL;
    ATH_TRY(compile(m, mode, batch, &made));
    ath_status status = grow_slab(m, athi_plan_slab_bytes(made));
    if (status == ATH_OK) status = bind(m, made);
    if (status != ATH_OK) return athi_plan_destroy(made), status;
    athi_plan_destroy(slot->plan);
    *slot = (struct athi_plan_slot){mode, batch, made, ++m->clock};
    *plan = made;
    return ATH_OK;
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

static void copy_snapshot(ath_model *m, athi_snapshot snapshot, bool keep) {
    const athi_graph *g = m->net->graph;
    int64_t next = m->first_copy[snapshot];
    for (int64_t i = 0; i < m->first_copy[0]; i++) {
        const athi_variable *v = g->variables[i];
        if (!is_weight(v)) continue;
        void *weight = athi_state_at(m->state, v), *copy = athi_state_at(m->state, g->variables[next++]);
        memcpy(keep ? copy : weight, keep ? weight : copy,
               (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype)));
    }
}
void athi_model_keep(ath_model *m, athi_snapshot snapshot) { copy_snapshot(m, snapshot, true); }
void athi_model_restore(ath_model *m, athi_snapshot snapshot) {
    copy_snapshot(m, snapshot, false);
    m->version++;
}

/* ---- model files --------------------------------------------------------------------------------- */

ath_status athi_model_save(ath_model *m, const char *path, const athi_value *metadata, int snapshot) {
    athi_arena *arena = athi_arena_create(m->ctx);
    if (!arena) return ATH_E_NOMEM;
    const athi_graph *g = m->net->graph;
    athi_contents c = {.metadata = metadata,
                       .entries = athi_arena_array(arena, g->n_variables + 1, sizeof *c.entries)};
    const void **pieces = athi_arena_array(arena, g->n_variables + 1, sizeof *pieces);
    ath_status status = c.entries && pieces ? ATH_OK : ATH_E_NOMEM;
    int64_t next = snapshot < 0 ? 0 : m->first_copy[snapshot];
    for (int64_t i = 0; status == ATH_OK && i < g->n_variables; i++) {
        const athi_variable *v = g->variables[i];
        if (!is_weight(v)) continue;
        pieces[c.n] = athi_state_at(m->state, snapshot < 0 ? v : g->variables[next++]);
        c.entries[c.n++] = (athi_entry){.name = v->name, .dtype = v->dtype, .shape = v->shape};
    }
    if (status == ATH_OK) status = athi_safetensors_write(m->ctx, path, &c, pieces);
    athi_arena_destroy(arena);
    return status;
}

static ath_status check_weight(const ath_model *m, const char *path, const athi_variable *v, const athi_entry *e) {
    char a[96], b[96];
    if (!e)
        return athi_fail(m->ctx, ATH_E_DATA, "%s: it has no variable '%s' %s, which this model needs", path, v->name,
                         athi_shape_str(v->shape, a));
    if (e->dtype != v->dtype || !athi_shape_equal(e->shape, v->shape))
        return athi_fail(m->ctx, ATH_E_SHAPE, "%s: variable '%s' is %s %s there, but %s %s in this model", path,
                         v->name, athi_dtype_name(e->dtype), athi_shape_str(e->shape, a), athi_dtype_name(v->dtype),
                         athi_shape_str(v->shape, b));
    return ATH_OK;
}

/* All or none: the first failure comes before the first copy. */
static ath_status load_weights(ath_model *m, const char *path, const athi_contents *c, const unsigned char *data) {
    const athi_graph *g = m->net->graph;
    for (int64_t i = 0; i < g->n_variables; i++)
        if (is_weight(g->variables[i]))
            ATH_TRY(check_weight(m, path, g->variables[i], athi_contents_find(c, g->variables[i]->name)));
    for (int64_t i = 0; i < g->n_variables; i++)
        if (is_weight(g->variables[i])) {
            const athi_entry *e = athi_contents_find(c, g->variables[i]->name);
            memcpy(athi_state_at(m->state, g->variables[i]), data + e->offset, (size_t)e->bytes);
        }
    m->version++;
    return ATH_OK;
}

ath_status athi_model_load(ath_model *m, const char *path) {
    athi_map map = {0};
    athi_contents c;
    int64_t begin = 0;
    athi_arena *arena = athi_arena_create(m->ctx);
    ath_status status = arena ? athi_file_map(m->ctx, path, &map) : ATH_E_NOMEM;
    if (status == ATH_OK) status = athi_contents_parse(m->ctx, arena, path, map.data, map.size, &c, &begin);
    if (status == ATH_OK) status = load_weights(m, path, &c, map.data + begin);
    athi_file_unmap(&map);
    athi_arena_destroy(arena);
    return status;
}
