/* The reference backend: one plain, deterministic kernel for every op. It is the oracle of all other
 * backends, the fallback where they have nothing, and the text to read to learn what an op means.
 *
 * A kernel is a function of the call. What depends on the element type lies in the families (elementwise.h,
 * reduce.h, …), which f32.c and f64.c include with T = float and T = double; sums are always taken in double.
 * What does not lies in bytes.c, effect.c and update.c. bf16 is float between two conversions: bf16.c. */
#ifndef ATHI_REF_H
#define ATHI_REF_H

#include "graph/backend.h"
#include "tensor/bf16.h"

typedef void (*athi_ref_run)(const athi_call *call);

/* The kernels by op; NULL: not in this type. */
extern const athi_ref_run athi_ref_f32[ATHI_OP_COUNT_OF];
extern const athi_ref_run athi_ref_f64[ATHI_OP_COUNT_OF];
/* For any element type, or they look themselves. */
extern const athi_ref_run athi_ref_any[ATHI_OP_COUNT_OF];

extern const athi_backend athi_ref_backend;

void athi_ref_copy(const athi_call *call);
void athi_ref_concat(const athi_call *call);
void athi_ref_transpose(const athi_call *call);
void athi_ref_slice(const athi_call *call);
void athi_ref_slice_grad(const athi_call *call);
void athi_ref_broadcast_to(const athi_call *call);
void athi_ref_reorder(const athi_call *call);
void athi_ref_accumulate(const athi_call *call);
void athi_ref_move_towards(const athi_call *call);
void athi_ref_gradient(const athi_call *call);
void athi_ref_clip_gradients(const athi_call *call);
void athi_ref_count(const athi_call *call);
void athi_ref_update(const athi_call *call);
void athi_ref_quantize(const athi_call *call);
void athi_ref_quantize_rows(const athi_call *call);
void athi_ref_quantized_matmul(const athi_call *call);
void athi_ref_quantized_conv2d(const athi_call *call);
void athi_ref_int8_max_pool(const athi_call *call);
void athi_ref_augment(const athi_call *call);
void athi_ref_cast(const athi_call *call);

/** Is there a function for the optimiser of this update node? */
bool athi_ref_update_known(const athi_node *node);
/** Finds the optimiser's functions and the slots of every variable. */
ath_status athi_ref_update_make(athi_make *m, const athi_unit *unit, athi_call *call);
/** Is one of the node's values bf16? */
bool athi_ref_is_bf16(const athi_node *node);
/** Calls `run`, a kernel in float, with bf16 inputs widened and bf16 outputs rounded. */
ath_status athi_ref_bf16_make(athi_make *m, const athi_unit *unit, athi_call *call, athi_ref_run run);
/** Memory to convert images of f64 in. */
ath_status athi_ref_augment_make(athi_make *m, const athi_unit *unit, athi_call *call);

/* ---- reading a call ------------------------------------------------------------------------------ */

static inline const athi_node *athi_ref_node(const athi_call *call) { return call->unit->nodes[0]; }

static inline const void *athi_ref_in(const athi_call *call, int k) { return call->in[k]; }
static inline void *athi_ref_out(const athi_call *call, int k) { return call->out[k]; }

/** The variable behind the node's k-th input, and its data, which effects write. */
static inline athi_variable *athi_ref_variable(const athi_call *call, int k) {
    return athi_ref_node(call)->in[k]->node->attr.variable.variable;
}
static inline void *athi_ref_variable_data(const athi_call *call, const athi_variable *v) {
    return call->spaces->block + v->offset;
}
static inline void *athi_ref_gradient_data(const athi_call *call, const athi_variable *v) {
    return call->spaces->grads + (v->offset - call->spaces->trainable_offset);
}

/* Elements of f32, f64 or bf16 data, where the type is not the kernel's. */
static inline double athi_ref_read(const void *data, ath_dtype dtype, int64_t i) {
    if (dtype == ATH_BF16) return (double)athi_bf16_value(((const uint16_t *)data)[i]);
    return dtype == ATH_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}
static inline void athi_ref_write(void *data, ath_dtype dtype, int64_t i, double value) {
    if (dtype == ATH_F64)
        ((double *)data)[i] = value;
    else if (dtype == ATH_BF16)
        ((uint16_t *)data)[i] = athi_bf16_of((float)value);
    else
        ((float *)data)[i] = (float)value;
}

/* ---- walking shapes ------------------------------------------------------------------------------ */

/* Visits the cells of a shape in row-major order and keeps the offsets of up to two operands whose strides
 * are their own (0: the operand is broadcast along that axis). */
typedef struct athi_walk {
    athi_shape shape;
    int64_t at[ATHI_MAX_RANK];
    int64_t stride[2][ATHI_MAX_RANK];
    int64_t offset[2];
} athi_walk;

static inline void athi_walk_next(athi_walk *w) {
    for (int i = w->shape.rank - 1; i >= 0; i--) {
        w->offset[0] += w->stride[0][i], w->offset[1] += w->stride[1][i];
        if (++w->at[i] < w->shape.dim[i]) return;
        w->offset[0] -= w->stride[0][i] * w->shape.dim[i], w->offset[1] -= w->stride[1][i] * w->shape.dim[i];
        w->at[i] = 0;
    }
}

/** Row-major strides of `s`. */
static inline void athi_ref_strides(athi_shape s, int64_t stride[ATHI_MAX_RANK]) {
    int64_t step = 1;
    for (int i = s.rank - 1; i >= 0; step *= s.dim[i--]) stride[i] = step;
}

/** Strides of `s` broadcast to `to`, right-aligned. */
static inline void athi_ref_broadcast_strides(athi_shape s, athi_shape to, int64_t stride[ATHI_MAX_RANK]) {
    int64_t own[ATHI_MAX_RANK];
    athi_ref_strides(s, own);
    for (int i = 0; i < to.rank; i++) {
        const int k = i - (to.rank - s.rank);
        stride[i] = k < 0 || s.dim[k] == 1 ? 0 : own[k];
    }
}

/** Over `to`, with the offsets of one or two operands that are broadcast to it. */
static inline athi_walk athi_walk_broadcast(athi_shape to, athi_shape a, const athi_shape *b) {
    athi_walk w = {.shape = to};
    athi_ref_broadcast_strides(a, to, w.stride[0]);
    if (b) athi_ref_broadcast_strides(*b, to, w.stride[1]);
    return w;
}

/* A reduction: for every kept cell (in the order of the output) the cells that are folded into it. */
typedef struct athi_fold {
    athi_walk kept, cells; /* offsets into x: kept.offset[0] + cells.offset[0] */
    int64_t n_kept, n_cells;
} athi_fold;

/** Bit i of mask: axis i of x is folded. */
static inline athi_fold athi_fold_axes(athi_shape x, uint32_t mask) {
    athi_fold f = {.n_kept = 1, .n_cells = 1};
    int64_t stride[ATHI_MAX_RANK];
    athi_ref_strides(x, stride);
    for (int i = 0; i < x.rank; i++) {
        const bool fold = mask >> i & 1;
        athi_walk *w = fold ? &f.cells : &f.kept;
        w->stride[0][w->shape.rank] = stride[i];
        w->shape.dim[w->shape.rank++] = x.dim[i];
        *(fold ? &f.n_cells : &f.n_kept) *= x.dim[i];
    }
    return f;
}

#endif
