/* The cpu backend: the glue between units of the graph and the kernels of this processor.
 *
 *   backend.c   the table of ops, and what the machine has       patterns.c  groups that run as one
 *   op_*.c      a family of ops each: rows of kernels            onednn.c    all that calls oneDNN
 *   the rest    kernels.h: plain functions over floats
 *
 * A row's `accepts` decides by shapes, types and layouts alone, never by timing. `make` lays down a state that
 * begins with athi_cpu_base; `run` reads pointers from the call and the rest from the state. */
#ifndef ATHI_CPU_H
#define ATHI_CPU_H

#include "backends/cpu/kernels.h"
#include "graph/backend.h"

extern const athi_backend athi_cpu_backend;

/** The kernels of the best instruction set that the processor has and that is allowed. */
const athi_cpu_kernels *athi_cpu(void);
/** Those over bfloat16; NULL: this processor has no AVX512-BF16, or is held below AVX-512. */
const athi_cpu_kernels *athi_cpu_bf16(void);
/** Own kernels use nothing above `highest` from now on. Plans made before keep what they have. */
void athi_cpu_limit(athi_cpu_isa highest);

/** The backend's `measure` (machine.c). */
ath_status athi_cpu_measure(ath_ctx *ctx, int threads, athi_machine *out);

/* ---- state of calls ------------------------------------------------------------------------------ */

typedef struct athi_cpu_base {
    const athi_cpu_kernels *k, *floats; /* over the unit's type; over float, the same but for bf16 */
    int threads;
} athi_cpu_base;

/** Zeroed state of `size` bytes that begins with athi_cpu_base, set in the call; NULL without memory. Its kernels are
 *  those over bfloat16 if one of the unit's values is of that type. */
void *athi_cpu_state(athi_make *m, athi_call *call, int64_t size, void (*run)(const athi_call *call));
/** `make` of kernels that need nothing further; the run function differs. */
ath_status athi_cpu_make(athi_make *m, athi_call *call, void (*run)(const athi_call *call));

/** Place of a value among the unit's inputs or outputs; -1: made inside, or used by nobody. */
static inline int athi_cpu_in_index(const athi_unit *unit, const ath_tensor *t) {
    for (int i = 0; i < unit->n_in; i++)
        if (unit->in[i] == t) return i;
    return -1;
}
static inline int athi_cpu_out_index(const athi_unit *unit, const ath_tensor *t) {
    for (int i = 0; i < unit->n_out; i++)
        if (unit->out[i] == t) return i;
    return -1;
}

/** Data of the k-th input of the unit's member. */
static inline const void *athi_cpu_in(const athi_call *call, int member, int k) {
    return call->in[athi_cpu_in_index(call->unit, call->unit->nodes[member]->in[k])];
}
/** Where the member's k-th output goes; NULL when nobody outside uses it. */
static inline void *athi_cpu_out(const athi_call *call, int member, int k) {
    int i = athi_cpu_out_index(call->unit, &call->unit->nodes[member]->out[k]);
    return i < 0 ? NULL : call->out[i];
}

/* ---- reasons ------------------------------------------------------------------------------------- */

/** Writes the reason; returns true or false. */
bool athi_cpu_yes(char why[ATHI_WHY_MAX], const char *fmt, ...) ATHI_PRINTF(2, 3);
bool athi_cpu_no(char why[ATHI_WHY_MAX], const char *fmt, ...) ATHI_PRINTF(2, 3);
/** All inputs and outputs that are floating-point are f32. */
bool athi_cpu_is_f32(const athi_unit *unit, char why[ATHI_WHY_MAX]);
/** … or all are bf16 and the processor has kernels for that. */
bool athi_cpu_is_float(const athi_unit *unit, char why[ATHI_WHY_MAX]);
/** The same of a product that is a gradient of weights, whose own result, not rounded, may be f32: … + cast. */
bool athi_cpu_is_weight_gradient(const athi_unit *unit, char why[ATHI_WHY_MAX]);
/** The same of a normalisation: what belongs to channels or rows is f32, the rest alike. */
bool athi_cpu_is_norm(const athi_unit *unit, char why[ATHI_WHY_MAX]);
/** The processor has kernels for bf16. */
bool athi_cpu_has_bf16(char why[ATHI_WHY_MAX]);
bool athi_cpu_uses_bf16(const athi_unit *unit);
/** All inputs and outputs lie plain. */
bool athi_cpu_is_plain(const athi_unit *unit, char why[ATHI_WHY_MAX]);

/* ---- shapes -------------------------------------------------------------------------------------- */

static inline int64_t athi_cpu_count(const ath_tensor *t) { return athi_shape_count(t->shape); }
static inline int64_t athi_cpu_last(athi_shape s) { return s.rank ? s.dim[s.rank - 1] : 1; }

/** Outer axes, folded axes, inner axes: [outer, folded, inner] in memory. False if the axes of the mask do not
 *  stand together. A blocked image [N, C/b, H, W, b] folds over height and width, or over all but channels, when
 *  outer is over the blocks and must be folded further: see op_reduce.c. */
typedef struct athi_cpu_fold {
    int64_t outer, folded, inner;
} athi_cpu_fold;
bool athi_cpu_fold_axes(athi_shape x, uint32_t mask, athi_cpu_fold *out);
/** The pooling of x to y; a blocked x is taken as N C/b images of b channels. */
athi_pool athi_cpu_pool_of(const athi_node *node, const ath_tensor *x, const ath_tensor *y);
/** The axes over which sum_to folds `from` to get `to`. */
uint32_t athi_cpu_sum_to_mask(athi_shape from, athi_shape to);
/** How x, [N, H, W, C] or with as many axes as it has, lies. */
static inline athi_images athi_cpu_images(const ath_tensor *x) {
    const int64_t C = athi_cpu_last(x->shape), N = x->shape.rank > 1 ? x->shape.dim[0] : 1, all = athi_cpu_count(x);
    const int64_t block = x->layout == ATHI_PLAIN ? 0 : athi_layout_block(x->layout);
    return (athi_images){.N = N, .pixels = all ? all / N / C : 0, .C = C, .block = block};
}
/** A matrix [M, N] by its last axis. */
static inline int64_t athi_cpu_rows(const ath_tensor *t) {
    int64_t n = athi_cpu_last(t->shape);
    return n ? athi_cpu_count(t) / n : 0;
}

/** conv2d (+ add (+ relu)): what is added, or NULL; and what comes out. */
static inline const ath_tensor *athi_cpu_conv_bias(const athi_unit *unit) {
    if (unit->n_nodes == 1) return NULL;
    const athi_node *conv = unit->nodes[0], *add = unit->nodes[1];
    return add->in[add->in[0] == &conv->out[0] ? 1 : 0];
}
static inline const ath_tensor *athi_cpu_result(const athi_unit *unit) {
    return &unit->nodes[unit->n_nodes - 1]->out[0];
}

/* ---- op_winograd.c, for the lists of convolutions -------------------------------------------------- */

bool athi_cpu_accepts_winograd(const athi_unit *unit, char why[ATHI_WHY_MAX]);
bool athi_cpu_accepts_winograd_grad_x(const athi_unit *unit, char why[ATHI_WHY_MAX]);
bool athi_cpu_accepts_winograd_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_cpu_make_winograd(athi_make *m, const athi_unit *unit, athi_call *call);
ath_status athi_cpu_make_winograd_grad_x(athi_make *m, const athi_unit *unit, athi_call *call);
ath_status athi_cpu_make_winograd_grad_w(athi_make *m, const athi_unit *unit, athi_call *call);

/* ---- op_widened.c, the last row of lists whose kernels do not take every shape in bfloat16 ---------------------- */

bool athi_cpu_accepts_widened(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_cpu_make_widened(athi_make *m, const athi_unit *unit, athi_call *call);
#define ATHI_CPU_WIDENED                                                                                             \
    {                                                                                                                \
        "own:widened", athi_cpu_accepts_widened, athi_cpu_make_widened, ATHI_LAYOUT_ANY,                             \
            .bound_note = "runs in float32 on widened copies; the copies are not counted"                            \
    }

/* ---- the rows, by family; each list ends with a row without name ----------------------------------- */

extern const athi_kernel athi_cpu_matmul[], athi_cpu_matmul_cast[], athi_cpu_matmul_bias[],
    athi_cpu_matmul_relu_grad[], athi_cpu_matmul_relu_grad_sum[];
extern const athi_kernel athi_cpu_unary[], athi_cpu_unary_grad[], athi_cpu_binary[], athi_cpu_dropout[],
    athi_cpu_copy[], athi_cpu_augment[], athi_cpu_cast[], athi_cpu_relu_grad_sum[], athi_cpu_add_relu[];
extern const athi_kernel athi_cpu_reduce[], athi_cpu_shape[], athi_cpu_layer_norm[], athi_cpu_layer_norm_grad[];
extern const athi_kernel athi_cpu_softmax[], athi_cpu_softmax_grad[], athi_cpu_sparse_xent[],
    athi_cpu_sparse_xent_grad[], athi_cpu_dense_xent[], athi_cpu_dense_xent_grad[], athi_cpu_sparse_correct[];
extern const athi_kernel athi_cpu_conv[], athi_cpu_conv_grad_x[], athi_cpu_conv_grad_w[], athi_cpu_pool[],
    athi_cpu_pool_relu_grad[], athi_cpu_conv1_pool[], athi_cpu_pool_conv1_grad[], athi_cpu_norm[],
    athi_cpu_norm_grad[], athi_cpu_relu_norm_grad[], athi_cpu_reorder[];
extern const athi_kernel athi_cpu_int8[], athi_cpu_quantize[], athi_cpu_quantize_rows[];
bool athi_cpu_accepts_int8_pool(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_cpu_make_int8_pool(athi_make *m, const athi_unit *unit, athi_call *call);
extern const athi_kernel athi_cpu_accumulate[], athi_cpu_gradient[], athi_cpu_clip_gradients[], athi_cpu_update[];

#endif
