/* A model's graph -> the program of one mode at known input shapes: what outputs and effects need, batch_norm in
 * its form for the mode, dropout and augmentations only in training. */
#include "augment/augment.h"
#include "graph/rules.h"

typedef struct copying {
    const athi_graph *from;
    athi_graph *to;
    athi_mode mode;
    const athi_shape *input_shapes;
    int n_slots;
    bool *needed;       /* by node id of `from` */
    ath_tensor ***made; /* by node id of `from`: the new values of its outputs */
} copying;

static ath_tensor *mapped(const copying *c, const ath_tensor *old) { return c->made[old->node->id][old->index]; }

static bool keeps_outputs(const copying *c) { return c->mode != ATHI_MODE_TRAIN; }

/* Dropout and augmentations: outside training they need no counters, and all but crops do nothing. */
static bool is_random(athi_op op) { return op == ATHI_OP_DROPOUT || op == ATHI_OP_AUGMENT; }

static bool is_idle(const copying *c, const athi_node *node) {
    if (c->mode == ATHI_MODE_TRAIN || !is_random(node->op)) return false;
    const athi_row *row = node->op == ATHI_OP_AUGMENT ? node->attr.augment.row : NULL;
    return !row || !((const athi_augment_impl *)row->impl)->size;
}

/* Backwards from effects, outputs and loss. */
static void mark_needed(copying *c) {
    const athi_graph *g = c->from;
    if (keeps_outputs(c))
        for (int i = 0; i < g->n_outputs; i++) c->needed[g->outputs[i]->node->id] = true;
    else if (g->loss)
        c->needed[g->loss->node->id] = true;
    for (int64_t i = g->n_nodes - 1; i >= 0; i--) {
        const athi_node *node = g->nodes[i];
        if (athi_op_has_effect(node->op) && (node->modes & (unsigned)c->mode)) c->needed[i] = true;
        if (!c->needed[i]) continue;
        bool dropped = is_random(node->op) && c->mode != ATHI_MODE_TRAIN;
        for (int k = 0; k < (dropped ? 1 : node->n_in); k++) c->needed[node->in[k]->node->id] = true;
    }
}

/* Batch statistics, and the moving ones drawn towards them. */
static ath_tensor *batch_norm_train(copying *c, const athi_node *node, ath_tensor *const *in) {
    ath_tensor *y = athi_node_add(c->to, ATHI_OP_BATCH_NORM_TRAIN, in, 3, &node->attr);
    for (int i = 0; i < 2 && !athi_is_poison(y); i++) {
        ath_tensor *effect = athi_op2(c->to, ATHI_OP_MOVE_TOWARDS, in[3 + i], &y->node->out[1 + i], &node->attr);
        if (athi_is_poison(effect)) return effect;
    }
    return y;
}

static ath_tensor *copy_input(copying *c, const athi_node *node) {
    athi_attr attr = node->attr;
    int slot = attr.input.slot;
    if (slot >= 0 && slot < c->n_slots && c->input_shapes[slot].rank >= 0) {
        athi_shape given = c->input_shapes[slot];
        char a[96], b[96];
        if (!athi_shapes_agree(attr.input.shape, given))
            return athi_poison(c->to, ATH_E_SHAPE, "input '%s': expected %s, got %s", attr.input.name,
                               athi_shape_str(attr.input.shape, a), athi_shape_str(given, b));
        attr.input.shape = given;
    }
    return athi_node_add(c->to, ATHI_OP_INPUT, NULL, 0, &attr);
}

static ath_tensor *copy_node(copying *c, const athi_node *node) {
    ath_tensor *in[64];
    if (node->n_in > ATHI_COUNT(in))
        return athi_poison(c->to, ATH_E_SHAPE, "%s: more than %d inputs", athi_op_name(node->op), ATHI_COUNT(in));
    bool training = c->mode == ATHI_MODE_TRAIN;
    if (is_idle(c, node)) return mapped(c, node->in[0]);
    if (node->op == ATHI_OP_INPUT) return copy_input(c, node);
    int n_in = is_random(node->op) && !training ? 1 : node->n_in;
    for (int i = 0; i < n_in; i++) in[i] = mapped(c, node->in[i]);
    c->to->layer = node->layer;
    c->to->compute = node->compute;
    c->to->backward = node->backward;
    if (node->op == ATHI_OP_BATCH_NORM) {
        if (training && !node->attr.norm.frozen) return batch_norm_train(c, node, in);
        return athi_node_add(c->to, ATHI_OP_BATCH_NORM_INFER, in, 5, &node->attr);
    }
    return athi_node_add(c->to, node->op, in, n_in, &node->attr);
}

static ath_status copy_nodes(copying *c) {
    for (int64_t i = 0; i < c->from->n_nodes; i++) {
        if (!c->needed[i]) continue;
        const athi_node *node = c->from->nodes[i];
        ath_tensor *first = copy_node(c, node);
        ATH_TRY(athi_graph_check(c->to));
        int n = ATHI_MAX(node->n_out, 1);
        c->made[i] = athi_arena_array(c->to->arena, n, sizeof(ath_tensor *));
        if (!c->made[i]) return ATH_E_NOMEM;
        for (int k = 0; k < n; k++) c->made[i][k] = k == 0 ? first : &first->node->out[k];
    }
    return ATH_OK;
}

static ath_status copy_ends(copying *c) {
    const athi_graph *from = c->from;
    athi_graph *to = c->to;
    to->layer = "";
    to->compute = ATH_F32;
    to->backward = false;
    if (!keeps_outputs(c)) {
        if (from->loss) to->loss = mapped(c, from->loss);
        return ATH_OK;
    }
    to->outputs = athi_arena_array(to->arena, ATHI_MAX(from->n_outputs, 1), sizeof(ath_tensor *));
    if (!to->outputs) return ATH_E_NOMEM;
    to->n_outputs = from->n_outputs;
    for (int i = 0; i < from->n_outputs; i++) to->outputs[i] = mapped(c, from->outputs[i]);
    return ATH_OK;
}

static ath_status share_variables(const athi_graph *from, athi_graph *to) {
    for (int64_t i = 0; i < from->n_variables; i++) {
        ATH_TRY(ATHI_GROW(to->ctx, to->variables, to->n_variables, to->cap_variables));
        to->variables[to->n_variables++] = from->variables[i];
    }
    return ATH_OK;
}

ath_status athi_graph_specialize(const athi_graph *graph, athi_mode mode, const athi_shape *input_shapes, int n_slots,
                                 athi_graph **out) {
    if (graph->failed != ATH_OK) return athi_fail(graph->ctx, graph->failed, "%s", graph->error);
    athi_graph *to = NULL;
    ATH_TRY(athi_graph_create(graph->ctx, &to));
    copying c = {.from = graph, .to = to, .mode = mode, .input_shapes = input_shapes, .n_slots = n_slots};
    c.needed = athi_arena_array(to->arena, ATHI_MAX(graph->n_nodes, 1), sizeof(bool));
    c.made = athi_arena_array(to->arena, ATHI_MAX(graph->n_nodes, 1), sizeof(ath_tensor **));
    ath_status status = c.needed && c.made ? ATH_OK : ATH_E_NOMEM;
    if (status != ATH_OK) goto done;
    mark_needed(&c);
    to->modes = (unsigned)mode;
    ATH_GOTO(status, done, share_variables(graph, to));
    ATH_GOTO(status, done, copy_nodes(&c));
    ATH_GOTO(status, done, copy_ends(&c));
done:
    if (status == ATH_OK)
        *out = to;
    else
        athi_graph_destroy(to);
    return status;
}
