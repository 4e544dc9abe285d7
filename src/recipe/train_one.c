/* One training of a bound recipe: build, prepare, fit. What `train`, the workers and retraining share. */
#include "recipe/recipe.h"

#include <stdio.h>

static ath_status fit(ath_ctx *ctx, athi_arena *arena, const athi_training_opts *o, athi_job *job) {
    const athi_callback *callbacks = o->n_callbacks < 0 ? job->callbacks : o->callbacks;
    int n_callbacks = o->n_callbacks < 0 ? job->n_callbacks : o->n_callbacks, n_snapshots = o->monitor ? 1 : 0;
    int64_t n_state = 0;
    athi_callbacks_need(callbacks, n_callbacks, &n_snapshots, &n_state);
    athi_value *metadata = NULL;
    ATH_TRY(athi_bound_metadata(ctx, arena, o->bound, o->data, &metadata));
    ATH_TRY(athi_model_prepare(job->model, job->seed, n_snapshots, n_state, metadata));
    if (o->init) ATH_TRY(athi_model_load(job->model, o->init));
    athi_fit_opts f = {
        .train = o->train ? o->train : &o->data->train,
        .validation = o->validation ? o->validation : &o->data->validation,
        .preprocess = &o->data->preprocess,
        .augment = &o->data->augment,
        .batch = o->data->batch,
        .epochs = o->epochs ? o->epochs : job->train.epochs,
        .shuffle = o->data->shuffle && !o->no_shuffle,
        .seed = job->seed,
        .class_weight = job->class_weight,
        .callbacks = callbacks,
        .n_callbacks = n_callbacks,
        .max_steps = o->max_steps ? o->max_steps : job->train.steps,
        .steps_per_execution = job->train.steps_per_execution,
        .folder = o->directory,
        .monitor = o->monitor,
        .maximize = o->maximize,
        .inherited = o->inherited,
        .metadata = metadata,
        .stop_on_nan = true,
        .resume = true,
        .on_epoch = o->on_epoch,
        .on_batch = o->on_batch,
        .user = o->user,
        .interrupted = o->interrupted,
    };
    if (o->directory) {
        f.state_path = athi_arena_printf(arena, "%s/state.safetensors", o->directory);
        f.log_path = athi_arena_printf(arena, "%s/log.jsonl", o->directory);
        if (!f.state_path || !f.log_path) return ATH_E_NOMEM;
    }
    return athi_fit(job->model, &f);
}

ath_status athi_train_one(ath_ctx *ctx, athi_arena *arena, const athi_training_opts *o, athi_job *job) {
    *job = (athi_job){0};
    if (o->directory) ATH_TRY(athi_make_dirs(ctx, o->directory));
    ath_status status = athi_bound_build(ctx, arena, o->bound, o->data, job);
    if (status == ATH_OK) status = fit(ctx, arena, o, job);
    if (status != ATH_OK) {
        athi_model_destroy(job->model);
        job->model = NULL;
    }
    return status;
}
