/* The optimisers' arithmetic, Keras 3's formulas: for each one a function of a single element, which every
 * backend loops over, and a function that prepares a step's numbers in double. Both read the same rows of h.
 *
 *     float h[ATHI_OPT_SCALARS];
 *     athi_adam_prepare(&hyper, step, h);                             once a step, step counted from 1
 *     for each element: athi_adam(&w, g, &m, &v, h);
 *
 * Every element function begins with athi_opt_gradient: the gradient times a scale (1 / loss scale, or the
 * factor of a global clip) and decoupled weight decay, w -= w * decay * learning_rate. There are no branches
 * on data, so loops over elements vectorise. */
#ifndef ATHI_OPTIMIZER_MATH_H
#define ATHI_OPTIMIZER_MATH_H

#include <math.h>
#include <stdint.h>

/** What a step is made of; each optimiser reads what it knows. */
typedef struct athi_opt_hyper {
    double learning_rate, weight_decay; /* weight_decay 0 for variables that are excluded */
    double gradient_scale;              /* 1: as it is */
    double momentum, rho, beta_1, beta_2, epsilon;
    double learning_rate_power, l1, l2, l2_shrinkage, beta; /* ftrl */
    double eeta, nesterov; /* lars; nesterov: 1 or 0 */
} athi_opt_hyper;

/* Places in h. The first two belong to every optimiser. */
enum {
    ATHI_H_DECAY, /* weight_decay * learning_rate */
    ATHI_H_GRADIENT_SCALE,
    ATHI_H_RATE, /* learning rate, corrected for bias where the optimiser does so */
    ATHI_H_EPSILON,
    ATHI_H_MOMENTUM,
    ATHI_H_RHO,
    ATHI_H_ONE_RHO, /* 1 - rho, rounded once */
    ATHI_H_BETA_1,
    ATHI_H_ONE_BETA_1,
    ATHI_H_BETA_2,
    ATHI_H_ONE_BETA_2,
    ATHI_H_A, /* an optimiser's own, named where they are set */
    ATHI_H_B,
    ATHI_H_C,
    ATHI_H_D,
    ATHI_OPT_SCALARS = 16,
};

static inline void athi_opt_prepare_(const athi_opt_hyper *o, float *h) {
    h[ATHI_H_DECAY] = (float)(o->weight_decay * o->learning_rate);
    h[ATHI_H_GRADIENT_SCALE] = (float)o->gradient_scale;
    h[ATHI_H_RATE] = (float)o->learning_rate;
    h[ATHI_H_EPSILON] = (float)o->epsilon;
    h[ATHI_H_MOMENTUM] = (float)o->momentum;
    h[ATHI_H_RHO] = (float)o->rho, h[ATHI_H_ONE_RHO] = (float)(1 - o->rho);
    h[ATHI_H_BETA_1] = (float)o->beta_1, h[ATHI_H_ONE_BETA_1] = (float)(1 - o->beta_1);
    h[ATHI_H_BETA_2] = (float)o->beta_2, h[ATHI_H_ONE_BETA_2] = (float)(1 - o->beta_2);
    h[ATHI_H_A] = h[ATHI_H_B] = h[ATHI_H_C] = h[ATHI_H_D] = h[15] = 0;
}

static inline float athi_opt_gradient(float *w, float g, const float *h) {
    *w -= *w * h[ATHI_H_DECAY];
    return g * h[ATHI_H_GRADIENT_SCALE];
}

/* a * old + (1 - a) * new, as Keras writes it for moments. */
static inline float athi_toward(float old, float target, float one_minus) {
    return old + (target - old) * one_minus;
}

/* ---- sgd ----------------------------------------------------------------------------------------- */

static inline void athi_sgd_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
}
static inline void athi_sgd(float *w, float g, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *w -= h[ATHI_H_RATE] * g;
}
/* The learning rate stands inside the velocity. */
static inline void athi_sgd_momentum(float *w, float g, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *v = h[ATHI_H_MOMENTUM] * *v - h[ATHI_H_RATE] * g;
    *w += *v;
}
static inline void athi_sgd_nesterov(float *w, float g, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    float step = h[ATHI_H_RATE] * g;
    *v = h[ATHI_H_MOMENTUM] * *v - step;
    *w += h[ATHI_H_MOMENTUM] * *v - step;
}

/* ---- rmsprop (Hinton's lecture 6e): v <- rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon) ----- */

static inline void athi_rmsprop_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
}
static inline void athi_rmsprop(float *w, float g, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *v = h[ATHI_H_RHO] * *v + h[ATHI_H_ONE_RHO] * (g * g);
    *w -= h[ATHI_H_RATE] * g / sqrtf(*v + h[ATHI_H_EPSILON]);
}
static inline void athi_rmsprop_momentum(float *w, float g, float *v, float *m, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *v = h[ATHI_H_RHO] * *v + h[ATHI_H_ONE_RHO] * (g * g);
    *m = h[ATHI_H_MOMENTUM] * *m + h[ATHI_H_RATE] * g / sqrtf(*v + h[ATHI_H_EPSILON]);
    *w -= *m;
}
/* Centered: divided by the standard deviation, not the root mean square. */
static inline float athi_rmsprop_centered_step_(float g, float *v, float *mean, const float *h) {
    *v = h[ATHI_H_RHO] * *v + h[ATHI_H_ONE_RHO] * (g * g);
    *mean = h[ATHI_H_RHO] * *mean + h[ATHI_H_ONE_RHO] * g;
    return h[ATHI_H_RATE] * g / sqrtf(*v - *mean * *mean + h[ATHI_H_EPSILON]);
}
static inline void athi_rmsprop_centered(float *w, float g, float *v, float *mean, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *w -= athi_rmsprop_centered_step_(g, v, mean, h);
}
static inline void athi_rmsprop_centered_momentum(float *w, float g, float *v, float *mean, float *m,
                                                  const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = h[ATHI_H_MOMENTUM] * *m + athi_rmsprop_centered_step_(g, v, mean, h);
    *w -= *m;
}

/* ---- adam (Kingma and Ba 2015, the form with epsilon-hat) and adamw (with weight decay) ------------- */

static inline void athi_adam_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    double t = (double)step;
    athi_opt_prepare_(o, h);
    h[ATHI_H_RATE] = (float)(o->learning_rate * sqrt(1 - pow(o->beta_2, t)) / (1 - pow(o->beta_1, t)));
}
static inline void athi_adam(float *w, float g, float *m, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = athi_toward(*m, g, h[ATHI_H_ONE_BETA_1]);
    *v = athi_toward(*v, g * g, h[ATHI_H_ONE_BETA_2]);
    *w -= *m * h[ATHI_H_RATE] / (sqrtf(*v) + h[ATHI_H_EPSILON]);
}
/* Reddi, Kale and Kumar 2018; the maximum is over uncorrected v. */
static inline void athi_amsgrad(float *w, float g, float *m, float *v, float *v_hat, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = athi_toward(*m, g, h[ATHI_H_ONE_BETA_1]);
    *v = athi_toward(*v, g * g, h[ATHI_H_ONE_BETA_2]);
    *v_hat = *v_hat > *v ? *v_hat : *v;
    *w -= *m * h[ATHI_H_RATE] / (sqrtf(*v_hat) + h[ATHI_H_EPSILON]);
}

/* ---- nadam (Dozat 2016) -------------------------------------------------------------------------- */

/* mu_t = beta_1 (1 - 0.96^t / 2); A = mu_{t+1} / (1 - mu_1 … mu_{t+1}), B = (1 - mu_t) / (1 - mu_1 … mu_t),
 * C = 1 / (1 - beta_2^t). The product is below 1e-18 after some hundred steps and is not carried on. */
static inline void athi_nadam_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    double decay = 1, product = 1;
    for (int64_t i = 1; i <= step && product > 1e-18; i++) {
        decay *= 0.96;
        product *= o->beta_1 * (1 - 0.5 * decay);
    }
    double mu = o->beta_1 * (1 - 0.5 * pow(0.96, (double)step));
    double next = o->beta_1 * (1 - 0.5 * pow(0.96, (double)step + 1));
    athi_opt_prepare_(o, h);
    h[ATHI_H_A] = (float)(next / (1 - product * next));
    h[ATHI_H_B] = (float)((1 - mu) / (1 - product));
    h[ATHI_H_C] = (float)(1 / (1 - pow(o->beta_2, (double)step)));
}
static inline void athi_nadam(float *w, float g, float *m, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = athi_toward(*m, g, h[ATHI_H_ONE_BETA_1]);
    *v = athi_toward(*v, g * g, h[ATHI_H_ONE_BETA_2]);
    float m_hat = h[ATHI_H_A] * *m + h[ATHI_H_B] * g, v_hat = *v * h[ATHI_H_C];
    *w -= m_hat * h[ATHI_H_RATE] / (sqrtf(v_hat) + h[ATHI_H_EPSILON]);
}

/* ---- adamax (section 7.1 of the Adam paper) ------------------------------------------------------- */

static inline void athi_adamax_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    athi_opt_prepare_(o, h);
    h[ATHI_H_RATE] = (float)(o->learning_rate / (1 - pow(o->beta_1, (double)step)));
}
static inline void athi_adamax(float *w, float g, float *m, float *u, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = athi_toward(*m, g, h[ATHI_H_ONE_BETA_1]);
    float decayed = h[ATHI_H_BETA_2] * *u, size = fabsf(g);
    *u = decayed > size ? decayed : size;
    *w -= h[ATHI_H_RATE] * *m / (*u + h[ATHI_H_EPSILON]);
}

/* ---- adagrad (Duchi, Hazan and Singer 2011) and adadelta (Zeiler 2012) ------------------------------ */

static inline void athi_adagrad_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
}
static inline void athi_adagrad(float *w, float g, float *a, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *a += g * g;
    *w -= h[ATHI_H_RATE] * g / sqrtf(*a + h[ATHI_H_EPSILON]);
}

static inline void athi_adadelta_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
}
static inline void athi_adadelta(float *w, float g, float *a, float *u, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *a = h[ATHI_H_RHO] * *a + h[ATHI_H_ONE_RHO] * (g * g);
    float delta = -sqrtf(*u + h[ATHI_H_EPSILON]) * g / sqrtf(*a + h[ATHI_H_EPSILON]);
    *u = h[ATHI_H_RHO] * *u + h[ATHI_H_ONE_RHO] * (delta * delta);
    *w += h[ATHI_H_RATE] * delta;
}

/* ---- ftrl (McMahan et al. 2013) ------------------------------------------------------------------ */

/* A = 2 (l2 + beta / (2 rate)), B = 2 l2_shrinkage, C = l1, D = -learning_rate_power. */
static inline void athi_ftrl_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
    h[ATHI_H_A] = (float)(2 * (o->l2 + o->beta / (2 * o->learning_rate)));
    h[ATHI_H_B] = (float)(2 * o->l2_shrinkage);
    h[ATHI_H_C] = (float)o->l1;
    h[ATHI_H_D] = (float)-o->learning_rate_power;
}
/* old and new: the accumulator, before and after, to the power D. */
static inline void athi_ftrl_step_(float *w, float g, float *z, float old, float new_, const float *h) {
    *z += g + h[ATHI_H_B] * *w - (new_ - old) / h[ATHI_H_RATE] * *w;
    float l1 = h[ATHI_H_C], low = *z < -l1 ? -l1 : *z, clipped = low > l1 ? l1 : low;
    *w = (clipped - *z) / (new_ / h[ATHI_H_RATE] + h[ATHI_H_A]);
}
/* The usual power, -0.5. */
static inline void athi_ftrl(float *w, float g, float *n, float *z, const float *h) {
    g = athi_opt_gradient(w, g, h);
    float after = *n + g * g;
    athi_ftrl_step_(w, g, z, sqrtf(*n), sqrtf(after), h);
    *n = after;
}
static inline void athi_ftrl_any_power(float *w, float g, float *n, float *z, const float *h) {
    g = athi_opt_gradient(w, g, h);
    float after = *n + g * g;
    athi_ftrl_step_(w, g, z, powf(*n, h[ATHI_H_D]), powf(after, h[ATHI_H_D]), h);
    *n = after;
}

/* ---- lion (Chen et al. 2023) --------------------------------------------------------------------- */

static inline void athi_lion_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
}
static inline void athi_lion(float *w, float g, float *m, const float *h) {
    g = athi_opt_gradient(w, g, h);
    float c = *m * h[ATHI_H_BETA_1] + g * h[ATHI_H_ONE_BETA_1];
    float sign = (c > 0 ? 1.0f : 0.0f) - (c < 0 ? 1.0f : 0.0f);
    *w -= h[ATHI_H_RATE] * sign;
    *m = *m * h[ATHI_H_BETA_2] + g * h[ATHI_H_ONE_BETA_2];
}

/* ---- lamb (You et al. 2020): Adam's direction, with a length in proportion to the variable's ---------- */

/* A = 1 / (1 - beta_1^t), B = 1 / (1 - beta_2^t). */
static inline void athi_lamb_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    athi_opt_prepare_(o, h);
    h[ATHI_H_A] = (float)(1 / (1 - pow(o->beta_1, (double)step)));
    h[ATHI_H_B] = (float)(1 / (1 - pow(o->beta_2, (double)step)));
}
/* First pass: the moments; then |w| and the norm of the directions are taken, then the second pass. */
static inline void athi_lamb_moments(float *w, float g, float *m, float *v, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *m = athi_toward(*m, g, h[ATHI_H_ONE_BETA_1]);
    *v = athi_toward(*v, g * g, h[ATHI_H_ONE_BETA_2]);
}
static inline float athi_lamb_direction(float m, float v, const float *h) {
    return m * h[ATHI_H_A] / (sqrtf(v * h[ATHI_H_B]) + h[ATHI_H_EPSILON]);
}
static inline float athi_lamb_ratio(double w_norm, double direction_norm) {
    return w_norm > 0 && direction_norm > 0 ? (float)(w_norm / direction_norm) : 1.0f;
}
static inline void athi_lamb_apply(float *w, float m, float v, float ratio, const float *h) {
    *w -= h[ATHI_H_RATE] * ratio * athi_lamb_direction(m, v, h);
}

/* ---- lars (You, Gitman and Ginsburg 2017), as in tf.contrib ------------------------------------------------- */

/* A = eeta, B = weight_decay: only the ratio knows it, the weights do not decay; C v + D g is the step. */
static inline void athi_lars_prepare(const athi_opt_hyper *o, int64_t step, float *h) {
    (void)step;
    athi_opt_prepare_(o, h);
    h[ATHI_H_DECAY] = 0;
    h[ATHI_H_A] = (float)o->eeta, h[ATHI_H_B] = (float)o->weight_decay;
    h[ATHI_H_C] = o->nesterov > 0 ? (float)o->momentum : 1, h[ATHI_H_D] = o->nesterov > 0 ? 1 : 0;
}
/* Norms of a variable and of its scaled gradient, which come first. */
static inline float athi_lars_ratio(double w_norm, double g_norm, const float *h) {
    double below = g_norm + (double)h[ATHI_H_B] * w_norm + (double)h[ATHI_H_EPSILON];
    return w_norm > 0 && g_norm > 0 ? (float)((double)h[ATHI_H_A] * w_norm / below) : 1.0f;
}
static inline void athi_lars(float *w, float g, float *v, float ratio, const float *h) {
    g = athi_opt_gradient(w, g, h);
    *v = h[ATHI_H_MOMENTUM] * *v + g;
    *w -= h[ATHI_H_RATE] * ratio * (h[ATHI_H_C] * *v + h[ATHI_H_D] * g);
}

#endif
