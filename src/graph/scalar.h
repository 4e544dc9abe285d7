/* The functions of one value that the rows of unary.def use, in the type T (float or double): define T before
 * including; once for each type. Branch-free apart from libm, which the reference uses; the cpu backend has polynomials of its own. */
#include <math.h>

#ifndef T
#error "define T as float or double before including graph/scalar.h"
#endif

#ifndef ATHI_SCALAR_H
#define ATHI_SCALAR_H
#define K(c)          ((T)(c))
#define sel(c, a, b)  ((c) ? (T)(a) : (T)(b))
#define SELU_ALPHA    K(1.6732632423543772848170429916717) /* Klambauer et al. 2017, equation 14 */
#define SELU_SCALE    K(1.0507009873554804934193349852946)
#define SQRT1_2       K(0.70710678118654752440)
#define INV_SQRT_2PI  K(0.39894228040143267794)
#define SIXTH         K(1.0 / 6.0)
#define THIRD         K(1.0 / 3.0)

/* Every name carries its type (vexp_float), so that one file can hold loops of both. */
#define ATHI_TYPED3(name, t)  name##_##t
#define ATHI_TYPED2(name, t)  ATHI_TYPED3(name, t)
#define ATHI_TYPED(name)      ATHI_TYPED2(name, T)
#define ATHI_SCALAR_FN(fn)     _Generic((T)0, float: fn##f, double: fn)
#define vexp                   ATHI_TYPED(vexp)
#define vlog                   ATHI_TYPED(vlog)
#define vtanh                  ATHI_TYPED(vtanh)
#define verf                   ATHI_TYPED(verf)
#define vexpm1                 ATHI_TYPED(vexpm1)
#define vlog1p                 ATHI_TYPED(vlog1p)
#define vsqrt                  ATHI_TYPED(vsqrt)
#define vabs                   ATHI_TYPED(vabs)
#define vmax                   ATHI_TYPED(vmax)
#define vmin                   ATHI_TYPED(vmin)
#define vsigmoid               ATHI_TYPED(vsigmoid)
#define mish_derivative        ATHI_TYPED(mish_derivative)
#endif

static inline T vexp(T x) { return ATHI_SCALAR_FN(exp)(x); }
static inline T vlog(T x) { return ATHI_SCALAR_FN(log)(x); }
static inline T vtanh(T x) { return ATHI_SCALAR_FN(tanh)(x); }
static inline T verf(T x) { return ATHI_SCALAR_FN(erf)(x); }
static inline T vexpm1(T x) { return ATHI_SCALAR_FN(expm1)(x); }
static inline T vlog1p(T x) { return ATHI_SCALAR_FN(log1p)(x); }
static inline T vsqrt(T x) { return ATHI_SCALAR_FN(sqrt)(x); }
static inline T vabs(T x) { return x < 0 ? -x : x; }
/* A NaN in x stays one. */
static inline T vmax(T x, T limit) { return x < limit ? limit : x; }
static inline T vmin(T x, T limit) { return x > limit ? limit : x; }
static inline T vsigmoid(T x) { return 1 / (1 + vexp(-x)); }
/* d/dx x tanh(s), s = softplus(x) */
static inline T mish_derivative(T x) {
    T t = vtanh(vmax(x, 0) + vlog1p(vexp(-vabs(x))));
    return t + x * vsigmoid(x) * (1 - t * t);
}
