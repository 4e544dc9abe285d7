/* Between the files of the front half: positions in sentences, ranges, branches, layers before they are
 * built. Nobody else includes this. */
#ifndef ATHI_RECIPE_INTERNAL_H
#define ATHI_RECIPE_INTERNAL_H

#include "recipe/recipe.h"
#include "tune/warm_start.h"

enum {
    ATHI_DEPTH_MAX = 64,            /* of nested lists and maps */
    ATHI_VALUES_MAX = 200000,       /* of one document, aliases and repeats expanded */
    ATHI_RECIPE_BYTES_MAX = 4 << 20 /* of one file */
};

/* ---- name and seed (recipe.c) --------------------------------------------------------------------- */

/** "recipes/fashion-mlp.yaml" -> "fashion-mlp"; NULL: no memory. */
const char *athi_name_of_file(athi_arena *arena, const char *path);
/** What a recipe or SPACE file says of both; what it does not say stays as it is. */
ath_status athi_name_and_seed(ath_ctx *ctx, const athi_value *root, const char **name, uint64_t *seed);

/* ---- sentences (sentence.c) ---------------------------------------------------------------------- */

/** Fails with "line L, column C: " of a value (or key) before the sentence; athi_sentence makes a place of it. */
ath_status athi_fail_at(ath_ctx *ctx, const athi_value *at, const char *fmt, ...) ATHI_PRINTF(3, 4);
ath_status athi_fail_key(ath_ctx *ctx, const athi_value *map, int64_t key, const char *fmt, ...) ATHI_PRINTF(4, 5);
/** Puts the value's place into the sentence that the context holds, unless it has one. Returns the status. */
ath_status athi_placed(ath_ctx *ctx, ath_status status, const athi_value *at);
/** The sentence for people: "line L, column C: " wherever it stands becomes "name:L:C: " in front. */
ath_status athi_sentence(ath_ctx *ctx, ath_status status, const char *name);

/* ---- tags and ranges (ranges.c) ------------------------------------------------------------------ */

typedef enum athi_range_kind {
    ATHI_RANGE_NONE,
    ATHI_RANGE_INT,
    ATHI_RANGE_FLOAT,
    ATHI_RANGE_BOOL,
    ATHI_RANGE_CHOICE,
    ATHI_RANGE_EXPR
} athi_range_kind;
athi_range_kind athi_range_of(const athi_value *v);
/** "!int", … in the order of athi_range_kind from 1; NULL-ended. */
extern const char *const athi_range_tags[];

extern const athi_kind athi_ranges; /* the options of !int, !float, !bool, !choice */

/* What a range is called and how it is defined. */
typedef struct athi_range {
    athi_space_param param;
    const athi_value **branches; /* CHOICE: values, `as` taken off */
    int64_t *own_path;           /* CHOICE: 1 where the branch's key belongs before the path inside */
} athi_range;
/** Reads one !int, !float, !bool or !choice. `index`: of the innermost repeat, -1: none; `{i}` in its name
 * becomes it. */
ath_status athi_range_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, const char *path, int64_t index,
                           athi_range *range);
/** The path of what stands inside branch k. */
const char *athi_branch_path(athi_arena *arena, const athi_range *range, int64_t k, const char *path);
const char *athi_item_path(athi_arena *arena, const char *path, int64_t i);
const char *athi_key_path(athi_arena *arena, const char *path, const char *key);
/** `text` with {i} replaced; text itself where there is none, or index < 0. */
const char *athi_with_index(athi_arena *arena, const char *text, int64_t index);
/** Is this value {repeat: {times, body}}? */
bool athi_is_repeat(const athi_value *v);
ath_status athi_repeat_parts(ath_ctx *ctx, const athi_value *v, const athi_value **times, const athi_value **body);
/** The space of a recipe's ranges. */
ath_status athi_ranges_walk(ath_ctx *ctx, athi_arena *arena, const athi_value *root, athi_space **space);
/** Of the ranges in one value, named from there. */
ath_status athi_ranges_gather(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_space **space);
/* Which parameters the ranges of a tree became, in the order of the walk. */
typedef struct athi_origins {
    struct athi_origin {
        const athi_value *range;
        int param;
    } *list; /* in the arena */
    int64_t n, cap;
} athi_origins;
/** As athi_ranges_walk, with them. */
ath_status athi_ranges_origins(ath_ctx *ctx, athi_arena *arena, const athi_value *root, athi_space **space,
                               athi_origins *origins);
/** Adds constraints, a list of expressions or NULL, to a space. */
ath_status athi_space_rules_add(ath_ctx *ctx, athi_space *space, const athi_value *list);
/** What `warm_start` says. */
ath_status athi_warm_start_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_warm_start *out);
/** Adds what the tune section says about its space: constraints; and checks the points to be tried first. */
ath_status athi_space_settle(ath_ctx *ctx, athi_space *space, const athi_tune_opts *tune);
/** The sections in which ranges may stand, NULL-ended. */
extern const char *const athi_ranged_sections[];

/* ---- checks of bound recipes (build.c, check.c) -------------------------------------------------- */

/* One layer or composite of a bound recipe, its options read. */
typedef struct athi_step {
    const athi_value *at;
    const athi_row *row;
    bool composite;   /* the row is one of athi_composites, not of athi_layers */
    const void *opts;
    const char *name; /* NULL: numbered */
    const athi_value *from;
    ath_dtype compute; /* the recipe's dtype_policy, or the layer's own dtype */
} athi_step;
typedef struct athi_steps {
    athi_step *steps;
    int64_t n;
} athi_steps;
ath_status athi_steps_read(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_steps *steps);

/* The train section with its specs read. */
typedef struct athi_training_specs {
    athi_train_opts train;
    const athi_row *loss, *optimizer;
    const void *loss_opts, *optimizer_opts;
    const athi_row **metrics;
    const void **metric_opts;
    int n_metrics;
    athi_callback *callbacks;
    int n_callbacks;
    bool no_penalties; /* the loss without regularisers */
} athi_training_specs;
ath_status athi_training_read(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_training_specs *specs);
/** Layers, loss, metrics and (if it trains) optimiser for samples and targets of these shapes. */
ath_status athi_bound_model(ath_ctx *ctx, athi_arena *arena, const athi_value *bound, athi_shape sample,
                            athi_shape target, const athi_training_specs *specs, bool trains, ath_model **model);
/** Everything that a bound recipe says and that can be checked without the data. */
ath_status athi_bound_check(ath_ctx *ctx, athi_arena *arena, const athi_value *bound);

/** athi_recipe_bind whose sentences have not been through athi_sentence. */
ath_status athi_bind_point(const athi_recipe *recipe, athi_arena *arena, const double *point, uint64_t seed,
                           athi_value **bound);
/** The default point with one parameter at another value; its ancestors take values with which it exists. */
void athi_recipe_vary(const athi_space *space, int64_t param, double value, double *point);
/** Per parameter, in the arena: must a trial that goes on from another's state keep its value? (tune_inherit.c) */
ath_status athi_recipe_fixed(const athi_recipe *recipe, athi_arena *arena, const athi_data *data, const bool **fixed);
/** Calls `visit` with the default point, every branch of every choice, and both ends of every range. The
 * sentence of a failure says which it was. */
typedef ath_status athi_visit(void *user, const athi_recipe *recipe, athi_arena *arena, const athi_value *bound);
ath_status athi_recipe_visit(const athi_recipe *recipe, athi_visit *visit, void *user);

/* ---- a space that has grown between two starts (growth.c) ------------------------------------------ */

/* A SPACE file with the command of its study. */
typedef struct athi_file_definition {
    const athi_space_file *file;
    const athi_value *definition;
} athi_file_definition;
/** athi_study_info's `grown`; user: the athi_recipe, the athi_file_definition. */
ath_status athi_recipe_grown(const void *user, athi_arena *arena, const athi_value *before, athi_growth *growth);
ath_status athi_space_file_grown(const void *user, athi_arena *arena, const athi_value *before, athi_growth *growth);

/* ---- several drivers on one study (join.c) ------------------------------------------------------- */

/* What another program needs to take part. */
typedef struct athi_setup {
    const athi_value *root; /* of the recipe or SPACE file, with what --set and --param say */
    const char *file, *folder, *name;
    const char *const *command; /* NULL: it is a recipe */
    int jobs;
} athi_setup;
/** Keeps it in the study, for athi_join. */
ath_status athi_setup_keep(ath_ctx *ctx, athi_arena *arena, athi_store *store, const athi_setup *setup);
/** What is said of the part that this program took: {"name","executions","ended"}. */
ath_status athi_join_report(athi_arena *arena, const athi_search *search, const char *name, const char *why,
                            athi_value **report);

/** Removes a folder that was made for what then did not begin; the sentence of why stays. */
void athi_folder_unmake(ath_ctx *ctx, const char *folder);

/* ---- the runner (tune_runner.c) ------------------------------------------------------------------ */

enum { ATHI_EVENT_LINE = 1024 };
/** A line for people about an event of the runner; false: another kind of event (a report, a good end). */
bool athi_tune_event_line(const athi_task *task, const athi_value *event, char line[ATHI_EVENT_LINE]);

#endif
