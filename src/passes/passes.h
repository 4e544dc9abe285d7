/* Passes graph -> graph, run in one order, verified after each; and the plan they end in.
 *
 *   specialize (graph.h) -> precision -> differentiate -> [update nodes] -> fuse -> place -> plan
 */
#ifndef ATHI_PASSES_H
#define ATHI_PASSES_H

#include "graph/backend.h"

typedef struct athi_plan athi_plan;

typedef struct athi_compile_opts {
    athi_mode mode;
    const athi_backend *backend;
    int threads;
    const athi_shape *input_shapes; /* by slot */
    int n_slots;
    /** Called after differentiation (mode train): appends clipping and the optimiser's update. */
    ath_status (*emit_update)(void *user, athi_graph *graph);
    void *user;
} athi_compile_opts;

/** All passes over a copy of `model`; the plan owns the copy. Errors: build errors, ATH_E_UNSUPPORTED (no kernel). */
ath_status athi_compile(const athi_graph *model, const athi_compile_opts *opts, athi_plan **plan);
void athi_plan_destroy(athi_plan *plan);

int64_t athi_plan_slab_bytes(const athi_plan *plan);
/** Sets the base pointers (they may change between runs, e.g. when a larger plan made the slab grow). */
ath_status athi_plan_bind(athi_plan *plan, const athi_spaces *spaces);
/** Where the caller writes the data of a slot, and reads an output; NULL if the plan does not use it. */
void *athi_plan_input(const athi_plan *plan, int slot, const ath_tensor **tensor);
const void *athi_plan_output(const athi_plan *plan, int index, const ath_tensor **tensor);
/** One step. Never fails: what could fail did so in athi_compile. */
void athi_plan_run(const athi_plan *plan);
/** The same with seconds per call added to `seconds` [number of units]; of one thread its processor time, which other
 *  programs on the machine do not disturb. */
void athi_plan_run_profiled(const athi_plan *plan, double *seconds);
const athi_graph *athi_plan_graph(const athi_plan *plan);

/* The single passes, for tests and explain. Each checks what it needs and is verified after. */
ath_status athi_pass_precision(athi_graph *graph);
ath_status athi_pass_differentiate(athi_graph *graph);
ath_status athi_pass_fuse(athi_graph *graph, const athi_backend *backend);
ath_status athi_pass_place(athi_graph *graph, const athi_backend *backend);
ath_status athi_pass_plan(athi_graph *graph, const athi_backend *backend, int threads, athi_plan **plan);

#endif
