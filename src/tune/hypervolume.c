/* Hypervolume by WFG (While, Bradstreet and Barone 2012, doi 10.1109/TEVC.2010.2077298): the volume of a set is the sum
 * over its rows of what each adds to those after it, its own box less the volume of the others limited to that box; two
 * objectives by a sweep. And the decomposition of what is not dominated into boxes. */
#include "tune/hypervolume.h"
#include "tune/pareto.h"

#include <math.h>
#include <stdlib.h>

/* ---- the volume ---------------------------------------------------------------------------------------- */

/* By the first objective, the worst first. */
static int worst_first(const void *pa, const void *pb) {
    const double *const *a = pa, *const *b = pb;
    return (*a)[0] < (*b)[0] ? 1 : (*a)[0] > (*b)[0] ? -1 : 0;
}

/* Rows that no other dominates, equal ones once; *n: how many are left. */
static void keep_front(double *rows, int64_t *n, int m) {
    int64_t kept = 0;
    for (int64_t i = 0; i < *n; i++) {
        const double *row = rows + i * m;
        bool beaten = false;
        for (int64_t j = 0; j < kept && !beaten; j++) {
            const double *other = rows + j * m;
            beaten = athi_dominates(other, row, m) || !memcmp(other, row, (size_t)m * sizeof *row);
        }
        if (beaten) continue;
        int64_t left = 0;
        for (int64_t j = 0; j < kept; j++) {
            if (athi_dominates(row, rows + j * m, m)) continue;
            if (left != j) memcpy(rows + left * m, rows + j * m, (size_t)m * sizeof *row);
            left++;
        }
        if (left != i) memcpy(rows + left * m, row, (size_t)m * sizeof *row);
        kept = left + 1;
    }
    *n = kept;
}

static int by_first(const void *pa, const void *pb) {
    const double *a = pa, *b = pb;
    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : a[1] < b[1] ? -1 : a[1] > b[1];
}

static double area(double *rows, int64_t n, const double *reference) {
    double sum = 0, low = reference[1];
    qsort(rows, (size_t)n, 2 * sizeof *rows, by_first);
    for (int64_t i = 0; i < n; i++)
        if (rows[2 * i + 1] < low)
            sum += (reference[0] - rows[2 * i]) * (low - rows[2 * i + 1]), low = rows[2 * i + 1];
    return sum;
}

/* `rows` are a front below the reference and may be moved. */
static ath_status volume_of(athi_arena *arena, double *rows, int64_t n, int m, const double *reference, double *out) {
    *out = 0;
    if (m == 1) {
        for (int64_t i = 0; i < n; i++) *out = fmax(*out, reference[0] - rows[i]);
        return ATH_OK;
    }
    if (m == 2) return *out = area(rows, n, reference), ATH_OK;
    double *limited = athi_arena_array(arena, ATHI_MAX(n, 1) * m, sizeof *limited);
    const double **sorted = athi_arena_array(arena, ATHI_MAX(n, 1), sizeof *sorted);
    if (!limited || !sorted) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) sorted[i] = rows + i * m;
    qsort(sorted, (size_t)n, sizeof *sorted, worst_first);
    for (int64_t i = 0; i < n; i++) {
        double own = 1, lost;
        int64_t others = 0;
        for (int k = 0; k < m; k++) own *= reference[k] - sorted[i][k];
        for (int64_t j = i + 1; j < n; j++, others++)
            for (int k = 0; k < m; k++) limited[others * m + k] = fmax(sorted[i][k], sorted[j][k]);
        keep_front(limited, &others, m);
        /* those after are better in the first objective, so that limited to the box they are equal there: one less */
        for (int64_t j = 0; j < others; j++)
            for (int k = 1; k < m; k++) limited[j * (m - 1) + k - 1] = limited[j * m + k];
        ATH_TRY(volume_of(arena, limited, others, m - 1, reference + 1, &lost));
        *out += own - lost * (reference[0] - sorted[i][0]);
    }
    return ATH_OK;
}

static ath_status volume_without(athi_arena *arena, const double *losses, int64_t n, int m, const double *reference,
                                 int64_t left_out, double *out) {
    double *rows = athi_arena_array(arena, ATHI_MAX(n, 1) * m, sizeof *rows);
    int64_t kept = 0;
    if (!rows) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        bool below = i != left_out;
        for (int k = 0; k < m; k++) below = below && losses[i * m + k] < reference[k];
        if (below) memcpy(rows + kept++ * m, losses + i * m, (size_t)m * sizeof *rows);
    }
    keep_front(rows, &kept, m);
    return volume_of(arena, rows, kept, m, reference, out);
}

ath_status athi_hypervolume(athi_arena *arena, const double *losses, int64_t n, int m, const double *reference,
                            double *volume) {
    return volume_without(arena, losses, n, m, reference, -1, volume);
}

ath_status athi_hypervolume_contributions(athi_arena *arena, const double *losses, int64_t n, int m,
                                          const double *reference, double *contribution) {
    double all, without;
    ATH_TRY(athi_hypervolume(arena, losses, n, m, reference, &all));
    for (int64_t i = 0; i < n; i++) {
        athi_arena *scratch = athi_arena_create(athi_arena_ctx(arena));
        if (!scratch) return ATH_E_NOMEM;
        ath_status status = volume_without(scratch, losses, n, m, reference, i, &without);
        athi_arena_destroy(scratch);
        ATH_TRY(status);
        contribution[i] = fmax(all - without, 0);
    }
    return ATH_OK;
}

/* ---- boxes --------------------------------------------------------------------------------------------- */

/* The rows that have appeared so far, as a staircase in the first two objectives. */
typedef struct stairs {
    const double *rows;
    int64_t *at, n; /* by the first objective ascending, the second descending */
    int m;
} stairs;

static void climb(stairs *s, int64_t row) {
    const double *y = s->rows + row * s->m;
    int64_t to = 0, kept = 0;
    for (int64_t i = 0; i < s->n; i++) { /* whom the new row beats in both leaves */
        const double *o = s->rows + s->at[i] * s->m;
        if (y[0] <= o[0] && y[1] <= o[1]) continue;
        if (o[0] <= y[0] && o[1] <= y[1]) return;
        s->at[kept++] = s->at[i];
    }
    for (s->n = kept; to < s->n && s->rows[s->at[to] * s->m] < y[0];) to++;
    memmove(s->at + to + 1, s->at + to, (size_t)(s->n - to) * sizeof *s->at);
    s->at[to] = row, s->n++;
}

static int ascending(const void *pa, const void *pb) {
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static int32_t index_of(const athi_boxes *b, int k, double v) {
    const double *c = b->coordinate + k * b->n_coordinates;
    int64_t low = 1, high = b->n_coordinates - 1;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (c[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    return (int32_t)low;
}

/* The strips left of and between the stairs, in a slab of the third objective. */
static void add_strips(athi_boxes *b, const stairs *s, int32_t low, int32_t high) {
    int32_t last = (int32_t)(b->n_coordinates - 1);
    for (int64_t i = 0; i <= s->n; i++) {
        const double *before = i > 0 ? s->rows + s->at[i - 1] * s->m : NULL,
                     *after = i < s->n ? s->rows + s->at[i] * s->m : NULL;
        int32_t *l = b->low + b->n * b->m, *h = b->high + b->n * b->m;
        l[0] = before ? index_of(b, 0, before[0]) : 0, h[0] = after ? index_of(b, 0, after[0]) : last;
        l[1] = 0, h[1] = before ? index_of(b, 1, before[1]) : last;
        if (b->m == 3) l[2] = low, h[2] = high;
        if (l[0] < h[0]) b->n++;
    }
}

static int by_third(const void *pa, const void *pb) {
    const double *a = pa, *b = pb;
    return (a[2] > b[2]) - (a[2] < b[2]);
}

ath_status athi_boxes_create(athi_arena *arena, const double *losses, int64_t n, int m, const double *reference,
                             athi_boxes *b) {
    int64_t kept = 0, width = n + 2;
    double *rows = athi_arena_array(arena, ATHI_MAX(n, 1) * m, sizeof *rows);
    stairs s = {rows, athi_arena_array(arena, n + 1, sizeof *s.at), 0, m};
    *b = (athi_boxes){.m = m, .coordinate = athi_arena_array(arena, width * m, sizeof *b->coordinate)};
    if (!rows || !s.at || !b->coordinate) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        bool below = true;
        for (int k = 0; k < m; k++) below = below && losses[i * m + k] < reference[k];
        if (below) memcpy(rows + kept++ * m, losses + i * m, (size_t)m * sizeof *rows);
    }
    keep_front(rows, &kept, m);
    if (m == 3) qsort(rows, (size_t)kept, 3 * sizeof *rows, by_third);
    b->n_coordinates = kept + 2;
    for (int k = 0; k < m; k++) {
        double *c = b->coordinate + k * b->n_coordinates;
        c[0] = -INFINITY, c[kept + 1] = reference[k];
        for (int64_t i = 0; i < kept; i++) c[i + 1] = rows[i * m + k];
        qsort(c, (size_t)kept + 2, sizeof *c, ascending);
    }
    int64_t most = m == 2 ? kept + 1 : (kept + 1) * (kept + 2) / 2;
    b->low = athi_arena_array(arena, most * m, sizeof *b->low);
    b->high = athi_arena_array(arena, most * m, sizeof *b->high);
    if (!b->low || !b->high) return ATH_E_NOMEM;
    if (m == 2) {
        for (int64_t i = 0; i < kept; i++) climb(&s, i);
        add_strips(b, &s, 0, 0);
        return ATH_OK;
    }
    int32_t low = 0;
    for (int64_t i = 0; i < kept; i++) { /* slabs between the third coordinates, from the best */
        int32_t high = index_of(b, 2, rows[3 * i + 2]);
        if (high > low) add_strips(b, &s, low, high), low = high;
        climb(&s, i);
    }
    add_strips(b, &s, low, (int32_t)(b->n_coordinates - 1));
    return ATH_OK;
}
