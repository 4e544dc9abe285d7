/* What a training needs against what is free: known before the first step, so that a trial that cannot fit is refused
 * with the figure and the system need not kill it. */
#include "train/internal.h"

#include <stdio.h>

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
    return athi_fail(ctx, ATH_E_NOMEM,
                     "out of memory: %s takes %.1f GiB, but %.1f GiB are free; use a smaller model or batch, or fewer "
                     "jobs",
                     what, (double)bytes / (1 << 30), (double)available / (1 << 30));
}
