/* Where the time of a training step goes: each unit of the plan timed over real steps and held against the machine's
 * bound for it, which is what its operations take at the peak or its bytes at the bandwidth, whichever is longer. */
#ifndef ATHI_PROFILE_H
#define ATHI_PROFILE_H

#include "train/train.h"

typedef struct athi_profile_unit {
    const athi_unit *unit;
    double seconds;      /* median over the steps, of one thread its processor time; 0: nothing is called for it */
    double flops, bytes; /* of a convolution as it is defined, though a kernel may need fewer (Winograd) */
    double bound;        /* seconds at least */
    bool by_memory;      /* the bandwidth is what bounds it */
} athi_profile_unit;

typedef struct athi_profile {
    int64_t batch, steps, n;
    athi_profile_unit *units; /* in the order of the step */
    double gather;            /* seconds of filling the input slots, augmentation included, median */
    double step;              /* seconds of a whole step without timers between its calls, gather included, median */
    athi_machine machine;     /* threads 0: the backend has no bounds, all of them are 0 */
} athi_profile;

/** Runs 2 steps to warm up, then `steps` with timers and as many without. `data` NULL: random inputs, labels 0;
 *  `machine` NULL: it is measured. The weights change meanwhile. The profile lives in the arena and looks into the
 *  model's plan. */
ath_status athi_profile_steps(ath_model *model, athi_arena *arena, const athi_data *data, int64_t batch, int64_t steps,
                              const athi_machine *machine, athi_profile *out);
/** Seconds of a step, the median of `steps` after `warm_up` others, as a training makes them: the full batches of the first
 *  epoch in its order, again from its beginning where they are over. ATH_E_INTERRUPTED as soon as *interrupted is not 0. */
ath_status athi_time_steps(ath_model *model, athi_arena *arena, const athi_data *data, uint64_t seed, int64_t warm_up,
                           int64_t steps, const volatile int *interrupted, double *seconds);
/** Operations and bytes of a unit: values that stay inside it touch no memory. */
void athi_unit_cost(const athi_unit *unit, double *flops, double *bytes);

#endif
