/* Units: making them, and what all passes ask about them. */
#include "passes/units.h"

bool athi_unit_makes(const athi_unit *unit, const ath_tensor *t) {
    for (int i = 0; i < unit->n_nodes; i++)
        if (unit->nodes[i] == t->node) return true;
    return false;
}

int64_t athi_tensor_bytes(const ath_tensor *t) { return athi_shape_count(t->shape) * athi_dtype_size(t->dtype); }

/* A convolution's kernel, or the gradient of one, on its way between float32 and bf16. */
static bool is_cast_of_kernel(const athi_node *node) {
    if (node->op != ATHI_OP_CAST) return false;
    athi_op from = node->in[0]->node->op;
    return from == ATHI_OP_VARIABLE || from == ATHI_OP_CONV2D_GRAD_W;
}

/* Not the kernels of convolutions, which have four axes too. */
bool athi_is_image(const athi_node *node, bool output, int index) {
    const ath_tensor *t = output ? &node->out[index] : node->in[index];
    if (t->shape.rank != 4 || is_cast_of_kernel(node)) return false;
    if (output) return node->op != ATHI_OP_CONV2D_GRAD_W && !athi_op_is_source(node->op);
    bool kernel =
        (node->op == ATHI_OP_CONV2D || node->op == ATHI_OP_CONV2D_GRAD_X || node->op == ATHI_OP_QUANTIZED_CONV2D) &&
        index == 1;
    bool variable = athi_op_has_effect(node->op) && index == 0; /* what it changes; what it reads may be an image */
    return !kernel && !variable;
}

bool athi_unit_is_view(const athi_unit *unit) { return unit->n_nodes == 1 && unit->nodes[0]->op == ATHI_OP_RESHAPE; }

/* Is `t` read by anything outside the unit, or kept? */
static bool used_outside(const athi_graph *graph, const athi_unit *unit, const ath_tensor *t) {
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i] == t) return true;
    if (graph->loss == t) return true;
    for (int64_t i = t->node->id + 1; i < graph->n_nodes; i++) {
        const athi_node *node = graph->nodes[i];
        bool member = false;
        for (int m = 0; m < unit->n_nodes; m++) member |= unit->nodes[m] == node;
        for (int k = 0; k < node->n_in && !member; k++)
            if (node->in[k] == t) return true;
    }
    return false;
}

athi_unit *athi_unit_create(athi_graph *graph, const athi_pattern *pattern, athi_node *const *nodes, int n_nodes) {
    athi_unit *unit = athi_arena_alloc(graph->arena, sizeof *unit);
    if (!unit) return NULL;
    *unit = (athi_unit){.pattern = pattern, .n_nodes = n_nodes, .why = ""};
    int n_in = 0, n_out = 0;
    for (int i = 0; i < n_nodes; i++) {
        unit->nodes[i] = nodes[i];
        n_in += nodes[i]->n_in;
        n_out += nodes[i]->n_out;
    }
    unit->in = athi_arena_array(graph->arena, ATHI_MAX(n_in, 1), sizeof(ath_tensor *));
    unit->out = athi_arena_array(graph->arena, ATHI_MAX(n_out, 1), sizeof(ath_tensor *));
    if (!unit->in || !unit->out) return NULL;
    for (int i = 0; i < n_nodes; i++) {
        for (int k = 0; k < nodes[i]->n_in; k++)
            if (!athi_unit_makes(unit, nodes[i]->in[k])) unit->in[unit->n_in++] = nodes[i]->in[k];
        for (int k = 0; k < nodes[i]->n_out; k++)
            if (i == n_nodes - 1 || used_outside(graph, unit, &nodes[i]->out[k]))
                unit->out[unit->n_out++] = &nodes[i]->out[k];
    }
    return unit;
}

ath_status athi_renumber(athi_graph *graph) {
    int64_t n = 0;
    for (int64_t i = 0; i < graph->n_nodes; i++) n += athi_op_is_source(graph->nodes[i]->op);
    for (int64_t u = 0; u < graph->n_units; u++) n += graph->units[u]->n_nodes;
    athi_node **nodes = athi_alloc_array(graph->ctx, ATHI_MAX(n, 1), sizeof(athi_node *));
    if (!nodes) return ATH_E_NOMEM;
    int64_t at = 0;
    for (int64_t i = 0; i < graph->n_nodes; i++)
        if (athi_op_is_source(graph->nodes[i]->op)) nodes[at++] = graph->nodes[i];
    for (int64_t u = 0; u < graph->n_units; u++)
        for (int m = 0; m < graph->units[u]->n_nodes; m++) nodes[at++] = graph->units[u]->nodes[m];
    for (int64_t i = 0; i < at; i++) nodes[i]->id = (int)i;
    athi_free(graph->ctx, graph->nodes);
    graph->nodes = nodes;
    graph->n_nodes = graph->cap_nodes = at;
    return ATH_OK;
}
