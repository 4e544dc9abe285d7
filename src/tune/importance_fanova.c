/* fANOVA over a forest (Hutter et al. 2014, algorithm 2): a tree is a partition of the cube into boxes with a mean each,
 * so the mean over all other parameters, and its variance along one of them, are sums over its leaves.
 *
 * Parameters that exist in the same trials are judged together, by a forest over those trials and over the parameters
 * that exist in all of them. */
#include "tune/forest.h"
#include "tune/importance.h"

#include <math.h>
#include <stdlib.h>

enum {
    FEWEST = 8,      /* trials that say anything */
    MOST = 2000,     /* trials of a forest; beyond, evenly many of them */
    PURPOSE = 0xFA0, /* of its random numbers */
};

/* Trials, dimensions and the forest of one group. */
typedef struct group {
    const athi_space *space;
    const athi_trial **trials;
    int64_t n, d;
    int *params;
    athi_gp_dim *dims;
    athi_forest forest;
} group;

/* ---- one tree ------------------------------------------------------------------------------------ */

/* The cuts of a dimension in one tree, and what lies below each: mass[k] of the values up to cut k. */
typedef struct axis {
    int32_t *cut;
    int64_t n;
    double *level; /* the mean over all others, as differences between neighbouring pieces; n + 2 */
} axis;

typedef struct walk {
    const group *g;
    int64_t tree;
    axis *axes;
    int32_t *low, *high; /* the present box: low < place <= high */
    double mean, square; /* of the whole tree's function */
} walk;

static int ascending(const void *a, const void *b) {
    const int32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The share of a dimension's values whose place is at most `place`. */
static double mass_below(const walk *w, int64_t dim, int32_t place) {
    const athi_forest *f = &w->g->forest;
    if (!f->dims[dim].category) return fmin(fmax((double)place / ATHI_FOREST_ONE, 0), 1);
    int64_t below = 0, known = f->n_codes[dim];
    for (int64_t b = 0; b < known; b++) below += athi_forest_place(f, w->tree, dim, (double)b) <= place;
    return known ? (double)below / (double)known : 0;
}

static int64_t piece_of(const axis *a, int32_t cut) {
    int64_t low = 0, high = a->n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (a->cut[middle] < cut)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ath_status find_cuts(athi_arena *arena, walk *w) {
    const athi_forest_tree *tree = &w->g->forest.trees[w->tree];
    int64_t d = w->g->d, nodes = 1;
    for (int64_t i = 0; i < nodes; i++)
        if (tree->nodes[i].inner) nodes = ATHI_MAX(nodes, tree->nodes[i].left + 2), w->axes[tree->nodes[i].dim].n++;
    for (int64_t j = 0; j < d; j++) {
        axis *a = &w->axes[j];
        a->cut = athi_arena_array(arena, a->n + 1, (int64_t)sizeof *a->cut);
        a->level = athi_arena_array(arena, a->n + 2, (int64_t)sizeof *a->level);
        if (!a->cut || !a->level) return ATH_E_NOMEM;
        a->n = 0;
    }
    for (int64_t i = 0; i < nodes; i++)
        if (tree->nodes[i].inner) {
            axis *a = &w->axes[tree->nodes[i].dim];
            a->cut[a->n++] = tree->nodes[i].cut;
        }
    for (int64_t j = 0; j < d; j++) {
        axis *a = &w->axes[j];
        int64_t n = 0;
        qsort(a->cut, (size_t)a->n, sizeof *a->cut, ascending);
        for (int64_t i = 0; i < a->n; i++)
            if (n == 0 || a->cut[n - 1] != a->cut[i]) a->cut[n++] = a->cut[i];
        a->n = n;
    }
    return ATH_OK;
}

/* A leaf's box adds its mean to the whole, and along each dimension to the pieces that it spans. */
static void add_leaf(walk *w, double mean) {
    double volume = 1;
    for (int64_t j = 0; j < w->g->d; j++) volume *= mass_below(w, j, w->high[j]) - mass_below(w, j, w->low[j]);
    if (!(volume > 0)) return;
    w->mean += volume * mean;
    w->square += volume * mean * mean;
    for (int64_t j = 0; j < w->g->d; j++) {
        axis *a = &w->axes[j];
        double side = mass_below(w, j, w->high[j]) - mass_below(w, j, w->low[j]), share = volume / side * mean;
        int64_t first = w->low[j] == INT32_MIN ? 0 : piece_of(a, w->low[j]) + 1;
        int64_t end = w->high[j] == INT32_MAX ? a->n + 1 : piece_of(a, w->high[j]) + 1;
        a->level[first] += share;
        a->level[end] -= share;
    }
}

static void descend(walk *w, int64_t at) {
    const athi_forest_tree *tree = &w->g->forest.trees[w->tree];
    const athi_forest_node *node = &tree->nodes[at];
    if (!node->inner) {
        add_leaf(w, tree->mean[at]);
        return;
    }
    int32_t low = w->low[node->dim], high = w->high[node->dim];
    w->high[node->dim] = ATHI_MIN(high, node->cut);
    descend(w, node->left);
    w->high[node->dim] = high;
    w->low[node->dim] = ATHI_MAX(low, node->cut);
    descend(w, node->left + 1);
    w->low[node->dim] = low;
}

/* The variance of the mean over all other dimensions along this one. */
static double variance_along(const walk *w, int64_t dim) {
    const axis *a = &w->axes[dim];
    double level = 0, below = 0, square = 0;
    for (int64_t k = 0; k <= a->n; k++) {
        double up_to = k < a->n ? mass_below(w, dim, a->cut[k]) : 1;
        level += a->level[k];
        square += (up_to - below) * (level - w->mean) * (level - w->mean);
        below = up_to;
    }
    return square;
}

/* Adds each dimension's share of this tree's variance; false: the tree is flat. */
static ath_status add_tree(athi_arena *arena, const group *g, int64_t tree, double *shares, int64_t *trees) {
    walk w = {.g = g, .tree = tree};
    w.axes = athi_arena_array(arena, g->d, (int64_t)sizeof *w.axes);
    w.low = athi_arena_array(arena, 2 * g->d, (int64_t)sizeof *w.low);
    if (!w.axes || !w.low) return ATH_E_NOMEM;
    w.high = w.low + g->d;
    for (int64_t j = 0; j < g->d; j++) w.low[j] = INT32_MIN, w.high[j] = INT32_MAX;
    ATH_TRY(find_cuts(arena, &w));
    descend(&w, 0);
    double variance = w.square - w.mean * w.mean;
    if (!(variance > 1e-12 * w.square)) return ATH_OK;
    for (int64_t j = 0; j < g->d; j++) shares[j] += fmin(variance_along(&w, j) / variance, 1);
    ++*trees;
    return ATH_OK;
}

/* ---- one group ----------------------------------------------------------------------------------- */

static ath_status gather(athi_arena *arena, const athi_importance_task *task, group *g, double **x, double **y) {
    *x = athi_arena_array(arena, g->n * g->d + 1, (int64_t)sizeof **x);
    *y = athi_arena_array(arena, g->n + 1, (int64_t)sizeof **y);
    if (!*x || !*y) return ATH_E_NOMEM;
    for (int64_t i = 0; i < g->n; i++) {
        (*y)[i] = g->trials[i]->values[task->objective];
        for (int64_t j = 0; j < g->d; j++) {
            const athi_space_param *p = &task->space->params[g->params[j]];
            double v = g->trials[i]->point[g->params[j]];
            (*x)[i * g->d + j] = g->dims[j].category ? v : athi_param_to_unit(p, v);
        }
    }
    return ATH_OK;
}

/* The trials that have `param`, and the parameters that all of these have. */
static ath_status make_group(athi_arena *arena, const athi_trial **all, int64_t n_all, int64_t param, group *g) {
    int64_t p_n = g->space->n, have = 0, seen = 0;
    g->trials = athi_arena_array(arena, n_all + 1, (int64_t)sizeof *g->trials);
    g->params = athi_arena_array(arena, p_n, (int64_t)sizeof *g->params);
    g->dims = athi_arena_array(arena, p_n, (int64_t)sizeof *g->dims);
    if (!g->trials || !g->params || !g->dims) return ATH_E_NOMEM;
    for (int64_t i = 0; i < n_all; i++) have += !isnan(all[i]->point[param]);
    for (int64_t i = 0; i < n_all; i++) {
        if (isnan(all[i]->point[param])) continue;
        bool taken = have <= MOST || (seen * MOST) / have != ((seen + 1) * MOST) / have;
        seen++;
        if (taken) g->trials[g->n++] = all[i];
    }
    for (int64_t p = 0; p < p_n; p++) {
        const athi_space_param *of = &g->space->params[p];
        bool in_all = athi_param_count(of) != 1;
        for (int64_t i = 0; in_all && i < g->n; i++) in_all = !isnan(g->trials[i]->point[p]);
        if (!in_all) continue;
        g->dims[g->d].category = of->type == ATHI_PARAM_CHOICE && !of->ordered;
        g->params[g->d++] = (int)p;
    }
    return ATH_OK;
}

/* Do the same trials have both? */
static bool same_trials(const athi_trial **all, int64_t n, int64_t a, int64_t b) {
    for (int64_t i = 0; i < n; i++)
        if (isnan(all[i]->point[a]) != isnan(all[i]->point[b])) return false;
    return true;
}

static ath_status judge(athi_arena *arena, const athi_importance_task *task, const athi_trial **all, int64_t n,
                        int64_t param, double *importance) {
    group g = {.space = task->space};
    double *x, *y;
    int64_t trees = 0;
    ATH_TRY(make_group(arena, all, n, param, &g));
    if (g.n < FEWEST) return ATH_OK;
    if (athi_param_count(&task->space->params[param]) == 1) importance[param] = 0;
    if (g.d == 0) return ATH_OK;
    double *shares = athi_arena_array(arena, g.d, (int64_t)sizeof *shares);
    if (!shares) return ATH_E_NOMEM;
    ATH_TRY(gather(arena, task, &g, &x, &y));
    athi_forest_opts opts = {.purpose = PURPOSE};
    ATH_TRY(athi_forest_fit(arena, g.dims, g.d, x, y, g.n, &opts, &g.forest));
    for (int64_t t = 0; t < g.forest.n_trees; t++) ATH_TRY(add_tree(arena, &g, t, shares, &trees));
    for (int64_t j = 0; j < g.d; j++)
        if (same_trials(all, n, param, g.params[j])) importance[g.params[j]] = trees ? shares[j] / (double)trees : 0;
    return ATH_OK;
}

ath_status athi_importance_fanova(athi_arena *arena, const athi_importance_task *task, double *importance) {
    const athi_trial **all;
    int64_t n;
    for (int64_t i = 0; i < task->space->n; i++) importance[i] = NAN;
    ATH_TRY(athi_importance_trials(arena, task, &all, &n));
    for (int64_t i = 0; i < task->space->n; i++) {
        if (!isnan(importance[i])) continue;
        athi_arena *scratch = athi_arena_create(athi_arena_ctx(arena));
        if (!scratch) return ATH_E_NOMEM;
        ath_status status = judge(scratch, task, all, n, i, importance);
        athi_arena_destroy(scratch);
        if (status != ATH_OK) return status;
    }
    return ATH_OK;
}
