/* The posterior over finished trials. */
#include "tune/posterior.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_MODELLED = 200, FEWEST = 4, EVALUATIONS = 40, STARTS = 2 };
static const double NOISE_FLOOR = 1e-6, SHORTEST = 0.01;

typedef struct row {
    int64_t trial; /* index in the view */
    double value;  /* less is better */
} row;

static int better_first(const void *pa, const void *pb) {
    const row *a = pa, *b = pb;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->trial < b->trial ? -1 : a->trial > b->trial;
}

static int older_first(const void *pa, const void *pb) {
    const row *a = pa, *b = pb;
    return a->trial < b->trial ? -1 : a->trial > b->trial;
}

static bool usable(const athi_trial *t) {
    return t->state == ATHI_TRIAL_COMPLETE && t->point && t->values && isfinite(t->values[0]) && !t->outside;
}

/* Half of a large study's rows are its best trials, half its latest. */
static ath_status gather(athi_arena *arena, const athi_view *view, row **out, int64_t *n) {
    row *rows = athi_arena_array(arena, ATHI_MAX(view->n, 1), sizeof *rows);
    *out = rows, *n = 0;
    if (!rows) return ATH_E_NOMEM;
    for (int64_t i = 0; i < view->n; i++)
        if (usable(view->trials[i])) {
            double v = view->trials[i]->values[0];
            rows[(*n)++] = (row){i, view->maximize[0] ? -v : v};
        }
    if (*n <= MOST_MODELLED) return ATH_OK;
    int64_t best = MOST_MODELLED / 2, rest = *n - best;
    qsort(rows, (size_t)*n, sizeof *rows, better_first);
    qsort(rows + best, (size_t)rest, sizeof *rows, older_first);
    memmove(rows + best, rows + *n - best, (size_t)best * sizeof *rows);
    *n = 2 * best;
    return ATH_OK;
}

static bool standardise(athi_posterior *p, const row *rows, int64_t n, double *y) {
    double sum = 0;
    p->centre = 0;
    for (int64_t i = 0; i < n; i++) p->centre += rows[i].value / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (rows[i].value - p->centre) * (rows[i].value - p->centre) / (double)n;
    p->scale = sqrt(sum);
    for (int64_t i = 0; i < n; i++) y[i] = (rows[i].value - p->centre) / p->scale;
    return p->scale > 0;
}

static ath_status fit(ath_ctx *ctx, athi_arena *arena, athi_posterior *p) {
    row *rows;
    int64_t n, d;
    ATH_TRY(gather(arena, p->view, &rows, &n));
    ATH_TRY(athi_encoder_create(arena, p->view->space, &p->encoder));
    if (n < FEWEST || !(d = p->encoder.d)) return ATH_E_NOTFOUND;
    double *x = athi_arena_array(arena, n * d, sizeof *x), *y = athi_arena_array(arena, n, sizeof *y),
           *point = athi_arena_array(arena, p->view->space->n, sizeof *point);
    p->row = athi_arena_array(arena, d, sizeof *p->row);
    p->work = athi_arena_array(arena, n, sizeof *p->work);
    p->trial = athi_arena_array(arena, n, sizeof *p->trial);
    if (!p->trial) return ATH_E_NOMEM;
    if (!x || !y || !point || !p->row || !p->work) return ATH_E_NOMEM;
    if (!standardise(p, rows, n, y)) return ATH_E_NOTFOUND;
    for (int64_t i = 0; i < n; i++) {
        p->trial[i] = rows[i].trial;
        athi_trial_point(p->view, rows[i].trial, point);
        athi_encode(&p->encoder, point, x + i * d);
    }
    ATH_TRY(athi_gp_create(arena, p->encoder.dims, d, x, y, n, 0, &p->gp));
    ATH_TRY(athi_gp_fit(ctx, arena, &p->gp, NOISE_FLOOR, SHORTEST, STARTS, EVALUATIONS));
    ATH_TRY(athi_gp_condition(ctx, arena, &p->gp));
    p->noise = p->scale * sqrt(p->gp.noise);
    return ATH_OK;
}

ath_status athi_posterior_fit(ath_ctx *ctx, athi_arena *arena, const athi_view *view, athi_posterior *p) {
    int threads = openblas_get_num_threads(); /* small matrices lose by threads, and sums would differ */
    *p = (athi_posterior){.view = view};
    openblas_set_num_threads(1);
    ath_status status = fit(ctx, arena, p);
    openblas_set_num_threads(threads);
    return status;
}

void athi_posterior_at(athi_posterior *p, const double *point, double *mean, double *deviation) {
    double m, variance;
    athi_encode(&p->encoder, point, p->row);
    athi_gp_predict(&p->gp, p->row, 1, &m, &variance, p->work);
    m = p->centre + p->scale * m;
    *mean = p->view->maximize[0] ? -m : m;
    *deviation = p->scale * sqrt(fmax(variance, 0));
}

ath_status athi_posterior_best(athi_posterior *p, int64_t *trial, double *mean, double *deviation) {
    const athi_view *view = p->view;
    double *point = athi_alloc_array(athi_arena_ctx(view->space->arena), ATHI_MAX(view->space->n, 1), sizeof *point);
    *trial = -1;
    if (!point) return ATH_E_NOMEM;
    for (int64_t i = 0; i < p->gp.n; i++) {
        double m, s;
        athi_trial_point(view, p->trial[i], point);
        athi_posterior_at(p, point, &m, &s);
        if (*trial < 0 || (view->maximize[0] ? m > *mean : m < *mean))
            *trial = p->trial[i], *mean = m, *deviation = s;
    }
    athi_free(athi_arena_ctx(view->space->arena), point);
    return ATH_OK;
}
