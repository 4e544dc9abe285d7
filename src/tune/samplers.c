/* The table of samplers, and the names of what goes wrong with trials. */
#include "tune/sampler_internal.h"

static const athi_row rows[] = {
    {.name = "random", .doc = "Draws from the priors, no point twice.", .impl = &athi_sampler_random},
    {.name = "grid",
     .doc = "Every point once, defaults first; floats and log ints without a step give ten values each.",
     .impl = &athi_sampler_grid},
    {0},
};

const athi_kind athi_samplers = {"sampler", "samplers", rows};

const char *athi_reason_name(athi_reason reason) {
    static const char *const names[] = {"none", "crash", "memory", "timeout", "nan", "lost"};
    return (int)reason >= 0 && (int)reason < ATHI_COUNT(names) ? names[reason] : "none";
}
