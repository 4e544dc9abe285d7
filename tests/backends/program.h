/* Small whole programs for backend tests: a model built by the test, its block laid out and filled with random
 * numbers that depend on the seed alone, run for some steps on a backend; then the blocks are compared. */
#ifndef ATH_PROGRAM_H
#define ATH_PROGRAM_H

#include <math.h>

#include "athanor/optimizers.h"
#include "base/options.h"
#include "base/philox.h"
#include "passes/passes.h"
#include "test.h"

enum { PROGRAM_SLOTS = 3 };

typedef struct program program;
typedef struct program_case {
    const char *name;
    void (*build)(program *p);        /* appends the model to p->graph and sets its loss */
    const char *optimizer;            /* NULL: gradients alone */
    const char *slots[PROGRAM_SLOTS]; /* of the optimiser */
    const void *optimizer_opts;
    athi_mode mode; /* 0: train */
    int steps;
    double tolerance; /* relative to the largest element of a variable; 0: 1e-5 */
    bool bf16;        /* what computes in it, under mixed_bfloat16 */
} program_case;

struct program {
    const program_case *c;
    ath_ctx *ctx;
    athi_graph *graph;
    athi_plan *plan;
    athi_spaces spaces;
    int64_t block_bytes;
    uint64_t draws;
    athi_variable *learning_rate, *counters;
};

static inline athi_rng program_rng(uint64_t what) { return athi_rng_at(5, ATHI_PURPOSE(ATHI_RNG_TEST, what)); }

static inline ath_tensor *program_weight(program *p, const char *name, athi_shape shape) {
    athi_variable *v = athi_variable_add(p->graph, name, shape, ATH_F32, ATHI_TRAINABLE);
    return v ? athi_variable_tensor(p->graph, v) : &p->graph->poison;
}
static inline ath_tensor *program_statistic(program *p, const char *name, athi_shape shape) {
    athi_variable *v = athi_variable_add(p->graph, name, shape, ATH_F32, ATHI_STATISTIC);
    return v ? athi_variable_tensor(p->graph, v) : &p->graph->poison;
}
static inline ath_tensor *program_input(program *p, int slot, athi_shape shape, ath_dtype dtype) {
    return athi_input(p->graph, slot, "input", shape, dtype);
}
/* Mean over all axes, and its sum over steps in train/loss. */
static inline void program_mean_loss(program *p, ath_tensor *per_sample) {
    athi_graph *g = p->graph;
    athi_variable *sum = athi_variable_add(g, "train/loss", athi_dims(2), ATH_F64, ATHI_TRAIN);
    uint32_t all = (1u << per_sample->shape.rank) - 1;
    g->loss = athi_op1(g, ATHI_OP_MEAN, per_sample, &(athi_attr){.axes = {.mask = all}});
    if (sum) athi_op2(g, ATHI_OP_ACCUMULATE, athi_variable_tensor(g, sum), g->loss, NULL);
}
/* Keeps a value in a variable, so that it is compared. */
static inline void program_keep(program *p, const char *name, ath_tensor *t) {
    athi_variable *v = athi_variable_add(p->graph, name, t->shape, ATH_F32, ATHI_STATISTIC);
    if (v) athi_op2(p->graph, ATHI_OP_MOVE_TOWARDS, athi_variable_tensor(p->graph, v), t, &(athi_attr){.norm = {0}});
}

static inline ath_status program_emit_update(void *user, athi_graph *graph) {
    program *p = user;
    if (!p->c->optimizer) return ATH_OK;
    athi_row *row = athi_arena_alloc(graph->arena, sizeof *row);
    if (!row) return ATH_E_NOMEM;
    row->name = p->c->optimizer;
    athi_op2(graph, ATHI_OP_UPDATE, athi_variable_tensor(graph, p->learning_rate),
             athi_variable_tensor(graph, p->counters), &(athi_attr){.update = {row, p->c->optimizer_opts}});
    athi_op1(graph, ATHI_OP_COUNT, athi_variable_tensor(graph, p->counters), NULL);
    return athi_graph_check(graph);
}

static inline void program_add_slots(program *p) {
    athi_graph *g = p->graph;
    const int64_t n = g->n_variables;
    for (int k = 0; k < PROGRAM_SLOTS && p->c->optimizer && p->c->slots[k]; k++)
        for (int64_t i = 0; i < n; i++) {
            char name[96];
            if (g->variables[i]->role != ATHI_TRAINABLE) continue;
            snprintf(name, sizeof name, "optimizer/%s/%s", p->c->slots[k], g->variables[i]->name);
            athi_variable_add(g, name, g->variables[i]->shape, ATH_F32, ATHI_SLOT);
        }
    p->learning_rate = athi_variable_add(g, "train/learning_rate", ATHI_SCALAR, ATH_F32, ATHI_TRAIN);
    p->counters = athi_variable_add(g, "train/counters", athi_dims(2), ATH_I64, ATHI_TRAIN);
}

/* Offsets by role, at multiples of 64 bytes; then the gradients' region and the slab. */
static inline void program_lay_out(program *p) {
    athi_graph *g = p->graph;
    int64_t at = 0;
    for (int role = ATHI_TRAINABLE; role <= ATHI_TRAIN; role++) {
        for (int64_t i = 0; i < g->n_variables; i++) {
            athi_variable *v = g->variables[i];
            if ((int)v->role != role) continue;
            v->offset = at;
            at += (athi_shape_count(v->shape) * athi_dtype_size(v->dtype) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
        }
        if (role == ATHI_TRAINABLE) p->spaces.trainable_bytes = at;
    }
    p->block_bytes = at;
    p->spaces.block = athi_alloc(p->ctx, at);
    p->spaces.grads = athi_alloc_raw(p->ctx, p->spaces.trainable_bytes);
    memset(p->spaces.grads, 0xff, (size_t)p->spaces.trainable_bytes); /* NaN, where nobody writes */
}

static inline void program_fill(program *p) {
    athi_graph *g = p->graph;
    for (int64_t i = 0; i < g->n_variables; i++) {
        const athi_variable *v = g->variables[i];
        athi_rng rng = program_rng(1000 + (uint64_t)i);
        if (v->dtype != ATH_F32 || (v->role != ATHI_TRAINABLE && v->role != ATHI_STATISTIC)) continue;
        float *w = (float *)(void *)(p->spaces.block + v->offset);
        double low = v->role == ATHI_STATISTIC ? 0.1 : -0.5; /* variances are positive */
        for (int64_t k = 0; k < athi_shape_count(v->shape); k++) w[k] = (float)(low + athi_rng_uniform(&rng));
    }
    *(float *)(void *)(p->spaces.block + p->learning_rate->offset) = 0.01f;
    ((int64_t *)(void *)(p->spaces.block + p->counters->offset))[0] = 77;
}

/* Fresh inputs for every step: f32 in -1 .. 1, labels below 5. */
static inline void program_fill_inputs(program *p, int step) {
    for (int slot = 0; slot < 8; slot++) {
        const ath_tensor *t;
        void *data = athi_plan_input(p->plan, slot, &t);
        if (!data) continue;
        athi_rng rng = program_rng((uint64_t)(slot * 100 + step));
        for (int64_t i = 0; i < athi_shape_count(t->shape); i++) {
            if (t->dtype == ATH_I32)
                ((int32_t *)data)[i] = (int32_t)athi_rng_below(&rng, 5);
            else
                ((float *)data)[i] = (float)(athi_rng_uniform(&rng) * 2 - 1);
        }
    }
}

static inline program *program_create(const program_case *c, const athi_backend *backend, int threads) {
    program *p = calloc(1, sizeof *p);
    p->c = c;
    assert_ok(NULL, ath_ctx_create(NULL, &p->ctx));
    assert_ok(p->ctx, athi_graph_create(p->ctx, &p->graph));
    p->graph->modes = ATHI_MODE_ALL;
    if (c->bf16) p->graph->compute = ATH_BF16;
    c->build(p);
    assert_ok(p->ctx, athi_graph_check(p->graph));
    program_add_slots(p);
    program_lay_out(p);
    athi_compile_opts o = {.mode = c->mode ? c->mode : ATHI_MODE_TRAIN,
                           .backend = backend,
                           .threads = threads,
                           .emit_update = program_emit_update,
                           .user = p};
    assert_ok(p->ctx, athi_compile(p->graph, &o, &p->plan));
    p->spaces.slab = athi_alloc_raw(p->ctx, athi_plan_slab_bytes(p->plan) + ATHI_ALIGN);
    memset(p->spaces.slab, 0xff, (size_t)athi_plan_slab_bytes(p->plan));
    assert_ok(p->ctx, athi_plan_bind(p->plan, &p->spaces));
    program_fill(p);
    return p;
}

static inline void program_run(program *p) {
    for (int step = 0; step < ATHI_MAX(p->c->steps, 1); step++) {
        program_fill_inputs(p, step);
        athi_plan_run(p->plan);
    }
}

static inline void program_destroy(program *p) {
    athi_plan_destroy(p->plan);
    athi_graph_destroy(p->graph);
    athi_free(p->ctx, p->spaces.slab);
    athi_free(p->ctx, p->spaces.block);
    athi_free(p->ctx, p->spaces.grads);
    ath_ctx_destroy(p->ctx);
    free(p);
}

static inline void program_compare_floats(const program_case *c, const char *what, const char *name, const float *got,
                                          const float *want, int64_t n) {
    double scale = 1e-3, tolerance = c->tolerance > 0 ? c->tolerance : 1e-5;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * scale))
            fail_msg("%s, %s of %s: element %lld of %lld is %.9g, wanted %.9g", c->name, what, name, (long long)i,
                     (long long)n, (double)got[i], (double)want[i]);
}

/* All f32 variables and, in training, all gradients. */
static inline void program_compare(const program *got, const program *want) {
    const bool train = !got->c->mode || got->c->mode == ATHI_MODE_TRAIN;
    for (int64_t i = 0; i < got->graph->n_variables; i++) {
        const athi_variable *v = got->graph->variables[i];
        const int64_t n = athi_shape_count(v->shape);
        if (v->dtype == ATH_F64) {
            const double *a = (const void *)(got->spaces.block + v->offset),
                         *b = (const void *)(want->spaces.block + v->offset);
            for (int64_t k = 0; k < n; k++)
                if (!(fabs(a[k] - b[k]) <= 1e-4 * (1 + fabs(b[k]))))
                    fail_msg("%s, %s: sum %lld is %.9g, wanted %.9g", got->c->name, v->name, (long long)k, a[k],
                             b[k]);
        }
        if (v->dtype != ATH_F32) continue;
        program_compare_floats(got->c, "value", v->name, (const void *)(got->spaces.block + v->offset),
                               (const void *)(want->spaces.block + v->offset), n);
        if (v->role == ATHI_TRAINABLE && train)
            program_compare_floats(got->c, "gradient", v->name, (const void *)(got->spaces.grads + v->offset),
                                   (const void *)(want->spaces.grads + v->offset), n);
    }
}

/* How many units of the plan run a kernel whose name begins so. */
static inline int program_count(const program *p, const char *pattern, const char *kernel) {
    const athi_graph *g = athi_plan_graph(p->plan);
    int n = 0;
    for (int64_t u = 0; u < g->n_units; u++) {
        const char *name = g->units[u]->pattern ? g->units[u]->pattern->name : "";
        n += (!pattern || strcmp(pattern, name) == 0) &&
             (!kernel || strncmp(g->units[u]->kernel->name, kernel, strlen(kernel)) == 0);
    }
    return n;
}

#endif
