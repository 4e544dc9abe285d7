/* What comes from other studies (warm starts, imports, a space that grows) when memory runs out: ATH_E_NOMEM, nothing
 * leaked, and the study as it was. What they do otherwise is tested from outside, in tests/cli. */
#include "oom.h"
#include "tune/study_test.h"

#include "tune/foreign.h"
#include "tune/warm_start.h"

#include <math.h>

static ath_ctx *plain; /* whose memory does not run out */
static char base[100], work[100]; /* the study before, and its copy that a run changes */

static const char narrow[] = "[{\"name\":\"x\",\"type\":\"float\",\"min\":0,\"max\":1},"
                             "{\"name\":\"k\",\"type\":\"choice\",\"branches\":[{\"key\":\"a\"},{\"key\":\"b\"}]}]",
                  wide[] =
                      "[{\"name\":\"n\",\"type\":\"int\",\"min\":1,\"max\":3},"
                      "{\"name\":\"x\",\"type\":\"float\",\"min\":-1,\"max\":1},"
                      "{\"name\":\"k\",\"type\":\"choice\",\"branches\":[{\"key\":\"c\"},{\"key\":\"b\"},{\"key\":"
                      "\"a\"}]}]";

static ath_status read_space(ath_ctx *ctx, athi_arena *arena, const char *text, athi_space **space) {
    athi_value *value = NULL;
    ATH_TRY(athi_json_read(ctx, arena, text, (int64_t)strlen(text), &value));
    return athi_space_read(ctx, arena, value, space);
}

static ath_status grown(const void *user, athi_arena *arena, const athi_value *was, athi_growth *growth) {
    (void)was;
    double *past = athi_arena_array(arena, 3, sizeof *past);
    if (!past) return ATH_E_NOMEM;
    past[0] = 2, past[1] = past[2] = NAN;
    *growth = (athi_growth){.was = user, .past = past};
    return ATH_OK;
}

static ath_status open_study(ath_ctx *ctx, athi_arena *arena, const char *path, bool larger, athi_space **space,
                             athi_store **store) {
    athi_space *before;
    athi_value *definition = athi_value_new(arena, ATHI_MAP);
    if (!definition) return ATH_E_NOMEM;
    ATH_TRY(read_space(ctx, arena, narrow, &before));
    *space = before;
    if (larger) ATH_TRY(read_space(ctx, arena, wide, space));
    ATH_TRY(athi_value_set(arena, definition, "larger", athi_value_bool(arena, larger)));
    athi_study_info info = {.name = "test",
                            .n_objectives = 1,
                            .maximize = study_maximize,
                            .objective_names = study_names,
                            .definition = definition,
                            .space = *space,
                            .grown = grown,
                            .user = before};
    return athi_store_open(ctx, path, &info, store);
}

static void copy_base(void) {
    static const char *const parts[] = {"", "-wal", "-shm"};
    char path[120], *bytes = NULL;
    int64_t n;
    for (int i = 0; i < ATHI_COUNT(parts); i++) {
        snprintf(path, sizeof path, "%s%s", work, parts[i]);
        unlink(path);
    }
    assert_ok(plain, athi_file_read(plain, base, false, 0, &bytes, &n));
    assert_ok(plain, athi_file_write(plain, work, bytes, n));
    athi_free(plain, bytes);
}

static void make_base(study *t, int trials) {
    athi_space *space;
    plain = t->f.ctx;
    snprintf(base, sizeof base, "%s/base.db", t->folder);
    snprintf(work, sizeof work, "%s/work.db", t->folder);
    assert_ok(t->f.ctx, open_study(t->f.ctx, t->f.arena, base, false, &space, &t->store));
    for (int i = 0; i < trials; i++) {
        int64_t number;
        const double point[] = {0.1 * i, i % 2}, value = i;
        assert_ok(t->f.ctx, athi_store_begin(t->store, space, &(athi_beginning){.point = point}, &number));
        assert_ok(t->f.ctx, athi_store_finish(t->store, number,
                                              &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}));
    }
    athi_store_close(t->store);
    t->store = NULL;
}

/* ---- a space that grows -------------------------------------------------------------------------- */

static ath_status grow_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_store *store = NULL;
    athi_space *space;
    if (!arena) return ATH_E_NOMEM;
    copy_base();
    ath_status status = open_study(ctx, arena, work, true, &space, &store);
    athi_store_close(store);
    athi_arena_destroy(arena);
    return status;
}

static void growing_without_memory(void **state) {
    study *t = *state;
    make_base(t, 4);
    oom_sweep(grow_once);
    athi_space *space; /* the last run had all that it wanted */
    const athi_trial *const *trials;
    int64_t n;
    assert_ok(t->f.ctx, open_study(t->f.ctx, t->f.arena, work, true, &space, &t->store));
    assert_null(athi_store_changes(t->store));
    assert_ok(t->f.ctx, athi_store_trials(t->store, space, &trials, &n));
    assert_int_equal(n, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(trials[i]->point[0] == 2 && fabs(trials[i]->point[1] - 0.1 * i) < 1e-12);
        assert_true(trials[i]->point[2] == 2 - i % 2);
    }
}

/* ---- warm starts --------------------------------------------------------------------------------- */

static ath_status warm_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    athi_store *store = NULL;
    athi_space *space;
    double *points;
    int64_t n = 0;
    if (!arena) return ATH_E_NOMEM;
    unlink(work);
    ath_status status = open_study(ctx, arena, work, false, &space, &store);
    const athi_warm_start from = {.study = base, .trials = 3};
    if (status == ATH_OK) status = athi_warm_start_take(ctx, arena, store, space, &from, &points, &n);
    if (status == ATH_OK) assert_int_equal(n, 3);
    athi_store_close(store);
    athi_arena_destroy(arena);
    return status;
}

static void warm_starts_without_memory(void **state) {
    make_base(*state, 5);
    oom_sweep(warm_once);
}

/* ---- readers ------------------------------------------------------------------------------------- */

static char *text;
static int64_t text_n;
static bool keras;

static ath_status read_once(ath_ctx *ctx) {
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    athi_foreign f = {.ctx = ctx, .arena = arena, .source = "text"};
    ath_status status =
        keras ? athi_foreign_keras_text(&f, text, text_n) : athi_foreign_journal_text(&f, "two", text, text_n);
    if (status == ATH_OK && keras) status = athi_foreign_keras_objective(&f, NULL);
    if (status == ATH_OK) assert_int_equal(f.n, keras ? 1 : 4);
    athi_foreign_free(&f);
    athi_arena_destroy(arena);
    return status;
}

static void readers_without_memory(void **state) {
    study *t = *state;
    static const char *const files[] = {"optuna.journal", "keras/trial_0/trial.json"};
    for (int i = 0; i < 2; i++) {
        const char *path =
            athi_arena_printf(t->f.arena, "%s/tests/golden/import/%s", getenv("ATHANOR_SOURCE"), files[i]);
        keras = i == 1;
        assert_ok(t->f.ctx, athi_file_read(t->f.ctx, path, false, 0, &text, &text_n));
        oom_sweep(read_once);
        athi_free(t->f.ctx, text);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(growing_without_memory),
        TEST(warm_starts_without_memory),
        TEST(readers_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
