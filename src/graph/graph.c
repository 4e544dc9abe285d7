/* The builder: graphs, nodes, variables, and the poison that carries the first error through a build. */
#include "graph/graph.h"

#include "graph/rules.h"

#include <stdio.h>

ath_status athi_graph_create(ath_ctx *ctx, athi_graph **graph) {
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    athi_graph *g = athi_arena_alloc(arena, sizeof *g);
    if (!g) {
        athi_arena_destroy(arena);
        return ATH_E_NOMEM;
    }
    *g = (athi_graph){.ctx = ctx, .arena = arena, .modes = ATHI_MODE_ALL, .layer = ""};
    g->poison.graph = g;
    *graph = g;
    return ATH_OK;
}

void athi_graph_destroy(athi_graph *graph) {
    if (!graph) return;
    athi_free(graph->ctx, graph->nodes);
    athi_free(graph->ctx, graph->variables);
    athi_arena_destroy(graph->arena);
}

bool athi_is_poison(const ath_tensor *t) { return !t->node; }

ath_tensor *athi_poison(athi_graph *graph, ath_status status, const char *fmt, ...) {
    if (graph->failed != ATH_OK) return &graph->poison;
    char text[ATHI_ERRMSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *kept = athi_arena_strdup(graph->arena, text);
    graph->failed = status;
    graph->error = kept ? kept : "out of memory while a model was built";
    athi_fail(graph->ctx, status, "%s", graph->error);
    return &graph->poison;
}

ath_status athi_graph_check(athi_graph *graph) {
    if (graph->failed == ATH_OK) return ATH_OK;
    return athi_fail(graph->ctx, graph->failed, "%s", graph->error);
}

/* Poisons with the sentence that the context already holds. */
static ath_tensor *poison_with_message(athi_graph *graph, ath_status status) {
    return athi_poison(graph, status, "%s", graph->ctx->errmsg);
}

static athi_node *node_new(athi_graph *graph, athi_op op, ath_tensor *const *in, int n_in, const athi_attr *attr) {
    const athi_op_info *info = &athi_op_table[op];
    athi_node *node = athi_arena_alloc(graph->arena, sizeof *node);
    int slots = ATHI_MAX(info->n_out, 1); /* effects too give something to return */
    ath_tensor *out = athi_arena_array(graph->arena, slots, sizeof *out);
    ath_tensor **inputs = athi_arena_array(graph->arena, ATHI_MAX(n_in, 1), sizeof(ath_tensor *));
    if (!node || !out || !inputs) return NULL;
    bool source = athi_op_is_source(op);
    *node = (athi_node){.op = op, .n_in = n_in, .n_out = info->n_out, .in = inputs, .out = out};
    /* Sources are shared by all programs, whoever asked first. */
    node->modes = source ? ATHI_MODE_ALL : graph->modes;
    node->layer = !source && graph->layer ? graph->layer : "";
    node->compute = source ? ATH_F32 : graph->compute;
    node->backward = !source && graph->backward;
    if (attr) node->attr = *attr;
    for (int i = 0; i < n_in; i++) inputs[i] = in[i];
    for (int i = 0; i < slots; i++) out[i] = (ath_tensor){.node = node, .index = i, .graph = graph};
    return node;
}

static ath_tensor *wrong_count(athi_graph *graph, const athi_op_info *info, int n_in) {
    char layer[128] = "", most[32] = "";
    if (graph->layer && graph->layer[0]) snprintf(layer, sizeof layer, " '%s'", graph->layer);
    if (info->max_in != info->min_in) snprintf(most, sizeof most, " to %d", info->max_in);
    return athi_poison(graph, ATH_E_SHAPE, "%s%s: expected %d%s inputs, got %d", info->name, layer, info->min_in,
                       most, n_in);
}

/* The types that the op's row asks for, where the shape rule said nothing. */
static ath_status check_types(const athi_node *node) {
    const int computes = athi_op_table[node->op].compute;
    const ath_tensor *first = NULL;
    for (int i = 0; i < node->n_in && computes != ATHI_COMPUTE_ANY; i++) {
        const ath_tensor *t = node->in[i];
        if (!athi_dtype_is_float(t->dtype)) continue;
        if (i >= computes && t->dtype != ATH_F32 && t->dtype != ATH_F64)
            return athi_shape_fail(node, "expected input %d in f32, got %s", i + 1, athi_dtype_name(t->dtype));
        if (i < computes && first && t->dtype != first->dtype)
            return athi_shape_fail(node, "expected inputs of one type, got %s and %s", athi_dtype_name(first->dtype),
                                   athi_dtype_name(t->dtype));
        if (i < computes && !first) first = t;
    }
    return ATH_OK;
}

ath_tensor *athi_node_add(athi_graph *graph, athi_op op, ath_tensor *const *in, int n_in, const athi_attr *attr) {
    const athi_op_info *info = &athi_op_table[op];
    if (graph->failed != ATH_OK) return &graph->poison;
    for (int i = 0; i < n_in; i++) {
        if (in[i]->graph != graph)
            return athi_poison(graph, ATH_E_STATE,
                               "%s '%s': input %d belongs to another model; use values of one model", info->name,
                               graph->layer ? graph->layer : "", i + 1);
        if (athi_is_poison(in[i])) return &graph->poison;
    }
    if (n_in < info->min_in || n_in > info->max_in) return wrong_count(graph, info, n_in);
    athi_node *node = node_new(graph, op, in, n_in, attr);
    ath_status status = node ? info->shape(node) : ATH_E_NOMEM;
    if (status == ATH_OK) status = check_types(node);
    for (int i = 0; i < info->n_out && status == ATH_OK; i++) status = athi_shape_check(node, node->out[i].shape);
    if (status == ATH_OK) status = ATHI_GROW(graph->ctx, graph->nodes, graph->n_nodes, graph->cap_nodes);
    if (status != ATH_OK) return poison_with_message(graph, status);
    node->id = (int)graph->n_nodes;
    graph->nodes[graph->n_nodes++] = node;
    graph->invariants = 0;
    return &node->out[0];
}

athi_variable *athi_variable_add(athi_graph *graph, const char *name, athi_shape shape, ath_dtype dtype,
                                 athi_role role) {
    if (graph->failed != ATH_OK) return NULL;
    for (int64_t i = 0; i < graph->n_variables; i++) {
        if (strcmp(graph->variables[i]->name, name) != 0) continue;
        athi_poison(graph, ATH_E_STATE, "variable '%s' exists twice; give one of the layers another name", name);
        return NULL;
    }
    char text[96];
    if (athi_shape_count(shape) < 1) {
        athi_poison(graph, ATH_E_SHAPE, "variable '%s': expected a shape of known sizes >= 1, got %s", name,
                    athi_shape_str(shape, text));
        return NULL;
    }
    athi_variable *v = athi_arena_alloc(graph->arena, sizeof *v);
    const char *kept = athi_arena_strdup(graph->arena, name);
    ath_status status =
        v && kept ? ATHI_GROW(graph->ctx, graph->variables, graph->n_variables, graph->cap_variables) : ATH_E_NOMEM;
    if (status != ATH_OK) {
        poison_with_message(graph, status);
        return NULL;
    }
    *v =
        (athi_variable){.name = kept, .shape = shape, .dtype = dtype, .role = role, .index = (int)graph->n_variables};
    graph->variables[graph->n_variables++] = v;
    return v;
}

ath_tensor *athi_variable_tensor(athi_graph *graph, athi_variable *variable) {
    if (!variable || graph->failed != ATH_OK) return &graph->poison;
    for (int64_t i = 0; i < graph->n_nodes; i++) {
        athi_node *node = graph->nodes[i];
        if (node->op == ATHI_OP_VARIABLE && node->attr.variable.variable == variable) return &node->out[0];
    }
    return athi_node_add(graph, ATHI_OP_VARIABLE, NULL, 0, &(athi_attr){.variable = {variable}});
}

ath_tensor *athi_cast(athi_graph *graph, ath_tensor *t, ath_dtype dtype) {
    if (t->dtype == dtype || athi_is_poison(t)) return t;
    return athi_op1(graph, ATHI_OP_CAST, t, &(athi_attr){.cast = {dtype}});
}

ath_tensor *athi_constant(athi_graph *graph, double value, athi_shape shape) {
    return athi_node_add(graph, ATHI_OP_CONSTANT, NULL, 0, &(athi_attr){.constant = {value, shape, ATH_F32}});
}

ath_tensor *athi_input(athi_graph *graph, int slot, const char *name, athi_shape shape, ath_dtype dtype) {
    const char *kept = athi_arena_strdup(graph->arena, name);
    if (!kept) return poison_with_message(graph, ATH_E_NOMEM);
    return athi_node_add(graph, ATHI_OP_INPUT, NULL, 0, &(athi_attr){.input = {slot, shape, dtype, kept}});
}
