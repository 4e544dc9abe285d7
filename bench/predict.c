/* What predicting one image costs over the kernels' own time, with the model loaded.
 *
 *     bench_predict MODEL      -> {"predict_us": …, "kernels_us": …}, the fastest of many rounds each, one thread */
#include "base/file.h"
#include "passes/passes.h"
#include "recipe/recipe.h"

#include <stdio.h>

enum { ROUNDS = 50, CALLS = 100 };

typedef struct lone {
    athi_loaded *model;
    athi_part part; /* of one sample */
    float *out;
    athi_plan *plan;
} lone;

static ath_status lone_open(ath_ctx *ctx, athi_arena *arena, const char *path, lone *l) {
    ATH_TRY(athi_model_open(ctx, path, &l->model));
    athi_shape sample = l->model->sample_shape, out = l->model->model->net->graph->outputs[0]->shape;
    athi_shape x = {sample.rank + 1, {1}};
    for (int i = 0; i < sample.rank; i++) x.dim[i + 1] = sample.dim[i];
    out.dim[0] = 1;
    const uint8_t *pixels = athi_arena_alloc(arena, athi_shape_count(x));
    l->out = athi_arena_array(arena, athi_shape_count(out), sizeof *l->out);
    if (!pixels || !l->out) return ATH_E_NOMEM;
    l->part = (athi_part){.x = {ATH_U8, x, pixels}, .n = 1};
    return athi_model_plan(l->model->model, ATHI_MODE_PREDICT, 1, &l->plan);
}

static ath_status measure(lone *l, double *predict, double *kernels) {
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = athi_now();
        for (int i = 0; i < CALLS; i++)
            ATH_TRY(athi_predict(l->model->model, &l->part, &l->model->preprocess, 1, l->out));
        const double middle = athi_now();
        for (int i = 0; i < CALLS; i++) athi_plan_run(l->plan);
        const double end = athi_now();
        if (round == 0 || middle - begin < *predict) *predict = middle - begin;
        if (round == 0 || end - middle < *kernels) *kernels = end - middle;
    }
    *predict *= 1e6 / CALLS, *kernels *= 1e6 / CALLS;
    return ATH_OK;
}

int main(int argc, char **argv) {
    ath_ctx *ctx = NULL;
    ath_ctx_opts opts = {.struct_size = sizeof opts, .threads = 1};
    lone l = {0};
    double predict = 0, kernels = 0;
    if (argc != 2 || ath_ctx_create(&opts, &ctx) != ATH_OK) return 2;
    athi_arena *arena = athi_arena_create(ctx);
    ath_status status = arena ? lone_open(ctx, arena, argv[1], &l) : ATH_E_NOMEM;
    if (status == ATH_OK) status = measure(&l, &predict, &kernels);
    if (status == ATH_OK)
        printf("{\"predict_us\": %.3f, \"kernels_us\": %.3f}\n", predict, kernels);
    else
        fprintf(stderr, "bench_predict: %s\n", ath_errmsg(ctx));
    athi_model_close(l.model);
    athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return status == ATH_OK ? 0 : 1;
}
