/* What a node costs: floating-point operations (multiply and add count as two) and bytes that it must touch. */
#include "graph/backend.h"

#include <math.h>

static double count(const ath_tensor *t) { return (double)athi_shape_count(t->shape); }

/* One multiply-add a cell of the window, channel of the group, and output value. */
static double convolution(const athi_node *node, const ath_tensor *y, double channels) {
    const int64_t *size = node->attr.window.size;
    double groups = (double)ATHI_MAX(node->attr.window.groups, 1);
    return 2 * count(y) * (double)(size[0] * size[1]) * channels / groups;
}

static double window_cells(const athi_node *node) {
    return (double)(node->attr.window.size[0] * node->attr.window.size[1]);
}

/* The optimiser's step passes over the whole block: weights and slots are read and written, gradients read. Operations
 * are counted roughly, four a value that is kept (sgd 2, adam 12 and a root); memory is what bounds it. */
static double update_bytes(const athi_graph *graph) {
    double bytes = 0;
    for (int64_t i = 0; i < graph->n_variables; i++) {
        const athi_variable *v = graph->variables[i];
        int passes = v->role == ATHI_TRAINABLE ? 3 : v->role == ATHI_SLOT ? 2 : 0;
        bytes += passes * (double)athi_shape_count(v->shape) * (double)athi_dtype_size(v->dtype);
    }
    return bytes;
}
static double update_flops(const athi_graph *graph) {
    double n = 0;
    for (int64_t i = 0; i < graph->n_variables; i++) {
        const athi_variable *v = graph->variables[i];
        if (v->role == ATHI_TRAINABLE || v->role == ATHI_SLOT) n += (double)athi_shape_count(v->shape);
    }
    return 4 * n;
}

double athi_node_flops(const athi_node *node) {
    switch (node->op) {
    case ATHI_OP_INPUT:
    case ATHI_OP_VARIABLE:
    case ATHI_OP_CONSTANT:
    case ATHI_OP_RESHAPE:
    case ATHI_OP_TRANSPOSE:
    case ATHI_OP_CONCAT:
    case ATHI_OP_SLICE:
    case ATHI_OP_SLICE_GRAD:
    case ATHI_OP_BROADCAST_TO:
    case ATHI_OP_GRADIENT:
    case ATHI_OP_COPY:
    case ATHI_OP_REORDER: return 0;
    case ATHI_OP_MATMUL: {
        athi_shape a = node->in[0]->shape;
        return 2 * count(&node->out[0]) * (double)a.dim[!node->attr.matmul.transpose_a];
    }
    case ATHI_OP_QUANTIZED_MATMUL: return 2 * count(&node->out[0]) * (double)node->in[0]->shape.dim[1];
    case ATHI_OP_QUANTIZED_CONV2D:
    case ATHI_OP_CONV2D: return convolution(node, &node->out[0], (double)node->in[0]->shape.dim[3]);
    case ATHI_OP_CONV2D_GRAD_X: return convolution(node, node->in[0], (double)node->out[0].shape.dim[3]);
    case ATHI_OP_CONV2D_GRAD_W: return convolution(node, node->in[1], (double)node->in[0]->shape.dim[3]);
    case ATHI_OP_MAX_POOL2D:
    case ATHI_OP_AVERAGE_POOL2D: return count(&node->out[0]) * window_cells(node);
    case ATHI_OP_MAX_POOL2D_GRAD: return count(node->in[0]);
    case ATHI_OP_AVERAGE_POOL2D_GRAD: return count(node->in[0]) * window_cells(node);
    case ATHI_OP_BATCH_NORM_TRAIN:
    case ATHI_OP_LAYER_NORM: return 7 * count(node->in[0]); /* two passes for the moments, one to apply them */
    case ATHI_OP_BATCH_NORM_INFER: return 2 * count(node->in[0]);
    case ATHI_OP_BATCH_NORM_GRAD:
    case ATHI_OP_LAYER_NORM_GRAD: return 11 * count(node->in[0]);
    case ATHI_OP_SOFTMAX:
    case ATHI_OP_SPARSE_XENT:
    case ATHI_OP_DENSE_XENT: return 5 * count(node->in[0]);
    case ATHI_OP_UPDATE: return update_flops(node->in[0]->graph);
    default: break;
    }
    /* The rest does about one operation for each value of its largest operand. */
    double most = 0;
    for (int i = 0; i < node->n_in; i++) most = ATHI_MAX(most, count(node->in[i]));
    for (int i = 0; i < node->n_out; i++) most = ATHI_MAX(most, count(&node->out[i]));
    return most;
}

double athi_node_bytes(const athi_node *node) {
    if (athi_op_is_source(node->op) || node->op == ATHI_OP_RESHAPE) return 0;
    if (node->op == ATHI_OP_UPDATE) return update_bytes(node->in[0]->graph);
    double bytes = 0;
    for (int i = 0; i < node->n_in; i++) bytes += count(node->in[i]) * (double)athi_dtype_size(node->in[i]->dtype);
    for (int i = 0; i < node->n_out; i++) bytes += count(&node->out[i]) * (double)athi_dtype_size(node->out[i].dtype);
    return bytes;
}

static bool is_product(athi_op op) {
    return op == ATHI_OP_MATMUL || op == ATHI_OP_CONV2D || op == ATHI_OP_CONV2D_GRAD_X || op == ATHI_OP_CONV2D_GRAD_W;
}

double athi_machine_flops(const athi_machine *m, const athi_node *node) {
    const bool bf16 = is_product(node->op) && node->in[0]->dtype == ATH_BF16;
    return bf16 && m->flops_bf16 > 0 ? m->flops_bf16 : m->flops;
}

double athi_machine_rate(const athi_machine *m, double bytes) {
    int last = ATHI_MACHINE_LEVELS - 1, i = 0;
    while (i < last && bytes > m->levels[i].bytes) i++;
    if (i == 0 || bytes >= m->levels[last].bytes) return m->levels[i].rate;
    double low = m->levels[i - 1].bytes, share = log(bytes / low) / log(m->levels[i].bytes / low);
    return m->levels[i - 1].rate * pow(m->levels[i].rate / m->levels[i - 1].rate, share);
}
