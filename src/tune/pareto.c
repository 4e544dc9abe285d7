/* Layers by efficient non-dominated sort (Zhang et al. 2015, doi 10.1109/TEVC.2014.2308305): in lexicographic order
 * no row dominates an earlier one, so a row belongs to the first layer that holds no row which dominates it, found by
 * bisection, since whoever is dominated in a layer is so in all before. With two objectives the last row of a layer
 * decides: O(n log n). */
#include "tune/pareto.h"

#include <math.h>
#include <stdlib.h>

bool athi_dominates(const double *a, const double *b, int m) {
    bool better = false;
    for (int k = 0; k < m; k++) {
        if (a[k] > b[k]) return false;
        better = better || a[k] < b[k];
    }
    return better;
}

typedef struct row {
    const double *losses;
    int m, first; /* objectives; the one that is compared first */
    int64_t at;
} row;

static int ascending(const void *pa, const void *pb) {
    const row *a = pa, *b = pb;
    for (int k = 0; k < a->m; k++) {
        int i = (a->first + k) % a->m;
        if (a->losses[i] != b->losses[i]) return a->losses[i] < b->losses[i] ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

static row *make_rows(athi_arena *arena, const double *losses, int64_t n, int m) {
    row *rows = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *rows);
    for (int64_t i = 0; rows && i < n; i++) rows[i] = (row){losses + i * m, m, 0, i};
    return rows;
}

/* ---- layers -------------------------------------------------------------------------------------------- */

typedef struct layers {
    const double *losses;
    int m;
    int64_t *last, *before; /* of a layer: its latest row; of a row: the one before it in its layer, -1: none */
} layers;

static bool beaten_in(const layers *l, int64_t layer, int64_t i) {
    for (int64_t j = l->last[layer]; j >= 0; j = l->m == 2 ? -1 : l->before[j])
        if (athi_dominates(l->losses + j * l->m, l->losses + i * l->m, l->m)) return true;
    return false;
}

ath_status athi_pareto_layers(athi_arena *arena, const double *losses, int64_t n, int m, int64_t *layer) {
    row *rows = make_rows(arena, losses, n, m);
    layers l = {losses, m, athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *l.last),
                athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *l.before)};
    int64_t count = 0;
    if (!rows || !l.last || !l.before) return ATH_E_NOMEM;
    qsort(rows, (size_t)n, sizeof *rows, ascending);
    for (int64_t r = 0; r < n; r++) {
        int64_t i = rows[r].at, low = 0, high = count; /* the layer lies in low..high */
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (beaten_in(&l, middle, i))
                low = middle + 1;
            else
                high = middle;
        }
        l.before[i] = low < count ? l.last[low] : -1;
        l.last[low] = i;
        layer[i] = low;
        if (low == count) count++;
    }
    return ATH_OK;
}

/* ---- crowding ------------------------------------------------------------------------------------------ */

ath_status athi_crowding(athi_arena *arena, const double *losses, int64_t n, int m, const int64_t *layer,
                         double *distance) {
    row *rows = make_rows(arena, losses, n, m);
    int64_t count = 0;
    if (!rows) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) distance[i] = 0, count = ATHI_MAX(count, layer[i] + 1);
    int64_t *previous = athi_arena_array(arena, ATHI_MAX(count, 1), sizeof *previous),
            *before = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *before),
            *first = athi_arena_array(arena, ATHI_MAX(count, 1), sizeof *first);
    if (!previous || !before || !first) return ATH_E_NOMEM;
    for (int k = 0; k < m; k++) {
        for (int64_t i = 0; i < n; i++) rows[i].first = k;
        qsort(rows, (size_t)n, sizeof *rows, ascending);
        for (int64_t l = 0; l < count; l++) previous[l] = first[l] = -1;
        for (int64_t r = 0; r < n; r++) {
            int64_t i = rows[r].at, l = layer[i];
            before[i] = previous[l];
            if (first[l] < 0) first[l] = i;
            previous[l] = i;
        }
        /* back from the last of each layer: its neighbours are known */
        for (int64_t l = 0; l < count; l++) {
            double range = losses[previous[l] * m + k] - losses[first[l] * m + k];
            distance[previous[l]] = distance[first[l]] = INFINITY;
            for (int64_t after = previous[l], i = before[after]; i >= 0 && before[i] >= 0; after = i, i = before[i])
                if (range > 0) distance[i] += (losses[after * m + k] - losses[before[i] * m + k]) / range;
        }
    }
    return ATH_OK;
}
