/* The arithmetic of int8, once for all who do it: backends, and whoever turns weights into integers.
 * Symmetric around 0 with 127 steps to each side; a scale is a multiplier, as Keras keeps it
 * (keras/src/quantizers/quantizers.py, abs_max_quantize). */
#ifndef ATHI_QUANTIZE_H
#define ATHI_QUANTIZE_H

#include <math.h>
#include <stdint.h>

#define ATHI_QUANTIZE_EPSILON 1e-7f

/** The scale under which the largest magnitude becomes 127. */
static inline float athi_quantize_scale(float abs_max) { return 127.0f / (abs_max + ATHI_QUANTIZE_EPSILON); }

/** To the nearest integer, half to even, within -127 .. 127; NaN gives -127. */
static inline int8_t athi_quantize(float x, float scale) {
    const float q = rintf(x * scale);
    if (!(q > -127.0f)) return -127;
    return q < 127.0f ? (int8_t)q : 127;
}

#endif
