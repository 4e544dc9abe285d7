/* A plan from the inside. For src/passes only. */
#ifndef ATHI_PLAN_H
#define ATHI_PLAN_H

#include "passes/units.h"

/* Where a value lies: resolved to a pointer by bind, since base pointers and the block's layout come from outside. */
typedef struct athi_place {
    athi_memory space;
    int64_t offset;                /* slab and constants */
    const athi_variable *variable; /* block and gradients */
} athi_place;

struct athi_plan {
    ath_ctx *ctx;
    athi_arena *arena;
    athi_graph *graph;
    bool owns_graph;
    const athi_backend *backend;
    int threads;
    athi_call *calls;
    int64_t n_calls;
    int64_t *unit_of_call;
    athi_place **in_places, **out_places; /* by call */
    int64_t slab_bytes, constant_bytes;
    char *constants;
    athi_spaces spaces;
    bool bound;
};

/** Allocates the constants and fills them. */
ath_status athi_plan_fill_constants(athi_plan *plan);

#endif
