/* Pareto dominance by comparing all pairs: n is a study's trials. */
#include "tune/pareto.h"

bool athi_dominates(const double *a, const double *b, int m) {
    bool better = false;
    for (int k = 0; k < m; k++) {
        if (a[k] > b[k]) return false;
        better = better || a[k] < b[k];
    }
    return better;
}

ath_status athi_pareto_layers(athi_arena *arena, const double *losses, int64_t n, int m, int64_t *layer) {
    int64_t *beaten = athi_arena_array(arena, n + 1, sizeof *beaten), left = n;
    if (!beaten) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        layer[i] = -1;
        for (int64_t j = 0; j < n; j++) beaten[i] += athi_dominates(losses + j * m, losses + i * m, m);
    }
    for (int64_t at = 0; left > 0; at++) {
        for (int64_t i = 0; i < n; i++)
            if (layer[i] < 0 && beaten[i] == 0) layer[i] = at, left--;
        for (int64_t i = 0; i < n; i++) /* who lies in this layer beats nobody of the next */
            for (int64_t j = 0; layer[i] == at && j < n; j++)
                if (layer[j] < 0) beaten[j] -= athi_dominates(losses + i * m, losses + j * m, m);
    }
    return ATH_OK;
}
