/* bfloat16: the upper half of a float32, and rounding to it. */
#ifndef ATHI_BF16_H
#define ATHI_BF16_H

#include <stdint.h>
#include <string.h>

static inline float athi_bf16_value(uint16_t b) {
    const uint32_t bits = (uint32_t)b << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/** To the nearest, half to even; what is too large becomes infinite, a NaN stays one, subnormals are kept. */
static inline uint16_t athi_bf16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); /* quiet: the payload may be lost */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
