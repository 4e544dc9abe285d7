/* Sweeps: every value of one constant (or every combination of several) on the same recipe, a few steps of each timed, or
 * a whole training. A sweep is a search over given points: its recipe is the given one with choices in place of the
 * constants and a `tune` section made here, its study lies in <run>/sweeps/<name>, and workers, resuming and the record
 * of what failed are the search's own. */
#ifndef ATHI_RECIPE_SWEEP_H
#define ATHI_RECIPE_SWEEP_H

#include "recipe/recipe.h"

typedef struct athi_sweep_opts {
    size_t struct_size;
    bool exact;
    const char *name;            /* of its folder; NULL: the paths joined by + */
    const athi_value *over;      /* map of paths to lists of values */
    int64_t steps, warm_up;      /* timed, and before them */
    int64_t epochs;              /* 0: steps are timed; else whole trainings of so many epochs */
    const athi_value *objective; /* of whole trainings; NULL: tune's, else val_loss */
    int64_t jobs, threads;
} athi_sweep_opts;
extern const athi_row athi_sweep_row;

/** Reads one sweep: its options, a name where it has none, and that there are values. */
ath_status athi_sweep_read(ath_ctx *ctx, athi_arena *arena, const athi_value *v, athi_sweep_opts *out);
/** The section `sweep:`, a map or a list of maps, into recipe->sweeps. */
ath_status athi_sweeps_read(athi_recipe *recipe);
/** The recipe that the search runs. `before`: the points of an earlier start, in their order; NULL: there was none. */
ath_status athi_sweep_recipe(const athi_recipe *recipe, const athi_sweep_opts *sweep, const athi_value *before,
                             athi_recipe **out);
/** Its recipe is read from one line of JSON, whose places mean nothing to anybody: takes them out of the sentence that the
 *  context holds, and says which sweep it is about. Returns the status. */
ath_status athi_sweep_sentence(ath_ctx *ctx, ath_status status, const char *path, const char *name);
/** Runs it, or goes on with it. opts->directory is the run's. `entry`: {name, folder, over, steps, warm_up | epochs,
 *  objective, direction, trials: [{params, state, value, step_seconds, seconds, …}]}. */
ath_status athi_sweep_run(const athi_recipe *recipe, athi_arena *arena, const athi_sweep_opts *sweep,
                          const athi_run_opts *opts, athi_value **entry);

/** What a training's log.jsonl tells over time: {"monitor", "target", "epochs": [{epoch, seconds, value,
 *  samples_per_second}], "reached": {epoch, seconds}}; seconds count from the first epoch's beginning, over all starts.
 *  Monitor and target are those of the bound recipe's stop_at_accuracy, where it has one, else `monitor` and none.
 *  NULL: there is no log. */
ath_status athi_curve_read(ath_ctx *ctx, athi_arena *arena, const char *log, const athi_value *bound,
                           const char *monitor, athi_value **out);

#endif
