/* What the tests of the passes share: a small net, and memory for a plan. */
#ifndef ATH_PASSES_FIXTURE_H
#define ATH_PASSES_FIXTURE_H

#include "test.h"

#include "passes/passes.h"

typedef struct net {
    ath_ctx *ctx;
    athi_graph *graph;
    athi_plan *plan;
    char *slab, *block, *grads;
    int64_t trainable_bytes;
} net;

/* Lays the variables out one after another at multiples of 64 bytes, the trainable ones first. */
static void net_layout(net *n) {
    int64_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n->graph->n_variables; i++) {
            athi_variable *v = n->graph->variables[i];
            if ((v->role == ATHI_TRAINABLE) != (pass == 0)) continue;
            v->offset = at;
            at += (athi_shape_count(v->shape) * athi_dtype_size(v->dtype) + 63) / 64 * 64;
        }
        if (pass == 0) n->trainable_bytes = at;
    }
    n->block = athi_alloc(n->ctx, at);
    n->grads = athi_alloc(n->ctx, n->trainable_bytes);
    assert_non_null(n->block);
    assert_non_null(n->grads);
}

static void net_start(net *n) {
    *n = (net){0};
    assert_int_equal(ath_ctx_create(NULL, &n->ctx), ATH_OK);
    assert_ok(n->ctx, athi_graph_create(n->ctx, &n->graph));
}

static void net_compile(net *n, athi_mode mode, const athi_backend *backend, int64_t batch) {
    athi_shape shapes[8];
    int slots = 0;
    for (int64_t i = 0; i < n->graph->n_nodes; i++) {
        const athi_node *node = n->graph->nodes[i];
        if (node->op != ATHI_OP_INPUT) continue;
        int slot = node->attr.input.slot;
        shapes[slot] = node->attr.input.shape;
        shapes[slot].dim[0] = batch;
        slots = slot + 1 > slots ? slot + 1 : slots;
    }
    athi_compile_opts opts = {
        .mode = mode, .backend = backend, .threads = 1, .input_shapes = shapes, .n_slots = slots};
    assert_ok(n->ctx, athi_compile(n->graph, &opts, &n->plan));
    if (!n->block) net_layout(n);
    n->slab = athi_alloc(n->ctx, athi_plan_slab_bytes(n->plan));
    athi_spaces spaces = {.slab = n->slab,
                          .block = n->block,
                          .grads = n->grads,
                          .trainable_bytes = n->trainable_bytes};
    assert_ok(n->ctx, athi_plan_bind(n->plan, &spaces));
}

static void net_drop_plan(net *n) {
    athi_plan_destroy(n->plan);
    athi_free(n->ctx, n->slab);
    n->plan = NULL;
    n->slab = NULL;
}

static void net_end(net *n) {
    net_drop_plan(n);
    athi_free(n->ctx, n->block);
    athi_free(n->ctx, n->grads);
    athi_graph_destroy(n->graph);
    ath_ctx_destroy(n->ctx);
}

/* Numbers in (-1, 1) that follow from their place alone. */
static float noise(int64_t i) { return (float)((double)((uint64_t)(i + 1) * 2654435761u % 20011) / 10005.5 - 1.0); }

static athi_variable *weights(net *n, const char *name, athi_shape shape) {
    athi_variable *v = athi_variable_add(n->graph, name, shape, ATH_F32, ATHI_TRAINABLE);
    assert_non_null(v);
    return v;
}

static ath_tensor *dense(net *n, ath_tensor *x, int64_t units, const char *name) {
    char text[64];
    n->graph->layer = name;
    snprintf(text, sizeof text, "%s/kernel", name);
    athi_variable *k = weights(n, text, athi_dims(x->shape.dim[1], units));
    snprintf(text, sizeof text, "%s/bias", name);
    athi_variable *b = weights(n, text, athi_dims(units));
    ath_tensor *y = athi_op2(n->graph, ATHI_OP_MATMUL, x, athi_variable_tensor(n->graph, k), NULL);
    y = athi_op2(n->graph, ATHI_OP_ADD, y, athi_variable_tensor(n->graph, b), NULL);
    n->graph->layer = "";
    return y;
}

#endif
