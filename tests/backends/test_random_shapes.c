/* The checks of the sweep over random shapes, odd ones above all: every backend against ref, in float32 and over bfloat16. */
#include "backends/sweep.h"
#include "base/philox.h"
#include "test.h"

static athi_rng rng = {.seed = 11, .purpose = ATHI_PURPOSE(ATHI_RNG_TEST, 2)};
static int64_t from_to(int64_t low, int64_t high) {
    return low + (int64_t)athi_rng_below(&rng, (uint64_t)(high - low + 1));
}

static sweep_input values(athi_shape shape) { return (sweep_input){.shape = shape, .low = -1, .high = 1}; }
static sweep_input distinct(athi_shape shape) {
    return (sweep_input){.shape = shape, .low = -1, .high = 1, .fill = SWEEP_DISTINCT};
}

/* Channels: any number, or one that blocked layouts take. */
static int64_t channels(void) { return from_to(0, 1) ? 16 * from_to(1, 2) : from_to(1, 37); }

static sweep_case matmul(void) {
    const int64_t M = from_to(1, 40), N = from_to(1, 70), K = from_to(1, 70);
    sweep_case c = {.op = ATHI_OP_MATMUL, .n_in = 2, .tolerance = 5e-5};
    c.attr.matmul.transpose_a = from_to(0, 1), c.attr.matmul.transpose_b = from_to(0, 1);
    c.in[0] = values(c.attr.matmul.transpose_a ? athi_dims(K, M) : athi_dims(M, K));
    c.in[1] = values(c.attr.matmul.transpose_b ? athi_dims(N, K) : athi_dims(K, N));
    return c;
}

static sweep_case convolution(void) {
    const int64_t C = channels(), F = channels(), size = from_to(1, 3);
    sweep_case c = {.op = ATHI_OP_CONV2D, .n_in = 2, .tolerance = 1e-4};
    c.attr.window.size[0] = size, c.attr.window.size[1] = from_to(1, 3);
    for (int i = 0; i < 2; i++) c.attr.window.stride[i] = from_to(1, 2), c.attr.window.dilation[i] = 1;
    c.attr.window.groups = 1, c.attr.window.same = from_to(0, 1);
    c.in[0] = values(athi_dims(from_to(1, 3), from_to(3, 11), from_to(3, 11), C));
    c.in[1] = values(athi_dims(size, c.attr.window.size[1], C, F));
    return c;
}

static sweep_case pooling(void) {
    sweep_case c = {.op = from_to(0, 1) ? ATHI_OP_MAX_POOL2D : ATHI_OP_AVERAGE_POOL2D, .n_in = 1};
    for (int i = 0; i < 2; i++) c.attr.window.size[i] = from_to(1, 3), c.attr.window.stride[i] = from_to(1, 3);
    c.attr.window.same = from_to(0, 1);
    c.in[0] = distinct(athi_dims(from_to(1, 3), from_to(3, 9), from_to(3, 9), channels()));
    return c;
}

static sweep_case normalisation(void) {
    const int64_t C = channels();
    sweep_case c = {.op = ATHI_OP_BATCH_NORM_TRAIN, .n_in = 3, .tolerance = 1e-4, .attr.norm.epsilon = 1e-3};
    c.in[0] = values(athi_dims(from_to(1, 4), from_to(2, 7), from_to(2, 7), C));
    c.in[1] = values(athi_dims(C)), c.in[2] = values(athi_dims(C));
    return c;
}

static sweep_case sum_of_two(void) {
    const athi_shape shape = athi_dims(from_to(1, 4), from_to(1, 7), from_to(1, 7), channels());
    const athi_shape others[] = {shape, athi_dims(shape.dim[3]), ATHI_SCALAR};
    sweep_case c = {.op = from_to(0, 1) ? ATHI_OP_ADD : ATHI_OP_MUL, .n_in = 2, .tolerance = 1e-4};
    c.in[0] = values(shape), c.in[1] = values(others[from_to(0, 2)]);
    return c;
}

static sweep_case of_one(void) {
    static const athi_op ops[] = {ATHI_OP_RELU, ATHI_OP_SIGMOID, ATHI_OP_GELU};
    sweep_case c = {.op = ops[from_to(0, 2)], .n_in = 1, .attr.alpha = {1, 0}};
    c.in[0] = distinct(athi_dims(from_to(1, 9), from_to(1, 99)));
    c.in[0].n_kinks = 1;
    return c;
}

static sweep_case dropout(void) {
    sweep_case c = {.op = ATHI_OP_DROPOUT, .n_in = 2, .attr.dropout = {0.3, 5}};
    c.in[0] = values(athi_dims(from_to(1, 4), from_to(1, 7), from_to(1, 7), channels()));
    c.in[1] = (sweep_input){.shape = athi_dims(2), .dtype = ATH_I64, .fill = SWEEP_COUNTERS, .fixed = true};
    return c;
}

static sweep_case softmax(void) {
    sweep_case c = {.op = ATHI_OP_SOFTMAX, .n_in = 1};
    c.in[0] = values(from_to(0, 1) ? athi_dims(from_to(1, 9), from_to(1, 99))
                                   : athi_dims(from_to(1, 3), from_to(1, 5), from_to(1, 40)));
    c.in[0].low = -4, c.in[0].high = 4;
    return c;
}

static sweep_case (*const makers[])(void) = {matmul,     convolution, pooling, normalisation,
                                             sum_of_two, of_one,      dropout, softmax};
enum { ROUNDS = 40 };

static void check(const athi_backend *backend) {
    ath_ctx *ctx = NULL;
    assert_ok(NULL, ath_ctx_create(NULL, &ctx));
    backend->enter(1);
    for (int i = 0; i < ROUNDS * ATHI_COUNT(makers); i++) {
        char message[SWEEP_MESSAGE] = "", text[96];
        sweep_case c = makers[i % ATHI_COUNT(makers)]();
        c.note = athi_shape_str(c.in[0].shape, text);
        if (!sweep_check_backend(ctx, &c, backend, message) || !sweep_check_bf16(ctx, &c, backend, message))
            fail_msg("case %d: %s", i, message);
    }
    ath_ctx_destroy(ctx);
}

static void backends_agree(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++)
        if (!athi_backends[i]->unavailable()) check(athi_backends[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(backends_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
