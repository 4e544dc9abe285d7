/* Parzen estimates: axes, widths, draws (see parzen.h; the density stands in parzen_score.c). */
#include "tune/parzen.h"

#include <math.h>

enum { MOST_BUCKETS = 100, MOST_DRAWS = 1000 };

/* ---- axes ---------------------------------------------------------------------------------------------- */

static bool same_conditions(const athi_space_param *a, const athi_space_param *b) {
    if (a->n_conditions != b->n_conditions) return false;
    for (int k = 0; k < a->n_conditions; k++) {
        const athi_condition *x = &a->conditions[k], *y = &b->conditions[k];
        if (x->parent != y->parent || x->low != y->low || x->high != y->high) return false;
    }
    return true;
}

static athi_axis_kind kind_of(const athi_space_param *p) {
    if (p->type == ATHI_PARAM_CHOICE && !p->ordered) return ATHI_AXIS_BRANCHES;
    return athi_param_count(p) == 0 ? ATHI_AXIS_LINE : ATHI_AXIS_GRID;
}

static athi_axis make_axis(const athi_space *space, int param, int group) {
    const athi_space_param *p = &space->params[param];
    athi_axis a = {.param = param, .group = group, .kind = kind_of(p)};
    a.is_log = p->prior == ATHI_PRIOR_LOG;
    a.is_affine = p->type != ATHI_PARAM_CHOICE && (a.is_log || p->prior == ATHI_PRIOR_UNIFORM);
    if (a.is_affine) {
        int64_t n = athi_param_count(p);
        double end = n ? athi_param_nth(p, n - 1) : p->max, low = athi_param_to_unit(p, p->min);
        double from = a.is_log ? log(p->min) : p->min, to = a.is_log ? log(end) : end;
        a.scale = (athi_param_to_unit(p, end) - low) / (to - from);
        a.offset = low - from * a.scale;
    }
    return a;
}

static void add_axes(athi_axes *axes, int like, int group, bool lines) {
    const athi_space *space = axes->space;
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        if (athi_param_count(p) == 1 || !same_conditions(p, &space->params[like])) continue;
        if ((kind_of(p) == ATHI_AXIS_LINE) != lines) continue;
        axes->axis_of[i] = (int)axes->n;
        axes->axis[axes->n++] = make_axis(space, (int)i, group);
    }
}

static double place_of(const athi_axes *axes, const athi_axis *a, double value) {
    if (isnan(value) || a->kind == ATHI_AXIS_BRANCHES) return value;
    if (!a->is_affine) return athi_param_to_unit(&axes->space->params[a->param], value);
    double u = a->offset + a->scale * (a->is_log ? log(value) : value);
    return u > 0 ? u < 1 ? u : 1 : 0;
}

/* A trial as the space sees it: a missing value is the default's, one whose parameter does not exist is dropped. */
static void read_places(const athi_axes *axes, const double *point, double *resolved, double *places) {
    const athi_space *space = axes->space;
    bool whole = true; /* every parameter exists and has a value */
    for (int64_t i = 0; i < space->n; i++) whole = whole && !isnan(point[i]) && space->params[i].n_conditions == 0;
    for (int64_t k = 0; k < space->n && !whole; k++) {
        int i = space->order[k];
        resolved[i] = !athi_space_exists(space, resolved, i) ? NAN
                      : isnan(point[i])                      ? space->params[i].fallback
                                                             : point[i];
    }
    for (int64_t a = 0; a < axes->n; a++)
        places[a * axes->stride] = place_of(axes, &axes->axis[a], (whole ? point : resolved)[axes->axis[a].param]);
}

ath_status athi_axes_create(athi_arena *arena, const athi_view *view, athi_axes *axes) {
    const athi_space *space = view->space;
    int64_t n = ATHI_MAX(space->n, 1), cells;
    *axes = (athi_axes){.space = space, .stride = ATHI_MAX(view->n, 1)};
    axes->axis = athi_arena_array(arena, n, sizeof *axes->axis);
    axes->first = athi_arena_array(arena, n + 1, sizeof *axes->first);
    axes->axis_of = athi_arena_array(arena, n, sizeof *axes->axis_of);
    double *resolved = athi_arena_array(arena, n, sizeof *resolved);
    if (!axes->axis || !axes->first || !axes->axis_of || !resolved) return ATH_E_NOMEM;
    for (int64_t i = 0; i < space->n; i++) axes->axis_of[i] = -1;
    for (int64_t i = 0; i < space->n; i++) {
        if (axes->axis_of[i] >= 0 || athi_param_count(&space->params[i]) == 1) continue;
        add_axes(axes, (int)i, (int)axes->n_groups, true);
        add_axes(axes, (int)i, (int)axes->n_groups, false);
        axes->first[++axes->n_groups] = axes->n;
    }
    if (!athi_mul(ATHI_MAX(axes->n, 1), axes->stride, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *all = athi_arena_array(arena, cells, sizeof *all);
    if (!all) return ATH_E_NOMEM;
    for (int64_t t = 0; t < view->n; t++)
        if (view->trials[t]->point) read_places(axes, view->trials[t]->point, resolved, all + t);
    axes->all = all;
    return ATH_OK;
}

/* ---- widths -------------------------------------------------------------------------------------------- */

/* Buckets as wide as the least width make sorting needless: only the ends of a bucket have gaps that count. An end is
 * kept as its place (40 bits) above its index, so that minimum and maximum need no branches; of equal places the first
 * trial is the lowest. */
void athi_parzen_widths(const double *places, int64_t n, double *widths) {
    uint64_t lowest[MOST_BUCKETS], highest[MOST_BUCKETS], count = (uint64_t)ATHI_MIN(MOST_BUCKETS, n + 2);
    const uint64_t index = (UINT64_C(1) << 23) - 1;
    double least = 1.0 / (double)count;
    for (uint64_t b = 0; b < count; b++) lowest[b] = UINT64_MAX, highest[b] = 0;
    for (int64_t k = 0; k < n; k++) {
        uint64_t place = (uint64_t)(int64_t)(places[k] * 0x1p40), b = place * count >> 40;
        uint64_t key = place << 23 | ((uint64_t)k & index);
        b = b < count ? b : count - 1;
        lowest[b] = key < lowest[b] ? key : lowest[b];
        highest[b] = key > highest[b] ? key : highest[b];
        widths[k] = least;
    }
    int64_t before = -1;
    for (uint64_t b = 0; b < count; b++) {
        if (lowest[b] == UINT64_MAX) continue;
        int64_t low = (int64_t)(lowest[b] & index);
        if (before >= 0) {
            double gap = places[low] - places[before];
            widths[before] = ATHI_MAX(widths[before], gap);
            widths[low] = ATHI_MAX(widths[low], gap);
        }
        before = (int64_t)(highest[b] & index);
    }
    if (n == 1) widths[0] = fmax(places[0], 1 - places[0]); /* no neighbour but the ends */
}

/* ---- draws --------------------------------------------------------------------------------------------- */

/* Kernels by axis: column k of the set's trials, column n of the prior; NaN where a trial lacks the axis. */
typedef struct kernels {
    double *place, *width; /* axis * (n + 1) + kernel; a branch's width is unused */
    int64_t *members;      /* per axis: how many trials have it */
} kernels;

static ath_status read_kernels(athi_arena *arena, const athi_parzen *p, kernels *k) {
    const athi_axes *axes = p->axes;
    int64_t columns = p->n + 1, cells = ATHI_MAX(axes->n, 1) * columns;
    k->place = athi_arena_array(arena, cells, sizeof(double));
    k->width = athi_arena_array(arena, cells, sizeof(double));
    k->members = athi_arena_array(arena, ATHI_MAX(axes->n, 1), sizeof *k->members);
    double *packed = athi_arena_array(arena, 2 * columns, sizeof *packed), *widths;
    if (!k->place || !k->width || !k->members || !packed) return ATH_E_NOMEM;
    widths = packed + columns;
    for (int64_t a = 0; a < axes->n; a++) {
        double *place = k->place + a * columns, *width = k->width + a * columns;
        int64_t m = 0;
        for (int64_t i = 0; i < p->n; i++) {
            place[i] = axes->all[a * axes->stride + p->trials[i]];
            if (!isnan(place[i])) packed[m++] = place[i];
        }
        place[p->n] = 0.5, width[p->n] = 1;
        k->members[a] = m;
        if (axes->axis[a].kind == ATHI_AXIS_BRANCHES) continue;
        athi_parzen_widths(packed, m, widths);
        for (int64_t i = p->n - 1; i >= 0; i--)
            if (!isnan(place[i])) width[i] = widths[--m];
    }
    return ATH_OK;
}

/* A kernel by weight among those that have the axis (all of them for -1). */
static int64_t pick(const athi_parzen *p, const kernels *k, int64_t axis, athi_rng *rng) {
    const double *place = axis < 0 ? NULL : k->place + axis * (p->n + 1);
    double sum = 1;
    for (int64_t i = 0; i < p->n; i++)
        if (!place || !isnan(place[i])) sum += p->weights[i];
    double u = athi_rng_uniform(rng) * sum;
    for (int64_t i = 0; i < p->n; i++) {
        if (place && isnan(place[i])) continue;
        if (u < p->weights[i]) return i;
        u -= p->weights[i];
    }
    return p->n;
}

static double draw_branch(const athi_space_param *p, const kernels *k, int64_t axis, int64_t columns, int64_t kernel,
                          athi_rng *rng) {
    /* of 1 + n / (members + 1), the observed branch owns 1, the prior the rest */
    double rest = (double)p->n_branches / (double)(k->members[axis] + 1);
    double u = athi_rng_uniform(rng);
    if (kernel < columns - 1) {
        u *= 1 + rest;
        if (u < 1) return k->place[axis * columns + kernel];
        u = (u - 1) / rest;
    }
    return athi_param_from_unit(p, u);
}

/* Truncation by drawing again: the interval holds at least a third of every normal. */
static double draw_place(double place, double width, athi_rng *rng) {
    for (int i = 0; i < MOST_DRAWS; i++) {
        double u = place + width * athi_rng_normal(rng);
        if (u >= 0 && u <= 1) return u;
    }
    return place;
}

/* Down the tree of conditions: a parameter that does not exist is never drawn. A kernel without a group hands that
 * group to another one that has it. */
static void draw_point(const athi_parzen *p, const kernels *k, athi_rng *rng, int64_t *chosen, double *point) {
    const athi_axes *axes = p->axes;
    const athi_space *space = axes->space;
    int64_t columns = p->n + 1, whole = pick(p, k, -1, rng);
    for (int64_t g = 0; g < axes->n_groups; g++) chosen[g] = -1;
    for (int64_t i = 0; i < space->n; i++) point[i] = NAN;
    for (int64_t o = 0; o < space->n; o++) {
        int i = space->order[o], a = axes->axis_of[i];
        const athi_space_param *param = &space->params[i];
        if (!athi_space_exists(space, point, i)) continue;
        if (a < 0) {
            point[i] = athi_param_nth(param, 0);
            continue;
        }
        int64_t *kernel = &chosen[axes->axis[a].group], at = a * columns;
        if (*kernel < 0) *kernel = isnan(k->place[at + whole]) ? pick(p, k, a, rng) : whole;
        point[i] = axes->axis[a].kind == ATHI_AXIS_BRANCHES
                       ? draw_branch(param, k, a, columns, *kernel, rng)
                       : athi_param_from_unit(param, draw_place(k->place[at + *kernel], k->width[at + *kernel], rng));
    }
    athi_space_normalize(space, point);
}

ath_status athi_parzen_draw(athi_arena *arena, const athi_parzen *p, athi_rng *rng, int64_t n,
                            athi_candidates *candidates) {
    const athi_axes *axes = p->axes;
    int64_t d = axes->space->n;
    kernels k;
    ATH_TRY(read_kernels(arena, p, &k));
    *candidates = (athi_candidates){.n = n};
    candidates->points = athi_arena_array(arena, ATHI_MAX(n * d, 1), sizeof(double));
    candidates->places = athi_arena_array(arena, ATHI_MAX(n * axes->n, 1), sizeof(double));
    int64_t *chosen = athi_arena_array(arena, ATHI_MAX(axes->n_groups, 1), sizeof *chosen);
    if (!candidates->points || !candidates->places || !chosen) return ATH_E_NOMEM;
    for (int64_t c = 0; c < n; c++) {
        double *point = candidates->points + c * d;
        draw_point(p, &k, rng, chosen, point);
        for (int64_t a = 0; a < axes->n; a++)
            candidates->places[a * n + c] = place_of(axes, &axes->axis[a], point[axes->axis[a].param]);
    }
    return ATH_OK;
}
