/* Every allocation fails once: of the store's calls, of a search's, and of the samplers' suggestions. What has failed so has
 * not happened, and nothing stays allocated. */
#include "oom.h"
#include "tune/study_test.h"

#include <math.h>

static char folder[64], path[128];
static const char *sampler, *sampler_options; /* of the suggestions */

static const double first[] = {32, 0.01, 1, 0.5}, second[] = {48, 0.002, 0, NAN};

/* An empty file each time. */
static void forget(void) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    char file[160];
    for (int i = 0; i < ATHI_COUNT(endings); i++) {
        snprintf(file, sizeof file, "%s%s", path, endings[i]);
        unlink(file);
    }
}

static ath_status make_space(ath_ctx *ctx, athi_arena *arena, athi_space **space) {
    athi_branch branches[] = {{.key = "adam"}, {.key = "sgd"}};
    const athi_space_param params[] = {
        int_param("units", 16, 64, 16, ATHI_PRIOR_UNIFORM),
        float_param("lr", 1e-4, 1e-1, 0, ATHI_PRIOR_LOG),
        {.name = "optimizer", .type = ATHI_PARAM_CHOICE, .branches = branches, .n_branches = 2, .fallback = NAN},
        float_param("momentum", 0, 0.99, 0, ATHI_PRIOR_UNIFORM)};
    ATH_TRY(athi_space_create(arena, space));
    for (int i = 0; i < ATHI_COUNT(params); i++) ATH_TRY(athi_space_add(ctx, *space, &params[i], NULL));
    return ATH_OK;
}

static ath_status make_store(ath_ctx *ctx, athi_arena *arena, int objectives, athi_store **store) {
    static const bool maximize[] = {true, false};
    static const char *const names[] = {"score", "cost"};
    athi_value *definition = athi_value_new(arena, ATHI_MAP);
    if (!definition) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(arena, definition, "seed", athi_value_int(arena, 1)));
    const athi_study_info info = {.name = "test",
                                  .n_objectives = objectives,
                                  .maximize = maximize,
                                  .objective_names = names,
                                  .definition = definition};
    return athi_store_open(ctx, path, &info, store);
}

/* ---- the store ----------------------------------------------------------------------------------- */

static ath_status change_all(athi_store *s, const athi_space *space) {
    const double value = 0.5, constraints[] = {-1, 2};
    int64_t a, b;
    bool taken;
    ATH_TRY(athi_store_own(s, "me", 60));
    ATH_TRY(athi_store_begin(s, space, &(athi_beginning){.point = first}, &a));
    ATH_TRY(athi_store_begin(s, space, &(athi_beginning){.point = second, .seen = 0}, &b));
    ATH_TRY(athi_store_take(s, a, &taken));
    ATH_TRY(athi_store_renew(s));
    ATH_TRY(athi_store_point(s, space, a, second));
    ATH_TRY(athi_store_report(s, a, 0, (athi_report){1, 0.25}, "{\"score\":0.25}"));
    ATH_TRY(athi_store_report(s, a, 0, (athi_report){2, 0.5}, "{\"score\":0.5}"));
    ATH_TRY(athi_store_rewind(s, a, 0, 1));
    ATH_TRY(athi_store_pause(s, a));
    ATH_TRY(athi_store_resume(s, a, 1));
    ATH_TRY(athi_store_execution(s, a, 1, &value, 1));
    ATH_TRY(athi_store_finish(s, a,
                              &(athi_outcome){.state = ATHI_TRIAL_COMPLETE,
                                              .values = &value,
                                              .last_values = &value,
                                              .constraints = constraints,
                                              .n_constraints = 2}));
    ATH_TRY(athi_store_finish(
        s, b, &(athi_outcome){.state = ATHI_TRIAL_FAILED, .reason = ATHI_REASON_CRASH, .message = "no \"memory\""}));
    ATH_TRY(athi_store_put(s, "stage", "tune"));
    return athi_store_release(s);
}

static ath_status read_all(athi_store *s, athi_arena *arena, const athi_space *space) {
    const athi_trial *const *trials;
    athi_report *reports;
    athi_space *found;
    const char **json, *text;
    int64_t n;
    ATH_TRY(athi_store_trials(s, space, &trials, &n));
    assert_int_equal(n, 2);
    ATH_TRY(athi_store_reports(s, arena, 0, 0, &reports, &json, &n));
    assert_int_equal(n, 1);
    ATH_TRY(athi_store_get(s, arena, "stage", &text));
    return athi_store_space(s, arena, &found);
}

static ath_status store_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_space *space = NULL;
    athi_store *s = NULL;
    if (!arena) return ATH_E_NOMEM;
    forget();
    ath_status status = make_space(ctx, arena, &space);
    if (status == ATH_OK) status = make_store(ctx, arena, 1, &s);
    if (status == ATH_OK) status = change_all(s, space);
    if (status == ATH_OK) status = read_all(s, arena, space);
    athi_store_close(s), s = NULL;
    if (status == ATH_OK) status = athi_store_open_existing(ctx, path, NULL, &s);
    if (status == ATH_OK) status = read_all(s, arena, space);
    athi_store_close(s);
    athi_arena_destroy(arena);
    return status;
}

static void the_store(void **state) {
    (void)state;
    oom_sweep(store_once);
}

/* ---- a search ------------------------------------------------------------------------------------ */

enum { TRIALS = 8, GROUP = 2 };

typedef struct calls {
    athi_search *search;
    athi_arena *arena;
    athi_task tasks[GROUP];
} calls;

static ath_status ask(void *user) {
    calls *c = user;
    for (int i = 0; i < GROUP; i++) {
        athi_next next;
        const char *why;
        ATH_TRY(athi_search_next(c->search, &c->tasks[i], &next, &why));
        assert_int_equal(next, ATHI_NEXT_TASK);
    }
    return ATH_OK;
}

static ath_status tell(void *user) {
    calls *c = user;
    const double broken = 1;
    for (int i = 0; i < GROUP; i++) {
        athi_value *map = athi_value_new(c->arena, ATHI_MAP);
        const double score = c->tasks[i].point[1];
        if (!map) return ATH_E_NOMEM;
        ATH_TRY(athi_value_set(c->arena, map, "score", athi_value_float(c->arena, score)));
        ATH_TRY(athi_value_set(c->arena, map, "cost", athi_value_float(c->arena, c->tasks[i].point[0])));
        ATH_TRY(athi_search_constrain(c->search, &c->tasks[i], &broken, i));
        ATH_TRY(athi_search_report(c->search, &c->tasks[i], 1, map));
        ATH_TRY(athi_search_report(c->search, &c->tasks[i], 0, map));
        ATH_TRY(i && c->tasks[i].trial % 4 == 1
                    ? athi_search_fail(c->search, &c->tasks[i], ATHI_REASON_MEMORY, "too large")
                    : athi_search_finish(c->search, &c->tasks[i]));
    }
    return ATH_OK;
}

static ath_status search(athi_search *s, athi_arena *arena, athi_store *store, const athi_space *space) {
    calls c = {.search = s, .arena = arena};
    const athi_trial **ranking;
    athi_replay replay;
    int64_t n;
    ATH_TRY(athi_search_enqueue(s, second));
    for (int i = 0; i < TRIALS / GROUP; i++) {
        ATH_TRY(athi_search_group(s, false, ask, &c));
        ATH_TRY(athi_search_group(s, true, tell, &c));
    }
    ATH_TRY(athi_search_ranking(s, arena, &ranking, &n));
    ATH_TRY(athi_search_replay(athi_arena_ctx(arena), arena, store, space, &replay));
    return athi_store_release(store); /* a search that is closed does not mind if that fails: its leases run out */
}

static ath_status search_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_search_opts opts = {.sampler = athi_row_find(&athi_samplers, "random"),
                             .points = first,
                             .n_points = 1,
                             .max_trials = TRIALS,
                             .executions = 1,
                             .jobs = GROUP,
                             .owner = "me"};
    athi_space *space = NULL;
    athi_search *s = NULL;
    if (!arena) return ATH_E_NOMEM;
    forget();
    ath_status status = make_space(ctx, arena, &space);
    if (status == ATH_OK) status = make_store(ctx, arena, 2, &opts.store);
    opts.space = space;
    if (status == ATH_OK) status = athi_search_open(ctx, &opts, &s);
    if (status == ATH_OK) status = search(s, arena, opts.store, space);
    athi_search_close(s);
    athi_store_close(opts.store);
    athi_arena_destroy(arena);
    return status;
}

static void a_search(void **state) {
    (void)state;
    oom_sweep(search_once);
}

/* ---- suggestions --------------------------------------------------------------------------------- */

enum { SEEN = 14, ASKED = 2 };

static ath_status suggest_all(ath_ctx *ctx, athi_arena *arena, athi_view *view, const athi_trial **list) {
    static athi_trial trials[SEEN + ASKED];
    static double points[SEEN + ASKED][4], values[SEEN + ASKED][2];
    const athi_row *random = athi_row_find(&athi_samplers, "random"), *row = athi_row_find(&athi_samplers, sampler);
    void *opts = NULL;
    athi_value *map = NULL;
    if (row->opts_size) {
        if (!(opts = athi_arena_alloc(arena, (int64_t)row->opts_size))) return ATH_E_NOMEM;
        if (sampler_options)
            ATH_TRY(athi_json_read(ctx, arena, sampler_options, (int64_t)strlen(sampler_options), &map));
        ATH_TRY(athi_options_read(ctx, arena, row, map, NULL, sampler, opts));
    }
    for (int i = 0; i < SEEN + ASKED; i++) {
        bool exhausted;
        view->n = view->trial = i;
        const athi_sampler_impl *impl = i < SEEN ? random->impl : row->impl;
        ATH_TRY(impl->suggest(ctx, i < SEEN ? NULL : opts, view, points[i], &exhausted));
        values[i][0] = points[i][1], values[i][1] = -points[i][0];
        trials[i] = (athi_trial){.number = i,
                                 .state = i % 5 == 4 ? ATHI_TRIAL_FAILED : ATHI_TRIAL_COMPLETE,
                                 .reason = i % 5 == 4 ? ATHI_REASON_MEMORY : ATHI_REASON_NONE,
                                 .point = points[i],
                                 .values = values[i]};
        list[i] = &trials[i];
    }
    return ATH_OK;
}

static ath_status suggest_once(ath_ctx *ctx) {
    static const bool maximize[] = {true, false};
    athi_arena *arena = athi_arena_create(ctx);
    athi_space *space = NULL;
    athi_cache cache = {0};
    const athi_trial *list[SEEN + ASKED];
    if (!arena) return ATH_E_NOMEM;
    ath_status status = make_space(ctx, arena, &space);
    athi_view view = {.space = space,
                      .trials = list,
                      .n_objectives = !strcmp(sampler, "nsga2") || !strcmp(sampler, "ehvi") ? 2 : 1,
                      .maximize = maximize,
                      .budget = 40,
                      .cache = &cache};
    if (status == ATH_OK) status = suggest_all(ctx, arena, &view, list);
    athi_cache_clear(&cache);
    athi_arena_destroy(arena);
    return status;
}

static void suggestions(void **state) {
    (void)state;
    for (const athi_row *row = athi_samplers.rows; row->name; row++) {
        if (!strcmp(row->name, "grid")) continue; /* for spaces without a continuous parameter */
        sampler = row->name;
        oom_sweep(suggest_once);
    }
    sampler = "bayesian", sampler_options = "{\"input_warp\": true, \"hyperparameter_samples\": 2}";
    oom_sweep(suggest_once);
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/ath_memory_XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/study.db", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    forget();
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_store), cmocka_unit_test(a_search),
                                       cmocka_unit_test(suggestions)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
