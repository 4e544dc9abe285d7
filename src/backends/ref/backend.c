/* The reference backend's table: for every op one kernel, chosen by the element type of its first input. */
#include "backends/ref/ref.h"

#include "base/options.h"

#include <stdio.h>

const athi_ref_run athi_ref_any[ATHI_OP_COUNT_OF] = {
    [ATHI_OP_COPY] = athi_ref_copy,
    [ATHI_OP_RESHAPE] = athi_ref_copy,
    [ATHI_OP_BROADCAST_TO] = athi_ref_broadcast_to,
    [ATHI_OP_TRANSPOSE] = athi_ref_transpose,
    [ATHI_OP_CONCAT] = athi_ref_concat,
    [ATHI_OP_SLICE] = athi_ref_slice,
    [ATHI_OP_SLICE_GRAD] = athi_ref_slice_grad,
    [ATHI_OP_REORDER] = athi_ref_reorder,
    [ATHI_OP_ACCUMULATE] = athi_ref_accumulate,
    [ATHI_OP_MOVE_TOWARDS] = athi_ref_move_towards,
    [ATHI_OP_GRADIENT] = athi_ref_gradient,
    [ATHI_OP_CLIP_GRADIENTS] = athi_ref_clip_gradients,
    [ATHI_OP_COUNT] = athi_ref_count,
    [ATHI_OP_UPDATE] = athi_ref_update,
    [ATHI_OP_QUANTIZE] = athi_ref_quantize,
    [ATHI_OP_QUANTIZE_ROWS] = athi_ref_quantize_rows,
    [ATHI_OP_QUANTIZED_MATMUL] = athi_ref_quantized_matmul,
    [ATHI_OP_QUANTIZED_CONV2D] = athi_ref_quantized_conv2d,
    [ATHI_OP_AUGMENT] = athi_ref_augment,
    [ATHI_OP_CAST] = athi_ref_cast,
};

static athi_ref_run find(const athi_node *node) {
    if (athi_ref_any[node->op]) return athi_ref_any[node->op];
    if (athi_ref_is_bf16(node)) return athi_ref_f32[node->op];
    switch (node->n_in ? node->in[0]->dtype : ATH_F32) {
    case ATH_F32: return athi_ref_f32[node->op];
    case ATH_F64: return athi_ref_f64[node->op];
    case ATH_I8: return node->op == ATHI_OP_MAX_POOL2D ? athi_ref_int8_max_pool : NULL;
    default: return NULL;
    }
}

static bool is_float(ath_dtype t) { return t == ATH_F32 || t == ATH_F64; }

/* Floating inputs and outputs of one kernel are of one type, bf16 counting as float; metrics alone give f32 from
 * anything. */
static bool types_agree(const athi_node *node) {
    const ath_dtype type = athi_ref_is_bf16(node) ? ATH_F32 : node->in[0]->dtype;
    for (int i = 0; i < node->n_in; i++)
        if (is_float(node->in[i]->dtype) && node->in[i]->dtype != type) return false;
    return true;
}

static bool accepts(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    const athi_node *node = unit->nodes[0];
    if (unit->n_nodes != 1) {
        snprintf(why, ATHI_WHY_MAX, "runs single nodes");
        return false;
    }
    for (int i = 0; i < node->n_in && node->op != ATHI_OP_REORDER; i++)
        if (node->in[i]->layout != ATHI_PLAIN) {
            snprintf(why, ATHI_WHY_MAX, "input %d is blocked", i);
            return false;
        }
    if (!find(node) || (!athi_ref_any[node->op] && node->n_in && !types_agree(node))) {
        snprintf(why, ATHI_WHY_MAX, "not in %s", athi_dtype_name(node->n_in ? node->in[0]->dtype : ATH_F32));
        return false;
    }
    if (node->op == ATHI_OP_UPDATE && !athi_ref_update_known(node)) {
        snprintf(why, ATHI_WHY_MAX, "no optimizer '%s'", node->attr.update.row->name);
        return false;
    }
    if (node->op == ATHI_OP_AUGMENT && !node->attr.augment.row) {
        snprintf(why, ATHI_WHY_MAX, "no augmentation is named");
        return false;
    }
    snprintf(why, ATHI_WHY_MAX, "plain loops run everything");
    return true;
}

static ath_status make(athi_make *m, const athi_unit *unit, athi_call *call) {
    if (unit->nodes[0]->op == ATHI_OP_UPDATE) return athi_ref_update_make(m, unit, call);
    if (unit->nodes[0]->op == ATHI_OP_AUGMENT) return athi_ref_augment_make(m, unit, call);
    call->run = find(unit->nodes[0]);
    if (!athi_ref_any[unit->nodes[0]->op] && athi_ref_is_bf16(unit->nodes[0]))
        return athi_ref_bf16_make(m, unit, call, call->run);
    return ATH_OK;
}

/* One list an op, named after it. */
#define ATH_OP(id, name, ...)                                                                                \
    static const athi_kernel kernels_##id[] = {{"ref:" name, accepts, make, ATHI_LAYOUT_PLAIN}, {0}};
#include "graph/ops.def"
#undef ATH_OP

static const athi_kernel *const kernels[ATHI_OP_COUNT_OF] = {
#define ATH_OP(id, ...) [ATHI_OP_##id] = kernels_##id,
#include "graph/ops.def"
#undef ATH_OP
};

static const char *unavailable(void) { return NULL; }
static void enter(int threads) { (void)threads; }
static void describe(athi_text *out) { athi_text_printf(out, "plain loops, one thread, sums in double"); }

const athi_backend athi_ref_backend = {
    .name = "ref",
    .doc = "plain loops for every op; what the other backends are tested against",
    .kernels = kernels,
    .unavailable = unavailable,
    .enter = enter,
    .describe = describe,
};
