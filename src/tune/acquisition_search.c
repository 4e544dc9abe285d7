/* The search for the point of the largest acquisition (see acquisition.h). */
#include "tune/acquisition.h"

#include <math.h>
#include <nlopt.h>

static const double SMALL_SPACE = 1000; /* evaluated whole */
enum {
    DRAWS_PER_DIM = 40,
    MOST_DRAWS = 400,
    MUTATIONS = 150,
    STARTS = 4,
    ROUNDS = 3,
    EVALUATIONS = 25, /* of one L-BFGS */
    WHOLE_GRID = 12,  /* ordered grids up to this size are tried whole, larger ones by doubling steps */
};

typedef struct search {
    const athi_acquisition *a;
    const athi_encoder *e;
    const athi_tried_set *tried;
    athi_rng *rng;
    double *row, *scratch, *best; /* a row, a point, the best untried point */
    double value;                 /* of best */
    bool found;
    int free[ATHI_ACQUISITION_MAX_FREE], n_free;
    double x[ATHI_ACQUISITION_MAX_FREE];
} search;

static size_t point_bytes(const search *s) { return (size_t)s->e->space->n * sizeof(double); }

static void offer(search *s, const double *point, double value) {
    if ((s->found && value <= s->value) || !(value > -INFINITY) || athi_tried_set_has(s->tried, point)) return;
    memcpy(s->best, point, point_bytes(s));
    s->value = value, s->found = true;
}

static double least_of(const search *s, int64_t j) { return s->a->low ? fmax(s->a->low[j], 0) : 0; }
static double most_of(const search *s, int64_t j) { return s->a->low ? fmin(s->a->high[j], 1) : 1; }

static bool outside(const search *s, const double *row) {
    for (int64_t j = 0; s->a->low && j < s->e->d; j++)
        if (row[j] < s->a->low[j] || row[j] > s->a->high[j]) return true;
    return false;
}

static double evaluate(search *s, const double *point) {
    athi_encode(s->e, point, s->row);
    return outside(s, s->row) ? -INFINITY : athi_acquisition_at(s->a, s->row, NULL, 0, NULL);
}

/* ---- candidates ---------------------------------------------------------------------------------------- */

static double clip(double u) { return fmin(fmax(u, 0), 1); }

double athi_param_move(const athi_space_param *p, double v, athi_rng *rng) {
    int64_t count = athi_param_count(p);
    if (p->type == ATHI_PARAM_CHOICE && !p->ordered) return (double)athi_rng_below(rng, (uint64_t)count);
    double u = athi_param_to_unit(p, v);
    if (count == 0 || count > 2 * WHOLE_GRID) {
        static const double spread[] = {0.2, 0.05, 0.01};
        return athi_param_from_unit(p, clip(u + athi_rng_normal(rng) * spread[athi_rng_below(rng, 3)]));
    }
    double step = (athi_rng_below(rng, 2) ? 1.0 : -1.0) * (double)(1 + athi_rng_below(rng, 2));
    return athi_param_from_unit(p, clip(u + step / (double)count));
}

/* A draw from the prior, within the box. */
static void draw(search *s, double *point) {
    const athi_encoder *e = s->e;
    athi_space_sample(e->space, s->rng, point);
    if (!s->a->low) return;
    for (int64_t j = 0; j < e->d; j++) {
        int i = e->param[j];
        if (isnan(point[i]) || isinf(s->a->low[j])) continue;
        double u = least_of(s, j) + athi_rng_uniform(s->rng) * (most_of(s, j) - least_of(s, j));
        point[i] = athi_param_from_unit(&e->space->params[i], u);
    }
    athi_space_normalize(e->space, point);
}

static void mutate(search *s, double *point) {
    const athi_encoder *e = s->e;
    int64_t moved = 0;
    for (int tries = 0; moved == 0 && tries < 16; tries++)
        for (int64_t j = 0; j < e->d; j++) {
            bool chosen = athi_rng_uniform(s->rng) < fmax(1.5 / (double)e->d, 0.1);
            int i = e->param[j];
            if (!chosen || isnan(point[i])) continue;
            point[i] = athi_param_move(&e->space->params[i], point[i], s->rng);
            moved++;
        }
    athi_space_normalize(e->space, point);
}

/* ---- one start ----------------------------------------------------------------------------------------- */

static double objective(unsigned n, const double *x, double *gradient, void *user) {
    search *s = user;
    double unused[ATHI_ACQUISITION_MAX_FREE];
    for (unsigned f = 0; f < n; f++) s->row[s->free[f]] = x[f];
    return athi_acquisition_at(s->a, s->row, s->free, (int)n, gradient ? gradient : unused);
}

static ath_status climb_continuous(ath_ctx *ctx, search *s, double *point) {
    const athi_encoder *e = s->e;
    double low[ATHI_ACQUISITION_MAX_FREE], high[ATHI_ACQUISITION_MAX_FREE];
    s->n_free = 0;
    athi_encode(e, point, s->row);
    for (int64_t j = 0; j < e->d && s->n_free < ATHI_ACQUISITION_MAX_FREE; j++)
        if (!isnan(s->row[j]) && athi_param_count(&e->space->params[e->param[j]]) == 0) {
            low[s->n_free] = least_of(s, j), high[s->n_free] = most_of(s, j);
            s->x[s->n_free] = fmin(fmax(s->row[j], low[s->n_free]), high[s->n_free]);
            s->free[s->n_free++] = (int)j;
        }
    if (s->n_free == 0) return ATH_OK;
    nlopt_opt opt = nlopt_create(NLOPT_LD_LBFGS, (unsigned)s->n_free);
    if (!opt) return athi_nomem(ctx, 0);
    double value;
    nlopt_set_max_objective(opt, objective, s);
    nlopt_set_lower_bounds(opt, low);
    nlopt_set_upper_bounds(opt, high);
    nlopt_set_ftol_abs(opt, 1e-5);
    nlopt_set_maxeval(opt, EVALUATIONS);
    nlopt_result result = nlopt_optimize(opt, s->x, &value); /* any end but memory leaves a usable x */
    nlopt_destroy(opt);
    if (result == NLOPT_OUT_OF_MEMORY) return athi_nomem(ctx, 0);
    for (int f = 0; f < s->n_free; f++) {
        int i = e->param[s->free[f]];
        point[i] = athi_param_from_unit(&e->space->params[i], clip(s->x[f]));
    }
    athi_space_normalize(e->space, point); /* a continuous parent may have crossed a child's condition */
    return ATH_OK;
}

/* The value `k` of those tried for a discrete parameter; false: no more. */
static bool nth_change(const athi_space_param *p, double now, int64_t k, double *value) {
    int64_t count = athi_param_count(p);
    bool all = count <= WHOLE_GRID || (p->type == ATHI_PARAM_CHOICE && !p->ordered);
    if (all) {
        *value = athi_param_nth(p, ATHI_MIN(k, count - 1));
        return k < count;
    }
    if (k / 2 > 40) return false;
    double step = ldexp(1, (int)(k / 2)) / (double)count;
    *value = athi_param_from_unit(p, clip(athi_param_to_unit(p, now) + (k % 2 ? -step : step)));
    return step < 1;
}

/* Each discrete parameter in turn takes the best of its values. *value: the acquisition at the point. */
static bool climb_discrete(search *s, double *point, double *value) {
    const athi_space *space = s->e->space;
    bool changed = false;
    for (int64_t j = 0; j < s->e->d; j++) {
        int i = s->e->param[j];
        const athi_space_param *p = &space->params[i];
        if (isnan(point[i]) || athi_param_count(p) == 0) continue;
        double now = point[i], best = now, v;
        for (int64_t k = 0; nth_change(p, now, k, &v); k++) {
            if (v == now) continue;
            memcpy(s->scratch, point, point_bytes(s));
            s->scratch[i] = v;
            athi_space_normalize(space, s->scratch);
            double at = evaluate(s, s->scratch);
            offer(s, s->scratch, at);
            if (at > *value + 1e-9) *value = at, best = v;
        }
        if (best == now) continue;
        point[i] = best;
        athi_space_normalize(space, point);
        changed = true;
    }
    return changed;
}

static ath_status climb(ath_ctx *ctx, search *s, double *point) {
    for (int round = 0; round < ROUNDS; round++) {
        ATH_TRY(climb_continuous(ctx, s, point));
        double value = evaluate(s, point);
        offer(s, point, value);
        if (!climb_discrete(s, point, &value)) break;
    }
    return ATH_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static ath_status search_all(athi_arena *arena, search *s) {
    const athi_space *space = s->e->space;
    int64_t d = s->e->d, rows = ATHI_ACQUISITION_BATCH;
    athi_walk walk;
    ATH_TRY(athi_walk_create(arena, space, 0, &walk));
    double *points = athi_arena_array(arena, rows * space->n, sizeof *points);
    double *encoded = athi_arena_array(arena, ATHI_MAX(rows * d, 1), sizeof *encoded);
    if (!points || !encoded) return ATH_E_NOMEM;
    double values[ATHI_ACQUISITION_BATCH];
    athi_walk_first(&walk, s->scratch);
    for (bool more = true; more;) {
        int64_t m = 0;
        while (m < rows && more) {
            if (!athi_tried_set_has(s->tried, s->scratch)) {
                memcpy(points + m * space->n, s->scratch, point_bytes(s));
                athi_encode(s->e, s->scratch, encoded + m++ * d);
            }
            more = athi_walk_next(&walk, s->scratch);
        }
        athi_acquisition_many(s->a, encoded, m, values);
        for (int64_t k = 0; k < m; k++)
            if (!outside(s, encoded + k * d)) offer(s, points + k * space->n, values[k]);
    }
    return ATH_OK;
}

static ath_status search_some(ath_ctx *ctx, athi_arena *arena, search *s, const double *top, int64_t n_top) {
    const athi_space *space = s->e->space;
    int64_t d = s->e->d, draws = ATHI_MIN(100 + DRAWS_PER_DIM * d, MOST_DRAWS), m = draws + (n_top ? MUTATIONS : 0);
    double *points = athi_arena_array(arena, m * space->n, sizeof *points);
    double *rows = athi_arena_array(arena, ATHI_MAX(m * d, 1), sizeof *rows);
    double *values = athi_arena_array(arena, m, sizeof *values);
    if (!points || !rows || !values) return ATH_E_NOMEM;
    for (int64_t k = 0; k < m; k++) {
        double *point = points + k * space->n;
        if (k < draws) {
            draw(s, point);
        } else {
            memcpy(point, top + (k - draws) % n_top * space->n, point_bytes(s));
            mutate(s, point);
        }
        athi_encode(s->e, point, rows + k * d);
    }
    athi_acquisition_many(s->a, rows, m, values);
    for (int64_t k = 0; k < m; k++) {
        if (outside(s, rows + k * d)) values[k] = -INFINITY;
        offer(s, points + k * space->n, values[k]);
    }
    for (int start = 0; start < STARTS; start++) {
        int64_t best = 0;
        for (int64_t k = 1; k < m; k++)
            if (values[k] > values[best]) best = k;
        if (values[best] == -INFINITY) break;
        values[best] = -INFINITY;
        ATH_TRY(climb(ctx, s, points + best * space->n));
    }
    return ATH_OK;
}

ath_status athi_acquisition_search(ath_ctx *ctx, athi_arena *arena, const athi_acquisition *a,
                                   const athi_encoder *encoder, const athi_tried_set *tried, const double *top,
                                   int64_t n_top, athi_rng *rng, double *point, bool *found) {
    search s = {.a = a, .e = encoder, .tried = tried, .rng = rng, .best = point};
    s.row = athi_arena_array(arena, ATHI_MAX(encoder->d, 1), sizeof *s.row);
    s.scratch = athi_arena_array(arena, ATHI_MAX(encoder->space->n, 1), sizeof *s.scratch);
    if (!s.row || !s.scratch) return ATH_E_NOMEM;
    if (athi_space_size(encoder->space) <= SMALL_SPACE)
        ATH_TRY(search_all(arena, &s));
    else
        ATH_TRY(search_some(ctx, arena, &s, top, n_top));
    *found = s.found;
    return ATH_OK;
}
