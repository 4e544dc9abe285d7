/* Draws from Philox that need more than a line. */
#include "base/philox.h"

#include <math.h>

/* Lemire, "Fast random integer generation in an interval" (2019): the high half of a product; the few low
 * halves that would favour some results are drawn again. */
static uint64_t below_32(athi_rng *r, uint32_t n) {
    uint64_t product = (uint64_t)athi_rng_u32(r) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = (uint32_t)(-n) % n; /* 2^32 mod n */
        while ((uint32_t)product < threshold) product = (uint64_t)athi_rng_u32(r) * n;
    }
    return product >> 32;
}

uint64_t athi_rng_below(athi_rng *r, uint64_t n) {
    if (n <= 1) return 0;
    if (n <= UINT32_MAX) return below_32(r, (uint32_t)n);
    uint64_t mask = n - 1; /* larger than 32 bits: the smallest mask over n - 1, at most half rejected */
    for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    uint64_t drawn;
    do drawn = athi_rng_u64(r) & mask;
    while (drawn >= n);
    return drawn;
}

double athi_rng_normal(athi_rng *r) {
    double radius = ((double)athi_rng_u32(r) + 1.0) * 0x1p-32; /* (0, 1]: its logarithm is finite */
    double angle = (double)athi_rng_u32(r) * 0x1p-32;
    return sqrt(-2.0 * log(radius)) * cos(6.283185307179586477 * angle);
}
