/* Appends the backward pass: walks the program backwards from the loss, lets each op's rule append the nodes of its
 * gradients, sums what arrives over several uses, and ends with one `gradient` effect a trainable variable. */
#include "graph/grad.h"
#include "passes/passes.h"

enum { MAX_IN = 64 };

typedef struct walk {
    athi_graph *graph;
    int64_t n;         /* nodes of the forward pass */
    bool *wants;       /* by node id */
    ath_tensor ***sum; /* by node id and output: the gradient so far, NULL for none */
    athi_grad rules;
} walk;

static bool is_trainable(const athi_node *node) {
    return node->op == ATHI_OP_VARIABLE && node->attr.variable.variable->role == ATHI_TRAINABLE;
}

/* Comparisons and the like stop the gradient: it is zero almost everywhere. Other ops without a rule must not lie
 * between the loss and a variable. */
static bool stops(const athi_op_info *info) { return !info->grad && strncmp(info->no_grad, "piecewise", 9) == 0; }

static ath_status prepare(walk *w, athi_arena *scratch) {
    w->n = w->graph->n_nodes;
    w->wants = athi_arena_array(scratch, ATHI_MAX(w->n, 1), sizeof(bool));
    w->sum = athi_arena_array(scratch, ATHI_MAX(w->n, 1), sizeof(ath_tensor **));
    if (!w->wants || !w->sum) return ATH_E_NOMEM;
    for (int64_t i = 0; i < w->n; i++) {
        const athi_node *node = w->graph->nodes[i];
        w->sum[i] = athi_arena_array(scratch, ATHI_MAX(node->n_out, 1), sizeof(ath_tensor *));
        if (!w->sum[i]) return ATH_E_NOMEM;
        w->wants[i] = is_trainable(node);
        for (int k = 0; k < node->n_in; k++) w->wants[i] |= w->wants[node->in[k]->node->id];
        if (stops(&athi_op_table[node->op])) w->wants[i] = false;
    }
    w->rules = (athi_grad){.graph = w->graph, .wants = w->wants};
    return ATH_OK;
}

static void arrive(walk *w, const ath_tensor *value, ath_tensor *gradient) {
    ath_tensor **sum = &w->sum[value->node->id][value->index];
    *sum = *sum ? athi_op2(w->graph, ATHI_OP_ADD, *sum, gradient, NULL) : gradient;
}

static ath_status step_back(walk *w, athi_node *node) {
    const athi_op_info *info = &athi_op_table[node->op];
    bool arrived = false;
    for (int k = 0; k < node->n_out; k++) arrived |= w->sum[node->id][k] != NULL;
    if (!arrived || !w->wants[node->id] || node->op == ATHI_OP_VARIABLE) return ATH_OK;
    if (!info->grad)
        return athi_fail(w->graph->ctx, ATH_E_UNSUPPORTED,
                         "%s '%s': it has no gradient (%s), but the loss depends on "
                         "weights through it",
                         info->name, node->layer, info->no_grad);
    ath_tensor *dx[MAX_IN] = {NULL};
    w->graph->layer = node->layer;
    info->grad(&w->rules, node, w->sum[node->id], dx);
    ATH_TRY(athi_graph_check(w->graph));
    for (int k = 0; k < node->n_in; k++) {
        if (!dx[k] || !athi_grad_wants(&w->rules, node->in[k])) continue;
        if (!athi_shape_equal(dx[k]->shape, node->in[k]->shape) || dx[k]->dtype != node->in[k]->dtype) {
            char a[96], b[96];
            return athi_fail(w->graph->ctx, ATH_E_FAILED, "%s '%s': its gradient rule gave %s%s for input %d, %s%s",
                             info->name, node->layer, athi_dtype_name(dx[k]->dtype), athi_shape_str(dx[k]->shape, a),
                             k, athi_dtype_name(node->in[k]->dtype), athi_shape_str(node->in[k]->shape, b));
        }
        arrive(w, node->in[k], dx[k]);
    }
    return athi_graph_check(w->graph);
}

static ath_status collect(walk *w) {
    athi_graph *g = w->graph;
    g->layer = "";
    for (int64_t i = 0; i < g->n_variables; i++) {
        athi_variable *v = g->variables[i];
        if (v->role != ATHI_TRAINABLE) continue;
        ath_tensor *value = athi_variable_tensor(g, v), *gradient = NULL;
        if (!athi_is_poison(value) && value->node->id < w->n) gradient = w->sum[value->node->id][0];
        if (!gradient) /* nothing depends on it */
            gradient = athi_node_add(g, ATHI_OP_CONSTANT, NULL, 0, &(athi_attr){.constant = {0, v->shape, v->dtype}});
        athi_op2(g, ATHI_OP_GRADIENT, value, gradient, NULL);
    }
    return athi_graph_check(g);
}

static ath_status differentiate(athi_graph *graph, athi_arena *scratch) {
    walk w = {.graph = graph};
    ATH_TRY(prepare(&w, scratch));
    ath_tensor *loss = graph->loss;
    athi_attr one = {.constant = {1, ATHI_SCALAR, loss->dtype}};
    arrive(&w, loss, athi_node_add(graph, ATHI_OP_CONSTANT, NULL, 0, &one));
    for (int64_t i = w.n - 1; i >= 0; i--) ATH_TRY(step_back(&w, graph->nodes[i]));
    return collect(&w);
}

ath_status athi_pass_differentiate(athi_graph *graph) {
    ATH_TRY(athi_graph_verify(graph, ATHI_INV_TYPED));
    char text[96];
    if (!graph->loss) return athi_fail(graph->ctx, ATH_E_STATE, "the model has no loss; training needs one");
    if (graph->loss->shape.rank != 0)
        return athi_fail(graph->ctx, ATH_E_SHAPE, "expected a loss of one number, got %s",
                         athi_shape_str(graph->loss->shape, text));
    athi_arena *scratch = athi_arena_create(graph->ctx);
    if (!scratch) return ATH_E_NOMEM;
    unsigned modes = graph->modes;
    graph->backward = true;
    graph->modes = ATHI_MODE_TRAIN;
    ath_status status = differentiate(graph, scratch);
    graph->backward = false;
    graph->modes = modes;
    graph->layer = "";
    athi_arena_destroy(scratch);
    if (status == ATH_OK) graph->invariants |= ATHI_INV_TYPED | ATHI_INV_GRADIENTS;
    return status == ATH_OK ? athi_graph_verify(graph, ATHI_INV_TYPED | ATHI_INV_GRADIENTS) : status;
}
