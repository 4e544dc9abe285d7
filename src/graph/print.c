/* The canonical text of a graph:
 *
 *   variable trainable f32[784,10] "dense/kernel"
 *   %0 f32[?,784] = input() shape=[?,784] name="x"
 *   %1 f32[784,10] = variable() variable="dense/kernel"
 *   %2 f32[?,10] = matmul(%0, %1)  ; "dense"
 *   %3 f32[?], f32[?,10] = sparse_xent(%2, %4) modes=train+evaluate
 *   loss %3
 *   outputs %2, %3.1
 *   group matmul+add: %2, %5
 *
 * "%3.1" is the second output of node 3, "; ^" stands before the layer of a backward node, ":blocked8" behind the
 * type of a value that lies so. Groups follow from the backend's patterns and are not read back. */
#include "graph/backend.h"
#include "graph/text.h"

const char *const athi_role_names[5] = {"trainable", "slot", "statistic", "best", "train"};
const char *const athi_mode_names[3] = {"train", "evaluate", "predict"};

static void print_value(const ath_tensor *t, athi_text *out) {
    athi_text_printf(out, "%%%d", t->node->id);
    if (t->index) athi_text_printf(out, ".%d", t->index);
}

static void print_type(const ath_tensor *t, athi_text *out) {
    athi_text_printf(out, "%s", athi_dtype_name(t->dtype));
    if (t->layout != ATHI_PLAIN) athi_text_printf(out, ":%s", athi_layout_name(t->layout));
    athi_text_dims(out, t->shape.dim, t->shape.rank);
}

static void print_modes(unsigned modes, athi_text *out) {
    if (modes == ATHI_MODE_ALL) return;
    const char *before = " modes=";
    for (int i = 0; i < ATHI_COUNT(athi_mode_names); i++) {
        if (!(modes >> i & 1u)) continue;
        athi_text_printf(out, "%s%s", before, athi_mode_names[i]);
        before = "+";
    }
}

static void print_node(const athi_node *node, athi_text *out) {
    athi_text_printf(out, "%%%d ", node->id);
    for (int i = 0; i < node->n_out; i++) {
        if (i) athi_text_printf(out, ", ");
        print_type(&node->out[i], out);
    }
    athi_text_printf(out, "%s= %s(", node->n_out ? " " : "", athi_op_name(node->op));
    for (int i = 0; i < node->n_in; i++) {
        if (i) athi_text_printf(out, ", ");
        print_value(node->in[i], out);
    }
    athi_text_printf(out, ")");
    athi_attr_print(athi_op_table[node->op].attr, &node->attr, out);
    if (node->compute) athi_text_printf(out, " compute=%s", athi_dtype_name(node->compute));
    print_modes(node->modes, out);
    if (node->layer[0] || node->backward) {
        athi_text_printf(out, "  ; %s", node->backward ? "^" : "");
        athi_text_name(out, node->layer);
    }
    athi_text_printf(out, "\n");
}

void athi_graph_print(const athi_graph *graph, athi_text *out) {
    for (int64_t i = 0; i < graph->n_variables; i++) {
        const athi_variable *v = graph->variables[i];
        athi_text_printf(out, "variable %s %s", athi_role_names[v->role], athi_dtype_name(v->dtype));
        athi_text_dims(out, v->shape.dim, v->shape.rank);
        athi_text_printf(out, " ");
        athi_text_name(out, v->name);
        athi_text_printf(out, "\n");
    }
    for (int64_t i = 0; i < graph->n_nodes; i++) print_node(graph->nodes[i], out);
    if (graph->loss) {
        athi_text_printf(out, "loss ");
        print_value(graph->loss, out);
        athi_text_printf(out, "\n");
    }
    for (int i = 0; i < graph->n_outputs; i++) {
        athi_text_printf(out, i ? ", " : "outputs ");
        print_value(graph->outputs[i], out);
    }
    if (graph->n_outputs) athi_text_printf(out, "\n");
    for (int64_t u = 0; u < graph->n_units; u++) {
        const athi_unit *unit = graph->units[u];
        if (!unit->pattern) continue;
        athi_text_printf(out, "group %s: ", unit->pattern->name);
        for (int m = 0; m < unit->n_nodes; m++) athi_text_printf(out, m ? ", %%%d" : "%%%d", unit->nodes[m]->id);
        athi_text_printf(out, "\n");
    }
}
