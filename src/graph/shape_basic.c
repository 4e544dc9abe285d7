/* Shape rules of sources, elementwise ops, reductions, rearrangements, products and effects. A rule checks its
 * inputs, completes the attributes (a -1 of reshape, a negative axis) and fills shape and type of the outputs.
 * Dimensions that are not known yet pass, and are looked at again when the graph is specialised. */
#include "augment/augment.h"
#include "graph/rules.h"

#include <stdio.h>

ath_status athi_shape_fail(const athi_node *node, const char *fmt, ...) {
    char text[640];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ath_ctx *ctx = node->out[0].graph->ctx;
    if (!node->layer[0]) return athi_fail(ctx, ATH_E_SHAPE, "%s: %s", athi_op_name(node->op), text);
    return athi_fail(ctx, ATH_E_SHAPE, "%s '%s': %s", athi_op_name(node->op), node->layer, text);
}

bool athi_shapes_agree(athi_shape a, athi_shape b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (!athi_dims_agree(a.dim[i], b.dim[i])) return false;
    return true;
}

athi_shape athi_shape_without_last(athi_shape s) {
    s.rank = ATHI_MAX(s.rank - 1, 0);
    return s;
}

int64_t athi_last_dim(athi_shape s) { return s.rank ? s.dim[s.rank - 1] : 1; }

ath_status athi_shape_check(const athi_node *node, athi_shape s) {
    char text[96];
    athi_shape known = s;
    if (s.rank < 0 || s.rank > ATHI_MAX_RANK)
        return athi_shape_fail(node, "expected at most %d axes, got %d", ATHI_MAX_RANK, s.rank);
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] < 1 && s.dim[i] != ATHI_DYN)
            return athi_shape_fail(node, "expected sizes >= 1, got %s", athi_shape_str(s, text));
        if (s.dim[i] == ATHI_DYN) known.dim[i] = 1;
    }
    int64_t count = athi_shape_count(known);
    if (count < 0 || count > INT64_MAX / 64)
        return athi_shape_fail(node, "%s has more elements than can be counted", athi_shape_str(s, text));
    return ATH_OK;
}

ath_status athi_infer_input(athi_node *node) {
    if (!node->attr.input.name) node->attr.input.name = "";
    ATH_TRY(athi_shape_check(node, node->attr.input.shape));
    return athi_set_out(node, 0, node->attr.input.shape, node->attr.input.dtype);
}

ath_status athi_infer_variable(athi_node *node) {
    const athi_variable *v = node->attr.variable.variable;
    if (!v) return athi_shape_fail(node, "expected a variable, got none");
    return athi_set_out(node, 0, v->shape, v->dtype);
}

ath_status athi_infer_constant(athi_node *node) {
    ATH_TRY(athi_shape_check(node, node->attr.constant.shape));
    return athi_set_out(node, 0, node->attr.constant.shape, node->attr.constant.dtype);
}

static ath_status check_counters(const athi_node *node, const ath_tensor *c) {
    char text[96];
    if (c->dtype == ATH_I64 && athi_shape_count(c->shape) == 2) return ATH_OK;
    return athi_shape_fail(node, "expected counters i64[2], got %s%s", athi_dtype_name(c->dtype),
                           athi_shape_str(c->shape, text));
}

/* Images; their size is the augmentation's affair. */
ath_status athi_infer_augment(athi_node *node) {
    athi_shape s = node->in[0]->shape;
    char text[96];
    if (s.rank != 4)
        return athi_shape_fail(node, "expected images [batch, height, width, channels], got %s",
                               athi_shape_str(s, text));
    if (node->n_in == 2) ATH_TRY(check_counters(node, node->in[1]));
    const athi_row *row = node->attr.augment.row;
    const athi_augment_impl *impl = row ? row->impl : NULL;
    if (impl && impl->size) {
        athi_frame f = impl->size(node->attr.augment.opts, (athi_frame){s.dim[1], s.dim[2], s.dim[3]});
        s.dim[1] = f.height, s.dim[2] = f.width, s.dim[3] = f.channels;
    }
    return athi_set_out(node, 0, s, node->in[0]->dtype);
}

/* The shape of the first input; a second one must agree, but for dropout's counters. */
ath_status athi_infer_same(athi_node *node) {
    const ath_tensor *x = node->in[0];
    char a[96], b[96];
    if (node->op == ATHI_OP_DROPOUT) {
        ATH_TRY(check_counters(node, node->in[1]));
    } else if (node->n_in == 2 && !athi_shapes_agree(x->shape, node->in[1]->shape)) {
        return athi_shape_fail(node, "expected two inputs of the same shape, got %s and %s",
                               athi_shape_str(x->shape, a), athi_shape_str(node->in[1]->shape, b));
    }
    return athi_set_out(node, 0, x->shape, x->dtype);
}

/* Gradients that look like their second input, the x of their forward op: that op's rule says how the others must look,
 * dy (and max_grad's y) like its result. */
ath_status athi_infer_second(athi_node *node) {
    static const struct {
        athi_op gradient, forward;
    } rows[] = {{ATHI_OP_MAX_GRAD, ATHI_OP_MAX},
                {ATHI_OP_SLICE_GRAD, ATHI_OP_SLICE},
                {ATHI_OP_SPARSE_XENT_GRAD, ATHI_OP_SPARSE_XENT},
                {ATHI_OP_DENSE_XENT_GRAD, ATHI_OP_DENSE_XENT},
                {ATHI_OP_SIGMOID_XENT_GRAD, ATHI_OP_SIGMOID_XENT}};
    char a[96], b[96], c[96];
    for (int r = 0; r < ATHI_COUNT(rows); r++) {
        if (rows[r].gradient != node->op) continue;
        const athi_op_info *info = &athi_op_table[rows[r].forward];
        ath_tensor out[2] = {{.graph = node->out[0].graph}, {.graph = node->out[0].graph}};
        athi_node forward = *node;
        forward.op = rows[r].forward, forward.in = node->in + 1, forward.n_in = info->max_in, forward.out = out;
        ATH_TRY(info->shape(&forward));
        for (int i = 0; i < node->n_in; i++) {
            if ((i >= 1 && i <= info->max_in) || athi_shapes_agree(node->in[i]->shape, out[0].shape)) continue;
            return athi_shape_fail(node, "expected input %d of shape %s for %s, got %s", i + 1,
                                   athi_shape_str(out[0].shape, a), athi_shape_str(node->in[1]->shape, b),
                                   athi_shape_str(node->in[i]->shape, c));
        }
    }
    return athi_set_out(node, 0, node->in[1]->shape, node->in[1]->dtype);
}

ath_status athi_infer_cast(athi_node *node) {
    const ath_dtype from = node->in[0]->dtype, to = node->attr.cast.dtype;
    if (from == ATH_F16 || (to != ATH_F32 && to != ATH_F64 && to != ATH_BF16))
        return athi_shape_fail(node, "expected a cast to f32, f64 or bf16, got %s to %s", athi_dtype_name(from),
                               athi_dtype_name(to));
    return athi_set_out(node, 0, node->in[0]->shape, to);
}

ath_status athi_infer_reduce(athi_node *node) {
    athi_shape x = node->in[0]->shape, out = {0};
    uint32_t mask = node->attr.axes.mask;
    char text[96];
    if (mask >> x.rank)
        return athi_shape_fail(node, "expected axes below the input's rank, got axis mask 0x%x for %s", mask,
                               athi_shape_str(x, text));
    for (int i = 0; i < x.rank; i++) {
        bool reduced = mask >> i & 1u;
        if (!reduced)
            out.dim[out.rank++] = x.dim[i];
        else if (node->attr.axes.keep)
            out.dim[out.rank++] = 1;
    }
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

/* broadcast_to and sum_to: a -1 takes the input's size of that axis, counted from the last. */
ath_status athi_infer_target(athi_node *node) {
    athi_shape x = node->in[0]->shape, out = node->attr.shape.shape, wide;
    char a[96], b[96];
    for (int i = 1; i <= out.rank && i <= x.rank; i++)
        if (out.dim[out.rank - i] == ATHI_DYN) out.dim[out.rank - i] = x.dim[x.rank - i];
    ATH_TRY(athi_shape_check(node, out));
    bool narrows = node->op == ATHI_OP_SUM_TO;
    athi_shape from = narrows ? out : x, to = narrows ? x : out;
    if (!athi_shape_broadcast(from, to, &wide) || !athi_shapes_agree(wide, to))
        return athi_shape_fail(node, "expected a shape that broadcasts from %s to %s", athi_shape_str(from, a),
                               athi_shape_str(to, b));
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

/* 0 takes the input's size of that axis; one -1 is inferred from the rest. */
ath_status athi_infer_reshape(athi_node *node) {
    athi_shape x = node->in[0]->shape, out = node->attr.shape.shape;
    char a[96], b[96];
    int inferred = -1;
    bool taken[ATHI_MAX_RANK] = {false}; /* axes of x that stand unchanged in `out`: they cancel */
    for (int i = 0; i < out.rank; i++) {
        if (out.dim[i] == ATHI_DYN) {
            if (inferred >= 0) return athi_shape_fail(node, "expected at most one -1 in the target shape, got two");
            inferred = i;
        } else if (out.dim[i] == 0) {
            if (i >= x.rank)
                return athi_shape_fail(node, "axis %d of the target is taken from the input, which is %s", i,
                                       athi_shape_str(x, a));
            out.dim[i] = x.dim[i];
            taken[i] = true;
        }
    }
    athi_shape rest_in = {0}, rest_out = {0};
    for (int i = 0; i < x.rank; i++)
        if (!taken[i]) rest_in.dim[rest_in.rank++] = x.dim[i];
    for (int i = 0; i < out.rank; i++)
        if (i != inferred && !taken[i]) rest_out.dim[rest_out.rank++] = out.dim[i];
    int64_t have = athi_shape_count(rest_in), want = athi_shape_count(rest_out);
    if (inferred >= 0 && have >= 0 && want > 0 && have % want == 0) {
        out.dim[inferred] = have / want;
        want = have;
    }
    ATH_TRY(athi_shape_check(node, out));
    if (have >= 0 && want >= 0 && have != want)
        return athi_shape_fail(node, "expected a target of %lld elements for the input %s, got %s", (long long)have,
                               athi_shape_str(x, a), athi_shape_str(node->attr.shape.shape, b));
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

ath_status athi_infer_transpose(athi_node *node) {
    athi_shape x = node->in[0]->shape, out = {.rank = x.rank};
    unsigned seen = 0;
    for (int i = 0; i < x.rank; i++) {
        int axis = node->attr.perm.axis[i];
        if (axis < 0 || axis >= x.rank || (seen >> axis & 1u))
            return athi_shape_fail(node, "expected every axis below %d once, got axis %d at place %d", x.rank, axis,
                                   i);
        seen |= 1u << axis;
        out.dim[i] = x.dim[axis];
    }
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

ath_status athi_infer_concat(athi_node *node) {
    athi_shape out = node->in[0]->shape;
    char a[96], b[96];
    int axis = node->attr.axis.axis;
    if (axis < 0) axis += out.rank;
    if (axis < 0 || axis >= out.rank)
        return athi_shape_fail(node, "expected an axis from %d to %d, got %d", -out.rank, out.rank - 1,
                               node->attr.axis.axis);
    node->attr.axis.axis = axis;
    for (int i = 1; i < node->n_in; i++) {
        const ath_tensor *x = node->in[i];
        athi_shape other = x->shape;
        if (x->dtype != node->in[0]->dtype || other.rank != out.rank) goto differ;
        for (int d = 0; d < out.rank; d++) {
            if (d == axis) {
                bool known = out.dim[d] != ATHI_DYN && other.dim[d] != ATHI_DYN;
                if (known && !athi_add(out.dim[d], other.dim[d], &out.dim[d])) goto differ;
                if (!known) out.dim[d] = ATHI_DYN;
            } else if (!athi_dims_agree(out.dim[d], other.dim[d])) {
                goto differ;
            } else if (out.dim[d] == ATHI_DYN) {
                out.dim[d] = other.dim[d];
            }
        }
        continue;
    differ:
        return athi_shape_fail(node, "expected inputs that differ in axis %d only, got %s and %s", axis,
                               athi_shape_str(node->in[0]->shape, a), athi_shape_str(other, b));
    }
    ATH_TRY(athi_shape_check(node, out));
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

/* size -1: up to the end. */
ath_status athi_infer_slice(athi_node *node) {
    athi_shape x = node->in[0]->shape, out = {.rank = x.rank};
    for (int i = 0; i < x.rank; i++) {
        int64_t begin = node->attr.slice.begin[i], size = node->attr.slice.size[i], n = x.dim[i];
        if (size == -1) size = n == ATHI_DYN ? ATHI_DYN : n - begin;
        bool fits =
            begin >= 0 && (size >= 1 || size == ATHI_DYN) && (n == ATHI_DYN || size == ATHI_DYN || size <= n - begin);
        if (!fits)
            return athi_shape_fail(node, "axis %d: expected a part of the %lld cells, got %lld from %lld on", i,
                                   (long long)n, (long long)size, (long long)begin);
        out.dim[i] = size;
    }
    return athi_set_out(node, 0, out, node->in[0]->dtype);
}

static ath_status effect_accumulate(const athi_node *node) {
    const ath_tensor *sum = node->in[0], *values = node->in[1];
    char a[96], b[96];
    if (sum->dtype != ATH_F64 || athi_shape_count(sum->shape) != 2)
        return athi_shape_fail(node, "expected a variable f64[2], got %s%s", athi_dtype_name(sum->dtype),
                               athi_shape_str(sum->shape, a));
    if (node->n_in < 3) return ATH_OK;
    const ath_tensor *weights = node->in[2];
    if (weights->shape.rank != 1 || values->shape.rank < 1 ||
        !athi_dims_agree(weights->shape.dim[0], values->shape.dim[0]))
        return athi_shape_fail(node, "expected one weight a sample [batch] for values %s, got %s",
                               athi_shape_str(values->shape, a), athi_shape_str(weights->shape, b));
    return ATH_OK;
}

ath_status athi_infer_effect(athi_node *node) {
    char a[96], b[96];
    bool changes = node->op == ATHI_OP_ACCUMULATE || node->op == ATHI_OP_MOVE_TOWARDS ||
                   node->op == ATHI_OP_GRADIENT || node->op == ATHI_OP_COUNT;
    if (changes && node->in[0]->node->op != ATHI_OP_VARIABLE)
        return athi_shape_fail(node, "expected a variable as first input, got the result of %s",
                               athi_op_name(node->in[0]->node->op));
    if (node->op == ATHI_OP_ACCUMULATE) return effect_accumulate(node);
    if (node->op == ATHI_OP_COUNT && (node->in[0]->dtype != ATH_I64 || node->in[0]->shape.rank > 1))
        return athi_shape_fail(node, "expected a variable i64[] or i64[n], got %s%s",
                               athi_dtype_name(node->in[0]->dtype), athi_shape_str(node->in[0]->shape, a));
    bool same = node->op == ATHI_OP_MOVE_TOWARDS || node->op == ATHI_OP_GRADIENT;
    if (same &&
        (!athi_shapes_agree(node->in[0]->shape, node->in[1]->shape) || node->in[0]->dtype != node->in[1]->dtype))
        return athi_shape_fail(node, "expected a value like the variable %s%s, got %s%s",
                               athi_dtype_name(node->in[0]->dtype), athi_shape_str(node->in[0]->shape, a),
                               athi_dtype_name(node->in[1]->dtype), athi_shape_str(node->in[1]->shape, b));
    return ATH_OK;
}

ath_status athi_infer_matmul(athi_node *node) {
    athi_shape a = node->in[0]->shape, b = node->in[1]->shape;
    char ta[96], tb[96];
    if (a.rank != 2 || b.rank != 2)
        return athi_shape_fail(node, "expected two inputs of rank 2, got %s and %s; add flatten or reshape",
                               athi_shape_str(a, ta), athi_shape_str(b, tb));
    bool at = node->attr.matmul.transpose_a, bt = node->attr.matmul.transpose_b;
    int64_t m = a.dim[at], k = a.dim[!at], k2 = b.dim[bt], n = b.dim[!bt];
    if (!athi_dims_agree(k, k2) || node->in[0]->dtype != node->in[1]->dtype)
        return athi_shape_fail(node, "expected inner sizes that agree, got %lld of %s%s and %lld of %s%s",
                               (long long)k, athi_dtype_name(node->in[0]->dtype), athi_shape_str(a, ta),
                               (long long)k2, athi_dtype_name(node->in[1]->dtype), athi_shape_str(b, tb));
    return athi_set_out(node, 0, athi_dims(m, n), node->in[0]->dtype);
}

ath_status athi_infer_broadcast(athi_node *node) {
    const ath_tensor *x = node->in[0], *y = node->in[1];
    athi_shape out;
    char a[96], b[96];
    if (x->dtype != y->dtype || !athi_shape_broadcast(x->shape, y->shape, &out))
        return athi_shape_fail(node, "expected inputs of one type that broadcast together, got %s%s and %s%s",
                               athi_dtype_name(x->dtype), athi_shape_str(x->shape, a), athi_dtype_name(y->dtype),
                               athi_shape_str(y->shape, b));
    return athi_set_out(node, 0, out, x->dtype);
}
