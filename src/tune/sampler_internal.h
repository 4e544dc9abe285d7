/* What samplers share: the walk over all points of a finite space, and which points were tried. */
#ifndef ATHI_SAMPLER_INTERNAL_H
#define ATHI_SAMPLER_INTERNAL_H

#include "tune/sampler.h"

extern const athi_sampler_impl athi_sampler_random, athi_sampler_grid, athi_sampler_bayesian, athi_sampler_sobol;
extern const athi_sampler_impl athi_sampler_auto;
extern const athi_option athi_sampler_bayesian_options[];
extern const athi_sampler_impl athi_sampler_tpe, athi_sampler_forest, athi_sampler_cmaes, athi_sampler_de;
extern const athi_sampler_impl athi_sampler_nsga2, athi_sampler_ehvi;
extern const athi_option athi_sampler_cmaes_options[], athi_sampler_de_options[];
extern const athi_option athi_sampler_nsga2_options[], athi_sampler_ehvi_options[];
extern const athi_option athi_sampler_tpe_options[], athi_sampler_forest_options[];

typedef struct athi_bayesian_opts {
    size_t struct_size;
    bool exact;
    int64_t num_initial_points; /* 0: chosen from the space and the budget */
    double alpha;               /* lowest noise variance, in units of the values' variance */
    double explore;             /* improvement asked for beyond the best, in units of the values' deviation */
    double feasibility;         /* weight of the probability that a point does not fail; 0: failures are ignored */
    bool input_warp;            /* numbers are warped (gp_input.h) */
    int64_t hyperparameter_samples; /* drawn from their posterior, and their improvements averaged; 0: its maximum */
} athi_bayesian_opts;

typedef struct athi_tpe_opts {
    size_t struct_size;
    bool exact;
    int64_t num_initial_points; /* finished trials before the model is used */
    int64_t candidates;         /* drawn from the density of the good trials */
} athi_tpe_opts;

typedef struct athi_forest_sampler_opts {
    size_t struct_size;
    bool exact;
    int64_t num_initial_points; /* 0: chosen from the space and the budget */
    int64_t trees;
    double random_share; /* of the suggestions that are plain draws */
    double feasibility;  /* weight of the probability that a point does not fail; 0: failures are ignored */
} athi_forest_sampler_opts;

typedef struct athi_cmaes_sampler_opts {
    size_t struct_size;
    bool exact;
    int64_t population; /* 0: 4 + 2.5 ln(parameters) */
    double sigma;       /* first standard deviation, in the unit interval of each prior */
    double increase;    /* factor of the population at a restart; 0: no restarts */
} athi_cmaes_sampler_opts;

typedef struct athi_de_opts {
    size_t struct_size;
    bool exact;
    int64_t population;
    double factor, crossover;
} athi_de_opts;

typedef struct athi_nsga2_opts {
    size_t struct_size;
    bool exact;
    int64_t population;
    double crossover;
    double mutation; /* 0: one over the number of parameters */
} athi_nsga2_opts;

/* ---- the frame of a suggestion ------------------------------------------------------------------- */

typedef struct athi_suggestion {
    ath_status (*search)(ath_ctx *ctx, athi_arena *arena, const void *opts, const athi_view *view, double *point,
                         bool *exhausted);
    int64_t (*room)(const void *opts, const athi_view *view); /* bytes that the arena begins with; NULL: a few */
} athi_suggestion;
/** Runs `search` with an arena that ends with it and OpenBLAS held to one thread. */
ath_status athi_suggestion_run(ath_ctx *ctx, const athi_suggestion *s, const void *opts, const athi_view *view,
                               double *point, bool *exhausted);

/* ---- all points ----------------------------------------------------------------------------------- */
/*
 * The conditional tree is walked like an odometer whose wheels come and go: the last parameter that exists
 * and has another value moves on, those after it start again. Each wheel shows the default first, so the
 * first point is the default. Every point comes once. */
typedef struct athi_walk {
    const athi_space *space;
    const double **levels; /* per parameter: its values, default first; NULL: the whole grid */
    int64_t *count, *at;
} athi_walk;

/** levels: values per parameter without a step (floats, log ints); 0: the space must be finite and is walked
 * whole. */
ath_status athi_walk_create(athi_arena *arena, const athi_space *space, int levels, athi_walk *walk);
void athi_walk_first(athi_walk *walk, double *point);
bool athi_walk_next(athi_walk *walk, double *point); /* false: that was the last one */

/* ---- tried points --------------------------------------------------------------------------------- */

/** Whether a visible trial has this point, or a constraint forbids it: one pass without memory, for a question or two. */
bool athi_tried(const athi_view *view, const double *point);

typedef struct athi_tried_set {
    const athi_space *space;
    double *points; /* rows */
    int64_t *slots; /* row + 1, open addressing */
    int64_t n, mask;
} athi_tried_set;
ath_status athi_tried_set_create(athi_arena *arena, const athi_view *view, athi_tried_set *set);
/** Also true of what a constraint forbids: nobody proposes it. */
bool athi_tried_set_has(const athi_tried_set *set, const double *point);

/** Squared distance in the unit cube; a parameter that exists in one of the points only, or another branch of
 * an unordered choice, counts 1. */
double athi_point_distance(const athi_space *space, const double *a, const double *b);

/** Copies of a view's point with what is missing filled in. */
void athi_trial_point(const athi_view *view, int64_t i, double *point);

/* ---- option rows that samplers with a Gaussian process share ---------------------------------------- */

#define ATHI_ROW_FIRST_POINTS                                                                                        \
    {                                                                                                                \
        .name = "num_initial_points", .type = ATHI_OPT_INT,                                                          \
        .offset = offsetof(athi_bayesian_opts, num_initial_points), .fallback = "null", .min = 1, .max = 1000000,    \
        .nullable = true,                                                                                            \
        .doc = "trials before the model is used; by default one more than the parameters, 6 to 20, at most a fifth " \
               "of max_trials"                                                                                       \
    }
#define ATHI_ROW_ALPHA(least)                                                                                        \
    {                                                                                                                \
        .name = "alpha", .type = ATHI_OPT_FLOAT, .offset = offsetof(athi_bayesian_opts, alpha), .fallback = least,   \
        .min = 1e-8, .max = 1,                                                                                       \
        .doc = "least variance of the noise, which is learned, in units of the variance of the values"               \
    }
#define ATHI_ROW_FEASIBILITY                                                                                         \
    {                                                                                                                \
        .name = "feasibility", .type = ATHI_OPT_FLOAT, .offset = offsetof(athi_bayesian_opts, feasibility),          \
        .fallback = "1", .min = 0, .max = 10,                                                                        \
        .doc = "weight of the probability that a point does not fail; 0: failed trials are ignored"                  \
    }

#endif
