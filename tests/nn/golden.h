/* Comparing with Keras: the files of tests/golden, and a machine that runs a graph's plan on a backend. */
#ifndef NN_GOLDEN_H
#define NN_GOLDEN_H

#include "nn_test.h"

#include "base/file.h"
#include "passes/passes.h"

#include <math.h>

static inline athi_value *golden(fixture *f, const char *file) {
    const char *source = getenv("ATHANOR_SOURCE");
    char path[512], *text;
    int64_t size;
    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : ".", file);
    assert_ok(f->ctx, athi_file_read(f->ctx, path, false, 64 << 20, &text, &size));
    athi_value *v;
    assert_ok(f->ctx, athi_json_read(f->ctx, f->arena, text, size, &v));
    athi_free(f->ctx, text);
    return v;
}

static inline double number(const athi_value *v) {
    double d = 0;
    assert_true(v && athi_value_number(v, &d));
    return d;
}
static inline const char *text_of(const athi_value *c, const char *key) {
    const athi_value *v = athi_value_get(c, key);
    assert_true(v && v->type == ATHI_STRING);
    return v->text;
}

static inline athi_shape shape_of(const athi_value *tensor) {
    const athi_value *dims = athi_value_get(tensor, "shape");
    athi_shape s = {(int)dims->n, {0}};
    for (int64_t i = 0; i < dims->n; i++) s.dim[i] = (int64_t)number(dims->items[i]);
    return s;
}
/** The numbers of {"shape", "data"} or of a plain list. */
static inline const athi_value *data_of(const athi_value *tensor) {
    return tensor->type == ATHI_LIST ? tensor : athi_value_get(tensor, "data");
}
static inline void fill(float *to, const athi_value *tensor) {
    const athi_value *data = data_of(tensor);
    for (int64_t i = 0; i < data->n; i++) to[i] = (float)number(data->items[i]);
}
static inline void assert_near(const char *what, double got, double want, double relative, double absolute) {
    if (!(fabs(got - want) <= absolute + relative * fabs(want)))
        fail_msg("%s: got %.9g, Keras has %.9g", what, got, want);
}
static inline void assert_values(const char *what, const float *got, const athi_value *want, double relative,
                                 double absolute) {
    const athi_value *data = data_of(want);
    char where[280];
    for (int64_t i = 0; i < data->n; i++) {
        snprintf(where, sizeof where, "%s[%lld]", what, (long long)i);
        assert_near(where, got[i], number(data->items[i]), relative, absolute);
    }
}

/* ---- the machine ----------------------------------------------------------------------------------- */

typedef struct machine {
    fixture *f;
    athi_plan *plan;
    char *block, *grads, *slab;
    int64_t trainable_bytes;
} machine;

/* Lays variables out as a block does: the trainable ones first, then everything else in order of creation. */
static inline void machine_layout(machine *m) {
    athi_graph *g = m->f->net->graph;
    int64_t at = 0;
    for (int others = 0; others < 2; others++) {
        for (int64_t i = 0; i < g->n_variables; i++) {
            athi_variable *v = g->variables[i];
            if ((v->role != ATHI_TRAINABLE) != others) continue;
            v->offset = at;
            at += (athi_shape_count(v->shape) * athi_dtype_size(v->dtype) + 63) / 64 * 64;
        }
        if (!others) m->trainable_bytes = at;
    }
    m->block = athi_alloc(m->f->ctx, at);
    m->grads = athi_alloc(m->f->ctx, m->trainable_bytes);
    assert_non_null(m->block);
    assert_non_null(m->grads);
}

static inline machine machine_start(fixture *f, const athi_backend *backend, athi_mode mode, int64_t batch) {
    machine m = {.f = f};
    athi_shape shapes[8];
    int slots = 0;
    const athi_graph *g = f->net->graph;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i]->op != ATHI_OP_INPUT) continue;
        int slot = g->nodes[i]->attr.input.slot;
        shapes[slot] = g->nodes[i]->attr.input.shape;
        shapes[slot].dim[0] = batch;
        slots = ATHI_MAX(slots, slot + 1);
    }
    athi_compile_opts o = {
        .mode = mode, .backend = backend, .threads = 1, .input_shapes = shapes, .n_slots = slots};
    if (f->net->optimizer) o.emit_update = athi_net_emit_update, o.user = f->net;
    assert_ok(f->ctx, athi_compile(g, &o, &m.plan));
    machine_layout(&m);
    m.slab = athi_alloc(f->ctx, athi_plan_slab_bytes(m.plan));
    assert_non_null(m.slab);
    athi_spaces spaces = {.slab = m.slab,
                          .block = m.block,
                          .grads = m.grads,
                          .trainable_bytes = m.trainable_bytes};
    assert_ok(f->ctx, athi_plan_bind(m.plan, &spaces));
    return m;
}

static inline void machine_end(machine *m) {
    athi_plan_destroy(m->plan);
    athi_free(m->f->ctx, m->block);
    athi_free(m->f->ctx, m->grads);
    athi_free(m->f->ctx, m->slab);
}

static inline athi_variable *variable(const fixture *f, const char *name) {
    const athi_graph *g = f->net->graph;
    for (int64_t i = 0; i < g->n_variables; i++)
        if (strcmp(g->variables[i]->name, name) == 0) return g->variables[i];
    fail_msg("there is no variable '%s'", name);
    return NULL;
}
static inline void *at(const machine *m, const char *name) { return m->block + variable(m->f, name)->offset; }
static inline float *gradient_at(const machine *m, const char *name) {
    return (float *)(void *)(m->grads + variable(m->f, name)->offset);
}

/** Runs fn on every backend that this machine can run. */
static inline void on_backends(void (*fn)(const athi_backend *backend)) {
    for (int i = 0; athi_backends[i]; i++)
        if (!athi_backends[i]->unavailable || !athi_backends[i]->unavailable()) fn(athi_backends[i]);
}

#endif
