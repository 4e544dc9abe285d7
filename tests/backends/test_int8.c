/* int8 inference: Keras's worked example, and that every backend and instruction set gives the reference's bits. */
#include "backends/cpu/cpu.h"
#include "base/philox.h"
#include "passes/passes.h"
#include "test.h"

#include <math.h>

enum { MAX_VARIABLES = 8 };

/* A program whose inputs are variables of given values and whose results are its outputs. */
typedef struct machine {
    ath_ctx *ctx;
    athi_graph *graph;
    athi_plan *plan;
    athi_spaces spaces;
    const void *values[MAX_VARIABLES];
    int n;
} machine;

static machine machine_open(void) {
    machine m = {0};
    assert_ok(NULL, ath_ctx_create(NULL, &m.ctx));
    assert_ok(m.ctx, athi_graph_create(m.ctx, &m.graph));
    return m;
}
static ath_tensor *given(machine *m, athi_shape shape, ath_dtype dtype, const void *values) {
    char name[16];
    snprintf(name, sizeof name, "x%d", m->n);
    m->values[m->n++] = values;
    return athi_variable_tensor(m->graph, athi_variable_add(m->graph, name, shape, dtype, ATHI_STATISTIC));
}
static void machine_run(machine *m, ath_tensor **outputs, int n, const char *backend_name, int threads) {
    int64_t at = 0;
    const athi_backend *backend;
    assert_ok(m->ctx, athi_graph_check(m->graph));
    m->graph->outputs = outputs, m->graph->n_outputs = n;
    for (int64_t i = 0; i < m->graph->n_variables; i++) {
        athi_variable *v = m->graph->variables[i];
        v->offset = at;
        at += (athi_shape_count(v->shape) * athi_dtype_size(v->dtype) + ATHI_ALIGN - 1) / ATHI_ALIGN * ATHI_ALIGN;
    }
    m->spaces.block = athi_alloc(m->ctx, at);
    for (int i = 0; i < m->n; i++) {
        const athi_variable *v = m->graph->variables[i];
        memcpy(m->spaces.block + v->offset, m->values[i],
               (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype)));
    }
    assert_ok(m->ctx, athi_backend_find(m->ctx, backend_name, &backend));
    athi_compile_opts opts = {.mode = ATHI_MODE_PREDICT, .backend = backend, .threads = threads};
    assert_ok(m->ctx, athi_compile(m->graph, &opts, &m->plan));
    m->spaces.slab = athi_alloc(m->ctx, athi_plan_slab_bytes(m->plan) + ATHI_ALIGN);
    assert_ok(m->ctx, athi_plan_bind(m->plan, &m->spaces));
    athi_plan_run(m->plan);
}
static void machine_close(machine *m) {
    athi_plan_destroy(m->plan);
    athi_graph_destroy(m->graph);
    athi_free(m->ctx, m->spaces.slab);
    athi_free(m->ctx, m->spaces.block);
    ath_ctx_destroy(m->ctx);
}

/* ---- Keras's example ("Deep Learning with Python", 3rd edition, chapter 18), one scale a tensor -------------- */

static void check_example(const char *backend) {
    static const float x[] = {0.1f, 0.9f, 1.2f, -0.8f}, kernel[] = {-0.1f, -2.2f, 1.1f, 0.7f};
    static const int8_t int_x[] = {11, 95, 127, -85}, int_kernel[] = {-6, -127, 64, 40};
    static const float expected[] = {0.9843736f, 0.3933239f, -1.0151455f, -3.1965135f};
    const float scale_x = 127 / (1.2f + 1e-7f), scale_kernel = 127 / (2.2f + 1e-7f);
    const float scales_x[] = {scale_x, scale_x}, scales_kernel[] = {scale_kernel, scale_kernel};
    machine m = machine_open();
    ath_tensor *q[2];
    q[0] = athi_op2(m.graph, ATHI_OP_QUANTIZE, given(&m, athi_dims(2, 2), ATH_F32, x),
                    given(&m, ATHI_SCALAR, ATH_F32, &scale_x), NULL);
    q[1] = athi_op2(m.graph, ATHI_OP_QUANTIZE, given(&m, athi_dims(2, 2), ATH_F32, kernel),
                    given(&m, ATHI_SCALAR, ATH_F32, &scale_kernel), NULL);
    ath_tensor *in[] = {q[0], q[1], given(&m, athi_dims(2), ATH_F32, scales_x),
                        given(&m, athi_dims(2), ATH_F32, scales_kernel)};
    ath_tensor *outputs[] = {athi_node_add(m.graph, ATHI_OP_QUANTIZED_MATMUL, in, 4, NULL), q[0], q[1]};
    machine_run(&m, outputs, 3, backend, 1);
    assert_memory_equal(athi_plan_output(m.plan, 1, NULL), int_x, 4);
    assert_memory_equal(athi_plan_output(m.plan, 2, NULL), int_kernel, 4);
    const float *y = athi_plan_output(m.plan, 0, NULL);
    for (int i = 0; i < 4; i++)
        if (fabsf(y[i] - expected[i]) > 1e-6f)
            fail_msg("%s: y[%d] is %.9g, expected %.9g", backend, i, (double)y[i], (double)expected[i]);
    machine_close(&m);
}

static void keras_example(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++) check_example(athi_backends[i]->name);
}

/* Halves go to the even neighbour, nothing lies below -127, and a row of zeros stays one. */
static void rows_round_half_to_even(void **state) {
    (void)state;
    static const float x[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127, 126.5f, 0, 0, 0, 0, 0, 0, 0, 0};
    static const int8_t expected[] = {127, 0, 2, 2, 0, -2, -127, 126, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; athi_backends[i]; i++) {
        machine m = machine_open();
        ath_tensor *q = athi_op1(m.graph, ATHI_OP_QUANTIZE_ROWS, given(&m, athi_dims(2, 8), ATH_F32, x), NULL);
        ath_tensor *outputs[] = {q, &q->node->out[1]};
        machine_run(&m, outputs, 2, athi_backends[i]->name, 1);
        const float *scales = athi_plan_output(m.plan, 1, NULL);
        assert_memory_equal(athi_plan_output(m.plan, 0, NULL), expected, 16);
        assert_true(scales[0] == 127.0f / (127.0f + 1e-7f) && scales[1] == 127.0f / 1e-7f);
        machine_close(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keras_example), cmocka_unit_test(rows_round_half_to_even)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
