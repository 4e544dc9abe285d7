/* Growing the trees of a forest (see forest.h).
 *
 * One pass over the rows of a node weighs a cut of each dimension at once: rows are lines of integer places, whose
 * comparison gives a mask, and so the inner loop becomes vector code. */
#include "tune/forest.h"

#include "base/philox.h"

#include <math.h>

enum { ROWS = 4, LINE = 4, REDRAWS = 3, DEFAULT_TREES = 64 };
enum { FEWEST_CUTS = 12 }; /* that a node looks at, however few dimensions there are */
enum { NO_CUT = INT32_MIN };
static const double DEFAULT_LEAST_LEAF = 3;

typedef struct node_range {
    int64_t first, n, node, depth;
} node_range;

/* Cuts that a node looks at: `rounds` lines of the dimensions. Padding has NO_CUT, left of which nothing lies. */
typedef struct cuts {
    int32_t *at;
    float *weight, *sum; /* of the rows to the left */
} cuts;

/* What the growing of one tree after the other uses. */
typedef struct grower {
    athi_forest *forest;
    const double *x, *y;
    int64_t stride, rounds; /* places in a line; cuts looked at of each dimension */
    int32_t *places;        /* a line a row */
    float *weight, *wy;     /* of each row: times drawn, times drawn * (y - center) / scale */
    int32_t *index, *right; /* the rows of a node lie together; scratch */
    cuts cuts;
    node_range *stack;
    athi_forest_node *nodes; /* where the next tree's begin */
    double *mean, *variance;
    double center, scale;
    uint64_t state; /* of the numbers drawn for this tree */
} grower;

/* SplitMix64 (Steele et al. 2014), begun anew for each tree from Philox: there are a hundred thousand cuts. */
static uint64_t draw(grower *g) {
    uint64_t z = g->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* In 0..n-1 for n < 2^31, from 32 random bits. */
static int64_t below(uint64_t bits, int64_t n) { return (int64_t)((bits & UINT32_MAX) * (uint64_t)n >> 32); }

/* ---- places -------------------------------------------------------------------------------------------- */

/* Code 0 is absence, code b + 1 branch b. */
static int32_t make_code(const athi_forest *f, int64_t tree, int64_t dim, int64_t code) {
    uint32_t w[4];
    uint64_t index = (uint64_t)(tree + 1) << 40 | (uint64_t)dim << 20 | (uint64_t)code;
    athi_philox(f->opts.seed, f->opts.purpose, index, w);
    if (code == 0) return w[0] & 1 ? -1 : ATHI_FOREST_ONE + 1;
    return (int32_t)(w[0] % ATHI_FOREST_ONE);
}

int32_t athi_forest_place(const athi_forest *f, int64_t tree, int64_t dim, double value) {
    const int32_t *codes = f->trees[tree].codes + f->code_of[dim];
    if (isnan(value)) return codes[0];
    if (!f->dims[dim].category) return (int32_t)(fmin(fmax(value, 0), 1) * ATHI_FOREST_ONE);
    int64_t branch = (int64_t)value;
    return branch < f->n_codes[dim] ? codes[branch + 1] : make_code(f, tree, dim, branch + 1);
}

static ath_status make_codes(athi_arena *arena, grower *g) {
    athi_forest *f = g->forest;
    int64_t total = 0;
    for (int64_t j = 0; j < f->d; j++) {
        for (int64_t i = 0; f->dims[j].category && i < f->n; i++) {
            double v = g->x[i * f->d + j];
            if (!isnan(v)) f->n_codes[j] = ATHI_MAX(f->n_codes[j], (int64_t)v + 1);
        }
        f->code_of[j] = total;
        total += f->n_codes[j] + 1;
    }
    int32_t *codes = athi_arena_array(arena, ATHI_MAX(total * f->n_trees, 1), sizeof *codes);
    if (!codes) return ATH_E_NOMEM;
    for (int64_t t = 0; t < f->n_trees; t++, codes += total) {
        for (int64_t j = 0; j < f->d; j++)
            for (int64_t c = 0; athi_forest_varies(&f->dims[j]) && c <= f->n_codes[j]; c++)
                codes[f->code_of[j] + c] = make_code(f, t, j, c);
        f->trees[t].codes = codes;
    }
    return ATH_OK;
}

/* `all`: also what is the same in all trees. */
static void place_rows(grower *g, int64_t tree, bool all) {
    const athi_forest *f = g->forest;
    for (int64_t j = 0; j < f->d; j++) {
        if (!all && !athi_forest_varies(&f->dims[j])) continue;
        for (int64_t i = 0; i < f->n; i++)
            g->places[i * g->stride + j] = athi_forest_place(f, tree, j, g->x[i * f->d + j]);
    }
}

/* ---- one tree ------------------------------------------------------------------------------------------ */

/* Between the values of two rows of the node; if one of them lacks it, on absence. */
static int32_t draw_cut(grower *g, const node_range *r, int64_t dim) {
    const int32_t *index = g->index + r->first;
    for (int k = 0; k < REDRAWS; k++) {
        uint64_t bits = draw(g);
        int32_t a = g->places[index[below(bits, r->n)] * g->stride + dim];
        int32_t b = g->places[index[below(bits >> 32, r->n)] * g->stride + dim];
        if (a == b) continue;
        int32_t low = ATHI_MIN(a, b), high = ATHI_MAX(a, b);
        if (low < 0) return low;
        if (high > ATHI_FOREST_ONE) return ATHI_FOREST_ONE;
        return low + (int32_t)below(draw(g), high - low);
    }
    return NO_CUT;
}

static inline float masked(int32_t bits, int32_t mask) {
    int32_t kept = bits & mask;
    float value;
    memcpy(&value, &kept, sizeof value);
    return value;
}

/* Adds the ROWS rows x, of weights w and values wy (both as bits), to the cuts that they lie left of. */
static void weigh_rows(const int32_t *const x[ROWS], const int32_t w[ROWS], const int32_t wy[ROWS], int64_t n,
                       const int32_t *restrict cut, float *restrict weight, float *restrict sum) {
    const int32_t *restrict x0 = x[0], *restrict x1 = x[1], *restrict x2 = x[2], *restrict x3 = x[3];
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], y0 = wy[0], y1 = wy[1], y2 = wy[2], y3 = wy[3];
    for (int64_t k = 0; k < n; k++) {
        int32_t t = cut[k], m0 = -(x0[k] <= t), m1 = -(x1[k] <= t), m2 = -(x2[k] <= t), m3 = -(x3[k] <= t);
        weight[k] += (masked(w0, m0) + masked(w1, m1)) + (masked(w2, m2) + masked(w3, m3));
        sum[k] += (masked(y0, m0) + masked(y1, m1)) + (masked(y2, m2) + masked(y3, m3));
    }
}

static void weigh(grower *g, const node_range *r) {
    const cuts *c = &g->cuts;
    memset(c->weight, 0, (size_t)(g->rounds * g->stride) * sizeof *c->weight);
    memset(c->sum, 0, (size_t)(g->rounds * g->stride) * sizeof *c->sum);
    for (int64_t i = 0; i < r->n; i += ROWS) {
        const int32_t *x[ROWS];
        int32_t w[ROWS] = {0}, wy[ROWS] = {0};
        for (int64_t k = 0; k < ROWS; k++) {
            int64_t row = g->index[r->first + ATHI_MIN(i + k, r->n - 1)];
            x[k] = g->places + row * g->stride;
            if (i + k >= r->n) continue;
            memcpy(&w[k], &g->weight[row], sizeof w[k]);
            memcpy(&wy[k], &g->wy[row], sizeof wy[k]);
        }
        for (int64_t round = 0; round < g->rounds; round++) {
            int64_t at = round * g->stride;
            weigh_rows(x, w, wy, g->stride, c->at + at, c->weight + at, c->sum + at);
        }
    }
}

typedef struct split {
    double gain;
    int64_t dim;
    int32_t cut;
} split;

/* The cut with the largest sum of squared means, which leaves the least variance. */
static bool find_split(grower *g, const node_range *r, double weight, double sum, split *best) {
    const double least = g->forest->opts.least_leaf;
    const cuts *c = &g->cuts;
    for (int64_t round = 0; round < g->rounds; round++)
        for (int64_t j = 0; j < g->forest->d; j++) c->at[round * g->stride + j] = draw_cut(g, r, j);
    weigh(g, r);
    *best = (split){.gain = sum * sum / weight * (1 + 1e-6) + 1e-9, .dim = -1};
    for (int64_t k = 0; k < g->rounds * g->stride; k++) {
        double wl = (double)c->weight[k], wr = weight - wl, sl = (double)c->sum[k], sr = sum - sl;
        if (wl < least || wr < least) continue;
        double gain = sl * sl / wl + sr * sr / wr;
        if (gain > best->gain) *best = (split){gain, k % g->stride, c->at[k]};
    }
    return best->dim >= 0;
}

/* Rows to the left first; the order within a side stays. Returns how many. */
static int64_t partition(grower *g, const node_range *r, const split *s) {
    int64_t left = r->first, n_right = 0;
    for (int64_t i = r->first; i < r->first + r->n; i++) {
        int32_t row = g->index[i];
        bool is_left = g->places[row * g->stride + s->dim] <= s->cut;
        g->index[left] = row; /* overwritten by the next one unless it stays */
        g->right[n_right] = row;
        left += is_left, n_right += !is_left;
    }
    memcpy(g->index + left, g->right, (size_t)n_right * sizeof *g->right);
    return left - r->first;
}

static void make_leaf(grower *g, const node_range *r) {
    double weight = 0, mean = 0, sum = 0;
    for (int64_t i = r->first; i < r->first + r->n; i++) {
        int32_t row = g->index[i];
        weight += (double)g->weight[row], mean += (double)g->weight[row] * g->y[row];
    }
    mean /= weight;
    for (int64_t i = r->first; i < r->first + r->n; i++) {
        int32_t row = g->index[i];
        sum += (double)g->weight[row] * (g->y[row] - mean) * (g->y[row] - mean);
    }
    g->nodes[r->node] = (athi_forest_node){.left = (int32_t)r->node};
    g->mean[r->node] = mean, g->variance[r->node] = sum / weight;
}

/* Grows the tree over the first n rows of g->index; returns the number of nodes. */
static int64_t grow(grower *g, int64_t n, int64_t *depth) {
    int64_t n_nodes = 1, top = 0;
    *depth = 0;
    g->stack[top++] = (node_range){0, n, 0, 0};
    while (top > 0) {
        node_range r = g->stack[--top];
        double weight = 0, sum = 0;
        split s;
        for (int64_t i = r.first; i < r.first + r.n; i++)
            weight += (double)g->weight[g->index[i]], sum += (double)g->wy[g->index[i]];
        *depth = ATHI_MAX(*depth, r.depth);
        if (r.n < 2 || weight < 2 * g->forest->opts.least_leaf || !find_split(g, &r, weight, sum, &s)) {
            make_leaf(g, &r);
            continue;
        }
        int64_t left = partition(g, &r, &s);
        g->nodes[r.node] = (athi_forest_node){s.cut, (int32_t)n_nodes, (int32_t)s.dim, 1};
        g->stack[top++] = (node_range){r.first + left, r.n - left, n_nodes + 1, r.depth + 1};
        g->stack[top++] = (node_range){r.first, left, n_nodes, r.depth + 1};
        n_nodes += 2;
    }
    return n_nodes;
}

/* Draws n rows with replacement; returns how many different ones. */
static int64_t bootstrap(grower *g) {
    int64_t n = g->forest->n, different = 0;
    memset(g->weight, 0, (size_t)n * sizeof *g->weight);
    for (int64_t i = 0; i < n; i++) g->weight[below(draw(g), n)] += 1;
    for (int64_t i = 0; i < n; i++) {
        if (g->weight[i] == 0) continue;
        g->wy[i] = (float)((double)g->weight[i] * (g->y[i] - g->center) / g->scale);
        g->index[different++] = (int32_t)i;
    }
    return different;
}

static void predict_out_of_bag(grower *g, const athi_forest_tree *tree) {
    athi_forest *f = g->forest;
    for (int64_t i = 0; i < f->n; i++) {
        if (g->weight[i] != 0) continue;
        const athi_forest_node *node = tree->nodes;
        while (node->inner) node = tree->nodes + node->left + (g->places[i * g->stride + node->dim] > node->cut);
        int64_t leaf = node - tree->nodes;
        f->oob_mean[i] += tree->mean[leaf];
        f->oob_total[i] += tree->variance[leaf] + tree->mean[leaf] * tree->mean[leaf];
        f->oob_trees[i]++;
    }
}

/* ---- all trees ----------------------------------------------------------------------------------------- */

static ath_status allocate_forest(athi_arena *arena, athi_forest *f) {
    int64_t n = f->n, d = ATHI_MAX(f->d, 1);
    f->trees = athi_arena_array(arena, f->n_trees, sizeof *f->trees);
    f->code_of = athi_arena_array(arena, d, sizeof *f->code_of);
    f->n_codes = athi_arena_array(arena, d, sizeof *f->n_codes);
    f->oob_mean = athi_arena_array(arena, n, sizeof *f->oob_mean);
    f->oob_total = athi_arena_array(arena, n, sizeof *f->oob_total);
    f->oob_trees = athi_arena_array(arena, n, sizeof *f->oob_trees);
    f->block = athi_arena_array(arena, ATHI_FOREST_BLOCK * d, sizeof *f->block);
    return f->trees && f->code_of && f->n_codes && f->oob_mean && f->oob_total && f->oob_trees && f->block
               ? ATH_OK
               : ATH_E_NOMEM;
}

static ath_status allocate_grower(athi_arena *arena, grower *g) {
    int64_t n = g->forest->n, d = ATHI_MAX(g->forest->d, 1), nodes, cells, slots;
    g->stride = (d + LINE - 1) / LINE * LINE;
    g->rounds = ATHI_MAX(FEWEST_CUTS / d, 1), slots = g->rounds * g->stride;
    if (!athi_mul(2 * n, g->forest->n_trees, &nodes) || !athi_mul(n, g->stride, &cells) || 2 * n > INT32_MAX)
        return athi_nomem(athi_arena_ctx(arena), INT64_MAX);
    g->places = athi_arena_array(arena, cells, sizeof *g->places);
    g->weight = athi_arena_array(arena, n, sizeof *g->weight);
    g->wy = athi_arena_array(arena, n, sizeof *g->wy);
    g->index = athi_arena_array(arena, n + 1, sizeof *g->index);
    g->right = athi_arena_array(arena, n + 1, sizeof *g->right);
    g->stack = athi_arena_array(arena, n + 1, sizeof *g->stack);
    g->nodes = athi_arena_array(arena, nodes, sizeof *g->nodes);
    g->mean = athi_arena_array(arena, nodes, sizeof *g->mean);
    g->variance = athi_arena_array(arena, nodes, sizeof *g->variance);
    g->cuts.at = athi_arena_array(arena, slots, sizeof *g->cuts.at);
    g->cuts.weight = athi_arena_array(arena, slots, sizeof *g->cuts.weight);
    g->cuts.sum = athi_arena_array(arena, slots, sizeof *g->cuts.sum);
    if (!g->places || !g->weight || !g->wy || !g->index || !g->right || !g->stack || !g->nodes || !g->mean ||
        !g->variance || !g->cuts.at || !g->cuts.weight || !g->cuts.sum)
        return ATH_E_NOMEM;
    for (int64_t k = 0; k < slots; k++) g->cuts.at[k] = NO_CUT;
    return ATH_OK;
}

/* Sums of floats are of numbers around zero and one. */
static void scale_values(grower *g) {
    int64_t n = g->forest->n;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) g->center += g->y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) sum += (g->y[i] - g->center) * (g->y[i] - g->center) / (double)n;
    g->scale = sum > 0 ? sqrt(sum) : 1;
}

ath_status athi_forest_fit(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                           int64_t n, const athi_forest_opts *opts, athi_forest *f) {
    *f = (athi_forest){.dims = dims, .d = d, .n = n, .opts = *opts};
    f->n_trees = opts->trees ? opts->trees : DEFAULT_TREES;
    if (f->opts.least_leaf == 0) f->opts.least_leaf = DEFAULT_LEAST_LEAF;
    grower g = {.forest = f, .x = x, .y = y};
    ATH_TRY(allocate_forest(arena, f));
    ATH_TRY(allocate_grower(arena, &g));
    ATH_TRY(make_codes(arena, &g));
    scale_values(&g);
    for (int64_t t = 0; t < f->n_trees; t++) {
        athi_forest_tree *tree = &f->trees[t];
        uint32_t w[4];
        athi_philox(opts->seed, opts->purpose, (uint64_t)t, w);
        g.state = (uint64_t)w[0] << 32 | w[1];
        place_rows(&g, t, t == 0);
        tree->nodes = g.nodes, tree->mean = g.mean, tree->variance = g.variance;
        int64_t n_nodes = grow(&g, bootstrap(&g), &tree->depth);
        predict_out_of_bag(&g, tree);
        g.nodes += n_nodes, g.mean += n_nodes, g.variance += n_nodes;
    }
    return ATH_OK;
}
