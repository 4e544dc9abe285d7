/* Losses: each row appends the loss of each element, [B, ...]; compile.c weights and reduces them.
 * A cross-entropy behind a softmax or sigmoid uses its logits: one stable kernel in place of exp, sum, log
 * and clips. */
#include "athanor/losses.h"
#include "nn/build.h"
#include "nn/rows.h"

/* Keras's epsilon for probabilities. */
static const double epsilon = 1e-7;

/* The input of the activation that made `p`, or NULL. */
static ath_tensor *logits_of(ath_tensor *p, athi_op activation) {
    return p->node->op == activation ? p->node->in[0] : NULL;
}

static ath_tensor *clipped_log(athi_graph *g, ath_tensor *p) {
    return athi_op1(g, ATHI_OP_LOG, athi_clamp(g, p, epsilon, 1 - epsilon), NULL);
}

/* A cross-entropy over classes from logits; the probabilities come as its second output. */
static ath_tensor *from_logits(athi_graph *g, athi_op op, athi_compared *c, ath_tensor *logits,
                               double smoothing, bool probabilities) {
    ath_tensor *loss = athi_op2(g, op, logits, c->targets, (&(athi_attr){.loss = {.smoothing = smoothing}}));
    if (probabilities && !athi_is_poison(loss)) c->probabilities = &loss->node->out[1];
    return loss;
}

static ath_tensor *sparse_categorical_crossentropy(athi_net *net, athi_compared *c, const void *opts) {
    athi_graph *g = net->graph;
    ath_tensor *logits = logits_of(c->predictions, ATHI_OP_SOFTMAX);
    if (((const ath_crossentropy_opts *)opts)->from_logits)
        return from_logits(g, ATHI_OP_SPARSE_XENT, c, c->predictions, 0, false);
    if (logits) return from_logits(g, ATHI_OP_SPARSE_XENT, c, logits, 0, true);
    /* -log p[y], with p normalised: a softmax of its logarithms */
    return from_logits(g, ATHI_OP_SPARSE_XENT, c, clipped_log(g, c->predictions), 0, false);
}

static ath_tensor *categorical_crossentropy(athi_net *net, athi_compared *c, const void *opts) {
    const ath_crossentropy_opts *o = opts;
    athi_graph *g = net->graph;
    athi_shape shape = c->predictions->shape;
    ath_tensor *logits = logits_of(c->predictions, ATHI_OP_SOFTMAX);
    if (o->from_logits)
        return from_logits(g, ATHI_OP_DENSE_XENT, c, c->predictions, o->label_smoothing, false);
    if (logits) return from_logits(g, ATHI_OP_DENSE_XENT, c, logits, o->label_smoothing, true);
    ath_tensor *sum = athi_reduce_last(g, ATHI_OP_SUM, c->predictions, true), *y = c->targets;
    ath_tensor *log_p = clipped_log(g, athi_op2(g, ATHI_OP_DIV, c->predictions, sum, NULL));
    if (o->label_smoothing > 0)
        y = athi_affine(g, y, 1 - o->label_smoothing, o->label_smoothing / (double)shape.dim[shape.rank - 1]);
    ath_tensor *product = athi_op2(g, ATHI_OP_MUL, y, log_p, NULL);
    return athi_is_poison(product) ? product
                                   : athi_affine(g, athi_reduce_last(g, ATHI_OP_SUM, product, false), -1, 0);
}

static ath_tensor *binary_crossentropy(athi_net *net, athi_compared *c, const void *opts) {
    const ath_crossentropy_opts *o = opts;
    athi_graph *g = net->graph;
    ath_tensor *logits = o->from_logits ? c->predictions : logits_of(c->predictions, ATHI_OP_SIGMOID),
               *y = c->targets;
    if (o->label_smoothing > 0) y = athi_affine(g, y, 1 - o->label_smoothing, o->label_smoothing / 2);
    ath_tensor *each;
    if (logits) {
        each = athi_op2(g, ATHI_OP_SIGMOID_XENT, logits, y, NULL);
    } else { /* -(y log p + (1 - y) log(1 - p)) */
        ath_tensor *p = athi_clamp(g, c->predictions, epsilon, 1 - epsilon);
        ath_tensor *log_p = athi_op1(g, ATHI_OP_LOG, p, NULL);
        ath_tensor *log_q = athi_op1(g, ATHI_OP_LOG, athi_affine(g, p, -1, 1), NULL);
        ath_tensor *sum = athi_op2(g, ATHI_OP_ADD, athi_op2(g, ATHI_OP_MUL, y, log_p, NULL),
                                   athi_op2(g, ATHI_OP_MUL, athi_affine(g, y, -1, 1), log_q, NULL), NULL);
        each = athi_affine(g, sum, -1, 0);
    }
    return athi_is_poison(each) ? each : athi_reduce_last(g, ATHI_OP_MEAN, each, false);
}

/* The mean over the last axis of a function of predictions - targets. */
static ath_tensor *mean_of_error(athi_net *net, athi_compared *c, athi_op op, const athi_attr *attr) {
    athi_graph *g = net->graph;
    ath_tensor *error = athi_op2(g, ATHI_OP_SUB, c->predictions, c->targets, NULL);
    ath_tensor *each = athi_op1(g, op, error, attr);
    return athi_is_poison(each) ? each : athi_reduce_last(g, ATHI_OP_MEAN, each, false);
}
static ath_tensor *mean_squared_error(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    return mean_of_error(net, c, ATHI_OP_SQUARE, NULL);
}
static ath_tensor *mean_absolute_error(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    return mean_of_error(net, c, ATHI_OP_ABS, NULL);
}
static ath_tensor *huber(athi_net *net, athi_compared *c, const void *opts) {
    return mean_of_error(net, c, ATHI_OP_HUBER,
                         (&(athi_attr){.alpha = {((const ath_huber_opts *)opts)->delta, 0}}));
}

/* ---- less usual ones ------------------------------------------------------------------------------- */

static ath_tensor *mean_last(athi_graph *g, ath_tensor *each) {
    return athi_is_poison(each) ? each : athi_reduce_last(g, ATHI_OP_MEAN, each, false);
}
static ath_tensor *at_least(athi_graph *g, ath_tensor *x, double low) {
    return athi_op2(g, ATHI_OP_MAXIMUM, x, athi_constant(g, low, ATHI_SCALAR), NULL);
}

/* 100 |y - p| / max(|y|, epsilon) */
static ath_tensor *mean_absolute_percentage_error(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    ath_tensor *size = at_least(g, athi_op1(g, ATHI_OP_ABS, c->targets, NULL), epsilon);
    ath_tensor *part =
        athi_op2(g, ATHI_OP_DIV, athi_op2(g, ATHI_OP_SUB, c->targets, c->predictions, NULL), size, NULL);
    return mean_last(g, athi_affine(g, athi_op1(g, ATHI_OP_ABS, part, NULL), 100, 0));
}

/* log(max(x, epsilon) + 1) */
static ath_tensor *log_of_next(athi_graph *g, ath_tensor *x) {
    return athi_op1(g, ATHI_OP_LOG, athi_affine(g, at_least(g, x, epsilon), 1, 1), NULL);
}
static ath_tensor *mean_squared_logarithmic_error(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    ath_tensor *error =
        athi_op2(g, ATHI_OP_SUB, log_of_next(g, c->predictions), log_of_next(g, c->targets), NULL);
    return mean_last(g, athi_op1(g, ATHI_OP_SQUARE, error, NULL));
}

/* log cosh e = e + softplus(-2 e) - log 2 */
static ath_tensor *log_cosh(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    const double log_2 = 0.69314718055994531;
    ath_tensor *error = athi_op2(g, ATHI_OP_SUB, c->predictions, c->targets, NULL);
    ath_tensor *soft = athi_op1(g, ATHI_OP_SOFTPLUS, athi_affine(g, error, -2, 0), NULL);
    return mean_last(g, athi_affine(g, athi_op2(g, ATHI_OP_ADD, error, soft, NULL), 1, -log_2));
}

static ath_tensor *kl_divergence(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    ath_tensor *y = at_least(g, c->targets, epsilon), *p = at_least(g, c->predictions, epsilon);
    ath_tensor *log_ratio = athi_op1(g, ATHI_OP_LOG, athi_op2(g, ATHI_OP_DIV, y, p, NULL), NULL);
    ath_tensor *each = athi_op2(g, ATHI_OP_MUL, y, log_ratio, NULL);
    return athi_is_poison(each) ? each : athi_reduce_last(g, ATHI_OP_SUM, each, false);
}

static ath_tensor *poisson(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    ath_tensor *log_p = athi_op1(g, ATHI_OP_LOG, athi_affine(g, c->predictions, 1, epsilon), NULL);
    ath_tensor *likely = athi_op2(g, ATHI_OP_MUL, c->targets, log_p, NULL);
    return mean_last(g, athi_op2(g, ATHI_OP_SUB, c->predictions, likely, NULL));
}

/* max(1 - y p, 0). Where all targets of a batch are 0 or 1, the zeros count as -1, as in Keras: then Σ (y -
 * y²)² is 0. */
static ath_tensor *hinge_of_each(athi_graph *g, athi_compared *c) {
    ath_tensor *y = c->targets;
    ath_tensor *between = athi_op2(g, ATHI_OP_SUB, y, athi_op1(g, ATHI_OP_SQUARE, y, NULL), NULL);
    if (athi_is_poison(between)) return between;
    ath_tensor *sum = athi_reduce_all(g, ATHI_OP_SUM, athi_op1(g, ATHI_OP_SQUARE, between, NULL));
    ath_tensor *other = athi_op2(g, ATHI_OP_GREATER_EQUAL, sum, athi_constant(g, 1e-30, ATHI_SCALAR), NULL);
    ath_tensor *shift =
        athi_op2(g, ATHI_OP_MUL, athi_affine(g, y, 1, -1), athi_affine(g, other, -1, 1), NULL);
    ath_tensor *product =
        athi_op2(g, ATHI_OP_MUL, athi_op2(g, ATHI_OP_ADD, y, shift, NULL), c->predictions, NULL);
    return athi_op1(g, ATHI_OP_RELU, athi_affine(g, product, -1, 1), NULL);
}
static ath_tensor *hinge(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    return mean_last(net->graph, hinge_of_each(net->graph, c));
}
static ath_tensor *squared_hinge(athi_net *net, athi_compared *c, const void *opts) {
    (void)opts;
    athi_graph *g = net->graph;
    return mean_last(g, athi_op1(g, ATHI_OP_SQUARE, hinge_of_each(g, c), NULL));
}

/* ---- the rows -------------------------------------------------------------------------------------- */

static const char *const reductions[] = {"sum_over_batch_size", "sum", "mean_with_sample_weight", NULL};
#define REDUCTION(T)                                                                                         \
    ATHI_ROW_ENUM(T, reduction, "sum_over_batch_size", reductions, "how the batch's losses become one number")
#define FROM_LOGITS                                                                                          \
    ATHI_ROW_BOOL(ath_crossentropy_opts, from_logits, "the model's output are logits, not probabilities")

static const athi_option plain_options[] = {REDUCTION(ath_loss_opts), {0}};
static const athi_option sparse_options[] = {REDUCTION(ath_crossentropy_opts), FROM_LOGITS, {0}};
static const athi_option crossentropy_options[] = {
    REDUCTION(ath_crossentropy_opts),
    FROM_LOGITS,
    ATHI_ROW_FLOAT(ath_crossentropy_opts, label_smoothing, "0", 0, 1, 0, 0.3, ATHI_LINEAR,
                   "part of each target that is spread over all classes"),
    {0},
};
static const athi_option huber_options[] = {
    REDUCTION(ath_huber_opts),
    ATHI_ROW_FLOAT(ath_huber_opts, delta, "1", 0, -1, 0.1, 10, ATHI_LOG,
                   "error where it turns from square to straight"),
    {0},
};

#define ROW(name_, function, target_, options_, T, doc_)                                                     \
    {                                                                                                        \
        .name = name_, .doc = doc_, .options = options_##_options, .opts_size = sizeof(T),                   \
        .impl = &(const athi_loss_impl) {                                                                    \
            target_, function                                                                                \
        }                                                                                                    \
    }
static const athi_row rows[] = {
    ROW("sparse_categorical_crossentropy", sparse_categorical_crossentropy, ATHI_TARGET_CLASS, sparse,
        ath_crossentropy_opts, "-log p[y], targets are class numbers"),
    ROW("categorical_crossentropy", categorical_crossentropy, ATHI_TARGET_LIKE_OUTPUT, crossentropy,
        ath_crossentropy_opts, "-sum(y log p) over the last axis, targets are one-hot or probabilities"),
    ROW("binary_crossentropy", binary_crossentropy, ATHI_TARGET_LIKE_OUTPUT, crossentropy,
        ath_crossentropy_opts, "-(y log p + (1 - y) log(1 - p)), mean over the last axis"),
    ROW("mean_squared_error", mean_squared_error, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "mean of squared errors over the last axis"),
    ROW("mse", mean_squared_error, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "another name of mean_squared_error"),
    ROW("mean_absolute_error", mean_absolute_error, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "mean of absolute errors over the last axis"),
    ROW("mae", mean_absolute_error, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "another name of mean_absolute_error"),
    ROW("huber", huber, ATHI_TARGET_LIKE_OUTPUT, huber, ath_huber_opts,
        "square of the error near 0, straight beyond delta (Huber 1964)"),
    ROW("mean_absolute_percentage_error", mean_absolute_percentage_error, ATHI_TARGET_LIKE_OUTPUT, plain,
        ath_loss_opts, "100 |y - p| / |y|, mean over the last axis"),
    ROW("mean_squared_logarithmic_error", mean_squared_logarithmic_error, ATHI_TARGET_LIKE_OUTPUT, plain,
        ath_loss_opts, "squared difference of log(x + 1), mean over the last axis"),
    ROW("log_cosh", log_cosh, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "logarithm of the hyperbolic cosine of the error, mean over the last axis"),
    ROW("kl_divergence", kl_divergence, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "sum of y log(y / p) over the last axis"),
    ROW("poisson", poisson, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "p - y log p, mean over the last axis"),
    ROW("hinge", hinge, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "max(1 - y p, 0), mean over the last axis; targets are -1 or 1, or 0 or 1"),
    ROW("squared_hinge", squared_hinge, ATHI_TARGET_LIKE_OUTPUT, plain, ath_loss_opts,
        "square of max(1 - y p, 0), mean over the last axis"),
    {0},
};
#undef ROW

const athi_kind athi_losses = {"loss", "losses", rows};
