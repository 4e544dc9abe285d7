/* The passes in their order, over a copy of the model's graph. */
#include "passes/plan.h"

static ath_status train_passes(athi_graph *graph, const athi_compile_opts *opts) {
    ATH_TRY(athi_pass_differentiate(graph));
    if (!opts->emit_update) return ATH_OK;
    unsigned modes = graph->modes;
    graph->modes = ATHI_MODE_TRAIN;
    ath_status status = opts->emit_update(opts->user, graph);
    graph->modes = modes;
    if (status == ATH_OK) status = athi_graph_check(graph);
    return status == ATH_OK ? athi_graph_verify(graph, ATHI_INV_TYPED | ATHI_INV_GRADIENTS) : status;
}

ath_status athi_compile(const athi_graph *model, const athi_compile_opts *opts, athi_plan **out) {
    athi_graph *graph = NULL;
    athi_plan *plan = NULL;
    ATH_TRY(athi_graph_specialize(model, opts->mode, opts->input_shapes, opts->n_slots, &graph));
    if (opts->backend->enter) opts->backend->enter(ATHI_MAX(opts->threads, 1));
    ath_status status = athi_pass_precision(graph);
    if (status == ATH_OK && opts->mode == ATHI_MODE_TRAIN) status = train_passes(graph, opts);
    if (status == ATH_OK) status = athi_pass_fuse(graph, opts->backend);
    if (status == ATH_OK) status = athi_pass_place(graph, opts->backend);
    if (status == ATH_OK) status = athi_pass_plan(graph, opts->backend, opts->threads, &plan);
    if (status != ATH_OK) {
        athi_graph_destroy(graph);
        return status;
    }
    plan->owns_graph = true;
    *out = plan;
    return ATH_OK;
}
