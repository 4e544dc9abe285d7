/* Several objectives from C: a network should be accurate and small, and which of the two counts more is decided when the
 * best compromises are known. The study lies in runs/example-pareto and goes on where it stopped. */
#include <athanor/athanor.h>
#include <stdio.h>

typedef struct task {
    ath_ctx *ctx;
    ath_data *data;
    double accuracy; /* on the validation part, after the last epoch */
} task;

static bool on_epoch(void *user, const ath_epoch *e) {
    ((task *)user)->accuracy = e->values[3]; /* val_accuracy */
    return false;
}

static ath_status train(ath_hp *hp, ath_trial *trial, void *user) {
    task *t = user;
    ath_model *model = NULL;
    ath_status status = ath_model_create(t->ctx, &model);
    if (status != ATH_OK) return status;
    int64_t units = ath_hp_int(hp, "units", .min = 8, .max = 128, .prior = ATH_PRIOR_LOG);
    const char *optimizer = ath_hp_choice(hp, "optimizer", .values = {"rmsprop", "adam"});
    ath_tensor *x = ath_flatten(ath_input(model, .shape = ATH_INTS(28, 28)));
    x = ath_dense(x, .units = units, .activation = ATH_RELU);
    x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    status = ath_model_compile(model, t->data, .output = x, .loss = {"sparse_categorical_crossentropy"},
                               .metrics = {{"accuracy"}}, .optimizer = {optimizer}, .seed = ath_trial_seed(trial));
    if (status == ATH_OK) status = ath_model_fit(model, t->data, .epochs = 1, .on_epoch = on_epoch, .user = t);
    ath_model_destroy(model);
    if (status != ATH_OK) return status;
    return ath_trial_report_values(trial, 0, (double[]){t->accuracy, (double)(785 * units + 10 * (units + 1))});
}

static ath_status show_front(ath_tuner *tuner) {
    int64_t n = 0;
    ath_status status = ath_tuner_front(tuner, &n);
    for (int64_t rank = 0; rank < n && status == ATH_OK; rank++) {
        ath_tuner_result result;
        double values[2];
        status = ath_tuner_best(tuner, rank, &result);
        if (status == ATH_OK) status = ath_tuner_values(tuner, rank, values);
        if (status == ATH_OK)
            printf("trial %lld %s: accuracy %.4f, %.0f parameters\n", (long long)result.trial, ath_hp_json(result.hp),
                   values[0], values[1]);
    }
    return status;
}

int main(void) {
    task t = {0};
    ath_tuner *tuner = NULL;
    if (ath_ctx_create(NULL, &t.ctx) != ATH_OK) return 1;
    ath_status status = ath_data_open(t.ctx, &t.data, .source = "fashion-mnist", .validation = 10000, .batch = 128);
    if (status == ATH_OK)
        status = ath_tuner_create(t.ctx, &tuner, .directory = "runs/example-pareto", .max_trials = 12, .seed = 1,
                                  .objectives = {"val_accuracy", "parameters"}, .directions = {[1] = ATH_MINIMIZE});
    if (status == ATH_OK) status = ath_tuner_search(tuner, train, &t);
    if (status == ATH_OK) status = show_front(tuner);
    if (status != ATH_OK) fprintf(stderr, "%s\n", ath_errmsg(t.ctx));
    ath_tuner_destroy(tuner);
    ath_data_close(t.data);
    ath_ctx_destroy(t.ctx);
    return status != ATH_OK;
}
