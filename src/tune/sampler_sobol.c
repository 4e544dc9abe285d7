/* Sobol search: trial n gets point n of a Sobol sequence with Owen's scrambling, so that any 2^k trials that follow
 * an aligned number fill each dimension evenly, and the first dimensions together. Nothing but the seed and the
 * number enters, so any trial can be replayed alone, and parallel trials need not know of one another.
 *
 *   dimension d    the d-th parameter with more than one value, in the order of the space
 *   conditions     every dimension is drawn, and what does not exist is dropped: a branch's parameters are as even
 *                  as the points that fall into the branch
 *   beyond 64      independent draws
 */
#include "tune/sampler_internal.h"

enum { DIMENSIONS = 64, BITS = 32, MOST_DEGREE = 9 };
static const uint64_t SCRAMBLING = (uint64_t)1 << 39; /* apart from the trials' numbers */

/* Primitive polynomials x^s + a_1 x^(s-1) + ... + 1 (`a`: the inner coefficients) and first direction numbers of
 * dimensions 2 to 64: S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections",
 * SIAM J. Sci. Comput. 30 (2008), table new-joe-kuo-6. */
typedef struct polynomial {
    uint8_t s, a;
    uint16_t m[MOST_DEGREE];
} polynomial;
/* clang-format off */
static const polynomial polynomials[DIMENSIONS - 1] = {
    {1, 0, {1}}, {2, 1, {1, 3}}, {3, 1, {1, 3, 1}}, {3, 2, {1, 1, 1}}, {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}}, {5, 2, {1, 1, 5, 5, 17}}, {5, 4, {1, 1, 5, 5, 5}}, {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}}, {5, 13, {1, 1, 1, 3, 11}}, {5, 14, {1, 3, 5, 5, 31}}, {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}}, {6, 16, {1, 3, 1, 13, 27, 49}}, {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}}, {6, 25, {1, 1, 5, 5, 19, 61}}, {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}}, {7, 7, {1, 1, 3, 13, 7, 35, 63}}, {7, 8, {1, 3, 5, 9, 1, 25, 53}},
    {7, 14, {1, 3, 1, 13, 9, 35, 107}}, {7, 19, {1, 3, 1, 5, 27, 61, 31}}, {7, 21, {1, 1, 5, 11, 19, 41, 61}},
    {7, 28, {1, 3, 5, 3, 3, 13, 69}}, {7, 31, {1, 1, 7, 13, 1, 19, 1}}, {7, 32, {1, 3, 7, 5, 13, 19, 59}},
    {7, 37, {1, 1, 3, 9, 25, 29, 41}}, {7, 41, {1, 3, 5, 13, 23, 1, 55}}, {7, 42, {1, 3, 7, 3, 13, 59, 17}},
    {7, 50, {1, 3, 1, 3, 5, 53, 69}}, {7, 55, {1, 1, 5, 5, 23, 33, 13}}, {7, 56, {1, 1, 7, 7, 1, 61, 123}},
    {7, 59, {1, 1, 7, 9, 13, 61, 49}}, {7, 62, {1, 3, 3, 5, 3, 55, 33}},
    {8, 14, {1, 3, 1, 15, 31, 13, 49, 245}}, {8, 21, {1, 3, 5, 15, 31, 59, 63, 97}},
    {8, 22, {1, 3, 1, 11, 11, 11, 77, 249}}, {8, 38, {1, 3, 1, 11, 27, 43, 71, 9}},
    {8, 47, {1, 1, 7, 15, 21, 11, 81, 45}}, {8, 49, {1, 3, 7, 3, 25, 31, 65, 79}},
    {8, 50, {1, 3, 1, 1, 19, 11, 3, 205}}, {8, 52, {1, 1, 5, 9, 19, 21, 29, 157}},
    {8, 56, {1, 3, 7, 11, 1, 33, 89, 185}}, {8, 67, {1, 3, 3, 3, 15, 9, 79, 71}},
    {8, 70, {1, 3, 7, 11, 15, 39, 119, 27}}, {8, 84, {1, 1, 3, 1, 11, 31, 97, 225}},
    {8, 97, {1, 1, 1, 3, 23, 43, 57, 177}}, {8, 103, {1, 3, 7, 7, 17, 17, 37, 71}},
    {8, 115, {1, 3, 1, 5, 27, 63, 123, 213}}, {8, 122, {1, 1, 3, 5, 11, 43, 53, 133}},
    {9, 8, {1, 3, 5, 5, 29, 17, 47, 173, 479}}, {9, 13, {1, 3, 3, 11, 3, 1, 109, 9, 69}},
    {9, 16, {1, 1, 1, 5, 17, 39, 23, 5, 343}}, {9, 22, {1, 3, 1, 5, 25, 15, 31, 103, 499}},
    {9, 25, {1, 1, 1, 11, 11, 17, 63, 105, 183}}, {9, 44, {1, 1, 5, 11, 9, 29, 97, 231, 363}},
    {9, 47, {1, 1, 5, 15, 19, 45, 41, 7, 383}}, {9, 52, {1, 3, 7, 7, 31, 19, 83, 137, 221}},
    {9, 55, {1, 1, 1, 3, 23, 15, 111, 223, 83}}, {9, 59, {1, 1, 5, 13, 31, 15, 55, 25, 161}},
    {9, 62, {1, 1, 3, 13, 25, 47, 39, 87, 257}},
};
/* clang-format on */

/* The direction numbers of a dimension, the highest bit first; dimension 0 is van der Corput's. */
static void directions(int dimension, uint32_t v[BITS]) {
    for (int i = 0; i < BITS; i++) v[i] = (uint32_t)1 << (BITS - 1 - i);
    if (dimension == 0) return;
    const polynomial *p = &polynomials[dimension - 1];
    for (int i = 0; i < p->s; i++) v[i] = (uint32_t)p->m[i] << (BITS - 1 - i);
    for (int i = p->s; i < BITS; i++) {
        v[i] = v[i - p->s] ^ v[i - p->s] >> p->s;
        for (int k = 1; k < p->s; k++)
            if (p->a >> (p->s - 1 - k) & 1) v[i] ^= v[i - k];
    }
}

static uint32_t sobol(int dimension, uint32_t n) {
    uint32_t v[BITS], x = 0;
    directions(dimension, v);
    for (int i = 0; i < BITS; i++)
        if (n >> i & 1) x ^= v[i];
    return x;
}

/* Owen's nested scrambling ("Randomly permuted (t,m,s)-nets", 1995): each bit is flipped or not by a coin that is a
 * function of the bits above it, so every interval keeps its share of the points. */
static uint32_t scramble(uint64_t seed, int dimension, uint32_t x) {
    uint32_t y = 0;
    for (int bit = BITS - 1; bit >= 0; bit--) {
        const uint64_t above = bit == BITS - 1 ? 0 : x >> (bit + 1);
        uint32_t coin[4];
        athi_philox(seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, SCRAMBLING + (uint64_t)(dimension * BITS + bit)), above,
                    coin);
        y |= ((x >> bit ^ coin[0]) & 1) << bit;
    }
    return y;
}

/* Below the sequence's last bit, and beyond its last dimension, plain random numbers. */
static double coordinate(const athi_view *view, int64_t dimension, athi_rng *rng) {
    const double within = athi_rng_uniform(rng);
    if (dimension >= DIMENSIONS) return within;
    const uint32_t x = sobol((int)dimension, (uint32_t)view->trial);
    return (scramble(view->seed, (int)dimension, x) + within) * 0x1p-32;
}

static ath_status suggest(ath_ctx *ctx, const void *opts, const athi_view *view, double *point, bool *exhausted) {
    (void)opts;
    athi_rng rng = athi_rng_at(view->seed, ATHI_PURPOSE(ATHI_RNG_SAMPLER, view->trial));
    int64_t dimension = 0;
    for (int64_t i = 0; i < view->space->n; i++) {
        const athi_space_param *p = &view->space->params[i];
        point[i] =
            athi_param_count(p) == 1 ? p->fallback : athi_param_from_unit(p, coordinate(view, dimension++, &rng));
    }
    athi_space_normalize(view->space, point);
    return athi_avoid_duplicate(ctx, view, point, exhausted);
}

const athi_sampler_impl athi_sampler_sobol = {suggest};
