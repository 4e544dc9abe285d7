/* The rules that ops.def names, declared from the same rows; and what they share. For src/graph only. */
#ifndef ATHI_RULES_H
#define ATHI_RULES_H

#include "graph/grad.h"
#include "graph/graph.h"

typedef ath_status athi_shape_fn(athi_node *node);
typedef void athi_grad_fn(athi_grad *g, athi_node *node, ath_tensor *const *dy, ath_tensor **dx);

#define athi_grad_ATH_NO_GRAD(reason) athi_grad_none_of_these
#define ATH_OP(id, name, min_in, max_in, n_out, attr, types, shape_rule, grad_rule)                                  \
    extern athi_shape_fn athi_infer_##shape_rule;                                                                    \
    extern athi_grad_fn athi_grad_##grad_rule;
#include "graph/ops.def"
#undef ATH_OP
#undef athi_grad_ATH_NO_GRAD

/** "<op> '<layer>': <sentence>" on the context; returns ATH_E_SHAPE. */
ath_status athi_shape_fail(const athi_node *node, const char *fmt, ...) ATHI_PRINTF(2, 3);

/** Sizes >= 1 or dynamic, few enough axes, and a number of elements that can be counted. */
ath_status athi_shape_check(const athi_node *node, athi_shape s);

/** Equal, or one of them not known yet. */
static inline bool athi_dims_agree(int64_t a, int64_t b) { return a == b || a == ATHI_DYN || b == ATHI_DYN; }
bool athi_shapes_agree(athi_shape a, athi_shape b);
/** Without the last axis. */
athi_shape athi_shape_without_last(athi_shape s);
int64_t athi_last_dim(athi_shape s); /* 1 for rank 0 */

static inline ath_status athi_set_out(athi_node *node, int index, athi_shape shape, ath_dtype dtype) {
    node->out[index].shape = shape;
    node->out[index].dtype = dtype;
    return ATH_OK;
}

/** Has the rule of max_pool2d taken the gradient of this relu along? */
bool athi_grad_relu_is_taken(const athi_node *relu, const ath_tensor *dy);

#endif
