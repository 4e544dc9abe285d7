/* A small convolutional net on Fashion-MNIST, from C. Build: cc cnn.c -lathanor */
#include <athanor/athanor.h>
#include <stdio.h>

static bool print_epoch(void *user, const ath_epoch *e) {
    (void)user;
    printf("epoch %2lld", (long long)e->epoch);
    for (int i = 0; i < 4; i++) printf("  %s %.4f", e->names[i], e->values[i]);
    printf("\n");
    return false;
}

static ath_status train(ath_ctx *ctx, ath_data *data, ath_model *model) {
    ath_tensor *x = ath_input(model, .shape = ATH_INTS(28, 28));
    x = ath_reshape(x, .target_shape = ATH_INTS(28, 28, 1));
    x = ath_conv2d(x, .filters = 16, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
    x = ath_max_pooling2d(x, .pool_size = ATH_INTS(2));
    x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
    x = ath_max_pooling2d(x, .pool_size = ATH_INTS(2));
    x = ath_dropout(ath_flatten(x), .rate = 0.25);
    x = ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
    ath_status status = ath_model_compile(model, data, .output = x, .loss = {"sparse_categorical_crossentropy"},
                                          .metrics = {{"accuracy"}}, .optimizer = {"adam"}, .seed = 1);
    if (status == ATH_OK) status = ath_model_fit(model, data, .epochs = 3, .on_epoch = print_epoch);
    double test[2];
    if (status == ATH_OK) status = ath_model_evaluate(model, data, ATH_TEST, test, 2);
    if (status == ATH_OK)
        printf("%lld parameters, test accuracy %.4f\n", (long long)ath_model_parameters(model), test[1]);
    if (status == ATH_OK) status = ath_model_save_weights(model, "cnn.safetensors");
    if (status != ATH_OK) fprintf(stderr, "%s\n", ath_errmsg(ctx));
    return status;
}

int main(void) {
    ath_ctx *ctx = NULL;
    ath_data *data = NULL;
    ath_model *model = NULL;
    if (ath_ctx_create(NULL, &ctx) != ATH_OK) return 1;
    ath_status status = ath_data_open(ctx, &data, .source = "fashion-mnist", .validation = 10000, .batch = 64);
    if (status == ATH_OK) status = ath_model_create(ctx, &model);
    if (status == ATH_OK)
        status = train(ctx, data, model);
    else
        fprintf(stderr, "%s\n", ath_errmsg(ctx));
    ath_model_destroy(model);
    ath_data_close(data);
    ath_ctx_destroy(ctx);
    return status != ATH_OK;
}
