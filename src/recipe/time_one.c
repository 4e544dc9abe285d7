/* Timed steps of a bound recipe: what a sweep asks of its workers in place of a training. */
#include "recipe/recipe.h"

#include "train/profile.h"

ath_status athi_time_one(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, const athi_data *data,
                         int64_t warm_up, int64_t steps, const volatile int *interrupted,
                         double *samples_per_second) {
    athi_job job = {0};
    double median = 0;
    int n_snapshots = 0;
    int64_t n_state = 0;
    ATH_TRY(athi_bound_build(ctx, arena, bound, data, &job));
    athi_callbacks_need(job.callbacks, job.n_callbacks, &n_snapshots, &n_state);
    ath_status status = athi_model_prepare(job.model, job.seed, n_snapshots, n_state, NULL);
    if (status == ATH_OK)
        status = athi_time_steps(job.model, arena, data, job.seed, warm_up, steps, interrupted, &median);
    athi_model_destroy(job.model);
    *samples_per_second = median > 0 ? (double)ATHI_MIN(data->batch, data->train.n) / median : 0;
    return status;
}
