/* What a gradient rule sees of the running differentiation (passes/differentiate.c owns it).
 * A rule gets dy for every output (NULL: that output has no gradient) and appends nodes that give dx for the inputs
 * that want one; it leaves the others NULL. Accumulation over several uses is the pass's work. */
#ifndef ATHI_GRAD_H
#define ATHI_GRAD_H

#include "graph/graph.h"

struct athi_grad {
    athi_graph *graph;  /* where the rules append */
    const bool *wants;  /* by node id: does a trainable variable lie above this node? */
};

/** Is a gradient with respect to `t` needed? */
static inline bool athi_grad_wants(const athi_grad *g, const ath_tensor *t) {
    return t->node && g->wants[t->node->id];
}
/** dy summed to the shape of `t`, where broadcasting had widened it; dy itself where it had not. */
ath_tensor *athi_grad_unbroadcast(athi_grad *g, ath_tensor *dy, const ath_tensor *t);

#endif
