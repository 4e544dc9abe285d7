/* bfloat16 on ref: the rounding, bit by bit; casts; and that an op over bf16 is the float op over the widened values,
 * rounded once. */
#include "ref_test.h"

#include "base/philox.h"
#include "tensor/bf16.h"

#include <float.h>
#include <math.h>

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearer of the two neighbours of a positive x, in double, where they are exact; above the last stands 2^128. */
static uint16_t nearest(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t below = (uint16_t)(bits >> 16);
    const double low = (double)athi_bf16_value(below);
    const double high = below == 0x7f7f ? 0x1p128 : (double)athi_bf16_value((uint16_t)(below + 1));
    const double down = (double)x - low, up = high - (double)x;
    return down < up || (down == up && below % 2 == 0) ? below : (uint16_t)(below + 1);
}

static void rounds_to_the_nearest(void **state) {
    (void)state;
    const uint32_t tails[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (uint32_t high = 1; high < 0x7f80; high += 1 + high % 3) /* all exponents, subnormals among them */
        for (int t = 0; t < ATHI_COUNT(tails); t++)
            for (uint32_t sign = 0; sign < 2; sign++) {
                const uint32_t bits = sign << 31 | high << 16 | tails[t];
                const uint16_t got = athi_bf16_of(of_bits(bits));
                const uint16_t want = (uint16_t)(sign << 15 | nearest(of_bits(high << 16 | tails[t])));
                if (got != want) fail_msg("0x%08x: got 0x%04x, expected 0x%04x", bits, got, want);
            }
}

static void keeps_what_is_special(void **state) {
    (void)state;
    const struct {
        uint32_t from;
        uint16_t to;
    } rows[] = {
        {0x00000000, 0x0000}, {0x80000000, 0x8000},                       /* zeros */
        {0x7f800000, 0x7f80}, {0xff800000, 0xff80},                       /* infinities */
        {0x7f7f7fff, 0x7f7f}, {0x7f7f8000, 0x7f80},                       /* the largest; what overflows */
        {0xff7fffff, 0xff80}, {0x00000001, 0x0000}, {0x00008000, 0x0000}, /* half of the smallest goes to the even zero */
        {0x00008001, 0x0001}, {0x00018000, 0x0002}, {0x007fffff, 0x0080}, /* subnormals, and out of them */
        {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f80c000, 0x3f81}, {0x7fc00000, 0x7fc0},
        {0x7f800001, 0x7fc0}, {0xffc00123, 0xffc0}, /* NaN, the low payload alone too */
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        const uint16_t got = athi_bf16_of(of_bits(rows[i].from));
        if (got != rows[i].to) fail_msg("0x%08x: got 0x%04x, expected 0x%04x", rows[i].from, got, rows[i].to);
    }
    for (uint32_t b = 0; b < 0x10000; b++) { /* what is bf16 stays as it is */
        const float x = athi_bf16_value((uint16_t)b);
        const uint16_t back = athi_bf16_of(x);
        if (back != (isnan(x) ? (b | 0x40) : b)) fail_msg("0x%04x came back as 0x%04x", b, back);
    }
}

static void casts(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const float x[] = {1, -2.5f, 1.00390625f /* 1 + 2^-8, a tie */, 3e38f, 0, 1e-40f};
    const uint8_t bytes[] = {0, 1, 128, 254, 255, 7};
    const int32_t ints[] = {0, -1, 257, 1 << 20, -77, 3};
    uint16_t low[6];
    float back[6];
    double wide[6];
    ath_tensor *floats = ref_input(&r, athi_dims(6), ATH_F32);
    ath_tensor *y = athi_cast(r.graph, floats, ATH_BF16);
    ref_run(&r, y->node, (const void *[]){x}, (void *[]){low});
    const uint16_t want[] = {0x3f80, 0xc020, 0x3f80, 0x7f62, 0, 0x0001};
    assert_memory_equal(low, want, sizeof want);
    ref_run(&r, athi_cast(r.graph, y, ATH_F32)->node, (const void *[]){low}, (void *[]){back});
    for (int i = 0; i < 6; i++) assert_true(back[i] == athi_bf16_value(low[i]));
    ref_run(&r, athi_cast(r.graph, ref_input(&r, athi_dims(6), ATH_U8), ATH_BF16)->node, (const void *[]){bytes},
            (void *[]){low});
    for (int i = 0; i < 6; i++) assert_true(athi_bf16_value(low[i]) == bytes[i]); /* eight bits fit */
    ref_run(&r, athi_cast(r.graph, ref_input(&r, athi_dims(6), ATH_I32), ATH_F64)->node, (const void *[]){ints},
            (void *[]){wide});
    for (int i = 0; i < 6; i++) assert_true(wide[i] == ints[i]);
    assert_ptr_equal(athi_cast(r.graph, floats, ATH_F32), floats);
    athi_cast(r.graph, floats, ATH_I32);
    assert_fails(r.ctx, athi_graph_check(r.graph), ATH_E_SHAPE,
                 "cast: expected a cast to f32, f64 or bf16, got f32 to i32");
    ref_close(&r);
}

/* y = x w over bf16: the float product of the same numbers, rounded; gradients of statistics stay float32. */
static void computes_in_float(void **state) {
    (void)state;
    enum { M = 5, K = 64, N = 3 };
    ref_graph r = ref_open();
    uint16_t x[M * K], w[K * N], y[M * N];
    float wide_x[M * K], wide_w[K * N], wide_y[M * N];
    athi_rng rng = athi_rng_at(3, ATHI_PURPOSE(ATHI_RNG_TEST, 0));
    for (int i = 0; i < M * K; i++)
        wide_x[i] = athi_bf16_value(x[i] = athi_bf16_of((float)athi_rng_uniform(&rng) - 0.5f));
    for (int i = 0; i < K * N; i++)
        wide_w[i] = athi_bf16_value(w[i] = athi_bf16_of((float)athi_rng_uniform(&rng) - 0.5f));
    ath_tensor *in[] = {ref_input(&r, athi_dims(M, K), ATH_BF16), ref_input(&r, athi_dims(K, N), ATH_BF16),
                        ref_input(&r, athi_dims(M, K), ATH_F32), ref_input(&r, athi_dims(K, N), ATH_F32)};
    ath_tensor *low = athi_op2(r.graph, ATHI_OP_MATMUL, in[0], in[1], NULL);
    assert_int_equal(low->dtype, ATH_BF16);
    ref_run(&r, low->node, (const void *[]){x, w}, (void *[]){y});
    ref_run(&r, athi_op2(r.graph, ATHI_OP_MATMUL, in[2], in[3], NULL)->node, (const void *[]){wide_x, wide_w},
            (void *[]){wide_y});
    for (int i = 0; i < M * N; i++) assert_int_equal(y[i], athi_bf16_of(wide_y[i]));
    ref_close(&r);
}

static void normalisation_keeps_float_statistics(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const uint16_t x[] = {athi_bf16_of(1),  athi_bf16_of(10), athi_bf16_of(2),
                          athi_bf16_of(20), athi_bf16_of(4),  athi_bf16_of(30)};
    const float gamma[] = {1, 2}, beta[] = {0, 0.001f};
    uint16_t y[6];
    float mean[2], variance[2];
    ath_tensor *in[] = {ref_input(&r, athi_dims(3, 2), ATH_BF16), ref_input(&r, athi_dims(2), ATH_F32),
                        ref_input(&r, athi_dims(2), ATH_F32)};
    ath_tensor *out = athi_node_add(r.graph, ATHI_OP_BATCH_NORM_TRAIN, in, 3, NULL);
    assert_int_equal(out->dtype, ATH_BF16);
    assert_int_equal(out->node->out[1].dtype, ATH_F32);
    ref_run(&r, out->node, (const void *[]){x, gamma, beta}, (void *[]){y, mean, variance});
    assert_close((double)mean[0], 7.0 / 3, 1e-6); /* no bf16 is that near */
    assert_close((double)variance[1], 200.0 / 3, 1e-5);
    assert_int_equal(y[3], athi_bf16_of(beta[1]));
    athi_op2(r.graph, ATHI_OP_ADD, in[0], in[1], NULL);
    assert_fails(r.ctx, athi_graph_check(r.graph), ATH_E_SHAPE, "one type");
    ref_close(&r);
}

static void losses_want_float(void **state) {
    (void)state;
    ref_graph r = ref_open();
    athi_op2(r.graph, ATHI_OP_SPARSE_XENT, ref_input(&r, athi_dims(4, 3), ATH_BF16),
             ref_input(&r, athi_dims(4), ATH_I32), NULL);
    assert_fails(r.ctx, athi_graph_check(r.graph), ATH_E_SHAPE, "sparse_xent: expected input 1 in f32, got bf16");
    ref_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_the_nearest),
        cmocka_unit_test(keeps_what_is_special),
        cmocka_unit_test(casts),
        cmocka_unit_test(computes_in_float),
        cmocka_unit_test(normalisation_keeps_float_statistics),
        cmocka_unit_test(losses_want_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
