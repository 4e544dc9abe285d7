/* Regularisers: penalties on weights, added to the loss. */
#include "athanor/activations.h"
#include "nn/build.h"
#include "nn/rows.h"

static ath_tensor *sum_abs(athi_graph *g, ath_tensor *w, double factor) {
    return athi_affine(g, athi_reduce_all(g, ATHI_OP_SUM, athi_op1(g, ATHI_OP_ABS, w, NULL)), factor, 0);
}
static ath_tensor *sum_squares(athi_graph *g, ath_tensor *w, double factor) {
    return athi_affine(g, athi_reduce_all(g, ATHI_OP_SUM, athi_op1(g, ATHI_OP_SQUARE, w, NULL)), factor, 0);
}

static ath_tensor *build_l1(athi_graph *g, ath_tensor *w, const void *opts) {
    return sum_abs(g, w, ((const ath_l1_opts *)opts)->l1);
}
static ath_tensor *build_l2(athi_graph *g, ath_tensor *w, const void *opts) {
    return sum_squares(g, w, ((const ath_l2_opts *)opts)->l2);
}
static ath_tensor *build_l1_l2(athi_graph *g, ath_tensor *w, const void *opts) {
    const ath_l1_l2_opts *o = opts;
    if (o->l1 == 0) return sum_squares(g, w, o->l2);
    if (o->l2 == 0) return sum_abs(g, w, o->l1);
    return athi_op2(g, ATHI_OP_ADD, sum_abs(g, w, o->l1), sum_squares(g, w, o->l2), NULL);
}
static const athi_regularizer_impl l1_impl = {build_l1}, l2_impl = {build_l2}, l1_l2_impl = {build_l1_l2};

static const athi_option l1_options[] = {
    ATHI_ROW_FLOAT(ath_l1_opts, l1, "0.01", 0, -1, 1e-6, 0.1, ATHI_LOG,
                   "factor of the sum of absolute values"),
    {0},
};
static const athi_option l2_options[] = {
    ATHI_ROW_FLOAT(ath_l2_opts, l2, "0.01", 0, -1, 1e-6, 0.1, ATHI_LOG, "factor of the sum of squares"),
    {0},
};
static const athi_option l1_l2_options[] = {
    ATHI_ROW_FLOAT(ath_l1_l2_opts, l1, "0", 0, -1, 1e-6, 0.1, ATHI_LOG,
                   "factor of the sum of absolute values"),
    ATHI_ROW_FLOAT(ath_l1_l2_opts, l2, "0", 0, -1, 1e-6, 0.1, ATHI_LOG, "factor of the sum of squares"),
    {0},
};

static const athi_row rows[] = {
    {.name = "l1",
     .doc = "l1 times the sum of |w|",
     .options = l1_options,
     .opts_size = sizeof(ath_l1_opts),
     .impl = &l1_impl,
     .main_option = "l1"},
    {.name = "l2",
     .doc = "l2 times the sum of w²",
     .options = l2_options,
     .opts_size = sizeof(ath_l2_opts),
     .impl = &l2_impl,
     .main_option = "l2"},
    {.name = "l1_l2",
     .doc = "l1 times the sum of |w| plus l2 times the sum of w²",
     .options = l1_l2_options,
     .opts_size = sizeof(ath_l1_l2_opts),
     .impl = &l1_l2_impl},
    {0},
};
const athi_kind athi_regularizers = {"regularizer", "regularizers", rows};
