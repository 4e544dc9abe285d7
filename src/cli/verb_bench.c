/* bench: what this machine can do at best, and how near to it each main kernel comes. Each case is a small model whose
 * step is timed call by call (train/profile.h) on random data; what a case is about is shown. */
#include "cli/profile.h"

#include "athanor/athanor.h"

const athi_flag athi_flags_bench[] = {
    {"threads", ATHI_FLAG_COUNT, "N", "processor threads (default: one, then all cores)"},
    {"steps", ATHI_FLAG_COUNT, "N", "timed steps of each case (default: 5)"},
    ATHI_FLAG_BACKEND_ROW,
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* ---- cases --------------------------------------------------------------------------------------- */

enum { OPS_MAX = 8 };
typedef struct bench_case {
    const char *what;
    athi_shape sample;
    int64_t batch;
    ath_tensor *(*build)(ath_tensor *x);
    athi_op shown[OPS_MAX]; /* calls with one of these are shown; INPUT ends the list */
} bench_case;

static ath_tensor *wide_mlp(ath_tensor *x) {
    return ath_dense(ath_dense(x, .units = 512, .activation = ATH_RELU), .units = 512, .activation = ATH_RELU);
}
static ath_tensor *first_convolution(ath_tensor *x) {
    x = ath_conv2d(x, .filters = 32, .kernel_size = ATH_INTS(3), .activation = ATH_RELU);
    return ath_max_pooling2d_with(x, NULL);
}
/* A block of the wide residual network, behind one more so that gradients reach the images. */
static ath_tensor *residual_block(ath_tensor *x) {
    int64_t channels = x->shape.dim[3];
    ath_tensor *shortcut = x;
    for (int i = 0; i < 2; i++) {
        x = ath_conv2d(x, .filters = channels, .kernel_size = ATH_INTS(3), .padding = ATH_SAME);
        x = ath_activation(ath_batch_normalization_with(x, NULL), .activation = ATH_RELU);
    }
    return ath_add(shortcut, x);
}
static ath_tensor *depthwise(ath_tensor *x) {
    x = ath_depthwise_conv2d(x, .kernel_size = ATH_INTS(3), .padding = ATH_SAME);
    return ath_depthwise_conv2d(x, .kernel_size = ATH_INTS(3), .padding = ATH_SAME);
}
static ath_tensor *pooling(ath_tensor *x) {
    x = ath_conv2d(x, .filters = 64, .kernel_size = ATH_INTS(1));
    return ath_max_pooling2d_with(x, NULL);
}
static ath_tensor *rows(ath_tensor *x) {
    x = ath_layer_normalization_with(ath_dense(x, .units = 1024), NULL);
    return ath_softmax_with(ath_dropout(x, .rate = 0.1), NULL);
}

static const bench_case cases[] = {
    {"dense 784-512-512, batch 128", {1, {784}}, 128, wide_mlp, {ATHI_OP_MATMUL, ATHI_OP_UPDATE}},
    {"convolution of one channel, 28x28, batch 64",
     {3, {28, 28, 1}},
     64,
     first_convolution,
     {ATHI_OP_CONV2D, ATHI_OP_CONV2D_GRAD_W}},
    {"convolution 3x3 of 160 channels, 28x28, batch 4",
     {3, {28, 28, 160}},
     4,
     residual_block,
     {ATHI_OP_CONV2D, ATHI_OP_CONV2D_GRAD_X, ATHI_OP_CONV2D_GRAD_W, ATHI_OP_BATCH_NORM_TRAIN, ATHI_OP_BATCH_NORM_GRAD,
      ATHI_OP_ADD}},
    {"convolution 3x3 of 640 channels, 7x7, batch 8",
     {3, {7, 7, 640}},
     8,
     residual_block,
     {ATHI_OP_CONV2D, ATHI_OP_CONV2D_GRAD_X, ATHI_OP_CONV2D_GRAD_W}},
    {"depthwise convolution 3x3 of 64 channels, 28x28, batch 32",
     {3, {28, 28, 64}},
     32,
     depthwise,
     {ATHI_OP_CONV2D, ATHI_OP_CONV2D_GRAD_X, ATHI_OP_CONV2D_GRAD_W}},
    {"max-pooling 2x2 of 64 channels, 28x28, batch 32",
     {3, {28, 28, 64}},
     32,
     pooling,
     {ATHI_OP_MAX_POOL2D, ATHI_OP_MAX_POOL2D_GRAD}},
    {"rows of 1024, batch 512",
     {1, {64}},
     512,
     rows,
     {ATHI_OP_LAYER_NORM, ATHI_OP_LAYER_NORM_GRAD, ATHI_OP_DROPOUT, ATHI_OP_SOFTMAX, ATHI_OP_SOFTMAX_GRAD}},
};

/* ---- one case ------------------------------------------------------------------------------------ */

static ath_status build(athi_cli *cli, const bench_case *c, ath_model *m) {
    ath_tensor *x = c->build(athi_net_input_add(m->net, "x", c->sample, ATH_F32));
    ATH_TRY(athi_graph_check(m->net->graph));
    athi_net_compile_opts o = {.output = x, .target_shape = {x->shape.rank - 1, {0}}};
    for (int i = 0; i < o.target_shape.rank; i++) o.target_shape.dim[i] = x->shape.dim[i + 1];
    void *loss, *optimizer;
    ATH_TRY(athi_spec_resolve(cli->ctx, cli->arena, &athi_losses, (ath_spec){"mean_squared_error", NULL}, "bench",
                              &o.loss, &loss));
    ATH_TRY(athi_spec_resolve(cli->ctx, cli->arena, &athi_optimizers, (ath_spec){"adam", NULL}, "bench", &o.optimizer,
                              &optimizer));
    o.loss_opts = loss, o.optimizer_opts = optimizer;
    ATH_TRY(athi_net_compile(m->net, &o));
    return athi_model_prepare(m, 1, 0, 0, NULL);
}

static bool is_shown(const bench_case *c, const athi_profile_unit *u) {
    if (u->seconds <= 0) return false;
    for (int k = 0; k < OPS_MAX && c->shown[k] != ATHI_OP_INPUT; k++)
        for (int i = 0; i < u->unit->n_nodes; i++)
            if (u->unit->nodes[i]->op == c->shown[k]) return true;
    return false;
}

static void put_call(const athi_profile_unit *u) {
    char ops[128], shape[96] = "";
    athi_text rate = {.ctx = u->unit->nodes[0]->out[0].graph->ctx};
    athi_unit_ops(u->unit, ops, sizeof ops);
    athi_put_scaled(&rate, (u->by_memory ? u->bytes : u->flops) / u->seconds, u->by_memory ? "B/s" : "FLOP/s");
    if (u->unit->n_out) athi_shape_str(u->unit->out[0]->shape, shape);
    char bound[32] = "";
    if (u->bound > 0)
        snprintf(bound, sizeof bound, "%.0f %% of %s", 100 * u->bound / u->seconds,
                 u->by_memory ? "memory" : "FLOPs");
    printf("  %9.3f ms  %14s  %16s  %s  %s  %s\n", 1e3 * u->seconds, rate.text ? rate.text : "", bound, ops, shape,
           u->unit->kernel ? u->unit->kernel->name : "");
    athi_text_free(&rate);
}

/* Runs it and prints its calls, or adds them to the list. */
static ath_status run_case(athi_cli *cli, const bench_case *c, const athi_machine *machine, athi_value *list) {
    ath_model *m = NULL;
    athi_profile profile;
    athi_value *calls = NULL;
    ATH_TRY(athi_model_create(cli->ctx, &m));
    ath_status status = build(cli, c, m);
    if (status == ATH_OK)
        status =
            athi_profile_steps(m, cli->arena, NULL, c->batch, athi_cli_count(cli, "steps", 5), machine, &profile);
    if (status == ATH_OK && list) status = (calls = athi_value_new(cli->arena, ATHI_LIST)) ? ATH_OK : ATH_E_NOMEM;
    if (status == ATH_OK && !list) printf("%s: a step %.3f ms\n", c->what, 1e3 * profile.step);
    for (int64_t i = 0; status == ATH_OK && i < profile.n; i++) {
        if (!is_shown(c, &profile.units[i])) continue;
        athi_value *call = NULL;
        if (!list) put_call(&profile.units[i]);
        if (list) status = athi_unit_value(cli->arena, &profile.units[i], &call);
        if (list && status == ATH_OK) status = athi_value_append(cli->arena, calls, call);
    }
    athi_model_destroy(m);
    athi_value *map = list && status == ATH_OK ? athi_value_new(cli->arena, ATHI_MAP) : NULL;
    if (!map) return status != ATH_OK || !list ? status : ATH_E_NOMEM;
    ATH_TRY(athi_value_set(cli->arena, map, "case", athi_value_string(cli->arena, c->what)));
    ATH_TRY(athi_value_set(cli->arena, map, "step_seconds", athi_value_float(cli->arena, profile.step)));
    ATH_TRY(athi_value_set(cli->arena, map, "calls", calls));
    return athi_value_append(cli->arena, list, map);
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static ath_status run_on(athi_cli *cli, const athi_backend *backend, int threads, athi_value *runs) {
    athi_value *list = NULL, *run = NULL, *value = NULL;
    athi_machine machine = {0};
    cli->ctx->threads = threads;
    if (backend->measure) ATH_TRY(backend->measure(cli->ctx, threads, &machine));
    if (runs) {
        run = athi_value_new(cli->arena, ATHI_MAP), list = athi_value_new(cli->arena, ATHI_LIST);
        if (!run || !list) return ATH_E_NOMEM;
        ATH_TRY(athi_machine_value(cli->arena, &machine, &value));
        ATH_TRY(athi_value_set(cli->arena, run, "machine", value));
    } else {
        athi_text line = {.ctx = cli->ctx};
        athi_put_machine(&line, &machine);
        printf("\n%s", line.text ? line.text : "");
        athi_text_free(&line);
    }
    for (int i = 0; i < ATHI_COUNT(cases); i++) {
        ATH_TRY(run_case(cli, &cases[i], &machine, list));
    }
    if (!runs) return ATH_OK;
    ATH_TRY(athi_value_set(cli->arena, run, "cases", list));
    return athi_value_append(cli->arena, runs, run);
}

ath_status athi_verb_bench(athi_cli *cli) {
    const athi_backend *backend = NULL;
    int all = cli->ctx->threads;
    bool json = athi_cli_has(cli, "json");
    ATH_TRY(athi_backend_find(cli->ctx, cli->ctx->backend, &backend));
    athi_value *map = athi_value_new(cli->arena, ATHI_MAP),
               *runs = json ? athi_value_new(cli->arena, ATHI_LIST) : NULL;
    athi_text what = {.ctx = cli->ctx};
    if (!map || (json && !runs)) return ATH_E_NOMEM;
    if (backend->describe) backend->describe(&what);
    cli->started = true;
    if (!json) printf("backend %s: %s\n", backend->name, what.text ? what.text : backend->doc);
    ath_status status =
        athi_value_set(cli->arena, map, "backend", athi_value_string(cli->arena, what.text ? what.text : ""));
    athi_text_free(&what);
    if (status == ATH_OK && !athi_cli_has(cli, "threads") && all > 1) status = run_on(cli, backend, 1, runs);
    if (status == ATH_OK) status = run_on(cli, backend, all, runs);
    if (status != ATH_OK || !json) return status;
    ATH_TRY(athi_value_set(cli->arena, map, "runs", runs));
    return athi_cli_json(cli, map);
}
