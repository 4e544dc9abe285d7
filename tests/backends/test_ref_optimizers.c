/* What the reference's update says of an optimiser or a slot that it does not find. Its numbers are compared with
 * Keras's for every row in tests/nn/test_golden_training.c, and are what the sweep measures the others by. */
#include "ref_test.h"

#include "athanor/optimizers.h"
#include "base/options.h"

/* A slot that the options ask for and that is not there is a sentence, not a crash. */
static void a_missing_slot_is_refused(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const athi_backend *ref = NULL;
    assert_ok(r.ctx, athi_backend_find(r.ctx, "ref", &ref));
    athi_variable_add(r.graph, "w", athi_dims(3), ATH_F32, ATHI_TRAINABLE);
    const athi_row row = {.name = "sgd"};
    const ath_sgd_opts opts = {.momentum = 0.9};
    ath_tensor *rate = ref_input(&r, ATHI_SCALAR, ATH_F32), *counters = ref_input(&r, athi_dims(2), ATH_I64);
    athi_node *node =
        athi_op2(r.graph, ATHI_OP_UPDATE, rate, counters, &(athi_attr){.update = {&row, &opts}})->node;
    athi_unit unit = {.nodes = {node}, .n_nodes = 1, .in = node->in, .n_in = 2};
    athi_call call = {.unit = &unit};
    athi_make make = {.ctx = r.ctx, .arena = r.graph->arena, .threads = 1};
    assert_fails(r.ctx, ref->kernels[ATHI_OP_UPDATE]->make(&make, &unit, &call), ATH_E_STATE,
                 "optimizer/momentum/w");
    const athi_row unknown = {.name = "sgdd"};
    node->attr.update.row = &unknown;
    char why[ATHI_WHY_MAX];
    assert_false(ref->kernels[ATHI_OP_UPDATE]->accepts(&unit, why));
    assert_non_null(strstr(why, "sgdd"));
    ref_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_missing_slot_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
