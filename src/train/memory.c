/* What a training needs, and that against what is free: known before the first step, so that a trial that cannot fit is
 * refused with the figure and the system need not kill it. */
#include "train/internal.h"

#include <stdio.h>
#include <unistd.h>

/* MemAvailable of Linux in bytes; -1 where that is not told. */
static int64_t available_bytes(void) {
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    long long kilobytes = -1;
    while (f && kilobytes < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lld", &kilobytes) != 1) kilobytes = -1;
    if (f) fclose(f);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

ath_status athi_memory_fits(ath_ctx *ctx, int64_t bytes, const char *what) {
    if (bytes < (int64_t)64 << 20) return ATH_OK; /* not worth a look */
    int64_t available = available_bytes();
    if (available < 0 || bytes <= available) return ATH_OK;
    return athi_fail(
        ctx, ATH_E_NOMEM,
        "out of memory: %s takes %.1f GiB, but %.1f GiB are free; use a smaller model or batch, or fewer "
        "jobs",
        what, (double)bytes / (1 << 30), (double)available / (1 << 30));
}

/* ---- the peak, foretold -------------------------------------------------------------------------- */

int64_t athi_memory_resident(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    long long size, resident;
    const bool told = f && fscanf(f, "%lld %lld", &size, &resident) == 2;
    if (f) fclose(f);
    return told ? resident * sysconf(_SC_PAGESIZE) : 0;
}

static int64_t part_bytes(const athi_part *p) {
    return p->n * ((p->x.data ? athi_array_row_bytes(&p->x) : 0) + (p->y.data ? athi_array_row_bytes(&p->y) : 0));
}

ath_status athi_memory_of_training(ath_model *model, const athi_data *data, int64_t program, athi_memory_need *out) {
    athi_plan *plan = NULL;
    const int64_t before = athi_memory_resident();
    ATH_TRY(athi_model_plan(model, ATHI_MODE_TRAIN, data->batch, &plan));
    const int64_t grown = athi_memory_resident() - before, slab = athi_plan_slab_bytes(plan);
    *out = (athi_memory_need){
        .block = model->state->bytes,
        .gradients = model->state->trainable_bytes,
        .slab = slab,
        .batches = athi_feeding_bytes(model, &data->augment, data->batch),
        .data = part_bytes(&data->train) + part_bytes(&data->validation) + part_bytes(&data->test),
        .program = program + ATHI_MAX(grown - slab, 0), /* with the plan its kernels are made, and the slab */
    };
    out->peak = out->block + out->gradients + out->slab + out->batches + out->data + out->program;
    return ATH_OK;
}
