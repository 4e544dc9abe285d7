/* Training under mixed_bfloat16: as good as in float32, the same state, and what a model says that cannot have it. */
#include "athanor/athanor.h"
#include "athanor/nn.h"
#include "train/internal.h"
#include "train/train_test.h"

#include <math.h>
#include <unistd.h>

static ath_ctx *ctx;
static athi_data *data;

static void begin(const char *backend) {
    assert_ok(NULL, ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1, .backend = backend},
                                   &ctx));
    data = train_data(ctx, "{\"source\": \"fashion-mnist\", \"samples\": 2500, \"validation\": 500}");
}
static void end(void) {
    athi_data_close(data);
    ath_ctx_destroy(ctx);
}

/* A dense layer with normalisation; the output layer is set apart or not. */
static ath_model *make_model(const char *policy, const char *last_policy) {
    ath_model *m = NULL;
    void *loss_opts, *metric_opts, *optimizer_opts;
    assert_ok(ctx, athi_model_create(ctx, &m));
    assert_ok(ctx, ath_model_set_dtype_policy(m, policy));
    ath_tensor *x = ath_flatten(athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32));
    x = ath_dense(x, .units = 24, .use_bias = ATH_OFF, .kernel_regularizer = {"l2", NULL});
    x = ath_dropout(ath_activation(ath_batch_normalization(x, .momentum = 0.9), .activation = ATH_RELU), .rate = 0.1);
    assert_ok(ctx, ath_model_set_dtype_policy(m, last_policy));
    ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    athi_net_compile_opts opts = {.target_shape = data->target_shape, .n_metrics = 1};
    opts.loss = train_spec(ctx, m->net->arena, &athi_losses, "\"sparse_categorical_crossentropy\"", &loss_opts);
    const athi_row *metric = train_spec(ctx, m->net->arena, &athi_metrics, "\"accuracy\"", &metric_opts);
    opts.optimizer = train_spec(ctx, m->net->arena, &athi_optimizers, "\"adam\"", &optimizer_opts);
    const void *metric_list[] = {metric_opts};
    opts.loss_opts = loss_opts, opts.metrics = &metric, opts.metric_opts = metric_list;
    opts.optimizer_opts = optimizer_opts;
    assert_ok(ctx, athi_net_compile(m->net, &opts));
    return m;
}

static ath_model *prepared(const char *policy, const char *last_policy) {
    ath_model *m = make_model(policy, last_policy);
    assert_ok(ctx, athi_model_prepare(m, 3, 0, 1, NULL));
    return m;
}

static athi_fit_opts fit_opts(int64_t epochs) {
    return (athi_fit_opts){.train = &data->train,
                           .validation = &data->validation,
                           .preprocess = &data->preprocess,
                           .batch = 64,
                           .epochs = epochs,
                           .shuffle = true,
                           .seed = 3,
                           .stop_on_nan = true};
}

/* ---- as good ------------------------------------------------------------------------------------- */

static void trained(const char *policy, double values[2]) {
    ath_model *m = prepared(policy, policy);
    athi_fit_opts o = fit_opts(4);
    assert_ok(ctx, athi_fit(m, &o));
    assert_ok(ctx, athi_evaluate(m, &data->validation, &data->preprocess, 100, values));
    athi_model_destroy(m);
}

/* 500 images: five of them are a hundredth. */
static void learns_on(const athi_backend *backend) {
    char why[ATHI_WHY_MAX];
    if (backend->computes && !backend->computes(ATH_BF16, why)) return;
    double plain[2], mixed[2];
    begin(backend->name);
    trained("float32", plain), trained("mixed_bfloat16", mixed);
    if (mixed[1] < 0.75 || fabs(mixed[1] - plain[1]) > 0.025 || fabs(mixed[0] - plain[0]) > 0.05)
        fail_msg("%s: loss and accuracy %g, %g in float32, %g, %g mixed", backend->name, plain[0], plain[1], mixed[0],
                 mixed[1]);
    assert_true(mixed[0] != plain[0]);
    end();
}
static void learns_as_well(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++) learns_on(athi_backends[i]);
}

/* ---- the state ----------------------------------------------------------------------------------- */

static void weights_stay_float32(void **state) {
    (void)state;
    begin("ref");
    ath_model *plain = prepared("float32", "float32"), *mixed = prepared("mixed_bfloat16", "float32");
    assert_int_equal(plain->state->bytes, mixed->state->bytes);
    assert_int_equal(plain->net->graph->n_variables, mixed->net->graph->n_variables);
    for (int64_t i = 0; i < plain->net->graph->n_variables; i++) {
        const athi_variable *a = plain->net->graph->variables[i], *b = mixed->net->graph->variables[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->offset, b->offset);
        assert_int_equal(a->dtype, b->dtype);
    }
    /* one step less than bf16 can tell moves a weight all the same */
    athi_fit_opts o = fit_opts(1);
    o.max_steps = 1;
    float before = ((float *)athi_state_at(mixed->state, mixed->net->params[0].variable))[400];
    assert_ok(ctx, athi_fit(mixed, &o));
    float after = ((float *)athi_state_at(mixed->state, mixed->net->params[0].variable))[400];
    assert_true(after != before);
    athi_model_destroy(plain), athi_model_destroy(mixed);
    end();
}

static void going_on_is_exact(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/athanor-mixed-%d.safetensors", (int)getpid());
    begin("ref");
    ath_model *whole = prepared("mixed_bfloat16", "float32"), *first = prepared("mixed_bfloat16", "float32"),
              *rest = prepared("mixed_bfloat16", "float32");
    athi_fit_opts o = fit_opts(1);
    o.max_steps = 9;
    assert_ok(ctx, athi_fit(whole, &o));
    unlink(path);
    o.state_path = path, o.resume = true, o.max_steps = 4;
    assert_ok(ctx, athi_fit(first, &o));
    o.max_steps = 9;
    assert_ok(ctx, athi_fit(rest, &o));
    assert_memory_equal(whole->state->data, rest->state->data, whole->state->trainable_bytes);
    unlink(path);
    athi_model_destroy(whole), athi_model_destroy(first), athi_model_destroy(rest);
    end();
}

/* ---- what it computes in ------------------------------------------------------------------------- */

static int64_t count_casts(ath_model *m, athi_mode mode, ath_dtype to) {
    athi_plan *plan = NULL;
    int64_t n = 0;
    assert_ok(ctx, athi_model_plan(m, mode, 64, &plan));
    const athi_graph *g = athi_plan_graph(plan);
    for (int64_t i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == ATHI_OP_CAST && g->nodes[i]->out[0].dtype == to;
    return n;
}

static void layers_are_set_apart(void **state) {
    (void)state;
    begin("ref");
    ath_model *mixed = prepared("mixed_bfloat16", "mixed_bfloat16"), *apart = prepared("mixed_bfloat16", "float32"),
              *plain = prepared("float32", "float32");
    assert_int_equal(count_casts(plain, ATHI_MODE_TRAIN, ATH_BF16), 0);
    assert_int_equal(count_casts(mixed, ATHI_MODE_PREDICT, ATH_BF16), 4); /* images, two kernels, a bias */
    assert_int_equal(count_casts(mixed, ATHI_MODE_PREDICT, ATH_F32), 1);  /* predictions */
    assert_int_equal(count_casts(apart, ATHI_MODE_PREDICT, ATH_BF16), 2);
    assert_int_equal(count_casts(apart, ATHI_MODE_PREDICT, ATH_F32), 1); /* what dense_1 reads */
    athi_model_destroy(mixed), athi_model_destroy(apart), athi_model_destroy(plain);
    end();
}

static bool computes_float_only(ath_dtype type, char why[ATHI_WHY_MAX]) {
    snprintf(why, ATHI_WHY_MAX, "this test has no bfloat16");
    return type != ATH_BF16;
}

static void says_what_it_cannot(void **state) {
    (void)state;
    begin("ref");
    ath_model *m = make_model("mixed_bfloat16", "float32");
    athi_backend lesser = *m->backend;
    lesser.computes = computes_float_only;
    m->backend = &lesser;
    assert_fails(ctx, athi_model_prepare(m, 3, 0, 1, NULL), ATH_E_UNSUPPORTED,
                 "mixed_bfloat16: this test has no bfloat16; take float32, or backend ref, which emulates bfloat16");
    assert_fails(ctx, ath_model_set_dtype_policy(m, "mixed_float16"), ATH_E_OPTION,
                 "dtype policy: there is no policy 'mixed_float16'; there are float32 and mixed_bfloat16");
    athi_model_destroy(m);
    m = make_model("float32", "float32");
    m->backend = &lesser;
    assert_ok(ctx, athi_model_prepare(m, 3, 0, 1, NULL));
    athi_model_destroy(m);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_as_well),       cmocka_unit_test(weights_stay_float32),
        cmocka_unit_test(going_on_is_exact),    cmocka_unit_test(layers_are_set_apart),
        cmocka_unit_test(says_what_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
