/* Running single nodes on the reference backend by hand, without passes and plans. */
#ifndef ATHI_REF_TEST_H
#define ATHI_REF_TEST_H

#include "graph/backend.h"
#include "test.h"

typedef struct ref_graph {
    ath_ctx *ctx;
    athi_graph *graph;
    athi_spaces spaces;
    int slots; /* inputs made so far */
} ref_graph;

static inline ref_graph ref_open(void) {
    ref_graph r = {0};
    assert_int_equal(ath_ctx_create(NULL, &r.ctx), ATH_OK);
    assert_ok(r.ctx, athi_graph_create(r.ctx, &r.graph));
    return r;
}
static inline void ref_close(ref_graph *r) {
    athi_graph_destroy(r->graph);
    ath_ctx_destroy(r->ctx);
}

static inline ath_tensor *ref_input(ref_graph *r, athi_shape shape, ath_dtype dtype) {
    return athi_input(r->graph, r->slots++, "x", shape, dtype);
}

/** Runs a node; in and out by position (a variable's data for an effect's first input). */
static inline void ref_run(ref_graph *r, athi_node *node, const void *const *in, void *const *out) {
    const athi_backend *ref = NULL;
    assert_ok(r->ctx, athi_graph_check(r->graph));
    assert_ok(r->ctx, athi_backend_find(r->ctx, "ref", &ref));
    athi_unit unit = {
        .nodes = {node}, .n_nodes = 1, .in = node->in, .n_in = node->n_in, .n_out = node->n_out};
    athi_call call = {.unit = &unit, .in = in, .out = out, .spaces = &r->spaces};
    athi_make make = {.ctx = r->ctx, .arena = r->graph->arena, .threads = 1};
    char why[ATHI_WHY_MAX] = "";
    const athi_kernel *kernel = ref->kernels[node->op];
    if (!kernel->accepts(&unit, why)) fail_msg("%s: %s", kernel->name, why);
    assert_ok(r->ctx, kernel->make(&make, &unit, &call));
    call.scratch = make.scratch_bytes ? athi_arena_alloc(r->graph->arena, make.scratch_bytes) : NULL;
    call.run(&call);
}

#define assert_close(a, b, tolerance)                                                                        \
    do {                                                                                                     \
        double close_a_ = (a), close_b_ = (b);                                                               \
        if (!(close_a_ - close_b_ <= (tolerance) && close_b_ - close_a_ <= (tolerance)))                     \
            fail_msg("%s: got %.9g, expected %.9g", #a, close_a_, close_b_);                                 \
    } while (0)

#endif
