/* A search that begins with what another study knows: its best points are tried first, or its trials count as observed.
 * What was taken stands in the study, under "warm_start", so that the other one is needed once. */
#ifndef ATHI_WARM_START_H
#define ATHI_WARM_START_H

#include "tune/store.h"

typedef struct athi_warm_start {
    const char *study; /* path or URL; a folder means the study.db in it */
    const char *name;  /* of several studies there, NULL: the only one */
    int64_t trials;    /* at most; 0: all */
    bool observations; /* else points to be tried */
} athi_warm_start;

/** The points to be tried first, in the arena. `from`: where to take them when nothing was taken yet, NULL: nowhere.
 *  Parameters are found by their names; a trial with a value outside of `space` is left out, what it lacks has its default.
 *  Errors: no such study, another objective, no common parameter (ATH_E_OPTION); another one was taken (ATH_E_STATE). */
ath_status athi_warm_start_take(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_space *space,
                                const athi_warm_start *from, double **points, int64_t *n);

#endif
