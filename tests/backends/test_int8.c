/* int8 inference: Keras's worked example, and that every backend and instruction set gives the reference's bits. */
#include "backends/cpu/cpu.h"
#include "base/philox.h"
#include "graph/quantize.h"
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

/* ---- every instruction set against the reference, bit for bit ---------------------------------------- */

typedef struct shape {
    int64_t n, h, w, c, f, kernel_h, kernel_w, stride, dilation;
    bool same;
} shape;

static float uniform(athi_rng *rng) { return (float)(2 * athi_rng_uniform(rng) - 1); }

enum { MOST = 13 * 10 * 160 * 17 }; /* weights of the dense layer behind the largest images */
static float input_values[MOST], bias[256], scales[256];
static int8_t weights[MOST];

static void fill(uint64_t seed, bool positive) {
    athi_rng rng = athi_rng_at(seed, ATHI_PURPOSE(ATHI_RNG_TEST, 8));
    for (int i = 0; i < MOST; i++) input_values[i] = positive ? fabsf(uniform(&rng)) : uniform(&rng);
    for (int i = 0; i < MOST; i++) weights[i] = athi_quantize(uniform(&rng), 140); /* the largest too */
    for (int i = 0; i < 256; i++) bias[i] = uniform(&rng), scales[i] = 100 + 50 * uniform(&rng);
}

enum { OUTPUTS = 7 };
static const float out_scale = 35;

/* conv + bias + relu in float and, through another input scale, in bytes, pooled; and a dense layer's two products. */
static int make_outputs(machine *m, const shape *s, ath_tensor *outputs[OUTPUTS]) {
    static const float in_scale = 130;
    const athi_attr attr = {
        .window = {.stride = {s->stride, s->stride}, .dilation = {s->dilation, s->dilation}, .same = s->same}};
    athi_graph *g = m->graph;
    ath_tensor *input = given(m, athi_dims(s->n, s->h, s->w, s->c), ATH_F32, input_values),
               *scale = given(m, ATHI_SCALAR, ATH_F32, &in_scale),
               *wanted = given(m, ATHI_SCALAR, ATH_F32, &out_scale);
    ath_tensor *in[] = {athi_op2(g, ATHI_OP_QUANTIZE, input, scale, NULL),
                        given(m, athi_dims(s->kernel_h, s->kernel_w, s->c, s->f), ATH_I8, weights), scale,
                        given(m, athi_dims(s->f), ATH_F32, scales)};
    ath_tensor *offset = given(m, athi_dims(s->f), ATH_F32, bias);
    const athi_attr window = {.window = {.size = {3, 2}, .stride = {2, 2}, .same = true}},
                    squares = {.window = {.size = {2, 2}, .stride = {2, 2}}};
    for (int i = 0; i < 5; i++) { /* 0 is kept in float, 1 as bytes, 2 and 3 are only pooled, 4 in float */
        ath_tensor *y = athi_node_add(g, ATHI_OP_QUANTIZED_CONV2D, in, 4, &attr);
        y = athi_op2(g, ATHI_OP_ADD, y, offset, NULL);
        if (i) y = athi_op1(g, ATHI_OP_RELU, y, NULL);
        if (i && i < 4) y = athi_op2(g, ATHI_OP_QUANTIZE, y, wanted, NULL);
        outputs[i] = y;
    }
    outputs[2] = athi_op1(g, ATHI_OP_MAX_POOL2D, outputs[2], &window);
    outputs[5] = athi_op1(g, ATHI_OP_MAX_POOL2D, outputs[3], &squares);
    outputs[6] = athi_op1(g, ATHI_OP_MAX_POOL2D, outputs[4], &squares);
    outputs[4] = athi_op1(g, ATHI_OP_MAX_POOL2D, outputs[1], &window);
    ath_tensor *flat = athi_op1(g, ATHI_OP_RESHAPE, input, &(athi_attr){.shape = {athi_dims(s->n, -1)}});
    ath_tensor *q = athi_op1(g, ATHI_OP_QUANTIZE_ROWS, flat, NULL);
    ath_tensor *dense[] = {q, given(m, athi_dims(flat->shape.dim[1], 17), ATH_I8, weights), &q->node->out[1],
                           given(m, athi_dims(17), ATH_F32, scales)};
    outputs[3] = athi_node_add(g, ATHI_OP_QUANTIZED_MATMUL, dense, 4, NULL);
    return OUTPUTS;
}

static void check_shape(const shape *s, int threads, const char *isa) {
    ath_tensor *expected[OUTPUTS], *got[OUTPUTS];
    machine ref = machine_open(), cpu = machine_open();
    int n = make_outputs(&ref, s, expected);
    make_outputs(&cpu, s, got);
    machine_run(&ref, expected, n, "ref", 1);
    machine_run(&cpu, got, n, "cpu", threads);
    for (int i = 0; i < n; i++) {
        const ath_tensor *t;
        const char *a = athi_plan_output(ref.plan, i, &t), *b = athi_plan_output(cpu.plan, i, NULL);
        if (memcmp(a, b, (size_t)(athi_shape_count(t->shape) * athi_dtype_size(t->dtype))) != 0)
            fail_msg("%s, %d threads: output %d of [%lld, %lld, %lld, %lld] x [%lld, %lld] to %lld differs", isa,
                     threads, i, (long long)s->n, (long long)s->h, (long long)s->w, (long long)s->c,
                     (long long)s->kernel_h, (long long)s->kernel_w, (long long)s->f);
    }
    const athi_graph *g = athi_plan_graph(cpu.plan);
    for (int64_t u = 0; u < g->n_units; u++) /* nothing of it falls back */
        if (strncmp(g->units[u]->kernel->name, "ref:", 4) == 0 && g->units[u]->nodes[0]->op != ATHI_OP_RESHAPE)
            fail_msg("%s runs %s", isa, g->units[u]->kernel->name);
    machine_close(&ref), machine_close(&cpu);
}

static void all_give_the_same_bits(void **state) {
    (void)state;
    static const shape shapes[] = {{2, 6, 5, 3, 20, 3, 3, 1, 1, true},    {1, 9, 8, 4, 70, 3, 3, 1, 1, false},
                                   {3, 5, 5, 1, 7, 3, 3, 1, 1, false},    {2, 8, 7, 5, 33, 3, 2, 2, 1, true},
                                   {1, 9, 9, 6, 16, 3, 3, 1, 2, false},   {2, 4, 4, 64, 130, 1, 1, 1, 1, false},
                                   {4, 7, 7, 16, 64, 3, 3, 1, 1, true},   {1, 3, 3, 130, 5, 3, 3, 1, 1, true},
                                   {3, 11, 13, 32, 83, 3, 3, 1, 1, true}, {2, 8, 8, 64, 24, 3, 3, 1, 1, true},
                                   {1, 4, 4, 352, 5, 3, 3, 1, 1, true}};
    static const athi_cpu_isa sets[] = {ATHI_CPU_BASELINE, ATHI_CPU_AVX2, ATHI_CPU_BEST};
    for (int i = 0; i < ATHI_COUNT(shapes); i++)
        for (int k = 0; k < ATHI_COUNT(sets); k++) {
            fill((uint64_t)i, i % 2);
            athi_cpu_limit(sets[k]);
            check_shape(&shapes[i], 1 + i % 2, athi_cpu()->int8_name);
        }
    athi_cpu_limit(ATHI_CPU_BEST);
}

/* Where all weights and inputs are the largest, sums are larger than the way by Winograd can bear. */
static void the_largest_sums_too(void **state) {
    (void)state;
    static const shape largest = {1, 8, 8, 320, 8, 3, 3, 1, 1, true};
    static const athi_cpu_isa sets[] = {ATHI_CPU_AVX2, ATHI_CPU_BEST};
    for (int k = 0; k < ATHI_COUNT(sets); k++) {
        fill(1, true);
        memset(weights, 127, sizeof weights);
        for (int i = 0; i < MOST; i++) input_values[i] = 1;
        athi_cpu_limit(sets[k]);
        check_shape(&largest, 1, athi_cpu()->int8_name);
    }
    athi_cpu_limit(ATHI_CPU_BEST);
}

/* ---- with VNNI, Winograd with rounded taps ----------------------------------------------------------- */

static double value_at(const void *p, ath_dtype type, int64_t i) {
    return type == ATH_I8 ? ((const int8_t *)p)[i] / (double)out_scale : (double)((const float *)p)[i];
}

/* Root mean square of what an output's values differ by (b NULL: of the values), before they were quantized. */
static double distance(const machine *a, const machine *b, int output) {
    const ath_tensor *t;
    const void *p = athi_plan_output(a->plan, output, &t), *q = b ? athi_plan_output(b->plan, output, NULL) : NULL;
    const int64_t n = athi_shape_count(t->shape);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow(value_at(p, t->dtype, i) - (q ? value_at(q, t->dtype, i) : 0), 2);
    return sqrt(sum / (double)n);
}

static bool same_images(const machine *a, const machine *b, int output, int64_t n) {
    const ath_tensor *t;
    const void *p = athi_plan_output(a->plan, output, &t), *q = athi_plan_output(b->plan, output, NULL);
    const int64_t bytes = athi_shape_count(t->shape) * athi_dtype_size(t->dtype);
    return memcmp(p, q, (size_t)(bytes / t->shape.dim[0] * n)) == 0;
}

/* Where it is chosen (wide layers) the result is near the exact one, in every form that it is asked for in; it is the same
 * for every number of threads, and an image's is the same whatever else is in its batch. */
static void rounded_taps(void **state) {
    (void)state;
    static const shape shapes[] = {{2, 8, 8, 160, 160, 3, 3, 1, 1, true},
                                   {3, 8, 9, 128, 131, 3, 3, 1, 1, true},
                                   {2, 13, 10, 160, 150, 3, 3, 1, 1, false},
                                   {5, 4, 4, 96, 48, 3, 3, 1, 1, true},
                                   {2, 7, 7, 224, 170, 3, 3, 1, 1, true}};
    if (strcmp(athi_cpu()->int8_name, "vnni") != 0) skip();
    for (int i = 0; i < ATHI_COUNT(shapes); i++) {
        shape one = shapes[i];
        one.n = 1;
        ath_tensor *expected[OUTPUTS], *got[OUTPUTS], *threads[OUTPUTS], *alone[OUTPUTS];
        machine m[] = {machine_open(), machine_open(), machine_open(), machine_open()};
        fill((uint64_t)i, i % 2);
        make_outputs(&m[0], &shapes[i], expected), make_outputs(&m[1], &shapes[i], got);
        make_outputs(&m[2], &shapes[i], threads), make_outputs(&m[3], &one, alone);
        machine_run(&m[0], expected, OUTPUTS, "ref", 1), machine_run(&m[1], got, OUTPUTS, "cpu", 1);
        machine_run(&m[2], threads, OUTPUTS, "cpu", 2), machine_run(&m[3], alone, OUTPUTS, "cpu", 1);
        for (int k = 0; k < OUTPUTS; k++) {
            const double off = distance(&m[0], &m[1], k) / distance(&m[0], NULL, 0);
            if (!(off < 0.06)) fail_msg("shape %d: output %d is off by %g", i, k, off);
            assert_true(same_images(&m[1], &m[2], k, shapes[i].n));
            assert_true(same_images(&m[3], &m[1], k, 1));
        }
        assert_true(distance(&m[0], &m[1], 0) > 0); /* else it was not chosen, and nothing is tested here */
        for (int k = 0; k < ATHI_COUNT(m); k++) machine_close(&m[k]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keras_example), cmocka_unit_test(rows_round_half_to_even),
                                       cmocka_unit_test(all_give_the_same_bits),
                                       cmocka_unit_test(the_largest_sums_too), cmocka_unit_test(rounded_taps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
