/* What a tune section says about its space (constraints between parameters, points that are tried first), and the
 * search that it asks for. */
#include "recipe/internal.h"

/* Which of a list it is, counted as in paths. */
static ath_status numbered(ath_ctx *ctx, ath_status status, const char *list, int64_t i) {
    return status == ATH_OK || status == ATH_E_NOMEM ? status
                                                     : athi_fail_prefix(ctx, status, "%s.%lld", list, (long long)i);
}

static ath_status add_rule(ath_ctx *ctx, athi_space *space, const athi_value *rule) {
    if (rule->type != ATHI_STRING || rule->tag)
        return athi_fail_at(ctx, rule, "a constraint is a text such as \"layers * units <= 512\", got %s",
                            athi_value_type_name(rule->type));
    return athi_placed(ctx, athi_space_rule(ctx, space, rule->text), rule);
}

ath_status athi_space_rules_add(ath_ctx *ctx, athi_space *space, const athi_value *list) {
    if (!list) return ATH_OK;
    if (list->type != ATHI_LIST || list->tag)
        return athi_fail_at(ctx, list,
                            "constraints must be a list of expressions such as [\"layers * units <= 512\"], "
                            "got %s",
                            athi_value_type_name(list->type));
    for (int64_t i = 0; i < list->n; i++)
        ATH_TRY(numbered(ctx, add_rule(ctx, space, list->items[i]), "constraints", i));
    return ATH_OK;
}

static ath_status read_point(ath_ctx *ctx, const athi_space *space, const athi_value *map, double *point) {
    if (map->type != ATHI_MAP || map->tag)
        return athi_fail_at(ctx, map, "a point is a map of parameters to values, got %s",
                            athi_value_type_name(map->type));
    ATH_TRY(athi_placed(ctx, athi_space_point_read(ctx, space, map, point), map));
    if (athi_space_allows(space, point)) return ATH_OK;
    return athi_fail_at(ctx, map, "this point breaks a constraint; change it, or the constraint");
}

static ath_status read_points(ath_ctx *ctx, athi_arena *arena, const athi_space *space, const athi_value *list,
                              double **points, int64_t *n) {
    *points = NULL, *n = 0;
    if (!list) return ATH_OK;
    if (list->type != ATHI_LIST || list->tag)
        return athi_fail_at(ctx, list, "points must be a list of maps of parameters to values, got %s",
                            athi_value_type_name(list->type));
    int64_t cells;
    if (!athi_mul(list->n, ATHI_MAX(space->n, 1), &cells)) return ATH_E_NOMEM;
    if (!(*points = athi_arena_array(arena, ATHI_MAX(cells, 1), sizeof **points))) return ATH_E_NOMEM;
    for (int64_t i = 0; i < list->n; i++)
        ATH_TRY(numbered(ctx, read_point(ctx, space, list->items[i], *points + i * space->n), "points", i));
    *n = list->n;
    return ATH_OK;
}

ath_status athi_space_settle(ath_ctx *ctx, athi_space *space, const athi_tune_opts *tune) {
    double *points;
    int64_t n;
    athi_warm_start from;
    ATH_TRY(athi_space_rules_add(ctx, space, tune->constraints));
    if (tune->warm_start) ATH_TRY(athi_warm_start_read(ctx, space->arena, tune->warm_start, &from));
    return read_points(ctx, space->arena, space, tune->points, &points, &n);
}

/* Those that the section names, then those of another study. */
static ath_status first_points(ath_ctx *ctx, athi_arena *arena, const athi_tune_opts *tune, const athi_space *space,
                               athi_store *store, athi_search_opts *search) {
    double *named, *taken;
    int64_t n_named, n_taken;
    athi_warm_start from;
    ATH_TRY(read_points(ctx, arena, space, tune->points, &named, &n_named));
    if (tune->warm_start) ATH_TRY(athi_warm_start_read(ctx, arena, tune->warm_start, &from));
    ATH_TRY(athi_warm_start_take(ctx, arena, store, space, tune->warm_start ? &from : NULL, &taken, &n_taken));
    double *all = athi_arena_array(arena, (n_named + n_taken) * space->n + 1, (int64_t)sizeof *all);
    if (!all) return ATH_E_NOMEM;
    if (n_named) memcpy(all, named, (size_t)(n_named * space->n) * sizeof *all);
    if (n_taken) memcpy(all + n_named * space->n, taken, (size_t)(n_taken * space->n) * sizeof *all);
    search->points = all, search->n_points = n_named + n_taken;
    return ATH_OK;
}

int athi_tune_jobs(const athi_tune_opts *tune, int jobs, int threads) {
    if (jobs <= 0) jobs = (int)tune->jobs;
    if (threads <= 0) threads = (int)tune->threads;
    return jobs > 0 ? jobs : ATHI_MAX(athi_usable_cores() / ATHI_MAX(threads, 1), 1);
}

int athi_tune_threads(const athi_tune_opts *tune, int jobs, int threads, int all) {
    if (threads <= 0) threads = (int)tune->threads;
    return threads > 0 ? threads : ATHI_MAX(all / jobs, 1);
}

int64_t athi_tune_executions(const athi_tune_opts *tune) {
    return tune->executions_per_trial * ATHI_MAX(tune->folds, 1);
}

ath_status athi_tune_search(ath_ctx *ctx, athi_arena *arena, const athi_tune_opts *tune, const char *where,
                            const athi_space *space, uint64_t seed, athi_store *store, athi_search_opts *search) {
    *search = (athi_search_opts){.space = space,
                                 .store = store,
                                 .seed = seed,
                                 .max_trials = tune->max_trials,
                                 .max_seconds = tune->max_seconds,
                                 .max_pending = tune->max_pending,
                                 .rescore = tune->rescore,
                                 .executions = athi_tune_executions(tune),
                                 .jobs = (int)tune->jobs,
                                 .deterministic = tune->deterministic,
                                 .last_value = tune->value != 0};
    const struct {
        const char *name;
        const athi_kind *kind;
        ath_spec spec;
        const athi_row **row;
        const void **opts;
    } specs[] = {{"sampler", &athi_samplers, tune->sampler, &search->sampler, &search->sampler_opts},
                 {"scheduler", &athi_schedulers, tune->scheduler, &search->scheduler, &search->scheduler_opts},
                 {"prune", &athi_schedulers, tune->prune, &search->prune, &search->prune_opts},
                 {"stop", &athi_stop_rules, tune->stop, &search->stop, &search->stop_opts}};
    for (int i = 0; i < ATHI_COUNT(specs); i++) {
        const char *place = athi_arena_printf(arena, "%s%s", where, specs[i].name);
        void *opts = NULL;
        if (!place) return ATH_E_NOMEM;
        ATH_TRY(athi_spec_resolve(ctx, arena, specs[i].kind, specs[i].spec, place, specs[i].row, &opts));
        *specs[i].opts = opts;
    }
    return first_points(ctx, arena, tune, space, store, search);
}
