/* Philox against the known answers of Random123 (kat_vectors), and what is drawn from it. */
#include "test.h"

#include "base/philox.h"

#include <math.h>

static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } rows[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        const uint32_t *c = rows[i].counter, *k = rows[i].key;
        uint32_t out[4];
        athi_philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2], (uint64_t)c[1] << 32 | c[0],
                    out);
        assert_memory_equal(out, rows[i].answer, sizeof out);
    }
}

static void a_reader_continues_from_its_index(void **state) {
    (void)state;
    athi_rng a = athi_rng_at(7, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
    uint32_t words[50];
    for (int i = 0; i < 50; i++) words[i] = athi_rng_u32(&a);
    for (int i = 0; i < 50; i++) {
        athi_rng b = athi_rng_at(7, ATHI_PURPOSE(ATHI_RNG_TEST, 1));
        b.next = (uint64_t)i;
        assert_int_equal(athi_rng_u32(&b), words[i]);
    }
    assert_true(athi_seed_derive(1, 2, 3) != athi_seed_derive(1, 3, 2));
}

static void below_is_unbiased(void **state) {
    (void)state;
    athi_rng r = athi_rng_at(1, ATHI_PURPOSE(ATHI_RNG_TEST, 2));
    int count[6] = {0};
    for (int i = 0; i < 60000; i++) count[athi_rng_below(&r, 6)]++;
    for (int i = 0; i < 6; i++) assert_in_range(count[i], 9600, 10400); /* 4.4 standard deviations */
    /* 3 * 2^30: without rejection the lowest quarter of 2^32 would come twice as often */
    int low = 0;
    for (int i = 0; i < 30000; i++) low += athi_rng_below(&r, 3ull << 30) < 1ull << 30;
    assert_in_range(low, 9600, 10400);
    for (int i = 0; i < 1000; i++) assert_true(athi_rng_below(&r, 5ull << 40) < 5ull << 40);
    assert_int_equal(athi_rng_below(&r, 1), 0);
}

static void normals_have_their_moments(void **state) {
    (void)state;
    athi_rng r = athi_rng_at(2, ATHI_PURPOSE(ATHI_RNG_TEST, 3));
    double sum[4] = {0};
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        double x = athi_rng_normal(&r), u = athi_rng_uniform(&r);
        assert_true(isfinite(x) && u >= 0 && u < 1);
        sum[0] += x, sum[1] += x * x, sum[2] += x * x * x * x, sum[3] += u;
    }
    assert_true(fabs(sum[0] / n) < 0.01);
    assert_true(fabs(sum[1] / n - 1) < 0.015);
    assert_true(fabs(sum[2] / n - 3) < 0.1);
    assert_true(fabs(sum[3] / n - 0.5) < 0.003);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(a_reader_continues_from_its_index),
        cmocka_unit_test(below_is_unbiased),
        cmocka_unit_test(normals_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
