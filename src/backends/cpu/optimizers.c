/* One loop for each optimiser over src/graph/optimizer_math.h. The loops are plain, so that the compiler
 * vectorises them at the width of the instance; square roots and divisions are vector instructions. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "graph/optimizer_math.h"

enum { GRAIN = 16384, ALIGN = 64, PIECES = 64, PIECE = 4096 };

typedef struct {
    float *w;
    const float *g;
    float *const *slots;
    const float *h;
    float ratio;
    int64_t n, piece;
    double (*squares)[2];
} step_work;

/* The n-th slot, from element lo on. The h of a step is copied so that no store can be thought to change it. */
#define SLOT(n) float *restrict slot##n = s->slots[n] + lo
#define STEP_BEGIN                                                                                           \
    const step_work *s = work;                                                                               \
    float *restrict w = s->w + lo;                                                                           \
    const float *restrict g = s->g + lo;                                                                     \
    float h[ATHI_OPT_SCALARS];                                                                               \
    memcpy(h, s->h, sizeof h);                                                                               \
    (void)part

/* clang-format off */
#define PART(name) static void name##_part(const void *work, int64_t lo, int64_t hi, int part)
#define SLOTS_0(name) PART(name) { STEP_BEGIN; \
    for (int64_t i = 0; i < hi - lo; i++) athi_##name(&w[i], g[i], h); }
#define SLOTS_1(name) PART(name) { STEP_BEGIN; SLOT(0); \
    for (int64_t i = 0; i < hi - lo; i++) athi_##name(&w[i], g[i], &slot0[i], h); }
#define SLOTS_2(name) PART(name) { STEP_BEGIN; SLOT(0); SLOT(1); \
    for (int64_t i = 0; i < hi - lo; i++) athi_##name(&w[i], g[i], &slot0[i], &slot1[i], h); }
#define SLOTS_3(name) PART(name) { STEP_BEGIN; SLOT(0); SLOT(1); SLOT(2); \
    for (int64_t i = 0; i < hi - lo; i++) athi_##name(&w[i], g[i], &slot0[i], &slot1[i], &slot2[i], h); }

SLOTS_0(sgd)
SLOTS_1(sgd_momentum)
SLOTS_1(sgd_nesterov)
SLOTS_1(rmsprop)
SLOTS_2(rmsprop_momentum)
SLOTS_2(rmsprop_centered)
SLOTS_3(rmsprop_centered_momentum)
SLOTS_2(adam)
SLOTS_3(amsgrad)
SLOTS_2(nadam)
SLOTS_2(adamax)
SLOTS_1(adagrad)
SLOTS_2(adadelta)
SLOTS_2(ftrl)
SLOTS_2(ftrl_any_power)
SLOTS_1(lion)
SLOTS_2(lamb_moments)

#define STEP(name)                                                                                           \
    static void name(int threads, int64_t n, float *w, const float *g, float *const *slots, const float *h) {\
        athi_cpu_for(threads, n, GRAIN, ALIGN, name##_part,                                                  \
                     &(step_work){.w = w, .g = g, .slots = slots, .h = h});                                  \
    }
STEP(sgd) STEP(sgd_momentum) STEP(sgd_nesterov) STEP(rmsprop) STEP(rmsprop_momentum) STEP(rmsprop_centered)
STEP(rmsprop_centered_momentum) STEP(adam) STEP(amsgrad) STEP(nadam) STEP(adamax) STEP(adagrad) STEP(adadelta)
STEP(ftrl) STEP(ftrl_any_power) STEP(lion) STEP(lamb_moments)
    /* clang-format on */

    /* Squares of w and of lamb's direction, summed in double in pieces of fixed size. */
    static void lamb_squares_part(const void *work, int64_t lo, int64_t hi, int part) {
    const step_work *s = work;
    (void)part;
    for (int64_t p = lo; p < hi; p++) {
        double w2 = 0, r2 = 0;
        for (int64_t i = p * s->piece; i < ATHI_MIN(s->n, (p + 1) * s->piece); i++) {
            double r = athi_lamb_direction(s->slots[0][i], s->slots[1][i], s->h);
            w2 += (double)s->w[i] * (double)s->w[i];
            r2 += r * r;
        }
        s->squares[p][0] = w2, s->squares[p][1] = r2;
    }
}

static void lamb_apply_part(const void *work, int64_t lo, int64_t hi, int part) {
    STEP_BEGIN;
    SLOT(0);
    SLOT(1);
    (void)g;
    float ratio = s->ratio;
    for (int64_t i = 0; i < hi - lo; i++) athi_lamb_apply(&w[i], slot0[i], slot1[i], ratio, h);
}

/* The two norms that the squares give. */
static void norms(int threads, step_work *s, athi_cpu_body *squares_part, double norm[2]) {
    double squares[PIECES][2];
    s->piece = ATHI_MAX((s->n + PIECES - 1) / PIECES, PIECE), s->squares = squares;
    int64_t pieces = (s->n + s->piece - 1) / s->piece;
    athi_cpu_for(threads, pieces, 4, 1, squares_part, s);
    norm[0] = norm[1] = 0;
    for (int64_t p = 0; p < pieces; p++) norm[0] += squares[p][0], norm[1] += squares[p][1];
    norm[0] = sqrt(norm[0]), norm[1] = sqrt(norm[1]);
}

static void lamb(int threads, int64_t n, float *w, const float *g, float *const *slots, const float *h) {
    step_work s = {.w = w, .g = g, .slots = slots, .h = h, .n = n};
    double norm[2];
    lamb_moments(threads, n, w, g, slots, h);
    norms(threads, &s, lamb_squares_part, norm);
    s.ratio = athi_lamb_ratio(norm[0], norm[1]);
    athi_cpu_for(threads, n, GRAIN, ALIGN, lamb_apply_part, &s);
}

/* Squares of w and of the scaled gradient. */
static void lars_squares_part(const void *work, int64_t lo, int64_t hi, int part) {
    const step_work *s = work;
    (void)part;
    for (int64_t p = lo; p < hi; p++) {
        double w2 = 0, g2 = 0;
        for (int64_t i = p * s->piece; i < ATHI_MIN(s->n, (p + 1) * s->piece); i++) {
            double g = (double)(s->g[i] * s->h[ATHI_H_GRADIENT_SCALE]);
            w2 += (double)s->w[i] * (double)s->w[i];
            g2 += g * g;
        }
        s->squares[p][0] = w2, s->squares[p][1] = g2;
    }
}

static void lars_part(const void *work, int64_t lo, int64_t hi, int part) {
    STEP_BEGIN;
    SLOT(0);
    float ratio = s->ratio;
    for (int64_t i = 0; i < hi - lo; i++) athi_lars(&w[i], g[i], &slot0[i], ratio, h);
}

static void lars(int threads, int64_t n, float *w, const float *g, float *const *slots, const float *h) {
    step_work s = {.w = w, .g = g, .slots = slots, .h = h, .n = n};
    double norm[2];
    norms(threads, &s, lars_squares_part, norm);
    s.ratio = athi_lars_ratio(norm[0], norm[1], h);
    athi_cpu_for(threads, n, GRAIN, ALIGN, lars_part, &s);
}

void ATHI_INSTANCE(athi_cpu_fill_optimizers)(athi_cpu_kernels *k) {
    static athi_cpu_step *const steps[ATHI_STEP_COUNT] = {
        [ATHI_STEP_SGD] = sgd,
        [ATHI_STEP_SGD_MOMENTUM] = sgd_momentum,
        [ATHI_STEP_SGD_NESTEROV] = sgd_nesterov,
        [ATHI_STEP_RMSPROP] = rmsprop,
        [ATHI_STEP_RMSPROP_MOMENTUM] = rmsprop_momentum,
        [ATHI_STEP_RMSPROP_CENTERED] = rmsprop_centered,
        [ATHI_STEP_RMSPROP_CENTERED_MOMENTUM] = rmsprop_centered_momentum,
        [ATHI_STEP_ADAM] = adam,
        [ATHI_STEP_AMSGRAD] = amsgrad,
        [ATHI_STEP_NADAM] = nadam,
        [ATHI_STEP_ADAMAX] = adamax,
        [ATHI_STEP_ADAGRAD] = adagrad,
        [ATHI_STEP_ADADELTA] = adadelta,
        [ATHI_STEP_FTRL] = ftrl,
        [ATHI_STEP_FTRL_ANY_POWER] = ftrl_any_power,
        [ATHI_STEP_LION] = lion,
        [ATHI_STEP_LAMB] = lamb,
        [ATHI_STEP_LARS] = lars,
    };
    memcpy(k->step, steps, sizeof steps);
}
