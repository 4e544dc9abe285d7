/* One side of a bench: trains one of the benchmark nets and prints how long a step takes.
 *
 *     bench_step CASE THREADS ROUNDS [--wait]        CASE: a row of `cases`
 *
 * One JSON line a round; with --wait a first line {"ready": …}, and each round starts when a line "go" arrives on
 * standard input, so that a driver can let two programs take turns. A step is what training does: gather, forward,
 * backward, update, on shuffled Fashion-MNIST. */
#include "athanor/model.h"
#include "athanor/zoo.h"
#include "base/file.h"
#include "train/train.h"

#include <stdio.h>
#include <stdlib.h>

static ath_tensor *mlp64(ath_model *m) {
    ath_tensor *x = ath_flatten(athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32));
    x = ath_dense(x, .units = 64, .activation = ATH_RELU);
    return ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
}

static ath_tensor *mlp512(ath_model *m) {
    ath_tensor *x = ath_flatten(athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32));
    x = ath_dense(x, .units = 512, .activation = ATH_RELU);
    x = ath_dense(x, .units = 512, .activation = ATH_RELU);
    return ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
}

static ath_tensor *cnn(ath_model *m) {
    ath_tensor *x = athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32);
    x = ath_reshape(x, .target_shape = ATH_INTS(28, 28, 1));
    x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
    x = ath_max_pooling2d(x, .pool_size = ATH_INTS(2));
    x = ath_conv2d(x, .filters = 64, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
    x = ath_max_pooling2d(x, .pool_size = ATH_INTS(2));
    x = ath_dense(ath_flatten(x), .units = 128, .activation = ATH_RELU);
    return ath_dense(x, .units = 10, .activation = ATH_SOFTMAX);
}

/* The lab's network: WideResNet-16-10. */
static ath_tensor *wrn(ath_model *m) {
    ath_tensor *x = athi_net_input_add(m->net, "x", athi_dims(28, 28), ATH_F32);
    x = ath_reshape(x, .target_shape = ATH_INTS(28, 28, 1));
    return ath_wide_resnet(x, .depth = 16, .width = 10, .classes = 10);
}

static const struct bench_case {
    const char *name;
    ath_tensor *(*build)(ath_model *m);
    const char *optimizer;
    int64_t batch, steps; /* a round */
    const char *policy;   /* NULL: float32 */
} cases[] = {{"mlp64", mlp64, "rmsprop", 128, 1200},
             {"mlp512", mlp512, "adam", 128, 150},
             {"cnn", cnn, "adam", 64, 50},
             {"wrn", wrn, "sgd", 32, 2},
             {"wrn-bf16", wrn, "sgd", 32, 2, "mixed_bfloat16"},
             {"cnn-bf16", cnn, "adam", 64, 50, "mixed_bfloat16"},
             {"mlp512-bf16", mlp512, "adam", 128, 150, "mixed_bfloat16"},
             {"wrn8", wrn, "sgd", 8, 8},
             {"wrn256", wrn, "sgd", 256, 1}};

static void check(ath_ctx *ctx, ath_status status) {
    if (status == ATH_OK) return;
    fprintf(stderr, "bench: %s\n", ath_errmsg(ctx));
    exit(1);
}

static athi_data *open_data(ath_ctx *ctx, athi_arena *arena) {
    athi_data_opts opts;
    athi_data *data = NULL;
    check(ctx, athi_options_read(ctx, arena, &athi_data_row, NULL, NULL, "data", &opts));
    opts.source = "fashion-mnist";
    check(ctx, athi_data_open(ctx, &opts, NULL, NULL, &data));
    return data;
}

static ath_model *compile(ath_ctx *ctx, const struct bench_case *c, const athi_data *data) {
    ath_model *m = NULL;
    void *opts[2] = {NULL, NULL};
    check(ctx, athi_model_create(ctx, &m));
    if (c->policy) check(ctx, ath_model_set_dtype_policy(m, c->policy));
    athi_net_compile_opts o = {.output = c->build(m),
                               .loss = athi_row_find(&athi_losses, "sparse_categorical_crossentropy"),
                               .optimizer = athi_row_find(&athi_optimizers, c->optimizer),
                               .target_shape = data->target_shape};
    check(ctx, athi_options_resolve(ctx, m->net->arena, o.loss, NULL, "loss", &opts[0]));
    check(ctx, athi_options_resolve(ctx, m->net->arena, o.optimizer, NULL, "optimizer", &opts[1]));
    o.loss_opts = opts[0], o.optimizer_opts = opts[1];
    check(ctx, athi_net_compile(m->net, &o));
    check(ctx, athi_model_prepare(m, 1, 0, 0, NULL));
    return m;
}

int main(int argc, char **argv) {
    const struct bench_case *c = NULL;
    for (int i = 0; argc >= 4 && i < ATHI_COUNT(cases); i++)
        if (strcmp(argv[1], cases[i].name) == 0) c = &cases[i];
    if (!c) return fprintf(stderr, "usage: bench_step CASE THREADS ROUNDS [--wait]\n"), 2;
    bool wait = argc > 4 && strcmp(argv[4], "--wait") == 0;
    ath_ctx *ctx = NULL;
    check(NULL, ath_ctx_create(&(ath_ctx_opts){.struct_size = sizeof(ath_ctx_opts), .threads = atoi(argv[2])}, &ctx));
    athi_arena *arena = athi_arena_create(ctx);
    athi_data *data = open_data(ctx, arena);
    ath_model *m = compile(ctx, c, data);
    athi_fit_opts fit = {.train = &data->train,
                         .preprocess = &data->preprocess,
                         .batch = c->batch,
                         .epochs = 1 << 20,
                         .shuffle = true,
                         .max_steps = ATHI_MIN(20, c->steps)};
    check(ctx, athi_fit(m, &fit)); /* plans are compiled, pages touched */
    char line[64];
    if (wait) printf("{\"ready\": \"%s\"}\n", c->name), fflush(stdout);
    for (int round = 0; round < atoi(argv[3]); round++) {
        if (wait && (!fgets(line, sizeof line, stdin) || strncmp(line, "go", 2) != 0)) break;
        fit.max_steps += c->steps;
        double begin = athi_now();
        check(ctx, athi_fit(m, &fit));
        double ms = (athi_now() - begin) / (double)c->steps * 1e3;
        printf("{\"case\": \"%s\", \"threads\": %s, \"ms_per_step\": %.4f, \"samples_per_second\": %.0f}\n", c->name,
               argv[2], ms, (double)c->batch / ms * 1e3);
        fflush(stdout);
    }
    athi_model_destroy(m);
    athi_data_close(data);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return 0;
}
