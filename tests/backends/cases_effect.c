/* Cases of augmentations, and of the ops that change variables or the gradient buffer. Clipping and the optimisers run behind the
 * gradients of sum(x0 * x1 * random), as in a training step. */
#include "athanor/optimizers.h"
#include "augment/options.h"
#include "backends/sweep.h"
#include "base/options.h"

#include <stdio.h>

static ath_tensor *product(athi_graph *g, const sweep_case *c, ath_tensor *const *in) {
    (void)c;
    return athi_op2(g, ATHI_OP_MUL, in[0], in[1], NULL);
}

static athi_variable *variable_named(athi_graph *g, const char *name) {
    for (int64_t i = 0; i < g->n_variables; i++)
        if (strcmp(g->variables[i]->name, name) == 0) return g->variables[i];
    return NULL;
}

static ath_status emit_clip(void *user, athi_graph *g) {
    const sweep_case *c = user;
    athi_node_add(g, ATHI_OP_CLIP_GRADIENTS, NULL, 0, &c->attr);
    return athi_graph_check(g);
}

/* Every slot that any optimiser of the name may use; those that it does not need stay as they are. */
static ath_tensor *product_with_slots(athi_graph *g, const sweep_case *c, ath_tensor *const *in) {
    static const char *const slots[] = {
        "momentum", "velocity",    "velocity_hat",     "average_gradient",
        "norm",     "accumulator", "accumulated_grad", "accumulated_delta_var",
        "linear"};
    for (int s = 0; s < ATHI_COUNT(slots); s++)
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "optimizer/%s/x%d", slots[s], i);
            athi_variable_add(g, name, in[i]->shape, in[i]->dtype, ATHI_SLOT);
        }
    return product(g, c, in);
}

static ath_status emit_update(void *user, athi_graph *g) {
    const sweep_case *c = user;
    ath_tensor *rate = athi_variable_tensor(g, variable_named(g, "x2"));
    ath_tensor *counters = athi_variable_tensor(g, variable_named(g, "x3"));
    athi_op2(g, ATHI_OP_UPDATE, rate, counters, &c->attr);
    return athi_graph_check(g);
}

static const athi_row sgd = {.name = "sgd"}, rmsprop = {.name = "rmsprop"}, adam = {.name = "adam"},
                      adamw = {.name = "adamw"}, nadam = {.name = "nadam"}, adamax = {.name = "adamax"},
                      adagrad = {.name = "adagrad"}, adadelta = {.name = "adadelta"}, ftrl = {.name = "ftrl"},
                      lion = {.name = "lion"}, lamb = {.name = "lamb"}, lars = {.name = "lars"};

/* clang-format off */
#define BASIC(type) .struct_size = sizeof(type), .exact = true
static const ath_sgd_opts plain = {BASIC(ath_sgd_opts)};
static const ath_sgd_opts momentum = {BASIC(ath_sgd_opts), .momentum = 0.9};
static const ath_sgd_opts nesterov = {BASIC(ath_sgd_opts), .momentum = 0.9, .nesterov = true, .weight_decay = 0.01};
static const ath_rmsprop_opts rms = {BASIC(ath_rmsprop_opts), .rho = 0.9, .epsilon = 1e-7};
static const ath_rmsprop_opts rms_all = {BASIC(ath_rmsprop_opts), .rho = 0.95, .momentum = 0.5, .epsilon = 0.5, .centered = true};
static const ath_adam_opts adam_opts = {BASIC(ath_adam_opts), .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7};
static const ath_adam_opts amsgrad = {BASIC(ath_adam_opts), .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7, .amsgrad = true};
static const ath_adam_opts decayed = {BASIC(ath_adam_opts), .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7, .weight_decay = 0.004};
static const ath_nadam_opts two_betas = {BASIC(ath_nadam_opts), .beta_1 = 0.9, .beta_2 = 0.999, .epsilon = 1e-7};
static const ath_adagrad_opts adagrad_opts = {BASIC(ath_adagrad_opts), .initial_accumulator_value = 0.1, .epsilon = 1e-7};
static const ath_adadelta_opts adadelta_opts = {BASIC(ath_adadelta_opts), .rho = 0.95, .epsilon = 1e-7};
static const ath_ftrl_opts ftrl_opts = {BASIC(ath_ftrl_opts), .learning_rate_power = -0.5, .initial_accumulator_value = 0.1,
    .l1_regularization_strength = 0.01, .l2_regularization_strength = 0.02, .l2_shrinkage_regularization_strength = 0.03, .beta = 0.1};
static const ath_lion_opts lion_opts = {BASIC(ath_lion_opts), .beta_1 = 0.9, .beta_2 = 0.99};
static const ath_lars_opts lars_opts = {BASIC(ath_lars_opts), .momentum = 0.9, .eeta = 0.5, .weight_decay = 0.1, .epsilon = 0.01};
static const ath_lars_opts lars_ahead = {BASIC(ath_lars_opts), .momentum = 0.9, .eeta = 0.5, .nesterov = true};

#define UPDATE(optimizer, options)                                                                               \
    {.op = ATHI_OP_UPDATE, .note = #optimizer " " #options, .becomes = true, .build = product_with_slots, .emit = emit_update,   \
     .n_in = 4, .in = {REAL(33, 3), FROM(0.5, 1, 33, 3), {.low = 0.01, .high = 0.02, .fixed = true}, COUNTERS},                 \
     .attr.update = {&optimizer, &options}}
#define CLIPPED(how, bound) {.op = ATHI_OP_CLIP_GRADIENTS, .note = #how, .becomes = true, .build = product, .emit = emit_clip, \
    INPUTS(2, REAL(17, 3), REAL(17, 3)), .attr.clip = {ATHI_CLIP_##how, bound}}
#define TOTAL {.shape = DIMS(2), .low = 1, .high = 5, .dtype = ATH_F64, .fixed = true}

static const athi_row flips = {.name = "random_flip", .impl = &athi_augment_random_flip},
                      zooms = {.name = "random_zoom", .impl = &athi_augment_random_zoom},
                      crops = {.name = "random_crop", .impl = &athi_augment_random_crop};
static const ath_random_flip_opts both = {BASIC(ath_random_flip_opts)};
static double around_one[] = {-0.4, 0.3};
static const ath_random_zoom_opts in_and_out = {BASIC(ath_random_zoom_opts), .height_factor = {2, around_one}};
static const ath_random_crop_opts smaller = {BASIC(ath_random_crop_opts), .height = 3, .width = 4};
#define AUGMENT(row, options, note_, ...) \
    {.op = ATHI_OP_AUGMENT, .note = note_, INPUTS(__VA_ARGS__), .attr.augment = {&row, &options, 5}, WRONG(0, 5, 3)}

static const sweep_case effect[] = {
    AUGMENT(flips, both, "flips", 2, REAL(33, 5, 6, 2), COUNTERS), AUGMENT(zooms, in_and_out, "zooms", 2, REAL(17, 7, 6, 1), COUNTERS),
    AUGMENT(crops, smaller, "crops", 2, REAL(9, 7, 6, 3), COUNTERS), AUGMENT(crops, smaller, "still", 1, REAL(9, 7, 6, 3)),
    {.op = ATHI_OP_ACCUMULATE, INPUTS(2, TOTAL, REAL(7)), WRONG(0, 3)},
    {.op = ATHI_OP_ACCUMULATE, .note = "weighted", INPUTS(3, TOTAL, REAL(7), FROM(0, 2, 7)), WRONG(2, 6)},
    {.op = ATHI_OP_ACCUMULATE, .note = "weighted rows", INPUTS(3, TOTAL, REAL(33, 5), FROM(0, 2, 33)), WRONG(2, 33, 5)},
    {.op = ATHI_OP_MOVE_TOWARDS, INPUTS(2, REAL(17), REAL(17)), .attr.norm = {0, 0.99, false}, WRONG(1, 16)},
    {.op = ATHI_OP_COUNT, .n_in = 1, .in = {{.low = 0, .high = 100, .dtype = ATH_I64, .fill = SWEEP_INTEGERS}}, .any_shape = true},
    {.op = ATHI_OP_COUNT, .note = "of {seed, step}", INPUTS(1, COUNTERS), .any_shape = true},
    {.op = ATHI_OP_GRADIENT, .becomes = true, .build = product, INPUTS(2, REAL(7, 3), REAL(7, 3))},
    CLIPPED(VALUE, 0.3), CLIPPED(NORM, 0.5), CLIPPED(GLOBAL_NORM, 0.5), CLIPPED(GLOBAL_NORM, 100),
    UPDATE(sgd, plain), UPDATE(sgd, momentum), UPDATE(sgd, nesterov), UPDATE(rmsprop, rms), UPDATE(rmsprop, rms_all),
    UPDATE(adam, adam_opts), UPDATE(adam, amsgrad), UPDATE(adamw, decayed), UPDATE(nadam, two_betas), UPDATE(adamax, two_betas),
    UPDATE(adagrad, adagrad_opts), UPDATE(adadelta, adadelta_opts), UPDATE(ftrl, ftrl_opts), UPDATE(lion, lion_opts),
    UPDATE(lamb, two_betas), UPDATE(lars, lars_opts), UPDATE(lars, lars_ahead),
};
/* clang-format on */

const sweep_family sweep_effect = {"effect", effect, ATHI_COUNT(effect)};
