/* Options of the optimisers and of the learning-rate schedules: Keras 3's names and defaults in snake case.
 *
 *     ath_spec optimizer = {"adam", &(ath_adam_opts){.struct_size = sizeof(ath_adam_opts),
 *                                                    .learning_rate = ATH_RATE(0.003)}};
 *
 * Zero means the default, unless `.exact = true` takes every field as written. Structs only grow at their
 * end. In the equations: g gradient, w weight, t number of the update from 1, lr the learning rate of this
 * update. The order of an update: clip the gradients, then w -= lr * weight_decay * w, then the optimiser's
 * own step. */
#ifndef ATHANOR_OPTIMIZERS_H
#define ATHANOR_OPTIMIZERS_H

#include "athanor/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What all optimisers have; every struct below begins with these fields. At most one of the clips may be given. */
typedef struct ath_optimizer_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* a schedule; ATH_RATE(0.01) for a constant */
    double weight_decay;    /* decoupled, for every trainable variable; 0: none */
    double clipnorm;        /* the L2 norm of each variable's gradient is at most this; 0: none */
    double clipvalue;       /* each element of a gradient is within +-this; 0: none */
    double global_clipnorm; /* the L2 norm of all gradients together is at most this; 0: none */
} ath_optimizer_opts;

/** Stochastic gradient descent: v = momentum v - lr g; w += v; nesterov: w += momentum v - lr g. */
typedef struct ath_sgd_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.01 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double momentum; /* 0 */
    bool nesterov;
} ath_sgd_opts;

/** RMSprop: v = rho v + (1 - rho) g²; d = lr g / sqrt(v + epsilon); m = momentum m + d; w -= m (d without
 * momentum). centered: v minus the square of the running mean of g stands under the root. */
typedef struct ath_rmsprop_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double rho;      /* 0.9 */
    double momentum; /* 0 */
    double epsilon;  /* 1e-7 */
    bool centered;
} ath_rmsprop_opts;

/** Adam (Kingma and Ba 2014): w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon);
 *  amsgrad: the largest v so far in place of v. */
typedef struct ath_adam_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double beta_1;  /* 0.9 */
    double beta_2;  /* 0.999 */
    double epsilon; /* 1e-7 */
    bool amsgrad;
} ath_adam_opts;

/** Adam with decoupled weight decay (Loshchilov and Hutter 2017): ath_adam_opts with weight_decay 0.004. */
typedef ath_adam_opts ath_adamw_opts;

/** Adam with Nesterov momentum (Dozat 2015). */
typedef struct ath_nadam_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double beta_1;  /* 0.9 */
    double beta_2;  /* 0.999 */
    double epsilon; /* 1e-7 */
} ath_nadam_opts;

/** Adam on the infinity norm: u = max(beta_2 u, |g|); w -= lr / (1 - beta_1^t) m / (u + epsilon). */
typedef ath_nadam_opts ath_adamax_opts;

/** Layer-wise adaptive moments (You et al. 2019): Adam's step scaled by |w| / |step| for each variable. */
typedef ath_nadam_opts ath_lamb_opts;

/** Layer-wise adaptive rate (You, Gitman and Ginsburg 2017), in the form of tf.contrib: for each variable
 *  trust = eeta |w| / (|g| + weight_decay |w| + epsilon), 1 where |w| or |g| is 0; v = momentum v + g;
 *  w -= lr trust v; nesterov: w -= lr trust (momentum v + g). weight_decay stands in the trust alone; a penalty on the
 *  weights themselves is a regulariser's. */
typedef struct ath_lars_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.01 */
    double weight_decay;    /* 0.0001 */
    double clipnorm, clipvalue, global_clipnorm;
    double momentum; /* 0.9 */
    double eeta;     /* 0.001 */
    double epsilon;  /* 0 */
    bool nesterov;
} ath_lars_opts;

/** Adagrad (Duchi et al. 2011): a += g²; w -= lr g / sqrt(a + epsilon). */
typedef struct ath_adagrad_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double initial_accumulator_value; /* 0.1 */
    double epsilon;                   /* 1e-7 */
} ath_adagrad_opts;

/** Adadelta (Zeiler 2012): a = rho a + (1 - rho) g²; d = -sqrt(u + epsilon) / sqrt(a + epsilon) g;
 *  u = rho u + (1 - rho) d²; w += lr d. */
typedef struct ath_adadelta_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double rho;     /* 0.95 */
    double epsilon; /* 1e-7 */
} ath_adadelta_opts;

/** Follow the regularised leader, proximal (McMahan et al. 2013). */
typedef struct ath_ftrl_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double learning_rate_power;                  /* -0.5 */
    double initial_accumulator_value;            /* 0.1 */
    double l1_regularization_strength;           /* 0 */
    double l2_regularization_strength;           /* 0 */
    double l2_shrinkage_regularization_strength; /* 0 */
    double beta;                                 /* 0 */
} ath_ftrl_opts;

/** Lion (Chen et al. 2023): w -= lr sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g. */
typedef struct ath_lion_opts {
    size_t struct_size;
    bool exact;
    ath_spec learning_rate; /* 0.001 */
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    double beta_1; /* 0.9 */
    double beta_2; /* 0.99 */
} ath_lion_opts;

/* ---- learning-rate schedules: functions of the number of updates made, t = 0, 1, … -------------------- */

/** The same rate always. */
typedef struct ath_constant_rate_opts {
    size_t struct_size;
    bool exact;
    double value; /* required, >= 0 */
} ath_constant_rate_opts;
#define ATH_RATE(rate)                                                                                       \
    ((ath_spec){"constant",                                                                                  \
                &(ath_constant_rate_opts){.struct_size = sizeof(ath_constant_rate_opts), .value = (rate)}})

/** initial decay_rate^(t / decay_steps); staircase: the exponent is rounded down. */
typedef struct ath_exponential_decay_opts {
    size_t struct_size;
    bool exact;
    double initial_learning_rate; /* required */
    int64_t decay_steps;          /* required, >= 1 */
    double decay_rate;            /* required */
    bool staircase;
} ath_exponential_decay_opts;

/** initial / (1 + decay_rate t / decay_steps); staircase: the quotient is rounded down. */
typedef ath_exponential_decay_opts ath_inverse_time_decay_opts;

/** (initial - end) (1 - t / decay_steps)^power + end; after decay_steps the end, or with cycle over again
 * from a longer decay. */
typedef struct ath_polynomial_decay_opts {
    size_t struct_size;
    bool exact;
    double initial_learning_rate; /* required */
    int64_t decay_steps;          /* required, >= 1 */
    double end_learning_rate;     /* 0.0001 */
    double power;                 /* 1 */
    bool cycle;
} ath_polynomial_decay_opts;

/** values[i] while t <= boundaries[i], then the last value; one value more than boundaries. */
typedef struct ath_piecewise_constant_decay_opts {
    size_t struct_size;
    bool exact;
    ath_floats boundaries; /* required, ascending */
    ath_floats values;     /* required */
} ath_piecewise_constant_decay_opts;

/** Linear from initial to warmup_target over warmup_steps (if warmup_target is given), then half a cosine
 * over decay_steps down to alpha times its beginning (Loshchilov and Hutter 2016). */
typedef struct ath_cosine_decay_opts {
    size_t struct_size;
    bool exact;
    double initial_learning_rate; /* required; 0 is allowed */
    int64_t decay_steps;          /* required, >= 1 */
    double alpha;                 /* 0 */
    double warmup_target;         /* 0: no warm-up */
    int64_t warmup_steps;         /* 0 */
} ath_cosine_decay_opts;

/** Half cosines again and again, each t_mul times as long and m_mul times as high as the one before. */
typedef struct ath_cosine_decay_restarts_opts {
    size_t struct_size;
    bool exact;
    double initial_learning_rate; /* required */
    int64_t first_decay_steps;    /* required, >= 1 */
    double t_mul;                 /* 2 */
    double m_mul;                 /* 1 */
    double alpha;                 /* 0 */
} ath_cosine_decay_restarts_opts;

#ifdef __cplusplus
}
#endif
#endif
