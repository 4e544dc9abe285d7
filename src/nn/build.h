/* Short forms for appending nodes from layers, losses and metrics. A poison passes through all of them. */
#ifndef ATHI_BUILD_H
#define ATHI_BUILD_H

#include "nn/net.h"

/** alpha x + beta. */
static inline ath_tensor *athi_affine(athi_graph *g, ath_tensor *x, double alpha, double beta) {
    return athi_op1(g, ATHI_OP_SCALE, x, (&(athi_attr){.alpha = {alpha, beta}}));
}
/** x within [low, high]. */
static inline ath_tensor *athi_clamp(athi_graph *g, ath_tensor *x, double low, double high) {
    return athi_op1(g, ATHI_OP_CLIP, x, (&(athi_attr){.alpha = {low, high}}));
}
/** SUM, MEAN or MAX over the axes of `mask`. */
static inline ath_tensor *athi_reduce(athi_graph *g, athi_op op, ath_tensor *x, uint32_t mask, bool keep) {
    return athi_op1(g, op, x, (&(athi_attr){.axes = {mask, keep}}));
}
/** The bits of the axes first..rank-1. */
static inline uint32_t athi_axes_from(int first, int rank) {
    return rank > first ? ((1u << rank) - 1) & ~((1u << first) - 1) : 0;
}
/** SUM, MEAN or MAX over the last axis, and over all of them. */
static inline ath_tensor *athi_reduce_last(athi_graph *g, athi_op op, ath_tensor *x, bool keep) {
    return athi_reduce(g, op, x, 1u << (x->shape.rank - 1), keep);
}
static inline ath_tensor *athi_reduce_all(athi_graph *g, athi_op op, ath_tensor *x) {
    return x->shape.rank == 0 ? x : athi_reduce(g, op, x, athi_axes_from(0, x->shape.rank), false);
}
static inline ath_tensor *athi_reshape(athi_graph *g, ath_tensor *x, athi_shape shape) {
    return athi_op1(g, ATHI_OP_RESHAPE, x, (&(athi_attr){.shape = {shape}}));
}

#endif
