/* The loop on real data: it learns, stopping and going on gives the same bits, damaged states are refused. */
#include "athanor/model.h"
#include "train/internal.h"
#include "train_test.h"

#include <math.h>
#include <unistd.h>

static ath_ctx *ctx;
static athi_data *data;
static char folder[64], state_path[128], log_path[128];

static int setup(void **unused) {
    (void)unused;
    snprintf(folder, sizeof folder, "/tmp/athanor-test-XXXXXX");
    if (ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx) || !mkdtemp(folder))
        return 1;
    snprintf(state_path, sizeof state_path, "%s/state.safetensors", folder);
    snprintf(log_path, sizeof log_path, "%s/log.jsonl", folder);
    athi_arena *arena = athi_arena_create(ctx);
    athi_value *map = NULL;
    athi_data_opts opts;
    const char json[] = "{\"source\": \"fashion-mnist\", \"samples\": 3000, \"validation\": 1000, \"batch\": 128}";
    int failed = athi_json_read(ctx, arena, json, sizeof json - 1, &map) ||
                 athi_options_read(ctx, arena, &athi_data_row, map, NULL, "data", &opts) ||
                 athi_data_open(ctx, &opts, NULL, NULL, &data);
    athi_arena_destroy(arena);
    return failed;
}

static int teardown(void **unused) {
    (void)unused;
    athi_data_close(data);
    athi_remove_tree(ctx, folder);
    ath_ctx_destroy(ctx);
    return 0;
}

/* 784-16-10 with dropout, momentum and a step-dependent rate, so that every kind of state takes part. */
static ath_model *make_model(uint64_t seed, const athi_callback *callbacks, int n_callbacks) {
    ath_model *m = NULL;
    assert_ok(ctx, athi_model_create(ctx, &m));
    ath_tensor *x = athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32);
    x = ath_flatten(x);
    x = ath_dense(x, .units = 16, .activation = ATH_RELU);
    x = ath_dropout(x, .rate = 0.2);
    x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    assert_ok(ctx, athi_graph_check(m->net->graph));
    const athi_row *loss = athi_row_find(&athi_losses, "sparse_categorical_crossentropy"),
                   *metric = athi_row_find(&athi_metrics, "accuracy"),
                   *optimizer = athi_row_find(&athi_optimizers, "adam");
    void *loss_opts = NULL, *metric_opts = NULL, *optimizer_opts = NULL;
    assert_ok(ctx, athi_options_resolve(ctx, m->net->arena, loss, NULL, "loss", &loss_opts));
    assert_ok(ctx, athi_options_resolve(ctx, m->net->arena, metric, NULL, "metric", &metric_opts));
    assert_ok(ctx, athi_options_resolve(ctx, m->net->arena, optimizer, NULL, "adam", &optimizer_opts));
    athi_net_compile_opts opts = {.loss = loss,
                                  .loss_opts = loss_opts,
                                  .metrics = &metric,
                                  .metric_opts = (const void *const[]){metric_opts},
                                  .n_metrics = 1,
                                  .optimizer = optimizer,
                                  .optimizer_opts = optimizer_opts,
                                  .target_shape = data->target_shape};
    assert_ok(ctx, athi_net_compile(m->net, &opts));
    int snapshots = 1;
    int64_t n_state = 0;
    athi_callbacks_need(callbacks, n_callbacks, &snapshots, &n_state);
    assert_ok(ctx, athi_model_prepare(m, seed, snapshots, n_state, NULL));
    return m;
}

typedef struct watch {
    int epochs;
    double last[8];
    int64_t stop_after_batches; /* counted over epochs; 0: never */
    int interrupted;
} watch;

static ath_status on_epoch(void *user, const athi_epoch *e, bool *stop) {
    watch *w = user;
    (void)stop;
    w->epochs++;
    for (int i = 0; i < e->n && i < 8; i++) w->last[i] = e->values[i];
    return ATH_OK;
}

static athi_fit_opts fit_opts(watch *w) {
    return (athi_fit_opts){.train = &data->train,
                           .validation = &data->validation,
                           .preprocess = &data->preprocess,
                           .batch = 128,
                           .epochs = 3,
                           .shuffle = true,
                           .seed = 7,
                           .monitor = "val_accuracy",
                           .maximize = true,
                           .stop_on_nan = true,
                           .on_epoch = on_epoch,
                           .user = w};
}

static void it_learns(void **unused) {
    (void)unused;
    watch w = {0};
    ath_model *m = make_model(7, NULL, 0);
    athi_fit_opts o = fit_opts(&w);
    o.epochs = 8;
    assert_ok(ctx, athi_fit(m, &o));
    assert_int_equal(w.epochs, 8);
    double values[2], best;
    assert_ok(ctx, athi_evaluate(m, &data->validation, &data->preprocess, 128, values));
    assert_float_equal(values[0], w.last[2], 0); /* loss, accuracy, val_loss, val_accuracy */
    assert_float_equal(values[1], w.last[3], 0);
    assert_true(values[1] > 0.70);
    assert_true(athi_best_epoch(m, &best) >= 1 && best >= values[1]);
    float *p = malloc(1000 * 10 * sizeof *p);
    assert_ok(ctx, athi_predict(m, &data->validation, &data->preprocess, 300, p));
    int right = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t at = i;
        int32_t label, top = 0;
        athi_batch_classes(&data->validation, &at, 1, &label);
        for (int c = 1; c < 10; c++) top = p[i * 10 + c] > p[i * 10 + top] ? c : top;
        right += top == label;
    }
    assert_float_equal(right / 1000.0, values[1], 1e-9);
    free(p);
    athi_model_destroy(m);
}

/* Stops by max_steps at `steps`, goes on in a fresh model from the state file, and compares all bits. */
static void go_on(const athi_augment_list *augment) {
    watch w = {0};
    ath_model *whole = make_model(7, NULL, 0);
    athi_fit_opts o = fit_opts(&w);
    o.augment = augment;
    assert_ok(ctx, athi_fit(whole, &o));
    for (int64_t steps = 1; steps < 48; steps += 13) { /* 16 batches an epoch: in the middle and at the ends */
        unlink(state_path), unlink(log_path);
        ath_model *first = make_model(7, NULL, 0), *second = make_model(99, NULL, 0);
        athi_fit_opts part = fit_opts(&w);
        part.augment = augment;
        part.state_path = state_path, part.log_path = log_path, part.max_steps = steps, part.resume = true;
        assert_ok(ctx, athi_fit(first, &part));
        part.max_steps = 0;
        assert_ok(ctx, athi_fit(second, &part));
        for (int64_t i = 0; i < whole->net->graph->n_variables; i++) {
            const athi_variable *v = whole->net->graph->variables[i];
            if (strcmp(v->name, "train/checksum") == 0) continue;
            if (memcmp(athi_state_at(whole->state, v), athi_state_at(second->state, v),
                       (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype))) != 0)
                fail_msg("stopped after %lld steps, %s differs", (long long)steps, v->name);
        }
        athi_model_destroy(first);
        athi_model_destroy(second);
    }
    athi_model_destroy(whole);
}

static void going_on_is_exact(void **unused) {
    (void)unused;
    go_on(NULL);
}

static const athi_augment_list *shifted(athi_arena *arena, athi_augment_list *list) {
    athi_value *v = NULL;
    int normalize = 0;
    const char json[] = "{\"width_shift_range\": 0.1, \"horizontal_flip\": true}";
    assert_ok(ctx, athi_json_read(ctx, arena, json, sizeof json - 1, &v));
    assert_ok(ctx, athi_augment_read(ctx, arena, v, list, &normalize));
    assert_ok(ctx, athi_augment_fit(ctx, list, data->sample_shape));
    return list;
}

static void going_on_is_exact_with_augmentation(void **unused) {
    (void)unused;
    athi_arena *arena = athi_arena_create(ctx);
    athi_augment_list list;
    go_on(shifted(arena, &list));
    athi_arena_destroy(arena);
}

static bool same_bits(const ath_model *a, const ath_model *b) {
    for (int64_t i = 0; i < a->net->graph->n_variables; i++) {
        const athi_variable *v = a->net->graph->variables[i];
        if (memcmp(athi_state_at(a->state, v), athi_state_at(b->state, v),
                   (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype))) != 0)
            return false;
    }
    return true;
}

static void interrupt(void *user, int64_t epoch, int64_t batch, int64_t batches) {
    watch *w = user;
    (void)epoch, (void)batches;
    w->interrupted = batch > 2;
}

/* With a second thread the next batch is made ahead: the same bits, where it goes on from, and wherever it ends. */
static void batches_made_ahead(void **unused) {
    (void)unused;
    athi_arena *arena = athi_arena_create(ctx);
    athi_augment_list list;
    shifted(arena, &list);
    ath_model *models[2];
    watch w = {0};
    for (int threads = 1; threads <= 2; threads++) {
        athi_fit_opts o = fit_opts(&w);
        ctx->threads = threads;
        models[threads - 1] = make_model(7, NULL, 0);
        o.augment = &list;
        assert_ok(ctx, athi_fit(models[threads - 1], &o));
    }
    assert_true(same_bits(models[0], models[1]));
    go_on(&list);
    athi_fit_opts o = fit_opts(&w); /* interrupted while the next batch is under way */
    ath_model *stopped = make_model(7, NULL, 0);
    o.augment = &list, o.on_batch = interrupt, o.interrupted = &w.interrupted;
    assert_fails(ctx, athi_fit(stopped, &o), ATH_E_INTERRUPTED, "interrupted in epoch");
    athi_augment_list mixing = list; /* an error before the first batch */
    mixing.mixes = true, o.augment = &mixing;
    assert_fails(ctx, athi_fit(stopped, &o), ATH_E_OPTION, "write data.one_hot: true");
    ctx->threads = 1;
    athi_model_destroy(models[0]), athi_model_destroy(models[1]), athi_model_destroy(stopped);
    athi_arena_destroy(arena);
}

/* Only training batches are changed: at a learning rate of 0 the training loss differs, the validation loss does not. */
static void validation_is_not_augmented(void **unused) {
    (void)unused;
    athi_arena *arena = athi_arena_create(ctx);
    athi_augment_list list;
    watch plain = {0}, augmented = {0};
    watch *watches[] = {&plain, &augmented};
    for (int i = 0; i < 2; i++) {
        ath_model *m = make_model(7, NULL, 0);
        athi_fit_opts o = fit_opts(watches[i]);
        o.epochs = 1, o.augment = i ? shifted(arena, &list) : NULL;
        ((double *)athi_state_at(m->state, m->values))[ATHI_RATE] = 1e-30;
        assert_ok(ctx, athi_fit(m, &o));
        athi_model_destroy(m);
    }
    assert_true(plain.last[0] != augmented.last[0]);
    assert_float_equal(plain.last[2], augmented.last[2], 0);
    athi_arena_destroy(arena);
}

/* The public calls: augmentations with their option structs, and their sentences. */
static void augmented_from_c(void **unused) {
    (void)unused;
    ath_data *d = NULL;
    ath_model *m = NULL;
    ath_random_flip_opts flips = {.struct_size = sizeof flips, .mode = ATH_FLIP_HORIZONTAL};
    ath_random_translation_opts moves = {.struct_size = sizeof moves, .height_factor = ATH_FLOATS(0.1),
                                         .width_factor = ATH_FLOATS(0.1)};
    assert_ok(ctx, ath_data_open(ctx, &d, .source = "fashion-mnist", .samples = 600, .batch = 128, .one_hot = true,
                                 .augment = {{"random_flip", &flips}, {"random_translation", &moves}, {"mix_up", NULL}}));
    assert_ok(ctx, ath_model_create(ctx, &m));
    ath_tensor *x = ath_flatten(ath_input(m, .shape = ATH_INTS(28, 28)));
    ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    assert_ok(ctx, ath_model_compile(m, d, .loss = {"categorical_crossentropy", NULL}, .metrics = {{"accuracy", NULL}}));
    assert_ok(ctx, ath_model_fit(m, d, .epochs = 2));
    ath_model_destroy(m);
    ath_data_close(d);
    ath_random_crop_opts crop = {.struct_size = sizeof crop, .height = 20, .width = 20};
    assert_fails(ctx, ath_data_open(ctx, &d, .source = "fashion-mnist", .augment = {{"random_crop", &crop}}), ATH_E_OPTION,
                 "random_crop changes the size of an image");
    assert_fails(ctx, ath_data_open(ctx, &d, .source = "fashion-mnist", .augment = {{"random_zoom", NULL}}), ATH_E_OPTION,
                 "height_factor");
}

/* A training that goes on from another's state after two epochs: those were better, but are not its own. */
static void the_best_epoch_is_an_own_one(void **unused) {
    (void)unused;
    watch w = {0};
    unlink(state_path);
    ath_model *m = make_model(7, NULL, 0);
    athi_fit_opts o = fit_opts(&w);
    double value;
    o.state_path = state_path, o.resume = true, o.monitor = "loss"; /* it falls, and the largest counts */
    o.max_steps = 32;                                               /* two epochs */
    assert_ok(ctx, athi_fit(m, &o));
    assert_int_equal(athi_best_epoch(m, &value), 1);
    athi_model_destroy(m);
    for (int64_t inherited = 0; inherited <= 2; inherited += 2) {
        m = make_model(7, NULL, 0);
        o.max_steps = 0, o.inherited = inherited, o.state_path = inherited ? state_path : NULL;
        assert_ok(ctx, athi_fit(m, &o));
        assert_int_equal(athi_best_epoch(m, &value), inherited ? 3 : 1);
        athi_model_destroy(m);
    }
}

static void a_damaged_state_is_refused(void **unused) {
    (void)unused;
    watch w = {0};
    unlink(state_path);
    ath_model *m = make_model(7, NULL, 0);
    athi_fit_opts o = fit_opts(&w);
    o.state_path = state_path, o.max_steps = 2, o.resume = true;
    assert_ok(ctx, athi_fit(m, &o));
    char *file = NULL;
    int64_t size = 0;
    assert_ok(ctx, athi_file_read(ctx, state_path, false, INT64_MAX, &file, &size));
    file[size - 700] ^= 1;
    assert_ok(ctx, athi_file_write(ctx, state_path, file, size));
    assert_fails(ctx, athi_fit(m, &o), ATH_E_DATA, "checksum");
    assert_ok(ctx, athi_file_write(ctx, state_path, file, size - 64));
    assert_fails(ctx, athi_fit(m, &o), ATH_E_DATA, "cut short");
    athi_free(ctx, file);
    athi_model_destroy(m);
}

/* The lab's stop: two epochs in a row at the target; a miss between them starts the count again. */
static void a_target_stops_it(void **unused) {
    (void)unused;
    static const struct {
        const char *options;
        double values[6];
        int epochs;
    } cases[] = {{"0.85", {0.80, 0.85, 0.86, 0.9, 0.9, 0.9}, 3},
                 {"0.85", {0.86, 0.84, 0.86, 0.86, 0.9, 0.9}, 4},
                 {"{\"target\": 0.85, \"consecutive\": false}", {0.86, 0.84, 0.86, 0.9, 0.9, 0.9}, 3},
                 {"{\"target\": 0.85, \"patience\": 1}", {0.1, 0.2, 0.3, 0.85, 0.9, 0.9}, 4},
                 {"{\"target\": 0.3, \"monitor\": \"val_loss\"}", {0.2, 0.4, 0.3, 0.1, 0.1, 0.1}, 4}};
    athi_arena *arena = athi_arena_create(ctx);
    for (int k = 0; k < ATHI_COUNT(cases); k++) {
        char json[128];
        void *opts;
        snprintf(json, sizeof json, "{\"stop_at_accuracy\": %s}", cases[k].options);
        athi_callback callback = {train_spec(ctx, arena, &athi_callbacks, json, &opts), NULL};
        callback.opts = opts;
        ath_model *m = make_model(1, &callback, 1);
        athi_fit_opts fit = {.callbacks = &callback, .n_callbacks = 1};
        bool stop = false;
        int e = 0;
        while (e < 6 && !stop) {
            athi_epoch epoch = {e + 1, 0, (const char *const[]){k == 4 ? "val_loss" : "val_accuracy"},
                                &cases[k].values[e], 1};
            assert_ok(ctx, athi_callbacks_run(m, &fit, ATHI_CALLBACK_EPOCH, &epoch, &stop));
            e++;
        }
        assert_int_equal(e, cases[k].epochs);
        athi_model_destroy(m);
    }
    athi_arena_destroy(arena);
}

/* 0.01 x {1, 0.1, 0.01, 0.001} after 1, 2 and 4 epochs, the same after going on in the middle of it. */
static void rates_by_epoch(void **unused) {
    (void)unused;
    athi_arena *arena = athi_arena_create(ctx);
    void *opts;
    athi_callback callback = {
        train_spec(ctx, arena, &athi_callbacks,
                   "{\"learning_rate_scheduler\": {\"epochs\": [1, 2, 4], \"factors\": [1, 0.1, 0.01, 0.001]}}",
                   &opts),
        NULL};
    callback.opts = opts;
    static const double factors[] = {1, 0.1, 0.01, 0.01, 0.001, 0.001};
    unlink(state_path), unlink(log_path);
    for (int64_t e = 1; e <= 6; e++) {
        watch w = {0};
        ath_model *m = make_model(7, &callback, 1);
        athi_fit_opts o = fit_opts(&w);
        o.callbacks = &callback, o.n_callbacks = 1, o.state_path = state_path, o.resume = true;
        o.epochs = 6, o.max_steps = 16 * e;
        assert_ok(ctx, athi_fit(m, &o));
        assert_float_equal(w.last[4], 0.001 * factors[e - 1], 1e-9); /* loss, accuracy, twice, learning_rate */
        athi_model_destroy(m);
    }
    static const struct {
        const char *json, *part;
    } wrong[] = {{"{\"epochs\": [1, 2], \"factors\": [1, 0.1]}", "one factor more than epochs, got 2 factors and 2"},
                 {"{\"epochs\": [2, 1], \"factors\": [1, 0.1, 0.2]}", "epochs must ascend, got 1 after 2"},
                 {"{\"epochs\": [2], \"factors\": [1, 0]}", "a factor must be a number > 0, got 0"}};
    for (int i = 0; i < ATHI_COUNT(wrong); i++) {
        char json[160];
        snprintf(json, sizeof json, "{\"learning_rate_scheduler\": %s}", wrong[i].json);
        athi_callback bad = {train_spec(ctx, arena, &athi_callbacks, json, &opts), NULL};
        bad.opts = opts;
        ath_model *m = make_model(7, &bad, 1);
        assert_fails(ctx, athi_callbacks_check(m, &bad, 1, NULL, 0), ATH_E_OPTION, wrong[i].part);
        athi_model_destroy(m);
    }
    athi_arena_destroy(arena);
}

/* throughput and total_seconds stand behind the other reports, and say what `seconds` says. */
static ath_status check_costs(void *user, const athi_epoch *e, bool *stop) {
    double *total = user;
    bool found[4];
    (void)stop;
    double seconds = athi_epoch_value(e, "seconds", &found[0]), all = athi_epoch_value(e, "throughput", &found[1]),
           sum = athi_epoch_value(e, "total_seconds", &found[2]),
           training = athi_epoch_value(e, "samples_per_second", &found[3]);
    for (int i = 0; i < 4; i++) assert_true(found[i]);
    assert_float_equal(all * seconds, 2000, 1e-6);
    assert_true(training > all); /* validation takes its time */
    *total += seconds;
    assert_float_equal(sum, *total, 1e-9);
    return ATH_OK;
}
static void costs_are_reported(void **unused) {
    (void)unused;
    const athi_callback callbacks[] = {{athi_row_find(&athi_callbacks, "throughput"), NULL},
                                       {athi_row_find(&athi_callbacks, "total_time"), NULL}};
    double total = 0;
    ath_model *m = make_model(7, callbacks, 2);
    athi_fit_opts o = fit_opts(NULL);
    o.callbacks = callbacks, o.n_callbacks = 2, o.on_epoch = check_costs, o.user = &total;
    assert_ok(ctx, athi_fit(m, &o));
    assert_true(total > 0);
    athi_model_destroy(m);
}

typedef struct looks {
    watch w; /* first: what on_epoch takes */
    int64_t at_once, batches;
} looks;
static void on_batch(void *user, int64_t epoch, int64_t batch, int64_t batches) {
    looks *l = user;
    (void)epoch;
    l->batches++;
    assert_true(batch % l->at_once == 0 || batch == batches);
}
/* Several steps an execution: the same weights, and nobody is asked in between. */
static void steps_per_execution(void **unused) {
    (void)unused;
    ath_model *models[2];
    for (int k = 0; k < 2; k++) {
        looks l = {.at_once = k ? 5 : 1};
        models[k] = make_model(7, NULL, 0);
        athi_fit_opts o = fit_opts(&l.w);
        o.steps_per_execution = l.at_once, o.on_batch = on_batch, o.user = &l;
        assert_ok(ctx, athi_fit(models[k], &o));
        assert_true(l.batches >= 3 && l.w.epochs == 3);
    }
    for (int64_t i = 0; i < models[0]->net->n_params; i++) {
        const athi_variable *v = models[0]->net->params[i].variable, *u = models[1]->net->params[i].variable;
        assert_memory_equal(athi_state_at(models[0]->state, v), athi_state_at(models[1]->state, u),
                            (size_t)athi_shape_count(v->shape) * sizeof(float));
    }
    for (int k = 0; k < 2; k++) athi_model_destroy(models[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_learns),
                                       cmocka_unit_test(going_on_is_exact),
                                       cmocka_unit_test(going_on_is_exact_with_augmentation),
                                       cmocka_unit_test(batches_made_ahead),
                                       cmocka_unit_test(augmented_from_c),
                                       cmocka_unit_test(validation_is_not_augmented),
                                       cmocka_unit_test(the_best_epoch_is_an_own_one),
                                       cmocka_unit_test(a_damaged_state_is_refused),
                                       cmocka_unit_test(a_target_stops_it),
                                       cmocka_unit_test(rates_by_epoch),
                                       cmocka_unit_test(costs_are_reported),
                                       cmocka_unit_test(steps_per_execution)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
