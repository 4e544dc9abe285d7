/* The table of samplers. */
#include "tune/sampler_internal.h"

static const athi_row rows[] = {
    {.name = "auto",
     .doc = "Gaussian process and random forest, each weighted by how well it predicted the trials so far; tpe after "
            "500 "
            "trials, cmaes above 300 numbers, nsga2 for several objectives, and repeats of the best points at the "
            "end where values are mostly noise.",
     .impl = &athi_sampler_auto},
    {.name = "random", .doc = "Draws from the priors, no point twice.", .impl = &athi_sampler_random},
    {.name = "grid",
     .doc = "Every point once, defaults first; floats and log ints without a step give ten values each.",
     .impl = &athi_sampler_grid},
    {.name = "bayesian",
     .doc = "Gaussian process (Matern 5/2, a length scale per parameter) with log expected improvement "
            "(https://arxiv.org/abs/2310.20708).",
     .options = athi_sampler_bayesian_options,
     .opts_size = sizeof(athi_bayesian_opts),
     .impl = &athi_sampler_bayesian},
    {.name = "sobol",
     .doc = "A scrambled Sobol sequence: more even than random draws, and as parallel (64 parameters, then draws).",
     .impl = &athi_sampler_sobol},
    {.name = "tpe",
     .doc =
         "Tree-structured Parzen estimator, multivariate, with Optuna 5's rules (https://arxiv.org/abs/2304.11127); "
         "quick with thousands of trials.",
     .options = athi_sampler_tpe_options,
     .opts_size = sizeof(athi_tpe_opts),
     .impl = &athi_sampler_tpe},
    {.name = "forest",
     .doc = "Random forest with log expected improvement, as in SMAC (https://arxiv.org/abs/2109.09831): for many "
            "choices and conditions.",
     .options = athi_sampler_forest_options,
     .opts_size = sizeof(athi_forest_sampler_opts),
     .impl = &athi_sampler_forest},
    {.name = "cmaes",
     .doc =
         "Evolution strategy with covariance matrix adaptation (https://arxiv.org/abs/1604.00772), with margin for "
         "grids, learned chances for choices, and restarts: for a thousand trials and more.",
     .options = athi_sampler_cmaes_options,
     .opts_size = sizeof(athi_cmaes_sampler_opts),
     .impl = &athi_sampler_cmaes},
    {.name = "de",
     .doc = "Differential evolution, asynchronous, with DEHB's constants (https://arxiv.org/abs/2105.09821): simple, "
            "and "
            "at home in mixed spaces.",
     .options = athi_sampler_de_options,
     .opts_size = sizeof(athi_de_opts),
     .impl = &athi_sampler_de},
    {.name = "ehvi",
     .doc = "A Gaussian process an objective, and the hypervolume that a point is expected to add "
            "(https://doi.org/10.1007/s10898-019-00798-7): several objectives and constraints, for some hundred trials.",
     .options = athi_sampler_ehvi_options,
     .opts_size = sizeof(athi_bayesian_opts),
     .impl = &athi_sampler_ehvi},
    {.name = "nsga2",
     .doc =
         "NSGA-II (https://doi.org/10.1109/4235.996017), an offspring at a time: several objectives and constraints, "
         "for a thousand trials and more.",
     .options = athi_sampler_nsga2_options,
     .opts_size = sizeof(athi_nsga2_opts),
     .impl = &athi_sampler_nsga2},
    {0},
};

const athi_kind athi_samplers = {"sampler", "samplers", rows};
