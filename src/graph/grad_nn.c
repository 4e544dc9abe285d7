/* Gradient rules of convolution, pooling, normalisation, softmax, losses and dropout: mostly one fused backward op. */
#include "graph/rules.h"

void athi_grad_conv2d(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_attr attr = node->attr;
    attr.window.x = node->in[0]->shape;
    if (athi_grad_wants(g, node->in[0])) dx[0] = athi_op2(g->graph, ATHI_OP_CONV2D_GRAD_X, dy[0], node->in[1], &attr);
    attr.window.x = (athi_shape){0};
    if (athi_grad_wants(g, node->in[1])) dx[1] = athi_op2(g->graph, ATHI_OP_CONV2D_GRAD_W, node->in[0], dy[0], &attr);
}

/* Behind a relu the maximum is positive where the relu let it through: its gradient is taken here, over the small
 * image, and the large one need not be kept for the backward pass (athi_grad_relu_is_taken tells the relu's rule). */
void athi_grad_max_pool2d(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_attr attr = node->attr;
    attr.window.x = node->in[0]->shape;
    ath_tensor *d = dy[0];
    if (node->in[0]->node->op == ATHI_OP_RELU) d = athi_op2(g->graph, ATHI_OP_RELU_GRAD, d, &node->out[0], NULL);
    dx[0] = athi_op2(g->graph, ATHI_OP_MAX_POOL2D_GRAD, d, &node->out[1], &attr);
}

bool athi_grad_relu_is_taken(const athi_node *relu, const ath_tensor *dy) {
    const athi_node *spread = dy->node;
    if (relu->op != ATHI_OP_RELU || !spread || spread->op != ATHI_OP_MAX_POOL2D_GRAD) return false;
    const athi_node *pool = spread->in[1]->node;
    return pool->in[0] == &relu->out[0] && spread->in[0]->node->op == ATHI_OP_RELU_GRAD;
}

void athi_grad_average_pool2d(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_attr attr = node->attr;
    attr.window.x = node->in[0]->shape;
    dx[0] = athi_op1(g->graph, ATHI_OP_AVERAGE_POOL2D_GRAD, dy[0], &attr);
}

/* x, gamma, beta -> y, mean, variance; nothing differentiable reads the statistics. */
static void norm(athi_grad *g, athi_op op, athi_node *node, ath_tensor *dy, ath_tensor **dx) {
    ath_tensor *in[] = {dy, node->in[0], node->in[1], &node->out[1], &node->out[2]};
    ath_tensor *first = athi_node_add(g->graph, op, in, 5, &node->attr);
    if (athi_is_poison(first)) return;
    for (int i = 0; i < 3; i++) dx[i] = &first->node->out[i];
}

void athi_grad_batch_norm_train(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    if (dy[0]) norm(g, ATHI_OP_BATCH_NORM_GRAD, node, dy[0], dx);
}

void athi_grad_layer_norm(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    if (dy[0]) norm(g, ATHI_OP_LAYER_NORM_GRAD, node, dy[0], dx);
}

/* With the moving statistics, y = (x - mean) / sqrt(variance + epsilon) * gamma + beta is linear in each. */
void athi_grad_batch_norm_infer(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_graph *graph = g->graph;
    ath_tensor *gamma = node->in[1], *mean = node->in[3], *variance = node->in[4];
    ath_tensor *x = athi_cast(graph, node->in[0], gamma->dtype), *d = athi_cast(graph, dy[0], gamma->dtype);
    athi_attr shift = {.alpha = {1, node->attr.norm.epsilon}};
    ath_tensor *deviation = athi_op1(graph, ATHI_OP_SQRT, athi_op1(graph, ATHI_OP_SCALE, variance, &shift), NULL);
    ath_tensor *scaled = athi_op2(graph, ATHI_OP_DIV, d, deviation, NULL);
    if (athi_grad_wants(g, node->in[0]))
        dx[0] = athi_cast(graph, athi_op2(graph, ATHI_OP_MUL, scaled, gamma, NULL), node->in[0]->dtype);
    if (athi_grad_wants(g, gamma)) {
        ath_tensor *centred = athi_op2(graph, ATHI_OP_SUB, x, mean, NULL);
        dx[1] = athi_grad_unbroadcast(g, athi_op2(graph, ATHI_OP_MUL, scaled, centred, NULL), gamma);
    }
    if (athi_grad_wants(g, node->in[2])) dx[2] = athi_grad_unbroadcast(g, d, node->in[2]);
}

void athi_grad_softmax(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op2(g->graph, ATHI_OP_SOFTMAX_GRAD, dy[0], &node->out[0], NULL);
}

/* logits, labels -> loss, probabilities; both outputs may carry a gradient. */
void athi_grad_xent(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    athi_op op = node->op == ATHI_OP_SPARSE_XENT ? ATHI_OP_SPARSE_XENT_GRAD : ATHI_OP_DENSE_XENT_GRAD;
    ath_tensor *probabilities = &node->out[1], *d = NULL;
    if (dy[0]) d = athi_op3(g->graph, op, dy[0], probabilities, node->in[1], &node->attr);
    if (dy[1]) {
        ath_tensor *more = athi_op2(g->graph, ATHI_OP_SOFTMAX_GRAD, dy[1], probabilities, NULL);
        d = d ? athi_op2(g->graph, ATHI_OP_ADD, d, more, NULL) : more;
    }
    dx[0] = d;
}

void athi_grad_sigmoid_xent(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op3(g->graph, ATHI_OP_SIGMOID_XENT_GRAD, dy[0], node->in[0], node->in[1], &node->attr);
}

void athi_grad_dropout(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx) {
    dx[0] = athi_op2(g->graph, ATHI_OP_DROPOUT, dy[0], node->in[1], &node->attr);
}
