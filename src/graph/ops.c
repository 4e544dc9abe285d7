/* The op table, filled from ops.def and unary.def. */
#include "graph/rules.h"

#define athi_grad_ATH_NO_GRAD(reason) NULL, .no_grad = reason
#define ATH_OP(id, text, fewest, most, outputs, attributes, types, shape_rule, grad_rule)                            \
    [ATHI_OP_##id] = {.name = text,                                                                                  \
                      .min_in = fewest,                                                                              \
                      .max_in = most,                                                                                \
                      .n_out = outputs,                                                                              \
                      .attr = ATHI_ATTR_##attributes,                                                                \
                      .compute = ATHI_COMPUTE_##types,                                                               \
                      .shape = athi_infer_##shape_rule,                                                              \
                      .grad = athi_grad_##grad_rule},
const athi_op_info athi_op_table[ATHI_OP_COUNT_OF] = {
#include "graph/ops.def"
};
#undef ATH_OP
#undef athi_grad_ATH_NO_GRAD

const char *athi_op_name(athi_op op) { return athi_op_table[op].name; }

bool athi_op_find(const char *name, athi_op *op) {
    for (int i = 0; i < ATHI_OP_COUNT_OF; i++) {
        if (strcmp(athi_op_table[i].name, name) != 0) continue;
        *op = (athi_op)i;
        return true;
    }
    return false;
}

bool athi_op_has_effect(athi_op op) { return athi_op_table[op].n_out == 0; }

bool athi_op_is_source(athi_op op) { return athi_op_table[op].max_in == 0 && !athi_op_has_effect(op); }

typedef enum keeps { X, Y } keeps;

bool athi_op_unary(athi_op op, athi_op *gradient, bool *keeps_output) {
#define ATH_UNARY(id, name, keeps, forward, derivative) {ATHI_OP_##id, ATHI_OP_##id##_GRAD, keeps},
    static const struct {
        athi_op op, gradient;
        keeps kept;
    } rows[] = {
#include "graph/unary.def"
    };
#undef ATH_UNARY
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        if (rows[i].op != op) continue;
        *gradient = rows[i].gradient;
        *keeps_output = rows[i].kept == Y;
        return true;
    }
    return false;
}
