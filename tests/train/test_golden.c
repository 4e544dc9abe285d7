/* Against Keras: when callbacks act, three whole trainings, and the first steps in bfloat16, on every backend. */
#include "recipe/recipe.h"
#include "train/internal.h"
#include "train/train_test.h"

#include <math.h>

static const char *golden_path(char *path, size_t size, const char *file) {
    const char *source = getenv("ATHANOR_SOURCE");
    snprintf(path, size, "%s/tests/golden/%s", source ? source : ".", file);
    return path;
}

static athi_value *golden(ath_ctx *ctx, athi_arena *arena, const char *file) {
    char path[512], *text = NULL;
    int64_t size = 0;
    athi_value *v = NULL;
    assert_ok(ctx, athi_file_read(ctx, golden_path(path, sizeof path, file), false, 64 << 20, &text, &size));
    assert_ok(ctx, athi_json_read(ctx, arena, text, size, &v));
    athi_free(ctx, text);
    return v;
}

static double number(const athi_value *map, const char *key) {
    double d = (double)NAN;
    const athi_value *v = athi_value_get(map, key);
    if (!v || !athi_value_number(v, &d)) fail_msg("the case has no number '%s'", key);
    return d;
}
static const char *text(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    assert_true(v && v->type == ATHI_STRING);
    return v->text;
}

/* ---- callbacks ----------------------------------------------------------------------------------- */

/* One weight, which holds the number of the epoch, so that a restored weight says from which epoch it is. */
static ath_model *model_of_one_weight(ath_ctx *ctx, const athi_callback *callback) {
    ath_model *m = NULL;
    void *loss_opts, *optimizer_opts;
    assert_ok(ctx, athi_model_create(ctx, &m));
    ath_dense(athi_net_input_add(m->net, "x", athi_dims(1), ATH_F32), .units = 1, .use_bias = ATH_OFF);
    athi_net_compile_opts opts = {.target_shape = athi_dims(1)};
    opts.loss = train_spec(ctx, m->net->arena, &athi_losses, "\"mse\"", &loss_opts);
    opts.optimizer =
        train_spec(ctx, m->net->arena, &athi_optimizers, "{\"sgd\": {\"learning_rate\": 0.1}}", &optimizer_opts);
    opts.loss_opts = loss_opts, opts.optimizer_opts = optimizer_opts;
    assert_ok(ctx, athi_net_compile(m->net, &opts));
    int snapshots = 0;
    int64_t n_state = 0;
    athi_callbacks_need(callback, 1, &snapshots, &n_state);
    assert_ok(ctx, athi_model_prepare(m, 1, snapshots, n_state, NULL));
    return m;
}

static void callback_case(ath_ctx *ctx, athi_arena *arena, const athi_value *c, double *rates, int64_t *epochs,
                          double *weight_after) {
    const athi_row *row = athi_row_find(&athi_callbacks, text(c, "callback"));
    assert_non_null(row);
    athi_value *options = athi_value_copy(arena, athi_value_get(c, "options"));
    assert_non_null(options);
    if (athi_value_get(c, "restored_epoch"))
        assert_ok(ctx, athi_value_set(arena, options, "restore_best_weights", athi_value_bool(arena, true)));
    void *opts = athi_arena_alloc(arena, (int64_t)row->opts_size + 1);
    assert_ok(ctx, athi_options_read(ctx, arena, row, options, NULL, "callback", opts));
    athi_callback callback = {row, opts};
    athi_fit_opts fit = {.callbacks = &callback, .n_callbacks = 1};
    ath_model *m = model_of_one_weight(ctx, &callback);
    float *weight = athi_state_at(m->state, m->net->params[0].variable);
    const double *values = athi_state_at(m->state, m->values);
    const athi_value *series = athi_value_get(c, "val_loss");
    bool stop = false;
    assert_ok(ctx, athi_callbacks_run(m, &fit, ATHI_CALLBACK_BEGIN, NULL, &stop));
    int64_t e = 0;
    while (e < series->n && !stop) {
        double value = (double)NAN; /* null */
        athi_value_number(series->items[e], &value);
        athi_epoch epoch = {e + 1, e + 1, (const char *const[]){"val_loss"}, &value, 1};
        *weight = (float)(e + 1);
        assert_ok(ctx, athi_callbacks_run(m, &fit, ATHI_CALLBACK_EPOCH, &epoch, &stop));
        rates[e++] = values[ATHI_RATE] > 0 ? values[ATHI_RATE] : 0.1;
    }
    assert_ok(ctx, athi_callbacks_run(m, &fit, ATHI_CALLBACK_END, NULL, &stop));
    *epochs = e, *weight_after = (double)*weight;
    athi_model_destroy(m);
}

static void callbacks_act_when_keras_does(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    athi_arena *arena = athi_arena_create(ctx);
    const athi_value *cases = athi_value_get(golden(ctx, arena, "callbacks.json"), "cases");
    int compared = 0;
    for (int64_t i = 0; i < cases->n; i++) {
        const athi_value *c = cases->items[i], *rates = athi_value_get(c, "learning_rates");
        double got[64], weight;
        int64_t epochs;
        callback_case(ctx, arena, c, got, &epochs, &weight);
        if (!rates) {
            if (epochs != (int64_t)number(c, "epochs") || weight != number(c, "restored_epoch"))
                fail_msg("%s: stopped after %lld with the weights of %g, Keras after %g with those of %g",
                         text(c, "name"), (long long)epochs, weight, number(c, "epochs"),
                         number(c, "restored_epoch"));
        }
        for (int64_t e = 0; rates && e < rates->n; e++) {
            double want;
            assert_true(athi_value_number(rates->items[e], &want));
            if (fabs(got[e] - want) > 1e-5 * want)
                fail_msg("%s: rate %.9g after epoch %lld, Keras has %.9g", text(c, "name"), got[e], (long long)e + 1,
                         want);
        }
        compared++;
    }
    assert_int_equal(compared, 65);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

/* A rate of 0 is 0, not the optimiser's own again. */
static void a_plateau_may_take_the_whole_rate(void **state) {
    (void)state;
    ath_ctx *ctx = NULL;
    assert_int_equal(ath_ctx_create(NULL, &ctx), ATH_OK);
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *c = NULL;
    double rates[64], weight;
    int64_t epochs;
    const char json[] = "{\"callback\": \"reduce_lr_on_plateau\", \"val_loss\": [1, 2, 3], "
                        "\"options\": {\"factor\": 0, \"patience\": 1}}";
    assert_ok(ctx, athi_json_read(ctx, arena, json, sizeof json - 1, &c));
    callback_case(ctx, arena, c, rates, &epochs, &weight);
    assert_int_equal(epochs, 3);
    assert_true(rates[0] == 0.1);
    for (int e = 1; e < 3; e++)
        if ((float)rates[e] != 0) fail_msg("the rate after epoch %d is %g, expected 0", e + 1, rates[e]);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
}

/* ---- trainings ----------------------------------------------------------------------------------- */

typedef struct seen {
    const athi_value *c, *epochs; /* the case, and its epochs */
    int64_t n;
    const char *backend;
} seen;

/* Losses are means over some hundred samples in float32; an accuracy is a count. */
static ath_status compare_epoch(void *user, const athi_epoch *e, bool *stop) {
    static const char *const names[] = {"loss", "accuracy", "val_loss", "val_accuracy"};
    seen *s = user;
    (void)stop;
    assert_true(s->n < s->epochs->n);
    const athi_value *want = s->epochs->items[s->n++];
    for (int i = 0; i < ATHI_COUNT(names); i++) {
        bool found;
        double got = athi_epoch_value(e, names[i], &found), keras = number(want, names[i]);
        if (!found || fabs(got - keras) > (i % 2 ? 1e-7 : 1e-5) * fmax(1, fabs(keras)))
            fail_msg("%s, epoch %lld, %s: %.9g, Keras has %.9g", s->backend, (long long)e->epoch, names[i], got,
                     keras);
    }
    return ATH_OK;
}

static void weights_are(ath_ctx *ctx, const ath_model *m, const athi_value *c, const char *path) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_map map;
    athi_contents contents;
    int64_t begin, compared = 0;
    assert_ok(ctx, athi_file_map(ctx, path, &map));
    assert_ok(ctx, athi_contents_parse(ctx, arena, path, map.data, map.size, &contents, &begin));
    for (int64_t i = 0; i < m->net->graph->n_variables; i++) {
        const athi_variable *v = m->net->graph->variables[i];
        if (v->role != ATHI_TRAINABLE && v->role != ATHI_STATISTIC) continue;
        const athi_entry *e = athi_contents_find(&contents, v->name);
        assert_true(e && athi_shape_equal(e->shape, v->shape));
        const float *got = athi_state_at(m->state, v),
                    *want = (const float *)(const void *)(map.data + begin + e->offset);
        /* what Keras itself loses against float64, some times over, since sums are ordered otherwise */
        double tolerance = 8 * number(athi_value_get(c, "rounding"), v->name) + 2e-6;
        for (int64_t j = 0; j < athi_shape_count(v->shape); j++)
            if (!(fabs((double)got[j] - (double)want[j]) <= tolerance))
                fail_msg("%s[%lld]: %.9g, Keras has %.9g (tolerance %g)", v->name, (long long)j, (double)got[j],
                         (double)want[j], tolerance);
        compared++;
    }
    assert_int_equal(compared, contents.n);
    athi_file_unmap(&map);
    athi_arena_destroy(arena);
}

static void predictions_are(ath_ctx *ctx, ath_model *m, const athi_data *data, const athi_value *c) {
    float p[40];
    athi_part first = data->train;
    first.n = 4;
    assert_ok(ctx, athi_predict(m, &first, &data->preprocess, 3, p));
    const athi_value *rows = athi_value_get(c, "predict_first_4");
    double tolerance = 8 * number(c, "predict_rounding") + 1e-6;
    for (int i = 0; i < 40; i++) {
        double want;
        assert_true(athi_value_number(rows->items[i / 10]->items[i % 10], &want));
        if (fabs((double)p[i] - want) > tolerance)
            fail_msg("prediction %d of sample %d: %.9g, Keras has %.9g", i % 10, i / 10, (double)p[i], want);
    }
}

/* What every training of a case needs; `on_epoch` compares. */
typedef struct training {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_value *c;
    athi_data *data;
    seen s;
    athi_job job;
} training;

static void train_case(training *t, const athi_backend *backend, const char *file, int index, const char *init,
                       ath_status (*on_epoch)(void *user, const athi_epoch *e, bool *stop)) {
    const ath_ctx_opts opts = {.struct_size = sizeof(ath_ctx_opts), .threads = 1, .backend = backend->name};
    assert_int_equal(ath_ctx_create(&opts, &t->ctx), ATH_OK);
    t->arena = athi_arena_create(t->ctx);
    t->c = athi_value_get(golden(t->ctx, t->arena, file), "cases")->items[index];
    const athi_value *recipe = athi_value_get(t->c, "recipe");
    char json[160], path[512];
    int64_t validation = (int64_t)number(t->c, "validation");
    snprintf(json, sizeof json, "{\"source\": \"fashion-mnist\", \"samples\": %d, \"validation\": %d, \"batch\": %d}",
             (int)(number(t->c, "samples") + (double)validation), (int)validation,
             (int)number(athi_value_get(recipe, "data"), "batch"));
    t->data = train_data(t->ctx, json);
    t->s = (seen){t->c, athi_value_get(t->c, "epochs"), 0, backend->name};
    assert_ok(t->ctx, athi_train_one(t->ctx, t->arena,
                                     &(athi_training_opts){.bound = recipe,
                                                           .data = t->data,
                                                           .init = golden_path(path, sizeof path, init),
                                                           .n_callbacks = -1,
                                                           .no_shuffle = true,
                                                           .on_epoch = on_epoch,
                                                           .user = &t->s},
                                     &t->job));
    assert_int_equal(t->s.n, t->s.epochs->n);
}

static void train_end(training *t) {
    athi_model_destroy(t->job.model);
    athi_data_close(t->data);
    athi_arena_destroy(t->arena);
    ath_ctx_destroy(t->ctx);
}

static void training_case(const athi_backend *backend, int index) {
    static const char *const names[] = {"mlp", "cnn", "bn"};
    training t;
    char init[64], after[64], path[512];
    snprintf(init, sizeof init, "fit_%s_init.safetensors", names[index]);
    snprintf(after, sizeof after, "fit_%s_after.safetensors", names[index]);
    train_case(&t, backend, "fit.json", index, init, compare_epoch);
    assert_string_equal(text(t.c, "name"), names[index]);
    weights_are(t.ctx, t.job.model, t.c, golden_path(path, sizeof path, after));
    predictions_are(t.ctx, t.job.model, t.data, t.c);
    train_end(&t);
}

static void trainings_end_where_keras_does(void **state) {
    (void)state;
    for (int i = 0; athi_backends[i]; i++) {
        if (athi_backends[i]->unavailable && athi_backends[i]->unavailable()) continue;
        for (int k = 0; k < 3; k++) training_case(athi_backends[i], k);
    }
}

/* ---- bfloat16 ------------------------------------------------------------------------------------ */

/* The first loss stands before any difference can grow: it lies nearer to Keras's than to that of float32. From there on
 * each rounding that falls otherwise changes all that follows, so what is allowed is twice how far Keras on PyTorch,
 * Keras on JAX and float32 have come apart by then. */
static double allowed_at(const seen *s, const char *name) {
    const athi_value *c = s->c;
    double apart;
    if (s->n == 0 && strcmp(name, "loss") == 0)
        return fabs(number(s->epochs->items[0], name) - number(athi_value_get(c, "float32")->items[0], name)) / 2;
    assert_true(athi_value_number(athi_value_get(athi_value_get(c, "apart"), name)->items[s->n], &apart));
    return 2 * apart;
}

/* An epoch is one step. */
static ath_status compare_step(void *user, const athi_epoch *e, bool *stop) {
    static const char *const names[] = {"loss", "val_loss"};
    seen *s = user;
    (void)stop;
    assert_true(s->n < s->epochs->n);
    for (int i = 0; i < ATHI_COUNT(names); i++) {
        bool found;
        const double got = athi_epoch_value(e, names[i], &found), allowed = allowed_at(s, names[i]),
                     keras = number(s->epochs->items[s->n], names[i]);
        if (!found || !(fabs(got - keras) <= allowed))
            fail_msg("%s, %s, step %lld, %s: %.9g, Keras has %.9g, allowed is a difference of %g", s->backend,
                     text(s->c, "name"), (long long)e->epoch, names[i], got, keras, allowed);
    }
    s->n++;
    return ATH_OK;
}

static void first_steps_in_bfloat16_are_keras_s(void **state) {
    (void)state;
    char why[ATHI_WHY_MAX];
    for (int i = 0; athi_backends[i]; i++) {
        if (athi_backends[i]->computes && !athi_backends[i]->computes(ATH_BF16, why)) continue;
        for (int k = 0; k < 2; k++) {
            training t;
            train_case(&t, athi_backends[i], "fit_mixed.json", k, "fit_mixed_init.safetensors", compare_step);
            train_end(&t);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(callbacks_act_when_keras_does),
                                       cmocka_unit_test(a_plateau_may_take_the_whole_rate),
                                       cmocka_unit_test(trainings_end_where_keras_does),
                                       cmocka_unit_test(first_steps_in_bfloat16_are_keras_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
