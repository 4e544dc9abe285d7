/* Hyperparameter search from C, define-by-run: the function asks for the constants it needs while it builds the model.
 * The study lies in runs/example-search and goes on where it stopped. */
#include <athanor/athanor.h>
#include <stdio.h>

typedef struct task {
    ath_ctx *ctx;
    ath_data *data;
    ath_trial *trial;
} task;

static bool on_epoch(void *user, const ath_epoch *e) {
    const task *t = user;
    return ath_trial_report(t->trial, e->epoch, e->values[3]) != ATH_OK; /* val_accuracy */
}

/* 784-units-10, as the KerasTuner guide has it. */
static ath_status train(ath_hp *hp, ath_trial *trial, void *user) {
    task *t = user;
    ath_model *model = NULL;
    ath_status status = ath_model_create(t->ctx, &model);
    if (status != ATH_OK) return status;
    int64_t units = ath_hp_int(hp, "units", .min = 16, .max = 64, .step = 16);
    const char *optimizer = ath_hp_choice(hp, "optimizer", .values = {"rmsprop", "adam"});
    ath_tensor *x = ath_flatten(ath_input(model, .shape = ATH_INTS(28, 28)));
    x = ath_dense(x, .units = units, .activation = ATH_RELU);
    x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    status = ath_model_compile(model, t->data, .output = x, .loss = {"sparse_categorical_crossentropy"},
                               .metrics = {{"accuracy"}}, .optimizer = {optimizer}, .seed = ath_trial_seed(trial));
    t->trial = trial;
    if (status == ATH_OK) status = ath_model_fit(model, t->data, .epochs = 3, .on_epoch = on_epoch, .user = t);
    ath_model_destroy(model);
    return status;
}

int main(void) {
    task t = {0};
    ath_tuner *tuner = NULL;
    if (ath_ctx_create(NULL, &t.ctx) != ATH_OK) return 1;
    ath_status status = ath_data_open(t.ctx, &t.data, .source = "fashion-mnist", .validation = 10000, .batch = 128);
    if (status == ATH_OK)
        status = ath_tuner_create(t.ctx, &tuner, .directory = "runs/example-search", .objective = "val_accuracy",
                                  .max_trials = 8, .executions_per_trial = 2, .seed = 1);
    if (status == ATH_OK) status = ath_tuner_search(tuner, train, &t);
    ath_tuner_result best;
    if (status == ATH_OK) status = ath_tuner_best(tuner, 0, &best);
    if (status == ATH_OK)
        printf("best: trial %lld %s, val_accuracy %.4f\n", (long long)best.trial, ath_hp_json(best.hp), best.value);
    if (status != ATH_OK) fprintf(stderr, "%s\n", ath_errmsg(t.ctx));
    ath_tuner_destroy(tuner);
    ath_data_close(t.data);
    ath_ctx_destroy(t.ctx);
    return status != ATH_OK;
}
