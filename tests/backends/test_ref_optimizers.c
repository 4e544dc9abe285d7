/* The reference's update against Keras: 12 updates of two variables by every optimiser with many options
 * (tests/golden/optimizers.json). */
#include "ref_test.h"

#include "athanor/optimizers.h"
#include "base/options.h"

#include <math.h>

enum { STEPS = 12, VARIABLES = 2, MAX_SLOTS = 3, OPTIONS = 12, CELL = 64 /* bytes */ };

typedef union any_opts {
    ath_optimizer_opts common;
    ath_sgd_opts sgd;
    ath_rmsprop_opts rmsprop;
    ath_adam_opts adam;
    ath_nadam_opts nadam;
    ath_adagrad_opts adagrad;
    ath_adadelta_opts adadelta;
    ath_ftrl_opts ftrl;
    ath_lion_opts lion;
} any_opts;

typedef struct option {
    const char *name;
    size_t offset;
    double fallback;
    bool is_bool;
} option;

#define NUMBER(type, field, value)                                                                           \
    { #field, offsetof(type, field), value, false }
#define FLAG(type, field)                                                                                    \
    { #field, offsetof(type, field), 0, true }
#define BETAS(type, second) NUMBER(type, beta_1, 0.9), NUMBER(type, beta_2, second)
#define EPSILON(type)       NUMBER(type, epsilon, 1e-7)
#define ADAM                BETAS(ath_adam_opts, 0.999), EPSILON(ath_adam_opts), FLAG(ath_adam_opts, amsgrad)
#define NADAM               BETAS(ath_nadam_opts, 0.999), EPSILON(ath_nadam_opts)

/* clang-format off */
static const struct optimizer {
    const char *name;
    double rate, decay;          /* defaults */
    const char *slots[MAX_SLOTS];
    const char *initial;         /* option that the first slot begins with */
    option options[OPTIONS];
} optimizers[] = {
    {"sgd", 0.01, 0, {"momentum"}, NULL, {NUMBER(ath_sgd_opts, momentum, 0), FLAG(ath_sgd_opts, nesterov)}},
    {"rmsprop", 0.001, 0, {"velocity", "momentum", "average_gradient"}, NULL,
     {NUMBER(ath_rmsprop_opts, rho, 0.9), NUMBER(ath_rmsprop_opts, momentum, 0), EPSILON(ath_rmsprop_opts), FLAG(ath_rmsprop_opts, centered)}},
    {"adam", 0.001, 0, {"momentum", "velocity", "velocity_hat"}, NULL, {ADAM}},
    {"adamw", 0.001, 0.004, {"momentum", "velocity", "velocity_hat"}, NULL, {ADAM}},
    {"nadam", 0.001, 0, {"momentum", "velocity"}, NULL, {NADAM}},
    {"adamax", 0.001, 0, {"momentum", "norm"}, NULL, {NADAM}},
    {"lamb", 0.001, 0, {"momentum", "velocity"}, NULL, {NADAM}},
    {"adagrad", 0.001, 0, {"accumulator"}, "initial_accumulator_value",
     {NUMBER(ath_adagrad_opts, initial_accumulator_value, 0.1), EPSILON(ath_adagrad_opts)}},
    {"adadelta", 0.001, 0, {"accumulated_grad", "accumulated_delta_var"}, NULL,
     {NUMBER(ath_adadelta_opts, rho, 0.95), EPSILON(ath_adadelta_opts)}},
    {"ftrl", 0.001, 0, {"accumulator", "linear"}, "initial_accumulator_value",
     {NUMBER(ath_ftrl_opts, learning_rate_power, -0.5), NUMBER(ath_ftrl_opts, initial_accumulator_value, 0.1),
      NUMBER(ath_ftrl_opts, l1_regularization_strength, 0), NUMBER(ath_ftrl_opts, l2_regularization_strength, 0),
      NUMBER(ath_ftrl_opts, l2_shrinkage_regularization_strength, 0), NUMBER(ath_ftrl_opts, beta, 0)}},
    {"lion", 0.001, 0, {"momentum"}, NULL, {BETAS(ath_lion_opts, 0.99)}},
};
/* clang-format on */

/* What all optimisers have. */
static const struct {
    const char *name;
    size_t offset;
    athi_clip clip;
} clips[] = {{"clipvalue", offsetof(ath_optimizer_opts, clipvalue), ATHI_CLIP_VALUE},
             {"clipnorm", offsetof(ath_optimizer_opts, clipnorm), ATHI_CLIP_NORM},
             {"global_clipnorm", offsetof(ath_optimizer_opts, global_clipnorm), ATHI_CLIP_GLOBAL_NORM}};

static const struct optimizer *optimizer_named(const char *name) {
    for (int i = 0; i < ATHI_COUNT(optimizers); i++)
        if (strcmp(optimizers[i].name, name) == 0) return &optimizers[i];
    fail_msg("no optimizer '%s' in this test", name);
    return NULL;
}

static double number_of(const athi_value *map, const char *key, double fallback) {
    const athi_value *v = athi_value_get(map, key);
    if (v && v->type == ATHI_BOOL) return v->boolean;
    if (v && !athi_value_number(v, &fallback)) fail_msg("'%s' is not a number", key);
    return fallback;
}

static int read_options(const struct optimizer *o, const athi_value *given, any_opts *opts) {
    int known = athi_value_get(given, "learning_rate") != NULL;
    memset(opts, 0, sizeof *opts);
    opts->common.weight_decay = number_of(given, "weight_decay", o->decay);
    known += athi_value_get(given, "weight_decay") != NULL;
    for (int i = 0; i < ATHI_COUNT(clips); i++) known += athi_value_get(given, clips[i].name) != NULL;
    for (const option *p = o->options; p->name; p++) {
        const double value = number_of(given, p->name, p->fallback);
        if (p->is_bool)
            *((bool *)opts + p->offset) = value != 0;
        else
            memcpy((char *)opts + p->offset, &value, sizeof value);
        known += athi_value_get(given, p->name) != NULL;
    }
    return known;
}

/* A number, or the one schedule that the file uses. */
static double rate_at(const struct optimizer *o, const athi_value *given, int step) {
    const athi_value *rate = athi_value_get(given, "learning_rate");
    if (!rate || rate->type != ATHI_MAP) return number_of(given, "learning_rate", o->rate);
    const athi_value *cosine = athi_value_get(rate, "cosine_decay");
    assert_non_null(cosine);
    const double alpha = number_of(cosine, "alpha", 0), steps = number_of(cosine, "decay_steps", 1);
    const double down = 0.5 * (1 + cos(acos(-1.0) * fmin(step, steps) / steps));
    return number_of(cosine, "initial_learning_rate", 0) * ((1 - alpha) * down + alpha);
}

/* ---- one case ------------------------------------------------------------------------------------ */

typedef struct memory {
    _Alignas(64) float weights[VARIABLES][CELL / 4], slots[MAX_SLOTS][VARIABLES][CELL / 4];
} memory;

static void check_weights(const char *name, int step, const memory *m, const athi_value *after) {
    for (int v = 0; v < VARIABLES; v++)
        for (int64_t i = 0; i < after->items[v]->n; i++) {
            const double want = after->items[v]->items[i]->number, got = (double)m->weights[v][i];
            if (!(fabs(got - want) <= 1e-5 * (1 + fabs(want))))
                fail_msg("%s: after update %d variable %d[%d] is %.9g, in Keras %.9g", name, step + 1, v,
                         (int)i, got, want);
        }
}

static void run_case(const athi_value *file, const athi_value *c) {
    const char *name = athi_value_get(c, "name")->text;
    const struct optimizer *o = optimizer_named(athi_value_get(c, "optimizer")->text);
    const athi_value *given = athi_value_get(c, "options"), *init = athi_value_get(file, "init");
    static const char *const names[] = {"kernel", "bias"};
    any_opts opts;
    if (read_options(o, given, &opts) != given->n)
        fail_msg("%s: an option that this test does not know", name);
    memory m = {0};
    float grads[VARIABLES][CELL / 4] = {0};
    ref_graph r = ref_open();
    for (int v = 0; v < VARIABLES; v++) {
        const athi_value *data = athi_value_get(init->items[v], "data");
        athi_shape shape = athi_dims(data->n);
        athi_variable_add(r.graph, names[v], shape, ATH_F32, ATHI_TRAINABLE)->offset = v * CELL;
        for (int64_t i = 0; i < data->n; i++) {
            m.weights[v][i] = (float)data->items[i]->number;
            if (o->initial) m.slots[0][v][i] = (float)number_of(given, o->initial, 0.1);
        }
        for (int s = 0; s < MAX_SLOTS && o->slots[s]; s++) {
            char slot[64];
            snprintf(slot, sizeof slot, "optimizer/%s/%s", o->slots[s], names[v]);
            athi_variable_add(r.graph, slot, shape, ATH_F32, ATHI_SLOT)->offset =
                (int64_t)offsetof(memory, slots) + (s * VARIABLES + v) * CELL;
        }
    }
    r.spaces = (athi_spaces){.block = (char *)&m,
                             .grads = (char *)grads,
                             .trainable_bytes = sizeof grads,
                             .variables = r.graph->variables,
                             .n_variables = r.graph->n_variables};
    const athi_row row = {.name = o->name};
    ath_tensor *rate = ref_input(&r, ATHI_SCALAR, ATH_F32), *counters = ref_input(&r, athi_dims(2), ATH_I64);
    ath_tensor *update =
        athi_op2(r.graph, ATHI_OP_UPDATE, rate, counters, &(athi_attr){.update = {&row, &opts}});
    for (int step = 0; step < STEPS; step++) {
        const athi_value *g = athi_value_get(file, "grads")->items[step];
        for (int v = 0; v < VARIABLES; v++)
            for (int64_t i = 0; i < g->items[v]->n; i++) grads[v][i] = (float)g->items[v]->items[i]->number;
        for (int i = 0; i < ATHI_COUNT(clips); i++) {
            const double limit = number_of(given, clips[i].name, 0);
            if (limit == 0) continue;
            const athi_attr attr = {.clip = {clips[i].clip, limit}};
            ref_run(&r, athi_node_add(r.graph, ATHI_OP_CLIP_GRADIENTS, NULL, 0, &attr)->node, NULL, NULL);
        }
        const float lr = (float)rate_at(o, given, step);
        const int64_t count[] = {0, step};
        ref_run(&r, update->node, (const void *[]){&lr, count}, NULL);
        check_weights(name, step, &m, athi_value_get(c, "after")->items[step]);
    }
    ref_close(&r);
}

static void updates_like_keras(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    athi_arena *arena = athi_arena_create(ctx);
    assert_non_null(arena);
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/optimizers.json", getenv("ATHANOR_SOURCE"));
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s cannot be opened", path);
    enum { ROOM = 1 << 21 };
    char *text = malloc(ROOM);
    assert_non_null(text);
    const int64_t n = (int64_t)fread(text, 1, ROOM, f);
    fclose(f);
    assert_true(n > 0 && n < ROOM);
    athi_value *file = NULL;
    assert_ok(ctx, athi_json_read(ctx, arena, text, n, &file));
    free(text);
    const athi_value *cases = athi_value_get(file, "cases");
    assert_true(cases && cases->n >= ATHI_COUNT(optimizers));
    for (int64_t i = 0; i < cases->n; i++) run_case(file, cases->items[i]);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

/* A slot that the options ask for and that is not there is a sentence, not a crash. */
static void a_missing_slot_is_refused(void **state) {
    (void)state;
    ref_graph r = ref_open();
    const athi_backend *ref = NULL;
    assert_ok(r.ctx, athi_backend_find(r.ctx, "ref", &ref));
    athi_variable_add(r.graph, "w", athi_dims(3), ATH_F32, ATHI_TRAINABLE);
    const athi_row row = {.name = "sgd"};
    const ath_sgd_opts opts = {.momentum = 0.9};
    ath_tensor *rate = ref_input(&r, ATHI_SCALAR, ATH_F32), *counters = ref_input(&r, athi_dims(2), ATH_I64);
    athi_node *node =
        athi_op2(r.graph, ATHI_OP_UPDATE, rate, counters, &(athi_attr){.update = {&row, &opts}})->node;
    athi_unit unit = {.nodes = {node}, .n_nodes = 1, .in = node->in, .n_in = 2};
    athi_call call = {.unit = &unit};
    athi_make make = {.ctx = r.ctx, .arena = r.graph->arena, .threads = 1};
    assert_fails(r.ctx, ref->kernels[ATHI_OP_UPDATE]->make(&make, &unit, &call), ATH_E_STATE,
                 "optimizer/momentum/w");
    const athi_row unknown = {.name = "sgdd"};
    node->attr.update.row = &unknown;
    char why[ATHI_WHY_MAX];
    assert_false(ref->kernels[ATHI_OP_UPDATE]->accepts(&unit, why));
    assert_non_null(strstr(why, "sgdd"));
    ref_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(updates_like_keras),
                                       cmocka_unit_test(a_missing_slot_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
