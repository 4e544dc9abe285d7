/* Choosing the trials that a process sees (see gp_rows.h). */
#include "tune/gp_rows.h"

#include <stdlib.h>

/* What `taken` marks, `n` of them. */
static ath_status list(athi_arena *arena, const athi_observed *o, const bool *taken, int64_t n, int64_t **chosen) {
    *chosen = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof **chosen);
    if (!*chosen) return ATH_E_NOMEM;
    for (int64_t i = 0, k = 0; i < o->n; i++)
        if (taken[i]) (*chosen)[k++] = i;
    return ATH_OK;
}

ath_status athi_gp_rows_choose(athi_arena *arena, const athi_observed *o, int64_t most, int64_t **chosen,
                               int64_t *n) {
    bool *taken = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof *taken);
    int64_t count = 0;
    *n = ATHI_MIN(o->n, most);
    if (!taken) return ATH_E_NOMEM;
    int64_t best = *n < o->n ? *n / 2 : *n;
    for (; count < best; count++) taken[o->order[count]] = true;
    for (int64_t i = o->n - 1; count < *n; i--)
        if (!taken[i]) taken[i] = true, count++;
    return list(arena, o, taken, *n, chosen);
}

typedef struct neighbour {
    double distance;
    int64_t row;
} neighbour;

static int nearer_first(const void *pa, const void *pb) {
    const neighbour *a = pa, *b = pb;
    if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

ath_status athi_gp_rows_nearest(athi_arena *arena, const athi_observed *o, const athi_gp *gp, int64_t most,
                                int64_t **chosen, int64_t *n) {
    bool *taken = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof *taken);
    neighbour *all = athi_arena_array(arena, ATHI_MAX(o->n, 1), sizeof *all);
    *n = ATHI_MIN(o->n, most);
    if (!taken || !all) return ATH_E_NOMEM;
    for (int64_t i = 0; i < o->n; i++)
        all[i] = (neighbour){athi_gp_distance(gp, o->x + o->order[0] * o->encoder.d, o->x + i * o->encoder.d), i};
    qsort(all, (size_t)o->n, sizeof *all, nearer_first);
    for (int64_t k = 0; k < *n; k++) taken[all[k].row] = true;
    return list(arena, o, taken, *n, chosen);
}

ath_status athi_gp_rows_gather(athi_arena *arena, const athi_observed *o, const int64_t *chosen, int64_t n,
                               int64_t more, athi_gp_rows *r) {
    int64_t d = o->encoder.d;
    *r = (athi_gp_rows){.n = n};
    r->x = athi_arena_array(arena, ATHI_MAX((n + more) * d, 1), sizeof *r->x);
    r->y = athi_arena_array(arena, ATHI_MAX(n + more, 1), sizeof *r->y);
    if (!r->x || !r->y) return ATH_E_NOMEM;
    for (int64_t k = 0; k < n; k++) {
        memcpy(r->x + k * d, o->x + chosen[k] * d, (size_t)d * sizeof *r->x);
        r->y[k] = o->y[chosen[k]];
    }
    return ATH_OK;
}
