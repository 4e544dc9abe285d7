/* The density of a Parzen estimate at some candidates.
 *
 * A kernel's squared distance over the line axes of a group is a matrix product: sum (x - m)^2 / w^2 =
 * [x^2 | x] [1 / w^2 | -2 m / w^2]^T + sum m^2 / w^2, with places counted from the middle so that little cancels
 * (widths are at least 0.01). What a truncated normal lost at the ends is a product over axes, and one logarithm. */
#include "tune/parzen.h"

#include <cblas.h>
#include <math.h>

static const double ROOT_HALF = 0.70710678118654752440;
static const double NEGLIGIBLE = 45; /* e^-45 is nothing beside 1 in double precision */
static const double LEAST_MASS = 1e-300;
enum { BLOCK = 16, MEMO = 64 }; /* axes a product: fits the cache; as many factors of 0.003 do not underflow */

/* Half of erf is exactly 1/2 in double precision from here. */
static double half_erf(double z) { return z >= 6 ? 0.5 : 0.5 * erf(z); }

/* What the unit interval holds of a normal. */
static double inside(double place, double width) {
    return half_erf((1 - place) / width * ROOT_HALF) + half_erf(place / width * ROOT_HALF);
}

static double log_cell_mass(double low, double high, double place, double width) {
    double a = (low - place) / width * ROOT_HALF, b = (high - place) / width * ROOT_HALF, mass;
    if (a > 0)
        mass = 0.5 * (erfc(a) - erfc(b));
    else if (b < 0)
        mass = 0.5 * (erfc(-b) - erfc(-a));
    else
        mass = 0.5 * (erf(b) - erf(a));
    return log(fmax(mass, LEAST_MASS) / inside(place, width));
}

static double log_sum(const double *x, int64_t n) {
    double most = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > most - NEGLIGIBLE) sum += exp(x[i] - most);
    return most + log(sum);
}

/* One group of a set: which of its trials have it, and the log density of each kernel at each candidate. */
typedef struct group {
    const athi_parzen *p;
    const athi_candidates *c;
    int64_t first, lines, end; /* axes */
    int64_t *member, *trial;   /* rows of the set, their trials */
    int64_t n, columns;        /* members; + the prior */
    double *place, *width;     /* of the axis in hand, per column */
    double *scores;            /* candidate * columns + column */
} group;

static void read_axis(const group *g, int64_t axis) {
    const athi_axes *axes = g->p->axes;
    const double *from = axes->all + axis * axes->stride;
    for (int64_t k = 0; k < g->n; k++) g->place[k] = from[g->trial[k]];
    g->place[g->n] = 0.5, g->width[g->n] = 1;
    if (axes->axis[axis].kind != ATHI_AXIS_BRANCHES) athi_parzen_widths(g->place, g->n, g->width);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static void add_line(const group *g, double *square, double *linear, double *constant, double *lost) {
    for (int64_t k = 0; k < g->columns; k++) {
        double s = 1 / (g->width[k] * g->width[k]), m = g->place[k] - 0.5;
        square[k] = s;
        linear[k] = -2 * m * s;
        constant[k] += m * m * s;
        lost[k] *= g->width[k];
    }
    for (int64_t k = 0; k < g->columns; k++) {
        double reach = 8.5 * g->width[k]; /* 6 in units of erf: within the interval nothing is lost */
        if (g->place[k] < reach || 1 - g->place[k] < reach) lost[k] *= inside(g->place[k], g->width[k]);
    }
}

/* The candidates' squares and places of some axes; rows of those without the group are not used. */
static void read_candidates(const group *g, int64_t first, int64_t count, double *x) {
    int64_t n = g->c->n;
    for (int64_t l = 0; l < count; l++)
        for (int64_t c = 0; c < n; c++) {
            double u = g->c->places[(first + l) * n + c] - 0.5;
            if (isnan(u)) u = 0;
            x[c * 2 * count + l] = u * u;
            x[c * 2 * count + count + l] = u;
        }
}

static ath_status score_lines(athi_arena *arena, const group *g) {
    int64_t n = g->c->n, columns = g->columns, cells;
    if (g->lines == g->first) return ATH_OK;
    int64_t most = ATHI_MIN(BLOCK, g->lines - g->first);
    if (!athi_mul(2 * most, columns, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *factors = athi_arena_array(arena, cells, sizeof *factors);
    double *x = athi_arena_array(arena, 2 * most * n, sizeof *x);
    double *constant = athi_arena_array(arena, 2 * columns, sizeof *constant), *lost = constant + columns;
    if (!factors || !x || !constant) return ATH_E_NOMEM;
    for (int64_t first = g->first; first < g->lines; first += BLOCK) {
        int64_t count = ATHI_MIN(BLOCK, g->lines - first);
        for (int64_t k = 0; k < columns; k++) lost[k] = 1;
        for (int64_t l = 0; l < count; l++) {
            read_axis(g, first + l);
            add_line(g, factors + l * columns, factors + (count + l) * columns, constant, lost);
        }
        for (int64_t k = 0; k < columns; k++) constant[k] += 2 * log(lost[k]);
        read_candidates(g, first, count, x);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)columns, (int)(2 * count), -0.5, x,
                    (int)(2 * count), factors, (int)columns, 1, g->scores, (int)columns);
    }
    for (int64_t c = 0; c < n; c++)
        for (int64_t k = 0; k < columns; k++) g->scores[c * columns + k] -= 0.5 * constant[k];
    return ATH_OK;
}

/* ---- grids and branches -------------------------------------------------------------------------------- */

/* On a grid many kernels are equal: the last results are kept by place. */
static void grid_row(const group *g, const athi_space_param *param, double value, double *row) {
    struct {
        double place, width, score;
    } memo[MEMO] = {0}; /* width 0: empty */
    double low, high;
    athi_param_cell(param, value, &low, &high);
    for (int64_t k = 0; k < g->columns; k++) {
        uint64_t bits;
        memcpy(&bits, &g->place[k], sizeof bits);
        int64_t slot = (int64_t)((bits * 0x9E3779B97F4A7C15u) >> 58);
        if (memo[slot].place != g->place[k] || memo[slot].width != g->width[k]) {
            memo[slot].place = g->place[k], memo[slot].width = g->width[k];
            memo[slot].score = log_cell_mass(low, high, g->place[k], g->width[k]);
        }
        row[k] = memo[slot].score;
    }
}

static void branch_row(const group *g, const athi_space_param *param, int branch, double *row) {
    double weight = param->branches[branch].weight, rest = (double)param->n_branches / (double)g->columns;
    double other = log(rest * weight / (1 + rest)), same = log((1 + rest * weight) / (1 + rest));
    for (int64_t k = 0; k < g->n; k++) row[k] = g->place[k] == (double)branch ? same : other;
    row[g->n] = log(weight);
}

/* Candidates with the same value share a row. */
static void score_others(const group *g, double *row) {
    const athi_axes *axes = g->p->axes;
    const athi_space *space = axes->space;
    for (int64_t a = g->lines; a < g->end; a++) {
        const athi_axis *axis = &axes->axis[a];
        const athi_space_param *param = &space->params[axis->param];
        read_axis(g, a);
        for (int64_t c = 0; c < g->c->n; c++) {
            const double *values = g->c->points + axis->param;
            double value = values[c * space->n];
            bool done = isnan(value);
            for (int64_t b = 0; b < c && !done; b++) done = values[b * space->n] == value;
            if (done) continue;
            if (axis->kind == ATHI_AXIS_BRANCHES)
                branch_row(g, param, (int)value, row);
            else
                grid_row(g, param, value, row);
            for (int64_t b = c; b < g->c->n; b++)
                for (int64_t k = 0; values[b * space->n] == value && k < g->columns; k++)
                    g->scores[b * g->columns + k] += row[k];
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static ath_status score_group(athi_arena *arena, group *g, int64_t index) {
    const athi_axes *axes = g->p->axes;
    int64_t rows = g->p->n + 1, cells;
    g->first = g->lines = axes->first[index], g->end = axes->first[index + 1];
    while (g->lines < g->end && axes->axis[g->lines].kind == ATHI_AXIS_LINE) g->lines++;
    g->member = athi_arena_array(arena, 2 * rows, sizeof *g->member);
    g->place = athi_arena_array(arena, 3 * rows, sizeof(double));
    if (!g->member || !g->place) return ATH_E_NOMEM;
    g->width = g->place + rows, g->trial = g->member + rows;
    g->n = 0;
    for (int64_t i = 0; i < g->p->n; i++) {
        int64_t t = g->p->trials[i];
        if (isnan(axes->all[g->first * axes->stride + t])) continue;
        g->member[g->n] = i;
        g->trial[g->n++] = t;
    }
    g->columns = g->n + 1;
    if (!athi_mul(g->c->n, g->columns, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    g->scores = athi_arena_array(arena, cells, sizeof(double));
    if (!g->scores) return ATH_E_NOMEM;
    ATH_TRY(score_lines(arena, g));
    score_others(g, g->width + rows);
    return ATH_OK;
}

/* The density of the group alone: what kernels without it count there. `terms` has room for a row. */
static double group_density(const group *g, const double *scores, double *terms) {
    double sum = 1;
    for (int64_t k = 0; k < g->n; k++) {
        double w = g->p->weights[g->member[k]];
        terms[k] = scores[k] + log(w), sum += w;
    }
    terms[g->n] = scores[g->n];
    return log_sum(terms, g->columns) - log(sum);
}

static void add_group(const group *g, double *total, double *terms) {
    int64_t rows = g->p->n + 1;
    for (int64_t c = 0; c < g->c->n; c++) {
        const double *scores = g->scores + c * g->columns;
        double *to = total + c * rows;
        if (isnan(g->c->places[g->first * g->c->n + c])) continue;
        if (g->n == g->p->n) {
            for (int64_t k = 0; k < rows; k++) to[k] += scores[k];
            continue;
        }
        double rest = group_density(g, scores, terms);
        for (int64_t k = 0, m = 0; k < g->p->n; k++) to[k] += m < g->n && g->member[m] == k ? scores[m++] : rest;
        to[g->p->n] += scores[g->n];
    }
}

ath_status athi_parzen_score(athi_arena *arena, const athi_parzen *p, const athi_candidates *candidates,
                             double *log_density) {
    int64_t rows = p->n + 1, n = candidates->n, cells;
    if (!athi_mul(n, rows, &cells)) return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    double *total = athi_arena_array(arena, cells, sizeof *total);
    double *terms = athi_arena_array(arena, rows, sizeof *terms), sum = 1;
    if (!total || !terms) return ATH_E_NOMEM;
    for (int64_t k = 0; k < p->n; k++) sum += p->weights[k];
    for (int64_t k = 0; k < rows; k++) terms[k] = log((k < p->n ? p->weights[k] : 1) / sum);
    for (int64_t c = 0; c < n; c++) memcpy(total + c * rows, terms, (size_t)rows * sizeof *total);
    for (int64_t i = 0; i < p->axes->n_groups; i++) {
        group g = {.p = p, .c = candidates};
        ATH_TRY(score_group(arena, &g, i));
        add_group(&g, total, terms);
    }
    for (int64_t c = 0; c < n; c++) log_density[c] = log_sum(total + c * rows, rows);
    return ATH_OK;
}
