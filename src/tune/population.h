/* A population that trials join in the order of their numbers, and what the view's cache keeps of it: its state after all
 * trials that have ended, up to the first that has not. */
#ifndef ATHI_POPULATION_H
#define ATHI_POPULATION_H

#include "tune/sampler.h"

/* What a sampler's own struct begins with. */
typedef struct athi_population {
    int64_t size;    /* places */
    int64_t covered; /* the first so many trials of the view have joined */
    int64_t last;    /* number of the last of them */
} athi_population;

typedef struct athi_population_kind {
    const athi_sampler_impl *sampler; /* whose cache it is */
    int64_t bytes;                    /* of the sampler's struct */
    /** Empty places for a struct whose head is set; false: no memory. */
    bool (*make)(athi_arena *arena, athi_population *population);
    /** Trial t of the view joins, if it has anything to say. What it leaves in `scratch` may go at any time after. */
    ath_status (*join)(athi_arena *scratch, const athi_view *view, athi_population *population, int64_t t);
    /** Everything behind the head, into places of the same size. */
    void (*copy)(athi_population *to, const athi_population *from);
} athi_population_kind;

/** The population of all trials of the view, in the arena. With and without a cache it is the same. */
ath_status athi_populate(ath_ctx *ctx, athi_arena *arena, athi_arena *scratch, const athi_view *view,
                         const athi_population_kind *kind, int64_t size, athi_population *population);

#endif
