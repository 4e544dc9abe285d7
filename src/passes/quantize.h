/* int8 inference: which layers of a model can have it, and the rewrite of its graph. See quantize.c. */
#ifndef ATHI_PASSES_QUANTIZE_H
#define ATHI_PASSES_QUANTIZE_H

#include "graph/graph.h"

/* A convolution or dense layer, with what follows it. */
typedef struct athi_quantizable {
    const char *layer;
    const char *refusal;    /* why it stays in float; NULL: it becomes int8 */
    athi_node *product;     /* conv2d or matmul */
    athi_node *bias, *norm; /* the add behind it; the batch_norm that is folded into it; NULL: none */
    athi_variable *kernel, *bias_variable;
} athi_quantizable;

/** All products of the graph in its order, in the arena. The caller may set further refusals. */
ath_status athi_quantizable_find(const athi_graph *graph, athi_arena *arena, athi_quantizable **list, int64_t *n);
/** Rewrites the graph in place: what has no refusal becomes int8, dropout goes, and so do variables that nobody reads
 *  any more. The list tells of the graph as it was. After a failure the graph is of no use. */
ath_status athi_pass_quantize(athi_graph *graph, const athi_quantizable *list, int64_t n);

#endif
