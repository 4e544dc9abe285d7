/* Gradient rules of elementwise ops, reductions, rearrangements and products: each appends the nodes that give dx
 * for the inputs that want one. Unknown sizes do not occur here: differentiation runs on specialised graphs. */
#include "graph/rules.h"

static bool wants(const athi_grad *g, const athi_node *node, int i) { return athi_grad_wants(g, node->in[i]); }

static ath_tensor *scale(athi_graph *graph, ath_tensor *x, double alpha, double beta) {
    return athi_op1(graph, ATHI_OP_SCALE, x, &(athi_attr){.alpha = {alpha, beta}});
}

static ath_tensor *reshape_to(athi_graph *graph, ath_tensor *x, athi_shape shape) {
    if (athi_shape_equal(x->shape, shape)) return x;
    return athi_op1(graph, ATHI_OP_RESHAPE, x, &(athi_attr){.shape = {shape}});
}

ath_tensor *athi_grad_unbroadcast(athi_grad *g, ath_tensor *dy, const ath_tensor *t) {
    if (athi_shape_equal(dy->shape, t->shape)) return dy;
    /* The gradient of a maximum spreads each number to one cell of its channel: summed over cells it is the same. */
    if (dy->node && dy->node->op == ATHI_OP_MAX_POOL2D_GRAD &&
        athi_last_dim(t->shape) == athi_shape_count(t->shape) && athi_last_dim(t->shape) == athi_last_dim(dy->shape))
        dy = dy->node->in[0];
    return athi_op1(g->graph, ATHI_OP_SUM_TO, dy, &(athi_attr){.shape = {t->shape}});
}

void athi_grad_unary(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_op gradient = node->op;
    bool keeps_output = false;
    athi_op_unary(node->op, &gradient, &keeps_output);
    ath_tensor *kept = keeps_output ? &node->out[0] : node->in[0];
    if (athi_grad_relu_is_taken(node, dy[0]))
        dx[0] = dy[0];
    else
        dx[0] = athi_op2(g->graph, gradient, dy[0], kept, &node->attr);
}

void athi_grad_add(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    for (int i = 0; i < 2; i++)
        if (wants(g, node, i)) dx[i] = athi_grad_unbroadcast(g, dy[0], node->in[i]);
}

void athi_grad_sub(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    if (wants(g, node, 0)) dx[0] = athi_grad_unbroadcast(g, dy[0], node->in[0]);
    if (wants(g, node, 1))
        dx[1] = athi_op1(g->graph, ATHI_OP_NEG, athi_grad_unbroadcast(g, dy[0], node->in[1]), NULL);
}

void athi_grad_mul(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    for (int i = 0; i < 2; i++) {
        if (!wants(g, node, i)) continue;
        ath_tensor *d = athi_op2(g->graph, ATHI_OP_MUL, dy[0], node->in[1 - i], NULL);
        dx[i] = athi_grad_unbroadcast(g, d, node->in[i]);
    }
}

/* y = a / b: da = dy / b, db = -dy y / b */
void athi_grad_div(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    ath_tensor *da = athi_op2(g->graph, ATHI_OP_DIV, dy[0], node->in[1], NULL);
    if (wants(g, node, 0)) dx[0] = athi_grad_unbroadcast(g, da, node->in[0]);
    if (!wants(g, node, 1)) return;
    ath_tensor *d = athi_op2(g->graph, ATHI_OP_MUL, da, &node->out[0], NULL);
    dx[1] = athi_op1(g->graph, ATHI_OP_NEG, athi_grad_unbroadcast(g, d, node->in[1]), NULL);
}

/* maximum and minimum: the gradient goes to the one that was taken, to the first where both are equal. */
void athi_grad_select2(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    bool largest = node->op == ATHI_OP_MAXIMUM;
    ath_tensor *a = node->in[largest ? 0 : 1], *b = node->in[largest ? 1 : 0];
    ath_tensor *first = athi_op2(g->graph, ATHI_OP_GREATER_EQUAL, a, b, NULL);
    for (int i = 0; i < 2; i++) {
        if (!wants(g, node, i)) continue;
        ath_tensor *mask = i == 0 ? first : scale(g->graph, first, -1, 1);
        ath_tensor *d = athi_op2(g->graph, ATHI_OP_MUL, dy[0], mask, NULL);
        dx[i] = athi_grad_unbroadcast(g, d, node->in[i]);
    }
}

/* The shape of a reduction's result with a 1 in place of each reduced axis. */
static athi_shape kept_shape(const athi_node *node) {
    athi_shape s = node->in[0]->shape;
    for (int i = 0; i < s.rank; i++)
        if (node->attr.axes.mask >> i & 1u) s.dim[i] = 1;
    return s;
}

/* dy * factor spread over x. The gradient of a mean over the batch starts from the constant 1: it stays one. */
static ath_tensor *spread(athi_grad *g, const athi_node *node, ath_tensor *dy, double factor) {
    const ath_tensor *x = node->in[0];
    if (dy->node && dy->node->op == ATHI_OP_CONSTANT) {
        athi_attr attr = {.constant = {dy->node->attr.constant.value * factor, x->shape, x->dtype}};
        return athi_node_add(g->graph, ATHI_OP_CONSTANT, NULL, 0, &attr);
    }
    if (factor != 1) dy = scale(g->graph, dy, factor, 0);
    dy = reshape_to(g->graph, dy, kept_shape(node));
    if (athi_shape_equal(dy->shape, x->shape)) return dy;
    return athi_op1(g->graph, ATHI_OP_BROADCAST_TO, dy, &(athi_attr){.shape = {x->shape}});
}

void athi_grad_sum(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = spread(g, node, dy[0], 1);
}

void athi_grad_mean(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    double n = (double)athi_shape_count(node->in[0]->shape) / (double)athi_shape_count(node->out[0].shape);
    dx[0] = spread(g, node, dy[0], 1 / n);
}

void athi_grad_max(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op3(g->graph, ATHI_OP_MAX_GRAD, dy[0], node->in[0], &node->out[0], &node->attr);
}

void athi_grad_broadcast_to(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_grad_unbroadcast(g, dy[0], node->in[0]);
}

void athi_grad_sum_to(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op1(g->graph, ATHI_OP_BROADCAST_TO, dy[0], &(athi_attr){.shape = {node->in[0]->shape}});
}

void athi_grad_reshape(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = reshape_to(g->graph, dy[0], node->in[0]->shape);
}

void athi_grad_cast(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_cast(g->graph, dy[0], node->in[0]->dtype);
}

void athi_grad_transpose(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_attr inverse = {0};
    for (int i = 0; i < node->in[0]->shape.rank; i++) inverse.perm.axis[node->attr.perm.axis[i]] = i;
    dx[0] = athi_op1(g->graph, ATHI_OP_TRANSPOSE, dy[0], &inverse);
}

void athi_grad_concat(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    int axis = node->attr.axis.axis;
    athi_attr part = {0};
    for (int d = 0; d < node->out[0].shape.rank; d++) part.slice.size[d] = node->out[0].shape.dim[d];
    for (int i = 0; i < node->n_in; i++) {
        part.slice.size[axis] = node->in[i]->shape.dim[axis];
        if (wants(g, node, i)) dx[i] = athi_op1(g->graph, ATHI_OP_SLICE, dy[0], &part);
        part.slice.begin[axis] += part.slice.size[axis];
    }
}

void athi_grad_slice(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op2(g->graph, ATHI_OP_SLICE_GRAD, dy[0], node->in[0], &node->attr);
}

/* y = op(a) op(b), op(x) = x or its transpose: da = dy op(b)', db = op(a)' dy, transposed where the input is. */
void athi_grad_matmul(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    bool ta = node->attr.matmul.transpose_a, tb = node->attr.matmul.transpose_b;
    ath_tensor *a = node->in[0], *b = node->in[1];
    if (wants(g, node, 0))
        dx[0] = ta ? athi_op2(g->graph, ATHI_OP_MATMUL, b, dy[0], &(athi_attr){.matmul = {tb, true}})
                   : athi_op2(g->graph, ATHI_OP_MATMUL, dy[0], b, &(athi_attr){.matmul = {false, !tb}});
    if (wants(g, node, 1))
        dx[1] = tb ? athi_op2(g->graph, ATHI_OP_MATMUL, dy[0], a, &(athi_attr){.matmul = {true, ta}})
                   : athi_op2(g->graph, ATHI_OP_MATMUL, a, dy[0], &(athi_attr){.matmul = {!ta, false}});
}
