/* Gives every value its type by the layers' policy: nodes that compute in bf16 read bf16 where their op's row lets them,
 * all others float32; casts stand between.
 *
 * Nodes are taken in program order, and their types inferred again. A value is cast once for all its readers; constants
 * are made in the type that is wanted; a cast to float32 is not cast back. Predictions and the loss are float32. */
#include "passes/passes.h"

/* A constant made again in the other type; of any other value a cast. */
static ath_tensor *twin_of(athi_graph *graph, ath_tensor *t, ath_dtype wanted) {
    if (t->node->op != ATHI_OP_CONSTANT) return athi_cast(graph, t, wanted);
    athi_attr attr = t->node->attr;
    attr.constant.dtype = wanted;
    return athi_node_add(graph, ATHI_OP_CONSTANT, NULL, 0, &attr);
}

/* `t` as f32 or bf16; other types as they are. The twin, once made, is kept at the value's mark. */
static ath_tensor *fit(athi_graph *graph, ath_tensor *t, ath_dtype wanted) {
    if (t->dtype == wanted || (t->dtype != ATH_F32 && t->dtype != ATH_BF16)) return t;
    const athi_node *from = t->node;
    if (from->op == ATHI_OP_CAST && wanted == ATH_BF16 && from->in[0]->dtype == wanted) return from->in[0];
    if (t->mark) return t->mark;
    ath_tensor *twin = twin_of(graph, t, wanted);
    if (!athi_is_poison(twin)) t->mark = twin;
    return twin;
}

static ath_status retype(athi_graph *graph, athi_node *node) {
    const athi_op_info *info = &athi_op_table[node->op];
    graph->layer = node->layer; /* a cast is its first reader's */
    for (int k = 0; k < node->n_in && info->compute != ATHI_COMPUTE_ANY; k++)
        node->in[k] = fit(graph, node->in[k], k < info->compute ? node->compute : ATH_F32);
    graph->layer = "";
    ATH_TRY(athi_graph_check(graph));
    ATH_TRY(info->shape(node));
    node->compute = ATH_F32; /* from here on the types say it */
    ATH_TRY(ATHI_GROW(graph->ctx, graph->nodes, graph->n_nodes, graph->cap_nodes));
    node->id = (int)graph->n_nodes;
    graph->nodes[graph->n_nodes++] = node;
    return ATH_OK;
}

static ath_status retype_ends(athi_graph *graph) {
    if (graph->loss) graph->loss = fit(graph, graph->loss, ATH_F32);
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i] = fit(graph, graph->outputs[i], ATH_F32);
    return athi_graph_check(graph);
}

static bool is_mixed(const athi_graph *graph) {
    for (int64_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i]->compute != ATH_F32) return true;
    return false;
}

ath_status athi_pass_precision(athi_graph *graph) {
    ATH_TRY(athi_graph_verify(graph, ATHI_INV_TYPED));
    if (!is_mixed(graph)) return ATH_OK;
    athi_node **old = graph->nodes; /* the program as it was; the new one is appended to */
    int64_t n = graph->n_nodes;
    graph->nodes = NULL;
    graph->n_nodes = graph->cap_nodes = 0;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < old[i]->n_out; k++) old[i]->out[k].mark = NULL;
    ath_status status = ATH_OK;
    for (int64_t i = 0; i < n && status == ATH_OK; i++) status = retype(graph, old[i]);
    if (status == ATH_OK) status = retype_ends(graph);
    athi_free(graph->ctx, old);
    return status == ATH_OK ? athi_graph_verify(graph, ATHI_INV_TYPED) : status;
}
