/* Nets for tests: a context, a net, and calls as the recipe makes them (layer by name, options as JSON). */
#ifndef NN_TEST_H
#define NN_TEST_H

#include "test.h"

#include "nn/net.h"

typedef struct fixture {
    ath_ctx *ctx;
    athi_net *net;
    athi_arena *arena;
} fixture;

static inline fixture fixture_begin(void) {
    fixture f = {0};
    assert_int_equal(ath_ctx_create(NULL, &f.ctx), ATH_OK);
    assert_ok(f.ctx, athi_net_create(f.ctx, &f.net));
    f.arena = athi_arena_create(f.ctx);
    assert_non_null(f.arena);
    return f;
}

static inline void fixture_end(fixture *f) {
    athi_net_destroy(f->net);
    athi_arena_destroy(f->arena);
    ath_ctx_destroy(f->ctx);
}

static inline athi_value *json(fixture *f, const char *text) {
    athi_value *v;
    assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text, (int64_t)strlen(text), &v));
    return v;
}

/* A row and its options from recipe text: "dense" or {"dense": {"units": 3}}. */
static inline const athi_row *spec_value(fixture *f, const athi_kind *kind, const athi_value *v,
                                         void **opts) {
    const athi_row *row;
    assert_ok(f->ctx, athi_spec_read(f->ctx, f->arena, kind, v, "test", &row, opts));
    return row;
}
static inline const athi_row *spec(fixture *f, const athi_kind *kind, const char *text, void **opts) {
    return spec_value(f, kind, json(f, text), opts);
}

static inline ath_tensor *layer_n(fixture *f, ath_tensor *const *in, int n, const char *text) {
    void *opts;
    const athi_row *row = spec(f, &athi_layers, text, &opts);
    return athi_layer_apply(f->net, row, opts, NULL, in, n);
}
static inline ath_tensor *layer(fixture *f, ath_tensor *x, const char *text) {
    return layer_n(f, &x, 1, text);
}

static inline void assert_shape(const ath_tensor *t, const char *text) {
    char shape[96];
    assert_false(athi_is_poison(t));
    assert_string_equal(athi_shape_str(t->shape, shape), text);
}

/* The net's first error has this status and its sentence this part. */
static inline void assert_poisoned(fixture *f, ath_status status, const char *part) {
    assert_fails(f->ctx, athi_graph_check(f->net->graph), status, part);
}

/* Compiles with a loss, metrics (a JSON list) and an optimiser (may be NULL). */
static inline ath_status compile(fixture *f, const char *loss, const char *metrics, const char *optimizer,
                                 athi_shape target, bool weights) {
    const athi_row *rows[8];
    const void *opts[8];
    athi_net_compile_opts o = {.target_shape = target,
                               .sample_weights = weights,
                               .metrics = rows,
                               .metric_opts = opts};
    void *p;
    o.loss = spec(f, &athi_losses, loss, &p), o.loss_opts = p;
    const athi_value *list = metrics ? json(f, metrics) : NULL;
    for (int64_t i = 0; list && i < list->n; i++) {
        rows[i] = spec_value(f, &athi_metrics, list->items[i], &p);
        opts[i] = p;
        o.n_metrics++;
    }
    if (optimizer) o.optimizer = spec(f, &athi_optimizers, optimizer, &p), o.optimizer_opts = p;
    return athi_net_compile(f->net, &o);
}

#endif
