/* What must survive: states that are damaged or of another model, logs longer than their state, interrupts at any
 * moment, files of callbacks, weights of classes, failing allocations. */
#include "oom.h"
#include "train/train_test.h"

#include <math.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static ath_ctx *ctx;
static athi_data *data;
static athi_arena *arena;
static char folder[64], state_path[96], log_path[96];

static int setup(void **unused) {
    (void)unused;
    snprintf(folder, sizeof folder, "/tmp/athanor-test-XXXXXX");
    if (ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx) || !mkdtemp(folder))
        return 1;
    snprintf(state_path, sizeof state_path, "%s/state.safetensors", folder);
    snprintf(log_path, sizeof log_path, "%s/log.jsonl", folder);
    arena = athi_arena_create(ctx);
    data = train_data(ctx, "{\"source\": \"fashion-mnist\", \"samples\": 900, \"validation\": 300, \"batch\": 50}");
    return !arena;
}
static int teardown(void **unused) {
    (void)unused;
    athi_data_close(data);
    athi_arena_destroy(arena);
    athi_remove_tree(ctx, folder);
    ath_ctx_destroy(ctx);
    return 0;
}
static int clean(void **unused) { /* before each test */
    (void)unused;
    unlink(state_path), unlink(log_path);
    return 0;
}

typedef struct wish {
    int64_t units;
    const char *optimizer;
    bool weights; /* of samples */
    const athi_callback *callbacks;
    int n_callbacks;
    uint64_t seed;
} wish;

/* 784-units-10 with dropout and slots. */
static ath_model *make(wish w) {
    ath_model *m = NULL;
    void *loss_opts, *metric_opts, *optimizer_opts;
    assert_ok(ctx, athi_model_create(ctx, &m));
    ath_tensor *x = ath_flatten(athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32));
    x = ath_dense(x, .units = w.units ? w.units : 8, .activation = ATH_RELU);
    x = ath_dropout(x, .rate = 0.2);
    ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    athi_arena *a = m->net->arena;
    const athi_row *metric = train_spec(ctx, a, &athi_metrics, "\"accuracy\"", &metric_opts);
    athi_net_compile_opts o = {.metrics = &metric,
                               .metric_opts = (const void *const[]){metric_opts},
                               .n_metrics = 1,
                               .target_shape = data->target_shape,
                               .sample_weights = w.weights};
    o.loss = train_spec(ctx, a, &athi_losses, "\"sparse_categorical_crossentropy\"", &loss_opts);
    o.optimizer = train_spec(ctx, a, &athi_optimizers, w.optimizer ? w.optimizer : "\"adam\"", &optimizer_opts);
    o.loss_opts = loss_opts, o.optimizer_opts = optimizer_opts;
    assert_ok(ctx, athi_net_compile(m->net, &o));
    int snapshots = 1;
    int64_t n_state = 0;
    athi_callbacks_need(w.callbacks, w.n_callbacks, &snapshots, &n_state);
    assert_ok(ctx, athi_model_prepare(m, w.seed ? w.seed : 7, snapshots, n_state, NULL));
    return m;
}

static athi_fit_opts fit_opts(wish w) {
    return (athi_fit_opts){.train = &data->train,
                           .validation = &data->validation,
                           .preprocess = &data->preprocess,
                           .batch = data->batch,
                           .epochs = 3,
                           .shuffle = true,
                           .seed = 7,
                           .callbacks = w.callbacks,
                           .n_callbacks = w.n_callbacks,
                           .folder = folder,
                           .stop_on_nan = true,
                           .resume = true,
                           .state_path = state_path,
                           .log_path = log_path};
}

static bool differs(const ath_model *a, const ath_model *b, const char **name) {
    for (int64_t i = 0; i < a->net->graph->n_variables; i++) {
        const athi_variable *v = a->net->graph->variables[i];
        if (strcmp(v->name, "train/checksum") == 0) continue;
        *name = v->name;
        if (memcmp(athi_state_at(a->state, v), athi_state_at(b->state, v),
                   (size_t)(athi_shape_count(v->shape) * athi_dtype_size(v->dtype))) != 0)
            return true;
    }
    return false;
}
static void assert_same(const ath_model *a, const ath_model *b, const char *when) {
    const char *name = "";
    if (differs(a, b, &name)) fail_msg("%s: %s differs", when, name);
}

/* ---- damaged and foreign states ------------------------------------------------------------------ */

static void a_state_of_another_model_is_refused(void **unused) {
    (void)unused;
    ath_model *m = make((wish){0}), *wider = make((wish){.units = 12}), *other = make((wish){.optimizer = "\"sgd\""}),
              *untouched = make((wish){.units = 12});
    assert_ok(ctx, athi_state_save(ctx, m->state, state_path));
    assert_fails(ctx, athi_state_load(ctx, wider->state, state_path), ATH_E_STATE,
                 "state of another model: dense/kernel [784, 12] is expected, the file has dense/kernel [784, 8]");
    assert_same(wider, untouched, "after the refusal");
    assert_fails(ctx, athi_state_load(ctx, other->state, state_path), ATH_E_STATE, "start with --overwrite");
    athi_model_destroy(m), athi_model_destroy(wider), athi_model_destroy(other), athi_model_destroy(untouched);
}

/* Every cut is refused; a changed bit is refused or changes nothing (pads' names, the header's metadata). */
static void cut_and_flipped_states_change_nothing(void **unused) {
    (void)unused;
    ath_model *m = make((wish){0}), *same = make((wish){0});
    char *file = NULL;
    int64_t size = 0;
    assert_ok(ctx, athi_state_save(ctx, m->state, state_path));
    assert_ok(ctx, athi_file_read(ctx, state_path, false, 0, &file, &size));
    for (int64_t keep = 0; keep < size; keep += keep < 64 ? 7 : 1 + size / 40) {
        assert_ok(ctx, athi_file_write_pieces(ctx, state_path, &(athi_piece){file, keep}, 1, false));
        ath_status status = athi_state_load(ctx, m->state, state_path);
        if (status != ATH_E_DATA && status != ATH_E_SYNTAX && status != ATH_E_STATE)
            fail_msg("cut after %lld of %lld bytes: %s", (long long)keep, (long long)size, ath_status_text(status));
        assert_same(m, same, "after a cut");
    }
    int refused = 0, n = 0;
    for (int64_t at = 0; at < size; at += at < 4096 ? 61 : 1 + size / 100, n++) {
        file[at] ^= (char)(1 << at % 8);
        assert_ok(ctx, athi_file_write_pieces(ctx, state_path, &(athi_piece){file, size}, 1, false));
        refused += athi_state_load(ctx, m->state, state_path) != ATH_OK;
        file[at] ^= (char)(1 << at % 8);
        assert_same(m, same, "after a changed bit");
    }
    assert_true(refused >= n - 20 && n > 120);
    athi_free(ctx, file);
    athi_model_destroy(m), athi_model_destroy(same);
}

static void a_state_that_cannot_be_written_says_so(void **unused) {
    (void)unused;
    ath_model *m = make((wish){0});
    char path[128];
    snprintf(path, sizeof path, "%s/nowhere/state.safetensors", folder);
    athi_fit_opts o = fit_opts((wish){0});
    o.state_path = path, o.log_path = NULL, o.epochs = 1;
    assert_fails(ctx, athi_fit(m, &o), ATH_E_NOTFOUND, "nowhere");
    athi_model_destroy(m);
}

/* ---- logs ---------------------------------------------------------------------------------------- */

static athi_callback callback(const char *json) {
    void *opts;
    const athi_row *row = train_spec(ctx, arena, &athi_callbacks, json, &opts);
    return (athi_callback){row, opts};
}

static int count_lines(const char *path, athi_value **values) {
    char *text = NULL;
    int64_t size;
    int n = 0;
    assert_ok(ctx, athi_file_read(ctx, path, false, 0, &text, &size));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, n++)
        if (values) assert_ok(ctx, athi_json_read(ctx, arena, line, end - line, &values[n]));
    assert_true(size == 0 || text[size - 1] == '\n');
    athi_free(ctx, text);
    return n;
}

static ath_status count_epochs(void *user, const athi_epoch *e, bool *stop) {
    int64_t *next = user;
    (void)stop;
    assert_int_equal(e->epoch, *next);
    ++*next;
    return ATH_OK;
}

/* The process died after it had logged two epochs more than its state knows, in the middle of a third line. */
static void logs_are_cut_back_to_the_state(void **unused) {
    (void)unused;
    athi_callback csv = callback("{\"csv_logger\": {\"file\": \"log-{epoch}.csv\"}}");
    wish w = {.callbacks = &csv, .n_callbacks = 1};
    athi_fit_opts o = fit_opts(w);
    ath_model *whole = make(w), *first = make(w), *second = make(w);
    char csv_path[96];
    athi_value *want[3], *got[3];
    snprintf(csv_path, sizeof csv_path, "%s/log-{epoch}.csv", folder); /* a plain name */
    assert_ok(ctx, athi_fit(whole, &o));
    assert_int_equal(count_lines(log_path, want), 3);
    assert_int_equal(count_lines(csv_path, NULL), 4); /* a header line above */
    unlink(state_path), unlink(log_path), unlink(csv_path);

    o.max_steps = 15; /* an epoch has 12 */
    assert_ok(ctx, athi_fit(first, &o));
    assert_int_equal(count_lines(log_path, NULL), 1);
    FILE *f = fopen(log_path, "a");
    fputs("{\"epoch\":2,\"loss\":9}\n{\"epoch\":3,\"loss\":9}\n{\"epo", f);
    fclose(f);
    f = fopen(csv_path, "a");
    fputs("2,9,9\n3,9", f);
    fclose(f);
    int64_t next = 1; /* listeners hear the first epoch again */
    o.max_steps = 0, o.on_epoch = count_epochs, o.user = &next;
    assert_ok(ctx, athi_fit(second, &o));
    assert_int_equal(next, 4);
    assert_same(whole, second, "after going on");
    assert_int_equal(count_lines(csv_path, NULL), 4);
    assert_int_equal(count_lines(log_path, got), 3);
    static const char *const same[] = {"epoch",    "step",         "loss",         "accuracy",
                                       "val_loss", "val_accuracy", "learning_rate"};
    for (int e = 0; e < 3; e++)
        for (int i = 0; i < ATHI_COUNT(same); i++) {
            const athi_value *a = athi_value_get(want[e], same[i]), *b = athi_value_get(got[e], same[i]);
            if (!a || !b || !athi_value_equal(a, b)) fail_msg("epoch %d: %s differs", e + 1, same[i]);
        }
    athi_model_destroy(whole), athi_model_destroy(first), athi_model_destroy(second);
}

/* ---- interrupts ---------------------------------------------------------------------------------- */

static volatile int interrupted;
static void on_alarm(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Interrupted again and again, at whatever batch it is by then, and continued by fresh models. */
static void interrupts_save_and_going_on_is_exact(void **unused) {
    (void)unused;
    wish w = {0};
    athi_fit_opts o = fit_opts(w);
    ath_model *whole = make(w);
    assert_ok(ctx, athi_fit(whole, &o));
    unlink(state_path), unlink(log_path);
    signal(SIGALRM, on_alarm);
    o.interrupted = &interrupted;
    int times = 0;
    ath_status status = ATH_E_INTERRUPTED;
    ath_model *m = NULL;
    while (status == ATH_E_INTERRUPTED && times < 200) {
        athi_model_destroy(m);
        m = make((wish){.seed = 1000 + (uint64_t)times}); /* everything must come from the file */
        interrupted = times == 0;                         /* the first before any step */
        struct itimerval in = {.it_value.tv_usec = times < 12 ? 200 + 400 * times : 0};
        if (times < 12) setitimer(ITIMER_REAL, &in, NULL);
        if (times == 0) w.seed = 7, athi_model_destroy(m), m = make(w);
        status = athi_fit(m, &o);
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
        interrupted = 0;
        if (status == ATH_E_INTERRUPTED) {
            assert_non_null(strstr(ath_errmsg(ctx), "the state is saved, the same command goes on"));
            times++;
        }
    }
    signal(SIGALRM, SIG_DFL);
    assert_ok(ctx, status);
    assert_true(times >= 1);
    assert_same(whole, m, "after interrupts");
    athi_model_destroy(whole), athi_model_destroy(m);
}

/* ---- failures and callbacks ---------------------------------------------------------------------- */

static void a_loss_of_nan_fails_with_a_sentence(void **unused) {
    (void)unused;
    wish w = {.optimizer = "{\"sgd\": {\"learning_rate\": 1e30}}"};
    ath_model *m = make(w);
    athi_fit_opts o = fit_opts(w);
    assert_fails(ctx, athi_fit(m, &o), ATH_E_FAILED, "a smaller learning rate or clipnorm may help");
    assert_non_null(strstr(ath_errmsg(ctx), "(epoch 1, learning rate 1e+30)"));
    athi_model_destroy(m);
    clean(NULL);

    athi_callback stop = callback("\"terminate_on_nan\""); /* without stop_on_nan it ends the run quietly */
    w.callbacks = &stop, w.n_callbacks = 1;
    m = make(w), o = fit_opts(w);
    o.stop_on_nan = false;
    assert_ok(ctx, athi_fit(m, &o));
    assert_int_equal(athi_epochs_done(m), 1);
    athi_model_destroy(m);
}

static void weights_load_all_or_none(void **unused) {
    (void)unused;
    ath_model *m = make((wish){.seed = 1}), *other = make((wish){.seed = 2}), *untouched = make((wish){.seed = 2});
    char path[128], *bytes = NULL;
    int64_t size = 0;
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    assert_ok(ctx, athi_model_save(m, path, NULL, -1));
    assert_ok(ctx, athi_file_read(ctx, path, false, 0, &bytes, &size));
    char *name = memmem(bytes, (size_t)size, "dense_1/bias", 12);
    assert_non_null(name);
    memcpy(name, "dense_1/gone", 12);
    assert_ok(ctx, athi_file_write(ctx, path, bytes, size));
    athi_free(ctx, bytes);
    assert_fails(ctx, athi_model_load(other, path), ATH_E_DATA, "it has no variable 'dense_1/bias'");
    assert_same(untouched, other, "after a file that lacks the last weight");
    athi_model_destroy(m), athi_model_destroy(other), athi_model_destroy(untouched);
    clean(NULL);
}

static void checkpoints_are_models(void **unused) {
    (void)unused;
    athi_callback list[] = {
        callback("{\"model_checkpoint\": \"m-{epoch}-{val_accuracy}.safetensors\"}"),
        callback("{\"model_checkpoint\": {\"file\": \"best.safetensors\", \"save_best_only\": true, \"monitor\": "
                 "\"val_accuracy\"}}")};
    wish w = {.callbacks = list, .n_callbacks = 2};
    ath_model *m = make(w), *other = make((wish){.seed = 55});
    athi_fit_opts o = fit_opts(w);
    o.monitor = "val_accuracy", o.maximize = true;
    assert_ok(ctx, athi_fit(m, &o));
    double best = 0, values[2];
    assert_true(athi_best_epoch(m, &best) >= 1);
    char path[128];
    snprintf(path, sizeof path, "%s/best.safetensors", folder);
    assert_ok(ctx, athi_model_load(other, path));
    assert_ok(ctx, athi_evaluate(other, &data->validation, &data->preprocess, 50, values));
    assert_float_equal(values[1], best, 0);
    assert_ok(ctx, athi_evaluate(m, &data->validation, &data->preprocess, 50, values));
    snprintf(path, sizeof path, "%s/m-03-%.4f.safetensors", folder, values[1]);
    assert_true(athi_file_exists(path));
    ath_model *wider = make((wish){.units = 12});
    assert_fails(ctx, athi_model_load(wider, path), ATH_E_SHAPE,
                 "'dense/kernel' is f32 [784, 8] there, but f32 [784, 12]");
    athi_model_destroy(wider);
    athi_model_destroy(m);
    clean(NULL);

    list[0] = callback("{\"model_checkpoint\": \"m-{val_los}.safetensors\"}");
    m = make(w);
    assert_fails(ctx, athi_fit(m, &o), ATH_E_OPTION, "{val_los} is not reported");
    assert_int_equal(athi_epochs_done(m), 0); /* before anything ran */
    athi_model_destroy(m);
    clean(NULL);
    list[0] = callback("{\"early_stopping\": {\"monitor\": \"val_acc\"}}");
    m = make(w);
    assert_fails(ctx, athi_fit(m, &o), ATH_E_OPTION, "monitor 'val_acc' is not reported");
    athi_model_destroy(m);
    athi_model_destroy(other);
}

/* With patience 1 and a rate of zero nothing improves: it stops, and renews its patience while it does improve. */
static void early_stopping_in_the_loop(void **unused) {
    (void)unused;
    athi_callback stop = callback("{\"early_stopping\": {\"patience\": 2, \"restore_best_weights\": true}}");
    wish w = {.callbacks = &stop, .n_callbacks = 1, .optimizer = "{\"adam\": {\"learning_rate\": 0.0005}}"};
    ath_model *m = make(w);
    athi_fit_opts o = fit_opts(w);
    o.epochs = 8;
    assert_ok(ctx, athi_fit(m, &o)); /* still falling */
    assert_int_equal(athi_epochs_done(m), 8);
    athi_model_destroy(m);
    clean(NULL);
    w.optimizer = "{\"sgd\": {\"learning_rate\": 1e-30}}";
    m = make(w);
    assert_ok(ctx, athi_fit(m, &o));
    assert_int_equal(athi_epochs_done(m), 3);
    assert_ok(ctx, athi_fit(m, &o)); /* finished: nothing is done again */
    assert_int_equal(athi_epochs_done(m), 3);
    athi_model_destroy(m);
}

static void class_weights_weigh(void **unused) {
    (void)unused;
    wish w = {.weights = true};
    double ones[10], only[10] = {0}, plain[2], weighted[2];
    for (int i = 0; i < 10; i++) ones[i] = 1;
    only[3] = 1;
    ath_model *m = make((wish){0}), *same = make(w), *three = make(w);
    athi_fit_opts o = fit_opts(w);
    o.state_path = o.log_path = NULL;
    assert_ok(ctx, athi_fit(m, &o));
    o.class_weight = ones;
    assert_ok(ctx, athi_fit(same, &o));
    assert_ok(ctx, athi_evaluate(m, &data->validation, &data->preprocess, 50, plain));
    assert_ok(ctx, athi_evaluate(same, &data->validation, &data->preprocess, 50, weighted));
    assert_float_equal(plain[0], weighted[0], 1e-4); /* the same but for rounding */
    o.class_weight = only;                           /* all others weigh nothing: it learns to say 3 */
    assert_ok(ctx, athi_fit(three, &o));
    float p[300 * 10];
    assert_ok(ctx, athi_predict(three, &data->validation, &data->preprocess, 50, p));
    for (int i = 0; i < 300; i++)
        for (int c = 0; c < 10; c++) assert_true(p[i * 10 + 3] >= p[i * 10 + c]);
    athi_model_destroy(m), athi_model_destroy(same), athi_model_destroy(three);
}

/* ---- allocation failures ------------------------------------------------------------------------- */

static const char *sweep_backend;
static ath_dtype sweep_compute; /* of the first layer */
static int sweep_threads; /* with two, augmented batches are made ahead */

/* A model is made, compiled, prepared, and takes two steps on flipped images, saved and loaded, on data without files. */
static ath_status one_step(ath_ctx *c) {
    static const ath_random_flip_opts flips = {.struct_size = sizeof flips, .exact = true};
    const athi_augment flip = {athi_row_find(&athi_augments, "random_flip"), &flips};
    const athi_augment_list augment = {&flip, 1, false, {1, 3, 1}};
    c->threads = sweep_threads;
    static const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const int32_t y[4] = {0, 1, 2, 1};
    static const athi_preprocess p = {.scale = 0.1};
    athi_part part = {.x = {ATH_F32, athi_dims(4, 1, 3), x}, .y = {ATH_I32, athi_dims(4), y}, .n = 4};
    const char *own = c->backend; /* the context frees what it has copied */
    ath_model *m = NULL;
    c->backend = sweep_backend;
    ath_status status = athi_model_create(c, &m);
    c->backend = own;
    if (status != ATH_OK) return status;
    ath_tensor *t = athi_net_input_add(m->net, "x", athi_dims(1, 3), ATH_F32);
    m->net->compute = sweep_compute;
    t = ath_dense(ath_flatten(t), .units = 5, .activation = ATH_RELU);
    m->net->compute = ATH_F32;
    t = ath_dense(t, .units = 3, .activation = ATH_SOFTMAX);
    const athi_row *loss = athi_row_find(&athi_losses, "sparse_categorical_crossentropy"),
                   *optimizer = athi_row_find(&athi_optimizers, "adam");
    void *loss_opts = NULL, *optimizer_opts = NULL;
    status = athi_graph_check(m->net->graph);
    if (status == ATH_OK) status = athi_options_resolve(c, m->net->arena, loss, NULL, "loss", &loss_opts);
    if (status == ATH_OK) status = athi_options_resolve(c, m->net->arena, optimizer, NULL, "adam", &optimizer_opts);
    if (status == ATH_OK)
        status = athi_net_compile(m->net, &(athi_net_compile_opts){.loss = loss,
                                                                   .loss_opts = loss_opts,
                                                                   .optimizer = optimizer,
                                                                   .optimizer_opts = optimizer_opts});
    if (status == ATH_OK) status = athi_model_prepare(m, 3, 2, 0, NULL);
    athi_fit_opts o = {.train = &part,
                       .validation = &part,
                       .preprocess = &p,
                       .augment = &augment,
                       .batch = 3,
                       .epochs = 1,
                       .seed = 3,
                       .monitor = "val_loss",
                       .state_path = state_path,
                       .resume = true};
    unlink(state_path);
    if (status == ATH_OK) status = athi_fit(m, &o);
    if (status == ATH_OK) status = athi_state_load(c, m->state, state_path);
    athi_model_destroy(m);
    return status;
}

static void every_allocation_of_a_step_may_fail(void **unused) {
    (void)unused;
    for (int i = 0; athi_backends[i]; i++) {
        if (athi_backends[i]->unavailable && athi_backends[i]->unavailable()) continue;
        sweep_backend = athi_backends[i]->name;
        for (sweep_threads = 1; sweep_threads <= 2; sweep_threads++) oom_sweep(one_step);
        char why[ATHI_WHY_MAX];
        if (athi_backends[i]->computes && !athi_backends[i]->computes(ATH_BF16, why)) continue;
        sweep_threads = 1, sweep_compute = ATH_BF16;
        oom_sweep(one_step);
        sweep_compute = ATH_F32;
    }
}

#define TEST(name) cmocka_unit_test_setup(name, clean)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_state_of_another_model_is_refused),
        TEST(cut_and_flipped_states_change_nothing),
        TEST(a_state_that_cannot_be_written_says_so),
        TEST(logs_are_cut_back_to_the_state),
        TEST(interrupts_save_and_going_on_is_exact),
        TEST(a_loss_of_nan_fails_with_a_sentence),
        TEST(weights_load_all_or_none),
        TEST(checkpoints_are_models),
        TEST(early_stopping_in_the_loop),
        TEST(class_weights_weigh),
        TEST(every_allocation_of_a_step_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
