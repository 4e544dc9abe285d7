/* The evolution strategy with covariance matrix adaptation (Hansen, "The CMA evolution strategy: a tutorial",
 * arXiv 1604.00772v2; equations are numbered as there) on the unit cube, with
 *
 *   grids        a margin: each value beside that of the mean keeps a probability (Hamano et al. 2022, "CMA-ES with
 *                margin", arXiv 2205.13482)
 *   categories   a probability a branch, moved towards those of the better members, as in CatCMA (Hamano et al. 2024,
 *                arXiv 2405.09962), with its lower bound
 *
 * The state says how members are drawn; a generation of them, ranked, gives the next state. */
#ifndef ATHI_CMAES_H
#define ATHI_CMAES_H

#include "tune/space.h"

typedef struct athi_cmaes_shape {
    const athi_space_param *const *numbers; /* floats, ints, ordered choices */
    const athi_space_param *const *choices;
    int64_t n, n_choices;
    int64_t n_branches; /* of all choices */
} athi_cmaes_shape;

typedef struct athi_cmaes {
    const athi_cmaes_shape *shape;
    int64_t lambda;
    double sigma;
    double *mean;        /* n */
    double *scale;       /* n: the margin's, on top of the covariance; 1 for floats */
    double *path, *step; /* n: evolution paths of the covariance and of sigma */
    double *covariance;  /* n x n, symmetric */
    double *vectors;     /* n x n: its eigenvectors as columns */
    double *axes;        /* n: square roots of its eigenvalues */
    double *root;        /* n x n: its symmetric square root; eigenvectors have no sign that machines agree on */
    double *chance;      /* n_branches: of each branch */
    double *recent;      /* ATHI_CMAES_RECENT: the best loss of the last generations, a ring */
    int64_t generation, decomposed; /* updates since it began, and when the vectors are from */
} athi_cmaes;

enum { ATHI_CMAES_RECENT = 64 };

/** lambda 0: 4 + 2.5 ln(n), a little less than Hansen's 4 + 3 ln(n), since searches are short and a restart enlarges it.
 * All of the state lies in the arena. */
ath_status athi_cmaes_create(athi_arena *arena, const athi_cmaes_shape *shape, int64_t lambda, double sigma,
                             athi_cmaes *state);
/** The state once more, in another arena. */
ath_status athi_cmaes_copy(athi_arena *arena, const athi_cmaes *from, athi_cmaes *to);
/** Begins anew from another mean: the first sigma and chances, no memory. */
void athi_cmaes_restart(athi_cmaes *state, int64_t lambda, double sigma, const double *mean);

/** A member: n numbers (floats in 0..1, others anywhere) and the branch of each choice. */
void athi_cmaes_draw(const athi_cmaes *state, athi_rng *rng, double *numbers, int *branches);

typedef struct athi_cmaes_member {
    const double *numbers;
    const int *branches;
    double rank; /* 0 is the best; equal ones have the mean of their ranks */
    double loss; /* of the best one; others may have none */
} athi_cmaes_member;
/** The next generation's state from k >= 2 members of this one. ATH_E_FAILED: the covariance cannot be decomposed. */
ath_status athi_cmaes_update(athi_arena *scratch, athi_cmaes *state, const athi_cmaes_member *members, int64_t k);
/** Nothing is left to be gained: no spread, equal losses, or a covariance beyond numbers. */
bool athi_cmaes_stalled(const athi_cmaes *state);

#endif
