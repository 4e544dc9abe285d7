/* The cpu backend's row: which kernels each op has, and what this machine offers. */
#include "backends/cpu/onednn.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <threads.h>

/* ---- the processor ------------------------------------------------------------------------------- */

/* One table an instruction set, filled once; a limit chooses among them. */
static athi_cpu_kernels tables[ATHI_CPU_BEST + 1], bf16_table;
static bool has_bf16;
static once_flag filled = ONCE_FLAG_INIT;
static atomic_int limit = ATHI_CPU_BEST, held = ATHI_CPU_BEST; /* for now; for good */

static void fill(void) {
    for (int isa = 0; isa <= ATHI_CPU_BEST; isa++) athi_cpu_kernels_init(&tables[isa], (athi_cpu_isa)isa);
    has_bf16 = athi_cpu_kernels_init_bf16(&bf16_table, ATHI_CPU_BEST);
}

const athi_cpu_kernels *athi_cpu(void) {
    call_once(&filled, fill);
    return &tables[ATHI_MIN(atomic_load(&limit), atomic_load(&held))];
}

const athi_cpu_kernels *athi_cpu_bf16(void) {
    return athi_cpu()->isa == ATHI_CPU_AVX512 && has_bf16 ? &bf16_table : NULL;
}

void athi_cpu_limit(athi_cpu_isa highest) { atomic_store(&limit, (int)highest); }

static ath_status hold_to(ath_ctx *ctx, const char *instruction_set) {
    int isa = ATHI_CPU_BEST;
    while (isa >= 0 && strcmp(athi_cpu_isa_name((athi_cpu_isa)isa), instruction_set) != 0) isa--;
    if (isa < 0)
        return athi_fail(ctx, ATH_E_OPTION, "'%.40s' is no instruction set; there are x86-64, avx2 and avx512",
                         instruction_set);
    if (isa > (int)athi_cpu_best_isa())
        return athi_fail(ctx, ATH_E_UNSUPPORTED, "this processor has no %s; the best that it has is %s",
                         instruction_set, athi_cpu_isa_name(athi_cpu_best_isa()));
    if (!athi_onednn_limit((athi_cpu_isa)isa))
        return athi_fail(ctx, ATH_E_STATE, "oneDNN is at work already, and cannot be held to %s any more",
                         instruction_set);
    atomic_store(&held, isa);
    return ATH_OK;
}

/* The FTZ and DAZ bits belong to a thread, so each one of the team sets its own. */
static void enter(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    athi_cpu_flush_denormals();
#pragma omp parallel num_threads(threads)
    athi_cpu_flush_denormals();
}

/* oneDNN's direct convolutions want blocks of as many channels as a vector holds. */
static athi_layout blocked(void) {
    static const athi_layout layouts[] = {
        [ATHI_CPU_BASELINE] = ATHI_PLAIN, [ATHI_CPU_AVX2] = ATHI_BLOCKED8, [ATHI_CPU_AVX512] = ATHI_BLOCKED16};
    return layouts[athi_cpu()->isa];
}

bool athi_cpu_has_bf16(char why[ATHI_WHY_MAX]) {
    if (athi_cpu_bf16()) return true;
    if (!has_bf16) return athi_cpu_no(why, "this processor has no AVX512-BF16");
    return athi_cpu_no(why, "it needs AVX512-BF16, but the processor is held to %s", athi_cpu()->name);
}
static bool computes(ath_dtype type, char why[ATHI_WHY_MAX]) { return type != ATH_BF16 || athi_cpu_has_bf16(why); }

static void describe(athi_text *out) {
    athi_text_printf(out, "own kernels for %s; ", athi_cpu()->name);
    athi_onednn_describe(out);
}

/* ---- calls --------------------------------------------------------------------------------------- */

void *athi_cpu_state(athi_make *m, athi_call *call, int64_t size, void (*run)(const athi_call *call)) {
    athi_cpu_base *base = athi_arena_alloc(m->arena, size);
    if (!base) return NULL;
    *base = (athi_cpu_base){.k = athi_cpu_uses_bf16(call->unit) ? athi_cpu_bf16() : athi_cpu(),
                            .floats = athi_cpu(),
                            .threads = m->threads};
    call->state = base;
    call->run = run;
    return base;
}

ath_status athi_cpu_make(athi_make *m, athi_call *call, void (*run)(const athi_call *call)) {
    return athi_cpu_state(m, call, sizeof(athi_cpu_base), run) ? ATH_OK : ATH_E_NOMEM;
}

bool athi_cpu_yes(char why[ATHI_WHY_MAX], const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(why, ATHI_WHY_MAX, fmt, args);
    va_end(args);
    return true;
}

bool athi_cpu_no(char why[ATHI_WHY_MAX], const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(why, ATHI_WHY_MAX, fmt, args);
    va_end(args);
    return false;
}

static bool is_other_float(const ath_tensor *t) {
    return t->dtype == ATH_F64 || t->dtype == ATH_BF16 || t->dtype == ATH_F16 || t->dtype == ATH_I8;
}

bool athi_cpu_is_f32(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    for (int i = 0; i < unit->n_in; i++)
        if (is_other_float(unit->in[i]))
            return athi_cpu_no(why, "takes f32, not %s", athi_dtype_name(unit->in[i]->dtype));
    for (int i = 0; i < unit->n_out; i++)
        if (is_other_float(unit->out[i]))
            return athi_cpu_no(why, "gives f32, not %s", athi_dtype_name(unit->out[i]->dtype));
    return true;
}

bool athi_cpu_uses_bf16(const athi_unit *unit) {
    for (int i = 0; i < unit->n_in; i++)
        if (unit->in[i]->dtype == ATH_BF16) return true;
    for (int i = 0; i < unit->n_out; i++)
        if (unit->out[i]->dtype == ATH_BF16) return true;
    return false;
}

/* `beside`: f32 may stand beside bf16 in inputs, in outputs. */
enum { IN = 1, OUT = 2 };
static bool is_float(const athi_unit *unit, int beside, char why[ATHI_WHY_MAX]) {
    if (!athi_cpu_uses_bf16(unit)) return athi_cpu_is_f32(unit, why);
    for (int i = 0; i < unit->n_in + unit->n_out; i++) {
        const bool in = i < unit->n_in;
        const ath_tensor *t = in ? unit->in[i] : unit->out[i - unit->n_in];
        const bool f32_alone = t->dtype == ATH_F32 && !(beside & (in ? IN : OUT));
        if (f32_alone || (is_other_float(t) && t->dtype != ATH_BF16))
            return athi_cpu_no(why, "%s %s beside bf16", in ? "takes no" : "gives no", athi_dtype_name(t->dtype));
    }
    return athi_cpu_has_bf16(why);
}

bool athi_cpu_is_float(const athi_unit *unit, char why[ATHI_WHY_MAX]) { return is_float(unit, 0, why); }

bool athi_cpu_is_weight_gradient(const athi_unit *unit, char why[ATHI_WHY_MAX]) { return is_float(unit, OUT, why); }

bool athi_cpu_is_norm(const athi_unit *unit, char why[ATHI_WHY_MAX]) { return is_float(unit, IN | OUT, why); }

bool athi_cpu_is_plain(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    for (int i = 0; i < unit->n_in; i++)
        if (unit->in[i]->layout != ATHI_PLAIN) return athi_cpu_no(why, "input %d is blocked", i);
    for (int i = 0; i < unit->n_out; i++)
        if (unit->out[i]->layout != ATHI_PLAIN) return athi_cpu_no(why, "output %d is blocked", i);
    return true;
}

/* ---- the table ----------------------------------------------------------------------------------- */

/* clang-format off */
static const athi_kernel *const kernels[ATHI_OP_COUNT_OF] = {
    [ATHI_OP_MATMUL] = athi_cpu_matmul,
#define ATH_UNARY(id, ...) [ATHI_OP_##id] = athi_cpu_unary, [ATHI_OP_##id##_GRAD] = athi_cpu_unary_grad,
#include "graph/unary.def"
#undef ATH_UNARY
    [ATHI_OP_ADD] = athi_cpu_binary,      [ATHI_OP_SUB] = athi_cpu_binary,      [ATHI_OP_MUL] = athi_cpu_binary,
    [ATHI_OP_DIV] = athi_cpu_binary,      [ATHI_OP_MAXIMUM] = athi_cpu_binary,  [ATHI_OP_MINIMUM] = athi_cpu_binary,
    [ATHI_OP_SUM] = athi_cpu_reduce,      [ATHI_OP_MEAN] = athi_cpu_reduce,     [ATHI_OP_SUM_TO] = athi_cpu_reduce,
    [ATHI_OP_DROPOUT] = athi_cpu_dropout, [ATHI_OP_COPY] = athi_cpu_copy, [ATHI_OP_AUGMENT] = athi_cpu_augment,
    [ATHI_OP_CAST] = athi_cpu_cast,
    [ATHI_OP_TRANSPOSE] = athi_cpu_shape, [ATHI_OP_BROADCAST_TO] = athi_cpu_shape,
    [ATHI_OP_SLICE] = athi_cpu_shape,     [ATHI_OP_SLICE_GRAD] = athi_cpu_shape,
    [ATHI_OP_LAYER_NORM] = athi_cpu_layer_norm, [ATHI_OP_LAYER_NORM_GRAD] = athi_cpu_layer_norm_grad,
    [ATHI_OP_SOFTMAX] = athi_cpu_softmax, [ATHI_OP_SOFTMAX_GRAD] = athi_cpu_softmax_grad,
    [ATHI_OP_SPARSE_XENT] = athi_cpu_sparse_xent, [ATHI_OP_SPARSE_XENT_GRAD] = athi_cpu_sparse_xent_grad,
    [ATHI_OP_DENSE_XENT] = athi_cpu_dense_xent,   [ATHI_OP_DENSE_XENT_GRAD] = athi_cpu_dense_xent_grad,
    [ATHI_OP_SPARSE_CORRECT] = athi_cpu_sparse_correct,
    [ATHI_OP_CONV2D] = athi_cpu_conv,     [ATHI_OP_CONV2D_GRAD_X] = athi_cpu_conv_grad_x,
    [ATHI_OP_CONV2D_GRAD_W] = athi_cpu_conv_grad_w,
    [ATHI_OP_QUANTIZE] = athi_cpu_quantize,       [ATHI_OP_QUANTIZE_ROWS] = athi_cpu_quantize_rows,
    [ATHI_OP_QUANTIZED_MATMUL] = athi_cpu_int8,   [ATHI_OP_QUANTIZED_CONV2D] = athi_cpu_int8,
    [ATHI_OP_MAX_POOL2D] = athi_cpu_pool,         [ATHI_OP_MAX_POOL2D_GRAD] = athi_cpu_pool,
    [ATHI_OP_AVERAGE_POOL2D] = athi_cpu_pool,     [ATHI_OP_AVERAGE_POOL2D_GRAD] = athi_cpu_pool,
    [ATHI_OP_BATCH_NORM_TRAIN] = athi_cpu_norm,   [ATHI_OP_BATCH_NORM_INFER] = athi_cpu_norm,
    [ATHI_OP_BATCH_NORM_GRAD] = athi_cpu_norm_grad, [ATHI_OP_REORDER] = athi_cpu_reorder,
    [ATHI_OP_ACCUMULATE] = athi_cpu_accumulate,   [ATHI_OP_GRADIENT] = athi_cpu_gradient,
    [ATHI_OP_CLIP_GRADIENTS] = athi_cpu_clip_gradients, [ATHI_OP_UPDATE] = athi_cpu_update,
};
/* clang-format on */

extern const athi_pattern athi_cpu_patterns[];

static const char *unavailable(void) { return NULL; }

const athi_backend athi_cpu_backend = {
    .name = "cpu",
    .doc = "oneDNN and own kernels, AVX2 or AVX-512 chosen at start",
    .kernels = kernels,
    .patterns = athi_cpu_patterns,
    .blocked = blocked,
    .unavailable = unavailable,
    .computes = computes,
    .enter = enter,
    .hold_to = hold_to,
    .describe = describe,
    .measure = athi_cpu_measure,
};
