/* Callbacks from C: what ath_model_compile takes and refuses, what they do in ath_model_fit, and that a killed training
 * goes on with what they remember. */
#include "athanor/athanor.h"
#include "oom.h"
#include "train/train_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static ath_ctx *ctx;
static ath_data *data;
static char folder[64], former[1024];

static int setup(void **unused) { /* relative names of files start in the folder */
    (void)unused;
    snprintf(folder, sizeof folder, "/tmp/athanor-test-XXXXXX");
    return ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = 1}, &ctx) ||
           ath_data_open(ctx, &data, .source = "fashion-mnist", .samples = 900, .validation = 300, .batch = 50) ||
           !mkdtemp(folder) || !getcwd(former, sizeof former) || chdir(folder);
}
static int teardown(void **unused) {
    (void)unused;
    ath_data_close(data);
    int failed = chdir(former);
    athi_remove_tree(ctx, folder);
    ath_ctx_destroy(ctx);
    return failed;
}

/* 784-8-10 with dropout, by Adam at 0.001. */
static ath_status build(ath_ctx *c, const ath_compile_opts *opts, ath_model **model) {
    ath_compile_opts o = *opts;
    *model = NULL;
    ATH_TRY(ath_model_create(c, model));
    ath_tensor *x = ath_flatten(ath_input(*model, .shape = ATH_INTS(28, 28)));
    x = ath_dropout(ath_dense(x, .units = 8, .activation = ATH_RELU), .rate = 0.2);
    ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    o.loss = (ath_spec){"sparse_categorical_crossentropy", NULL};
    o.metrics[0] = (ath_spec){"accuracy", NULL};
    if (!o.optimizer.name) o.optimizer.name = "adam";
    if (!o.struct_size) o.struct_size = sizeof o;
    return ath_model_compile_with(*model, data, &o);
}

static ath_model *make(const ath_compile_opts *opts) {
    ath_model *m;
    assert_ok(ctx, build(ctx, opts, &m));
    return m;
}
#define MAKE(...) make(&(ath_compile_opts){.seed = 7, __VA_ARGS__})

/* What on_epoch heard. */
typedef struct heard {
    int epochs;
    const char *wanted; /* a report */
    double values[16];  /* of it, by epoch */
    double accuracy;    /* the last val_accuracy */
    int dies_after;     /* epochs after which the process is killed; 0: it lives */
} heard;

static double report(const ath_epoch *e, const char *name) {
    for (int i = 0; i < e->n; i++)
        if (strcmp(e->names[i], name) == 0) return e->values[i];
    fail_msg("%s is not reported", name);
    return 0;
}

static bool hear(void *user, const ath_epoch *e) {
    heard *h = user;
    if (h->wanted) h->values[h->epochs] = report(e, h->wanted);
    h->accuracy = report(e, "val_accuracy");
    if (++h->epochs == h->dies_after) raise(SIGKILL);
    return false;
}

static void assert_same_weights(ath_model *a, ath_model *b) {
    char *bytes[2];
    int64_t sizes[2];
    ath_model *models[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, ath_model_save_weights(models[i], "compared.safetensors"));
        assert_ok(ctx, athi_file_read(ctx, "compared.safetensors", false, INT64_MAX, &bytes[i], &sizes[i]));
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], (size_t)sizes[0]);
    athi_free(ctx, bytes[0]), athi_free(ctx, bytes[1]);
}

static int count_lines(const char *path, const char *begin) {
    char *text;
    int64_t size;
    int n = 0;
    assert_ok(ctx, athi_file_read(ctx, path, false, INT64_MAX, &text, &size));
    assert_memory_equal(text, begin, strlen(begin));
    for (int64_t i = 0; i < size; i++) n += text[i] == '\n';
    athi_free(ctx, text);
    return n;
}

/* ---- what they do -------------------------------------------------------------------------------- */

/* The validation loss falls, so that with mode max the first epoch is the best. */
static void early_stopping_stops_and_restores(void **unused) {
    (void)unused;
    heard h = {0}, one = {0};
    ath_model *m = MAKE(.callbacks = {ATH_CALLBACK(early_stopping, .patience = 2, .mode = ATH_MONITOR_MAX,
                                                   .restore_best_weights = true)}),
              *first = MAKE();
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 8, .on_epoch = hear, .user = &h));
    assert_int_equal(h.epochs, 3);
    assert_ok(ctx, ath_model_fit(first, data, .epochs = 1, .on_epoch = hear, .user = &one));
    assert_same_weights(m, first);
    ath_model_destroy(m), ath_model_destroy(first);
}

static void rates_of_epochs(const ath_compile_opts *opts, const double *rates, int n) {
    heard h = {.wanted = "learning_rate"};
    ath_model *m = make(opts);
    assert_ok(ctx, ath_model_fit(m, data, .epochs = n, .on_epoch = hear, .user = &h));
    for (int i = 0; i < n; i++) assert_float_equal(h.values[i], rates[i], 1e-9);
    ath_model_destroy(m);
}

static void learning_rates_are_set(void **unused) {
    (void)unused;
    rates_of_epochs(&(ath_compile_opts){.callbacks = {ATH_CALLBACK(reduce_lr_on_plateau, .patience = 1, .factor = 0.5,
                                                                   .mode = ATH_MONITOR_MAX, .min_lr = 0.0003)}},
                    (const double[]){0.001, 0.001, 0.0005, 0.0003, 0.0003}, 5);
    rates_of_epochs(&(ath_compile_opts){.callbacks = {ATH_CALLBACK(learning_rate_scheduler,
                                                                   .epochs = ATH_FLOATS(1, 3),
                                                                   .factors = ATH_FLOATS(2, 1, 0.1))}},
                    (const double[]){0.002, 0.001, 0.001, 0.0001}, 4);
}

/* A factor of 0 is not the default: the rate falls to its least. */
static void zeros_are_exact(void **unused) {
    (void)unused;
    rates_of_epochs(&(ath_compile_opts){.callbacks = {ATH_CALLBACK(reduce_lr_on_plateau, .exact = true,
                                                                   .monitor = "val_loss", .mode = ATH_MONITOR_MAX,
                                                                   .min_lr = 0.0002)}},
                    (const double[]){0.001, 0.001, 0.0002}, 3);
}

static void files_are_written(void **unused) {
    (void)unused;
    heard h = {0};
    double values[2];
    ath_model *m = MAKE(.callbacks = {ATH_CALLBACK(model_checkpoint, .file = "m-{epoch}-{val_accuracy}.safetensors"),
                                      ATH_CALLBACK(csv_logger, .file = "reports.csv", .separator = ";")}),
              *other = make(&(ath_compile_opts){.seed = 8});
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 2, .on_epoch = hear, .user = &h));
    char path[128];
    snprintf(path, sizeof path, "m-02-%.4f.safetensors", h.accuracy);
    assert_ok(ctx, ath_model_load_weights(other, path));
    assert_same_weights(m, other);
    assert_ok(ctx, ath_model_evaluate(other, data, ATH_VALIDATION, values, 2));
    assert_float_equal(values[1], h.accuracy, 0);
    assert_int_equal(count_lines("reports.csv", "epoch;loss;accuracy;val_loss;"), 3);
    ath_model_destroy(m), ath_model_destroy(other);
}

/* The target is there after two epochs; both reports of costs are told. */
static void a_target_and_costs(void **unused) {
    (void)unused;
    heard speed = {.wanted = "throughput"}, time = {.wanted = "total_seconds"};
    heard *const told[] = {&speed, &time};
    for (int i = 0; i < 2; i++) {
        ath_model *m = MAKE(.callbacks = {{"throughput", NULL},
                                          {"total_time", NULL},
                                          ATH_CALLBACK(stop_at_accuracy, .target = 1e-9)});
        assert_ok(ctx, ath_model_fit(m, data, .epochs = 8, .on_epoch = hear, .user = told[i]));
        assert_int_equal(told[i]->epochs, 2);
        ath_model_destroy(m);
    }
    assert_true(speed.values[0] > 0 && speed.values[1] > 0);
    assert_true(time.values[0] > 0 && time.values[1] > time.values[0]);
}

static void a_loss_of_nan(void **unused) {
    (void)unused;
    ath_sgd_opts wild = {.struct_size = sizeof wild, .learning_rate = ATH_RATE(1e30)};
    heard h = {0};
    ath_model *fails = MAKE(.optimizer = {"sgd", &wild}),
              *ends = MAKE(.optimizer = {"sgd", &wild}, .callbacks = {{"terminate_on_nan", NULL}});
    assert_fails(ctx, ath_model_fit(fails, data, .epochs = 3), ATH_E_FAILED, "the loss became");
    assert_ok(ctx, ath_model_fit(ends, data, .epochs = 3, .on_epoch = hear, .user = &h));
    assert_int_equal(h.epochs, 1);
    ath_model_destroy(fails), ath_model_destroy(ends);
}

/* ---- going on ------------------------------------------------------------------------------------ */

/* Killed after 3 of 6 epochs, wherever its last state is from: the same weights, rates and lines as in one go. */
static void a_killed_training_goes_on(void **unused) {
    (void)unused;
    ath_compile_opts o = {
        .seed = 7,
        .callbacks = {ATH_CALLBACK(early_stopping, .patience = 5, .monitor = "loss", .mode = ATH_MONITOR_MAX,
                                   .restore_best_weights = true, .start_from_epoch = 1),
                      ATH_CALLBACK(reduce_lr_on_plateau, .patience = 2, .mode = ATH_MONITOR_MAX, .factor = 0.5),
                      ATH_CALLBACK(csv_logger, .file = "rates.csv")}};
    heard whole = {.wanted = "learning_rate"}, before = {.dies_after = 3}, after = {.wanted = "learning_rate"};
    ath_model *m = make(&o), *again = make(&o);
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 9, .on_epoch = hear, .user = &whole));
    assert_int_equal(whole.epochs, 7); /* the second is the best of those that are watched */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ath_model *killed = make(&o);
        (void)!ath_model_fit(killed, data, .epochs = 9, .state = "state.safetensors", .log = "log.jsonl",
                             .on_epoch = hear, .user = &before);
        _exit(1); /* it should not have come so far */
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(athi_file_exists("state.safetensors"));
    assert_ok(ctx, ath_model_fit(again, data, .epochs = 9, .state = "state.safetensors", .log = "log.jsonl",
                                 .on_epoch = hear, .user = &after));
    assert_int_equal(after.epochs, whole.epochs); /* those of the log are told again */
    for (int i = 0; i < whole.epochs; i++) assert_float_equal(after.values[i], whole.values[i], 0);
    assert_true(whole.values[6] < whole.values[0]);
    assert_int_equal(count_lines("rates.csv", "epoch,loss,"), 1 + whole.epochs);
    assert_same_weights(m, again);
    ath_model_destroy(m), ath_model_destroy(again);
}

/* Stopped by its epochs, and continued with more: what the plateau had waited for is still known. */
static void more_epochs_go_on(void **unused) {
    (void)unused;
    heard h = {.wanted = "learning_rate"};
    for (int epochs = 2; epochs <= 4; epochs += 2) {
        h.epochs = 0;
        ath_model *m =
            MAKE(.callbacks = {ATH_CALLBACK(reduce_lr_on_plateau, .patience = 2, .mode = ATH_MONITOR_MAX)});
        assert_ok(ctx, ath_model_fit(m, data, .epochs = epochs, .state = "more.safetensors", .on_epoch = hear,
                                     .user = &h));
        ath_model_destroy(m);
    }
    assert_int_equal(h.epochs, 2);
    assert_float_equal(h.values[0], 0.001, 1e-9); /* the third epoch is the second in vain */
    assert_float_equal(h.values[1], 0.0001, 1e-9);
}

/* Another fit counts its epochs from 1, with the weights of the first and with callbacks that have seen nothing yet. */
static void another_fit_trains_on(void **unused) {
    (void)unused;
    heard first = {.wanted = "loss"}, second = {.wanted = "loss"}, rates = {.wanted = "learning_rate"};
    ath_model *m = MAKE(.callbacks = {ATH_CALLBACK(early_stopping, .patience = 2, .mode = ATH_MONITOR_MAX),
                                      ATH_CALLBACK(reduce_lr_on_plateau, .patience = 2, .mode = ATH_MONITOR_MAX)});
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 9, .on_epoch = hear, .user = &first));
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 9, .on_epoch = hear, .user = &second));
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 2, .on_epoch = hear, .user = &rates));
    assert_int_equal(first.epochs, 3);
    assert_int_equal(second.epochs, 3);
    assert_int_equal(rates.epochs, 2);
    assert_true(second.values[0] < first.values[2]);
    assert_float_equal(rates.values[0], 0.00001, 1e-12); /* what they have done to the rate stays */
    ath_model_destroy(m);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static void rows_are_sound(void **unused) {
    (void)unused;
    assert_ok(ctx, athi_kind_check(ctx, &athi_callbacks));
}

static void refused(const ath_compile_opts *opts, const char *part) {
    ath_model *m;
    assert_fails(ctx, build(ctx, opts, &m), ATH_E_OPTION, part);
    assert_fails(ctx, ath_model_fit(m, data, .epochs = 1), ATH_E_STATE, "not compiled");
    ath_model_destroy(m);
}
#define REFUSED(part, ...) refused(&(ath_compile_opts){__VA_ARGS__}, part)

static void what_is_wrong_is_refused_by_compile(void **unused) {
    (void)unused;
    REFUSED("did you mean 'early_stopping'", .callbacks = {{"early_stoping", NULL}});
    REFUSED("early_stopping: monitor 'val_acuracy' is not reported; did you mean 'val_accuracy'?",
            .callbacks = {ATH_CALLBACK(early_stopping, .monitor = "val_acuracy")});
    REFUSED("callbacks.reduce_lr_on_plateau: factor", .callbacks = {ATH_CALLBACK(reduce_lr_on_plateau, .factor = 2)});
    REFUSED("callbacks.early_stopping: patience",
            .callbacks = {{"throughput", NULL}, ATH_CALLBACK(early_stopping, .patience = -1)});
    REFUSED("early_stopping: baseline: expected one number, got 2",
            .callbacks = {ATH_CALLBACK(early_stopping, .baseline = ATH_FLOATS(1, 2))});
    REFUSED("callbacks.stop_at_accuracy: target", .callbacks = {{"stop_at_accuracy", NULL}});
    REFUSED("one factor more than epochs, got 1 factors and 1",
            .callbacks = {ATH_CALLBACK(learning_rate_scheduler, .epochs = ATH_FLOATS(3), .factors = ATH_FLOATS(1))});
    REFUSED("model_checkpoint: file: {val_los} is not reported; use {epoch} or {val_loss}",
            .callbacks = {ATH_CALLBACK(model_checkpoint, .file = "m-{epoch}-{val_los}.safetensors")});
    REFUSED("model_checkpoint: file: {} is not reported; use {epoch} or a report's name",
            .callbacks = {ATH_CALLBACK(model_checkpoint, .file = "m-{}.safetensors")});
    REFUSED("csv_logger: separator is required with .exact; its default is \",\"",
            .callbacks = {ATH_CALLBACK(csv_logger, .exact = true, .file = "log.csv")});
    ath_cosine_decay_opts decay = {.struct_size = sizeof decay, .initial_learning_rate = 0.1, .decay_steps = 9};
    ath_sgd_opts sgd = {.struct_size = sizeof sgd, .learning_rate = {"cosine_decay", &decay}};
    REFUSED("reduce_lr_on_plateau sets the learning rate, but the schedule cosine_decay does so too",
            .optimizer = {"sgd", &sgd}, .callbacks = {{"reduce_lr_on_plateau", NULL}});
}

/* A program that was built when there were no callbacks: what stands behind its struct is not read. */
static void older_programs_have_none(void **unused) {
    (void)unused;
    ath_model *m =
        MAKE(.struct_size = offsetof(ath_compile_opts, callbacks), .callbacks = {{"no such callback", NULL}});
    assert_ok(ctx, ath_model_fit(m, data, .epochs = 1));
    ath_model_destroy(m);
}

static ath_status compile_alone(ath_ctx *c) {
    ath_model *m;
    ath_status status =
        build(c,
              &(ath_compile_opts){.callbacks = {ATH_CALLBACK(early_stopping, .restore_best_weights = true),
                                                ATH_CALLBACK(model_checkpoint, .file = "{val_loss}"),
                                                {"total_time", NULL}}},
              &m);
    ath_model_destroy(m);
    return status;
}
static void memory_may_run_out(void **unused) {
    (void)unused;
    oom_sweep(compile_alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(early_stopping_stops_and_restores),
                                       cmocka_unit_test(learning_rates_are_set),
                                       cmocka_unit_test(zeros_are_exact),
                                       cmocka_unit_test(files_are_written),
                                       cmocka_unit_test(a_target_and_costs),
                                       cmocka_unit_test(a_loss_of_nan),
                                       cmocka_unit_test(a_killed_training_goes_on),
                                       cmocka_unit_test(more_epochs_go_on),
                                       cmocka_unit_test(another_fit_trains_on),
                                       cmocka_unit_test(rows_are_sound),
                                       cmocka_unit_test(what_is_wrong_is_refused_by_compile),
                                       cmocka_unit_test(older_programs_have_none),
                                       cmocka_unit_test(memory_may_run_out)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
