/* Predictions of a forest (see forest.h): a block of rows goes down one tree after the other. */
#include "tune/forest.h"

#include <math.h>

/* Places, dimension by dimension a line of ATHI_FOREST_BLOCK. `all`: also what is the same in all trees. */
static void place(const athi_forest *f, int64_t tree, bool all, const double *rows, int64_t count) {
    for (int64_t j = 0; j < f->d; j++) {
        if (!all && !athi_forest_varies(&f->dims[j])) continue;
        for (int64_t i = 0; i < count; i++)
            f->block[j * ATHI_FOREST_BLOCK + i] = athi_forest_place(f, tree, j, rows[i * f->d + j]);
    }
}

/* All rows make each step together, so that none waits for its own; a row in a leaf stays there. */
static void descend(const athi_forest *f, const athi_forest_tree *tree, int64_t count, int32_t *at) {
    memset(at, 0, (size_t)count * sizeof *at);
    for (int64_t level = 0; level < tree->depth; level++)
        for (int64_t i = 0; i < count; i++) {
            const athi_forest_node *node = &tree->nodes[at[i]];
            at[i] = node->left + (node->inner & (f->block[node->dim * ATHI_FOREST_BLOCK + i] > node->cut));
        }
}

void athi_forest_predict(const athi_forest *f, const double *rows, int64_t m, double *mean, double *variance) {
    int32_t at[ATHI_FOREST_BLOCK];
    double total[ATHI_FOREST_BLOCK];
    for (int64_t from = 0, count; from < m; from += count) {
        count = ATHI_MIN(m - from, ATHI_FOREST_BLOCK);
        const double *block = rows + from * f->d;
        for (int64_t i = 0; i < count; i++) mean[from + i] = total[i] = 0;
        for (int64_t t = 0; t < f->n_trees; t++) {
            const athi_forest_tree *tree = &f->trees[t];
            place(f, t, t == 0, block, count);
            descend(f, tree, count, at);
            for (int64_t i = 0; i < count; i++) {
                double leaf = tree->mean[at[i]];
                mean[from + i] += leaf;
                total[i] += tree->variance[at[i]] + leaf * leaf;
            }
        }
        for (int64_t i = 0; i < count; i++) {
            mean[from + i] /= (double)f->n_trees;
            variance[from + i] = fmax(total[i] / (double)f->n_trees - mean[from + i] * mean[from + i], 0);
        }
    }
}

void athi_forest_oob(const athi_forest *f, double *mean, double *variance) {
    for (int64_t i = 0; i < f->n; i++) {
        double trees = (double)f->oob_trees[i];
        mean[i] = trees > 0 ? f->oob_mean[i] / trees : NAN;
        variance[i] = trees > 0 ? fmax(f->oob_total[i] / trees - mean[i] * mean[i], 0) : NAN;
    }
}
