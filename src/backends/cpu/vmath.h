/* Elementary functions on vectors, within a few units in the last place of libm's over the whole range,
 * infinities and NaN included (tests/backends/test_cpu_kernels_elementwise.c). Denormal results may be
 * flushed to zero. exp, log and tanh after Cephes (Moshier), erf and exp's polynomial after N. Juffa. */
#ifndef ATHI_CPU_VMATH_H
#define ATHI_CPU_VMATH_H

#include "backends/cpu/simd.h"

/* 2^n for n in [-126, 127]. */
ATHI_INLINE vf vpow2(vi n) { return (vf)((n + 127) << 23); }

ATHI_INLINE vf vexp(vf x) {
    x = vsel(x < -104.0f, vset(-104.0f), x); /* below, the result is zero; above, infinite; NaN stays */
    x = vsel(x > 89.0f, vset(89.0f), x);
    /* x = n ln 2 + r: adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
    vf shifted = x * 1.44269504f + 12582912.0f;
    vi n = (vi)shifted - 0x4B400000;
    vf whole = shifted - 12582912.0f;
    vf r = x - whole * 6.93145752e-1f;
    r = r - whole * 1.42860677e-6f;
    vf y = vset(1.37805939e-3f);
    y = y * r + 8.37312452e-3f;
    y = y * r + 4.16695364e-2f;
    y = y * r + 1.66664720e-1f;
    y = y * r + 4.99999851e-1f;
    y = y * r + 1.0f;
    y = y * r + 1.0f;
    vi half = n >> 1; /* two steps, as 2^n itself may be out of range */
    return y * vpow2(half) * vpow2(n - half);
}

ATHI_INLINE vf vlog(vf x) {
    const float infinity = __builtin_inff(), nan = __builtin_nanf("");
    vi tiny = x < 1.17549435e-38f;
    vf scaled = vsel(tiny, x * 8388608.0f, x);
    /* x = m 2^e with m in [sqrt(1/2), sqrt(2)) */
    vi e = ((vi)scaled - 0x3f3504f3) >> 23;
    vf m = (vf)((vi)scaled - (e << 23)) - 1.0f;
    vf exponent = __builtin_convertvector(e + (tiny & -23), vf);
    vf z = m * m, y = vset(7.0376836292e-2f);
    y = y * m - 1.1514610310e-1f;
    y = y * m + 1.1676998740e-1f;
    y = y * m - 1.2420140846e-1f;
    y = y * m + 1.4249322787e-1f;
    y = y * m - 1.6668057665e-1f;
    y = y * m + 2.0000714765e-1f;
    y = y * m - 2.4999993993e-1f;
    y = y * m + 3.3333331174e-1f;
    y = y * m * z;
    y = y - exponent * 2.12194440e-4f;
    y = y - z * 0.5f;
    y = m + y + exponent * 0.693359375f;
    y = vsel(x == infinity, x, y);
    y = vsel(x == 0.0f, vset(-infinity), y);
    return vsel(x >= 0.0f, y, vset(nan));
}

/* log(1 + x) for x >= 0, exact to rounding for small x. */
ATHI_INLINE vf vlog1p(vf x) {
    vf u = 1.0f + x;
    return vsel(u == 1.0f, x, vlog(u) + (x - (u - 1.0f)) / u);
}

ATHI_INLINE vf vtanh(vf x) {
    vf z = x * x, near = vset(-5.70498872745e-3f);
    near = near * z + 2.06390887954e-2f;
    near = near * z - 5.37397155531e-2f;
    near = near * z + 1.33314422036e-1f;
    near = near * z - 3.33332819422e-1f;
    near = near * z * x + x;
    vf far = 1.0f - 2.0f / (vexp(2.0f * vabs(x)) + 1.0f);
    return vsel(vabs(x) < 0.625f, near, vsign_of(far, x));
}

ATHI_INLINE vf verf(vf x) {
    vf t = vabs(x), s = x * x;
    vf near = vset(-5.96761703e-4f);
    near = near * s + 4.99119423e-3f;
    near = near * s - 2.67681349e-2f;
    near = near * s + 1.12819925e-1f;
    near = near * s - 3.76125336e-1f;
    near = near * s + 1.28379166e-1f;
    near = near * x + x;
    t = vsel(t > 4.0f, vset(4.0f), t); /* erf is 1 from 3.92 on */
    s = t * t;
    vf far = -1.72853470e-5f * t + 3.83197126e-4f;
    far = far * s + (-3.88396438e-3f * t + 2.42546219e-2f);
    far = far * t - 1.06777877e-1f;
    far = far * t - 6.34846687e-1f;
    far = far * t - 1.28717512e-1f;
    far = far * t - t;
    far = vsign_of(1.0f - vexp(far), x);
    return vsel(vabs(x) < 0.927734375f, near, far);
}

/* exp(x) - 1 without cancellation near zero, by Taylor's series. */
ATHI_INLINE vf vexpm1(vf x) {
    vf near = vset(1.0f / 40320);
    near = near * x + 1.0f / 5040;
    near = near * x + 1.0f / 720;
    near = near * x + 1.0f / 120;
    near = near * x + 1.0f / 24;
    near = near * x + 1.0f / 6;
    near = near * x + 0.5f;
    near = near * x * x + x;
    return vsel(vabs(x) < 0.5f, near, vexp(x) - 1.0f);
}

ATHI_INLINE vf vsigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

/* d/dx x tanh(s), s = softplus(x) */
ATHI_INLINE vf mish_derivative(vf x) {
    vf t = vtanh(vmax(x, 0) + vlog1p(vexp(-vabs(x))));
    return t + x * vsigmoid(x) * (1.0f - t * t);
}

#endif
