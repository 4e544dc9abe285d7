/* A random forest for regression over mixed, conditional inputs: the surrogate for many categories and conditions.
 *
 * Each tree sees a bootstrap sample. A node looks at random cuts of every dimension and takes the one that leaves the
 * least variance (extremely randomized trees: Geurts et al. 2006, "Extremely randomized trees"); between values of
 * two random rows, so cuts lie where the rows are.
 *
 *   numbers      low | high
 *   categories   each tree has an order of its own of the branches, in which a cut parts them
 *   absence      stands below or above all values, as the tree likes; cut off alone, or with the low, or the high
 *
 * Mean and variance of a prediction are those of the mixture of the trees' leaves, by the law of total variance
 * (Hutter et al. 2014, "Algorithm runtime prediction", 4.3.2). A tree that did not see a row predicts it out of bag.
 *
 * Everything is a function of the rows and (seed, purpose): no stream, and any tree could be grown alone. */
#ifndef ATHI_FOREST_H
#define ATHI_FOREST_H

#include "tune/gp.h"

typedef struct athi_forest_opts {
    int64_t trees;     /* 0: 64 */
    double least_leaf; /* rows in a leaf, those drawn twice counted twice; 0: 3 */
    uint64_t seed, purpose;
} athi_forest_opts;

/* Values are places, integers: a number in 0..ATHI_FOREST_ONE; a branch by its tree's order; absence just outside. */
enum { ATHI_FOREST_ONE = 1 << 28, ATHI_FOREST_BLOCK = 64 };

typedef struct athi_forest_node {
    int32_t cut;  /* left: place <= cut */
    int32_t left; /* the right child follows it; a leaf's is itself */
    int32_t dim;
    int32_t inner; /* 0: a leaf */
} athi_forest_node;

typedef struct athi_forest_tree {
    const athi_forest_node *nodes;
    const double *mean, *variance; /* of each leaf */
    int64_t depth;
    const int32_t *codes; /* per dimension: the place of absence, then those of the known branches */
} athi_forest_tree;

typedef struct athi_forest {
    const athi_gp_dim *dims;
    int64_t d, n, n_trees;
    athi_forest_tree *trees;
    int64_t *code_of, *n_codes;   /* per dimension: where its codes begin, how many branches are known */
    double *oob_mean, *oob_total; /* sums over the trees that did not see a row: of means, of variance + mean^2 */
    int64_t *oob_trees;
    int32_t *block; /* scratch of a prediction */
    athi_forest_opts opts;
} athi_forest;

/** Grows the trees. Rows are those of athi_encode: 0..1, NaN where an optional dimension is absent, a
 * category's branch number. They are borrowed only here; `dims` for as long as the forest. n >= 1. */
ath_status athi_forest_fit(athi_arena *arena, const athi_gp_dim *dims, int64_t d, const double *x, const double *y,
                           int64_t n, const athi_forest_opts *opts, athi_forest *forest);
/** At m rows. Not for two threads at a time. */
void athi_forest_predict(const athi_forest *forest, const double *rows, int64_t m, double *mean, double *variance);
/** At the n rows of the fit, by the trees that did not see them; NaN where all did. */
void athi_forest_oob(const athi_forest *forest, double *mean, double *variance);

/* ---- shared by fit and prediction --------------------------------------------------------------------- */

/** Whether a value's place is not the same in all trees. */
static inline bool athi_forest_varies(const athi_gp_dim *dim) { return dim->category || dim->optional; }
int32_t athi_forest_place(const athi_forest *forest, int64_t tree, int64_t dim, double value);

#endif
