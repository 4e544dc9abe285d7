/* The search space: named parameters, the conditions under which they exist, and points in it.
 *
 * A point is a double per parameter: the value of an int or float, the index of a choice, NaN where the
 * parameter does not exist. The unit cube (athi_space_to_unit) is what models work in: a parameter's prior
 * CDF, so that uniform there is the prior here. */
#ifndef ATHI_SPACE_H
#define ATHI_SPACE_H

#include "base/expr.h"
#include "base/philox.h"
#include "base/value.h"

typedef enum athi_param_type { ATHI_PARAM_INT, ATHI_PARAM_FLOAT, ATHI_PARAM_CHOICE } athi_param_type;
typedef enum athi_prior {
    ATHI_PRIOR_UNIFORM,
    ATHI_PRIOR_LOG,
    ATHI_PRIOR_REVERSE_LOG,
    ATHI_PRIOR_NORMAL
} athi_prior;

typedef struct athi_branch {
    const char *key;         /* what the study stores and reports: "rmsprop", "64", "null" */
    const athi_value *value; /* scalar choices: the value itself; else a description */
    double weight;           /* prior probability, sums to 1 over the branches; all 0 when added: equal */
} athi_branch;

/** The parameter exists when `parent` exists and its value lies in low..high. */
typedef struct athi_condition {
    int parent;
    double low, high;
} athi_condition;

typedef struct athi_space_param {
    const char *name;
    athi_param_type type;
    double min, max, step; /* step 0: continuous float, every int; with the log priors a step multiplies */
    athi_prior prior;
    double mean, std;      /* normal prior, truncated to min..max */
    athi_branch *branches; /* CHOICE */
    int n_branches;
    bool ordered;               /* CHOICE: branches have an order; !bool is an unordered choice of two */
    bool boolean;               /* !bool: branches false, true; they need not be given */
    double fallback;            /* the default, as in a point; NaN when added: the first value */
    athi_condition *conditions; /* any of them suffices; none: always exists */
    int n_conditions;
    int line, column; /* where it was defined, 0 if not in a file */
} athi_space_param;

typedef struct athi_space {
    athi_arena *arena;
    athi_space_param *params; /* in the order in which they were added */
    int *order;               /* indices, parents before children */
    int64_t n, cap;
    const char *const *rules; /* constraints between parameters: expressions that hold in every proposed point */
    int n_rules;
} athi_space;

ath_status athi_space_create(athi_arena *arena, athi_space **space);
/** Checks and adds (everything is copied). A parameter of the same name and definition gains the conditions;
 * another definition is an error that names both places. Errors: min > max, default outside, no branches,
 * weights not positive, log with min <= 0. */
ath_status athi_space_add(ath_ctx *ctx, athi_space *space, const athi_space_param *param, int *index);
/** Adds a constraint between parameters (base/expr.h) once they are all there. Errors: a name that is none, a
 * mistake in the expression, defaults that break it. */
ath_status athi_space_rule(ath_ctx *ctx, athi_space *space, const char *rule);
/** Does the point keep every constraint? */
bool athi_space_allows(const athi_space *space, const double *point);
/** What a parameter's name stands for in an expression. ATH_E_NOTFOUND: the point does not have it. */
ath_status athi_space_operand(ath_ctx *ctx, const athi_space *space, const double *point, const char *name,
                              athi_operand *operand);
int athi_space_find(const athi_space *space, const char *name); /* -1: none */
/** How many distinct points there are, those that break a constraint counted too; infinity with a continuous parameter. */
double athi_space_size(const athi_space *space);
bool athi_space_exists(const athi_space *space, const double *point, int64_t param);
/** Sets parameters that do not exist to NaN, snaps the others to their grid; a missing value gets the default. */
void athi_space_normalize(const athi_space *space, double *point);
void athi_space_default(const athi_space *space, double *point);
/** A draw from the prior; from what the constraints leave of it, where a thousand draws find that. */
void athi_space_sample(const athi_space *space, athi_rng *rng, double *point);
/** One parameter to and from the unit interval. from_unit snaps to the grid; n grid values share the interval evenly,
 * or by the prior where a step does not carry it (log ints without step, normal, weighted choices). */
double athi_param_to_unit(const athi_space_param *p, double value);
double athi_param_from_unit(const athi_space_param *p, double unit);
/** The part of the unit interval that a grid value owns; of a continuous one, its place twice. */
void athi_param_cell(const athi_space_param *p, double value, double *low, double *high);
/** Number of grid values, 0 for a continuous one; and the i-th of them. */
int64_t athi_param_count(const athi_space_param *p);
double athi_param_nth(const athi_space_param *p, int64_t i);
/** The grid value nearest to `value`; a continuous one is clipped to min..max. */
double athi_param_snap(const athi_space_param *p, double value);
/** Equal points give equal texts (the key of duplicates). */
void athi_space_key(const athi_space *space, const double *point, athi_text *out);
/** {"units": 64, "optimizer": "rmsprop"}: existing parameters only; and back, with checks. */
ath_status athi_space_point_write(athi_arena *arena, const athi_space *space, const double *point,
                                  athi_value **map);
ath_status athi_space_point_read(ath_ctx *ctx, const athi_space *space, const athi_value *map, double *point);
/** One value of such a map. */
ath_status athi_param_value_read(ath_ctx *ctx, const athi_space_param *p, const athi_value *v, double *out);
/** The definition as a value: what a study stores, and how two starts of one study are compared. */
ath_status athi_space_write(athi_arena *arena, const athi_space *space, athi_value **out);
ath_status athi_space_read(ath_ctx *ctx, athi_arena *arena, const athi_value *value, athi_space **out);
/** May trials in `was` go on as points of `is` (space_edit.c)? Every value of every parameter must still be one of the same
 * name, and no constraint may have come; more parameters, wider ranges and more choices are written to `changes`. Else
 * ATH_E_STATE with the first difference: "parameter 'lr': max was 0.1, is 0.01". */
ath_status athi_space_extends(ath_ctx *ctx, const athi_space *was, const athi_space *is, athi_text *changes);

#endif
