/* Metrics: each row appends values whose mean over an epoch is reported. Losses count as metrics under their
 * names. */
#include "athanor/losses.h"
#include "nn/build.h"
#include "nn/rows.h"

static ath_tensor *compare(athi_net *net, athi_compared *c, athi_op op, double threshold, int64_t k) {
    return athi_op2(net->graph, op, c->probabilities ? c->probabilities : c->predictions, c->targets,
                    (&(athi_attr){.loss = {.threshold = threshold, .k = k}}));
}
static ath_tensor *sparse_categorical_accuracy(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    return compare(net, c, ATHI_OP_SPARSE_CORRECT, 0, 1);
}
static ath_tensor *categorical_accuracy(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    return compare(net, c, ATHI_OP_DENSE_CORRECT, 0, 1);
}
static ath_tensor *binary_accuracy(athi_net *net, athi_compared *c, const void *opts) {
    return compare(net, c, ATHI_OP_BINARY_CORRECT, ((const ath_binary_accuracy_opts *)opts)->threshold, 1);
}
static ath_tensor *sparse_top_k(athi_net *net, athi_compared *c, const void *opts) {
    return compare(net, c, ATHI_OP_SPARSE_TOP_K, 0, ((const ath_top_k_opts *)opts)->k);
}
static ath_tensor *dense_top_k(athi_net *net, athi_compared *c, const void *opts) {
    return compare(net, c, ATHI_OP_DENSE_TOP_K, 0, ((const ath_top_k_opts *)opts)->k);
}

/* The loss of the same name, element by element. */
static ath_tensor *loss_named(athi_net *net, athi_compared *c, const char *name, const void *opts) {
    return ((const athi_loss_impl *)athi_row_find(&athi_losses, name)->impl)->build(net, c, opts);
}
#define LOSS(name)                                                                                           \
    static ath_tensor *name(athi_net *net, athi_compared *c, const void *opts) {                             \
        return loss_named(net, c, #name, opts);                                                              \
    }
LOSS(sparse_categorical_crossentropy)
LOSS(categorical_crossentropy)
LOSS(binary_crossentropy)
LOSS(mean_squared_error)
LOSS(mean_absolute_error)
#undef LOSS

/* ---- names that stand for another, chosen as Keras does ---------------------------------------------- */

enum { BINARY, SPARSE, CATEGORICAL };
static int choose(athi_shape predictions, athi_shape targets) {
    int64_t classes = predictions.dim[predictions.rank - 1];
    int64_t last = targets.rank ? targets.dim[targets.rank - 1] : 1;
    if (classes == 1) return BINARY;
    return targets.rank < predictions.rank || (last == 1 && classes > 1) ? SPARSE : CATEGORICAL;
}
static const char *choose_accuracy(athi_shape predictions, athi_shape targets) {
    static const char *const names[] = {[BINARY] = "binary_accuracy",
                                        [SPARSE] = "sparse_categorical_accuracy",
                                        [CATEGORICAL] = "categorical_accuracy"};
    return names[choose(predictions, targets)];
}
static const char *choose_crossentropy(athi_shape predictions, athi_shape targets) {
    static const char *const names[] = {[BINARY] = "binary_crossentropy",
                                        [SPARSE] = "sparse_categorical_crossentropy",
                                        [CATEGORICAL] = "categorical_crossentropy"};
    return names[choose(predictions, targets)];
}

/* ---- the rows -------------------------------------------------------------------------------------- */

static const athi_option binary_accuracy_options[] = {
    ATHI_ROW_FLOAT(ath_binary_accuracy_opts, threshold, "0.5", 0, 0, 0, 0, ATHI_LINEAR,
                   "predictions above it count as 1"),
    {0},
};
static const athi_option top_k_options[] = {
    ATHI_ROW_INT(ath_top_k_opts, k, "5", 1, 0, 0, 0, ATHI_LINEAR, "how many of the likeliest classes count"),
    {0},
};
#define FROM_LOGITS                                                                                          \
    ATHI_ROW_BOOL(ath_crossentropy_opts, from_logits, "the model's output are logits, not probabilities")
static const athi_option sparse_options[] = {FROM_LOGITS, {0}};
static const athi_option crossentropy_options[] = {
    FROM_LOGITS,
    ATHI_ROW_FLOAT(ath_crossentropy_opts, label_smoothing, "0", 0, 1, 0, 0, ATHI_LINEAR,
                   "part of each target that is spread over all classes"),
    {0},
};

#define CLASS ATHI_TARGET_CLASS
#define LIKE  ATHI_TARGET_LIKE_OUTPUT
#define IMPL(...)                                                                                            \
    .impl = &(const athi_metric_impl) { __VA_ARGS__ }
#define WITH(options_, T) .options = options_##_options, .opts_size = sizeof(T)
static const athi_row rows[] = {
    {.name = "accuracy",
     .doc = "part of the predictions that are right: binary, sparse or categorical by the shapes",
     IMPL(ATHI_TARGET_BY_SHAPE, true, .choose = choose_accuracy)},
    {.name = "acc",
     .doc = "another name of accuracy",
     IMPL(ATHI_TARGET_BY_SHAPE, true, .choose = choose_accuracy)},
    {.name = "binary_accuracy",
     .doc = "part of the predictions on the right side of the threshold",
     IMPL(LIKE, true, .build = binary_accuracy),
     WITH(binary_accuracy, ath_binary_accuracy_opts)},
    {.name = "categorical_accuracy",
     .doc = "part of the samples whose likeliest class is the target's, one-hot targets",
     IMPL(LIKE, true, .build = categorical_accuracy)},
    {.name = "sparse_categorical_accuracy",
     .doc = "part of the samples whose likeliest class is the target, class numbers",
     IMPL(CLASS, true, .build = sparse_categorical_accuracy)},
    {.name = "top_k_categorical_accuracy",
     .doc = "part of the samples with the target among the k likeliest, one-hot",
     IMPL(LIKE, true, .build = dense_top_k),
     WITH(top_k, ath_top_k_opts)},
    {.name = "sparse_top_k_categorical_accuracy",
     .doc = "part of the samples with the target among the k likeliest, class numbers",
     IMPL(CLASS, true, .build = sparse_top_k),
     WITH(top_k, ath_top_k_opts)},
    {.name = "crossentropy",
     .doc = "binary, sparse or categorical cross-entropy by the shapes",
     IMPL(ATHI_TARGET_BY_SHAPE, .choose = choose_crossentropy)},
    {.name = "ce",
     .doc = "another name of crossentropy",
     IMPL(ATHI_TARGET_BY_SHAPE, .choose = choose_crossentropy)},
    {.name = "binary_crossentropy",
     .doc = "the loss of that name",
     IMPL(LIKE, .build = binary_crossentropy),
     WITH(crossentropy, ath_crossentropy_opts)},
    {.name = "categorical_crossentropy",
     .doc = "the loss of that name",
     IMPL(LIKE, .build = categorical_crossentropy),
     WITH(crossentropy, ath_crossentropy_opts)},
    {.name = "sparse_categorical_crossentropy",
     .doc = "the loss of that name",
     IMPL(CLASS, .build = sparse_categorical_crossentropy),
     WITH(sparse, ath_crossentropy_opts)},
    {.name = "mean_squared_error", .doc = "mean of squared errors", IMPL(LIKE, .build = mean_squared_error)},
    {.name = "mse", .doc = "another name of mean_squared_error", IMPL(LIKE, .build = mean_squared_error)},
    {.name = "root_mean_squared_error",
     .doc = "root of the mean of squared errors",
     IMPL(LIKE, false, true, .build = mean_squared_error)},
    {.name = "rmse",
     .doc = "another name of root_mean_squared_error",
     IMPL(LIKE, false, true, .build = mean_squared_error)},
    {.name = "mean_absolute_error",
     .doc = "mean of absolute errors",
     IMPL(LIKE, .build = mean_absolute_error)},
    {.name = "mae", .doc = "another name of mean_absolute_error", IMPL(LIKE, .build = mean_absolute_error)},
    {0},
};
#undef CLASS
#undef LIKE
#undef IMPL
#undef WITH

const athi_kind athi_metrics = {"metric", "metrics", rows};

bool athi_metric_direction(const char *name, bool *known) {
    if (strncmp(name, "val_", 4) == 0) name += 4;
    const athi_row *row = athi_row_find(&athi_metrics, name);
    *known = row || strcmp(name, "loss") == 0 || athi_row_find(&athi_losses, name);
    return row && ((const athi_metric_impl *)row->impl)->higher_is_better;
}
