/* The rows of the optimisers: options, slots and their first values. The equations stand in
 * athanor/optimizers.h; the backends' update kernels compute them. */
#include "nn/optimizers.h"
#include "nn/rows.h"

/* ---- slots that depend on options ------------------------------------------------------------------ */

static int sgd_slots(const void *opts, const char *names[ATHI_MAX_SLOTS]) {
    names[0] = "momentum";
    return ((const ath_sgd_opts *)opts)->momentum > 0;
}
static int rmsprop_slots(const void *opts, const char *names[ATHI_MAX_SLOTS]) {
    const ath_rmsprop_opts *o = opts;
    int n = 0;
    names[n++] = "velocity";
    if (o->momentum > 0) names[n++] = "momentum";
    if (o->centered) names[n++] = "average_gradient";
    return n;
}
static int adam_slots(const void *opts, const char *names[ATHI_MAX_SLOTS]) {
    names[0] = "momentum", names[1] = "velocity", names[2] = "velocity_hat";
    return ((const ath_adam_opts *)opts)->amsgrad ? 3 : 2;
}

#define SLOTS(optimizer, n, ...)                                                                             \
    static int optimizer##_slots(const void *opts, const char *names[ATHI_MAX_SLOTS]) {                      \
        static const char *const all[] = {__VA_ARGS__};                                                      \
        (void)opts;                                                                                          \
        for (int i = 0; i < (n); i++) names[i] = all[i];                                                     \
        return (n);                                                                                          \
    }
SLOTS(nadam, 2, "momentum", "velocity")
SLOTS(adamax, 2, "momentum", "norm")
SLOTS(lamb, 2, "momentum", "velocity")
SLOTS(lars, 1, "momentum")
SLOTS(adagrad, 1, "accumulator")
SLOTS(adadelta, 2, "accumulated_grad", "accumulated_delta_var")
SLOTS(ftrl, 2, "accumulator", "linear")
SLOTS(lion, 1, "momentum")
#undef SLOTS

static double adagrad_fill(const void *opts, int slot) {
    (void)slot;
    return ((const ath_adagrad_opts *)opts)->initial_accumulator_value;
}
static double ftrl_fill(const void *opts, int slot) {
    return slot == 0 ? ((const ath_ftrl_opts *)opts)->initial_accumulator_value : 0;
}

/* ---- options --------------------------------------------------------------------------------------- */

#define CLIP(T, field, text)                                                                                 \
    {                                                                                                        \
        .name = #field, .type = ATHI_OPT_FLOAT, .offset = offsetof(T, field), .fallback = "null",            \
        .nullable = true, .min = 0, .max = -1, .search_min = 0.01, .search_max = 10, .scale = ATHI_LOG,      \
        .doc = (text)                                                                                        \
    }
/* What all have; `rate` and `decay` are the defaults of the learning rate and of weight decay;
 * COMMON_BUT: whose weight decay is another. */
#define COMMON(T, rate, decay)                                                                               \
    COMMON_BUT(T, rate, decay, "decoupled: each update begins with w -= learning_rate weight_decay w")
#define COMMON_BUT(T, rate, decay, decay_doc)                                                                \
    {.name = "learning_rate",                                                                                \
     .type = ATHI_OPT_SPEC,                                                                                  \
     .offset = offsetof(T, learning_rate),                                                                   \
     .fallback = (rate),                                                                                     \
     .kind = &athi_schedules,                                                                                \
     .doc = "a number, or a schedule"},                                                                      \
        {.name = "weight_decay",                                                                             \
         .type = ATHI_OPT_FLOAT,                                                                             \
         .offset = offsetof(T, weight_decay),                                                                \
         .fallback = (decay),                                                                                \
         .nullable = true,                                                                                   \
         .min = 0,                                                                                           \
         .max = -1,                                                                                          \
         .search_min = 1e-6,                                                                                 \
         .search_max = 0.1,                                                                                  \
         .scale = ATHI_LOG,                                                                                  \
         .doc = (decay_doc)},                                                                                \
        CLIP(T, clipnorm, "largest L2 norm of each variable's gradient"),                                    \
        CLIP(T, clipvalue, "largest absolute value of each element of the gradients"),                       \
        CLIP(T, global_clipnorm, "largest L2 norm of all gradients together")
#define PORTION(T, field, value, from, to, text)                                                             \
    ATHI_ROW_FLOAT(T, field, value, 0, 1, from, to, ATHI_LINEAR, text)
#define EPSILON(T)                                                                                           \
    ATHI_ROW_FLOAT(T, epsilon, "1e-07", 0, -1, 1e-8, 1e-3, ATHI_LOG, "keeps the quotient finite")
#define BETAS(T, second)                                                                                     \
    PORTION(T, beta_1, "0.9", 0.8, 0.99, "decay of the mean of the gradients"),                              \
        PORTION(T, beta_2, second, 0.9, 0.9999, "decay of the mean of their squares")

static const athi_option sgd_options[] = {
    COMMON(ath_sgd_opts, "0.01", "null"),
    PORTION(ath_sgd_opts, momentum, "0", 0, 0.99, "decay of the velocity"),
    ATHI_ROW_BOOL(ath_sgd_opts, nesterov, "look ahead by the momentum (Sutskever et al. 2013)"),
    {0},
};
static const athi_option rmsprop_options[] = {
    COMMON(ath_rmsprop_opts, "0.001", "null"),
    PORTION(ath_rmsprop_opts, rho, "0.9", 0.8, 0.99, "decay of the mean of the squared gradients"),
    PORTION(ath_rmsprop_opts, momentum, "0", 0, 0.99, "decay of the velocity"),
    EPSILON(ath_rmsprop_opts),
    ATHI_ROW_BOOL(ath_rmsprop_opts, centered,
                  "divide by the standard deviation, not by the root mean square"),
    {0},
};
static const athi_option adam_options[] = {
    COMMON(ath_adam_opts, "0.001", "null"),
    BETAS(ath_adam_opts, "0.999"),
    EPSILON(ath_adam_opts),
    ATHI_ROW_BOOL(ath_adam_opts, amsgrad, "use the largest mean square so far (Reddi et al. 2018)"),
    {0},
};
static const athi_option adamw_options[] = {
    COMMON(ath_adamw_opts, "0.001", "0.004"),
    BETAS(ath_adamw_opts, "0.999"),
    EPSILON(ath_adamw_opts),
    ATHI_ROW_BOOL(ath_adamw_opts, amsgrad, "use the largest mean square so far (Reddi et al. 2018)"),
    {0},
};
static const athi_option nadam_options[] = {
    COMMON(ath_nadam_opts, "0.001", "null"),
    BETAS(ath_nadam_opts, "0.999"),
    EPSILON(ath_nadam_opts),
    {0},
};
static const athi_option lars_options[] = {
    COMMON_BUT(ath_lars_opts, "0.01", "0.0001", "lowers the trust ratio; the weights themselves do not decay"),
    PORTION(ath_lars_opts, momentum, "0.9", 0, 0.99, "decay of the velocity"),
    ATHI_ROW_FLOAT(ath_lars_opts, eeta, "0.001", 0, -1, 1e-4, 0.1, ATHI_LOG,
                   "length of a step at learning rate 1, as part of the weights' norm"),
    ATHI_ROW_FLOAT(ath_lars_opts, epsilon, "0", 0, -1, 1e-8, 1e-3, ATHI_LOG, "added to the norms that divide"),
    ATHI_ROW_BOOL(ath_lars_opts, nesterov, "look ahead by the momentum (Sutskever et al. 2013)"),
    {0},
};
static const athi_option adagrad_options[] = {
    COMMON(ath_adagrad_opts, "0.001", "null"),
    ATHI_ROW_FLOAT(ath_adagrad_opts, initial_accumulator_value, "0.1", 0, -1, 0.01, 1, ATHI_LOG,
                   "first value of the sum of squares"),
    EPSILON(ath_adagrad_opts),
    {0},
};
static const athi_option adadelta_options[] = {
    COMMON(ath_adadelta_opts, "0.001", "null"),
    PORTION(ath_adadelta_opts, rho, "0.95", 0.8, 0.99, "decay of both means of squares"),
    EPSILON(ath_adadelta_opts),
    {0},
};
static const athi_option ftrl_options[] = {
    COMMON(ath_ftrl_opts, "0.001", "null"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, learning_rate_power, "-0.5", -10, 0, -1, -0.1, ATHI_LINEAR,
                   "how the learning rate falls; 0: not at all"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, initial_accumulator_value, "0.1", 0, -1, 0.01, 1, ATHI_LOG,
                   "first value of the sum of squares"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, l1_regularization_strength, "0", 0, -1, 1e-6, 0.1, ATHI_LOG,
                   "drives weights to 0"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, l2_regularization_strength, "0", 0, -1, 1e-6, 0.1, ATHI_LOG,
                   "penalty on squares"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, l2_shrinkage_regularization_strength, "0", 0, -1, 1e-6, 0.1, ATHI_LOG,
                   "penalty on squares that acts on the gradient only"),
    ATHI_ROW_FLOAT(ath_ftrl_opts, beta, "0", 0, -1, 0, 1, ATHI_LINEAR, "beta of the paper"),
    {0},
};
static const athi_option lion_options[] = {
    COMMON(ath_lion_opts, "0.001", "null"),
    PORTION(ath_lion_opts, beta_1, "0.9", 0.8, 0.99, "part of the momentum in the direction"),
    PORTION(ath_lion_opts, beta_2, "0.99", 0.9, 0.999, "decay of the momentum"),
    {0},
};

/* ---- the rows -------------------------------------------------------------------------------------- */

#define ROW(name_, options_, slots_, fill_, doc_)                                                            \
    {                                                                                                        \
        .name = #name_, .doc = doc_, .options = options_##_options, .opts_size = sizeof(ath_##name_##_opts), \
        .impl = &(const athi_optimizer_impl){slots_##_slots, fill_}, .main_option = "learning_rate"          \
    }
static const athi_row rows[] = {
    ROW(sgd, sgd, sgd, NULL, "gradient descent, with momentum if wanted"),
    ROW(rmsprop, rmsprop, rmsprop, NULL, "gradient over its root mean square (Hinton 2012)"),
    ROW(adam, adam, adam, NULL, "adaptive moments (Kingma and Ba 2014)"),
    ROW(adamw, adamw, adam, NULL, "Adam with weight decay (Loshchilov and Hutter 2017)"),
    ROW(nadam, nadam, nadam, NULL, "Adam with Nesterov momentum (Dozat 2015)"),
    ROW(adamax, nadam, adamax, NULL, "Adam on the infinity norm (Kingma and Ba 2014)"),
    ROW(adagrad, adagrad, adagrad, adagrad_fill,
        "gradient over the root of the sum of squares (Duchi et al. 2011)"),
    ROW(adadelta, adadelta, adadelta, NULL, "Adagrad over a window, with units that match (Zeiler 2012)"),
    ROW(ftrl, ftrl, ftrl, ftrl_fill,
        "follow the regularised leader, for sparse weights (McMahan et al. 2013)"),
    ROW(lion, lion, lion, NULL, "the sign of a momentum (Chen et al. 2023)"),
    ROW(lamb, nadam, lamb, NULL, "Adam with a trust ratio a variable, for large batches (You et al. 2019)"),
    ROW(lars, lars, lars, NULL, "momentum with a trust ratio a variable, for large batches (You et al. 2017)"),
    {0},
};
#undef ROW

const athi_kind athi_optimizers = {"optimizer", "optimizers", rows};
