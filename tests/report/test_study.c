/* Looking into a study when memory runs out, and the pieces that the verbs are made of. */
#include "oom.h"
#include "tune/study_test.h"

#include "report/export.h"
#include "report/page.h"
#include "report/proto.h"

static study *shared; /* twelve trials in a folder */

static void finish(study *t, int64_t number, athi_trial_state state, double value, const char *message) {
    athi_outcome outcome = {.state = state, .values = &value, .message = message};
    if (state == ATHI_TRIAL_FAILED) outcome.reason = ATHI_REASON_MEMORY, outcome.values = NULL;
    assert_ok(t->f.ctx, athi_store_finish(t->store, number, &outcome));
}

static void fill(study *t) {
    double point[4];
    athi_rng rng = athi_rng_at(1, 2);
    study_space(t);
    study_open(t);
    athi_value *space = NULL;
    athi_text text = {.ctx = t->f.ctx};
    assert_ok(t->f.ctx, athi_space_write(t->f.arena, t->f.space, &space));
    assert_ok(t->f.ctx, athi_json_write(&text, space, 0));
    assert_ok(t->f.ctx, athi_store_put(t->store, "space", text.text));
    athi_text_free(&text);
    for (int64_t i = 0; i < 12; i++) {
        int64_t number;
        athi_space_sample(t->f.space, &rng, point);
        athi_beginning beginning = {.point = point, .seen = i};
        assert_ok(t->f.ctx, athi_store_begin(t->store, t->f.space, &beginning, &number));
        assert_ok(t->f.ctx,
                  athi_store_report(t->store, number, 0, (athi_report){1, 0.5}, "{\"score\":0.5,\"note\":\"nan\"}"));
        assert_ok(t->f.ctx, athi_store_execution(t->store, number, 0, &(double){0.5 + (double)i}, 1));
        if (i == 11) break; /* this one runs */
        finish(t, number,
               i == 3   ? ATHI_TRIAL_FAILED
               : i == 4 ? ATHI_TRIAL_PRUNED
                        : ATHI_TRIAL_COMPLETE,
               0.5 + (double)i, "no <b>memory</b>");
    }
}

static int set_up(void **state) {
    if (study_setup(state)) return 1;
    shared = *state;
    fill(shared);
    athi_store_close(shared->store); /* what follows reads the file by itself */
    shared->store = NULL;
    return 0;
}

/* ---- memory runs out ----------------------------------------------------------------------------- */

static ath_status look(ath_ctx *ctx, ath_status (*at)(const athi_study *study, athi_text *out)) {
    athi_study s;
    athi_text out = {.ctx = ctx};
    athi_arena *arena = athi_arena_create(ctx);
    if (!arena) return ATH_E_NOMEM;
    ath_status status = athi_study_open(ctx, arena, shared->path, NULL, &s);
    if (status == ATH_OK) status = at(&s, &out);
    if (status == ATH_OK && out.failed) status = ATH_E_NOMEM;
    athi_text_free(&out);
    athi_study_close(&s);
    athi_arena_destroy(arena);
    return status;
}

static ath_status page(const athi_study *s, athi_text *out) { return athi_page_data(s, false, out); }
static ath_status best(const athi_study *s, athi_text *out) {
    const athi_trial **found;
    int64_t n;
    ATH_TRY(athi_study_best(s, s->arena, &found, &n));
    return athi_study_line(s, found[0], out);
}
static ath_status into_folder(const athi_study *s, const char *format) {
    char path[128];
    const athi_export_format *f;
    athi_study few = *s;
    few.n = 2; /* every allocation's failure writes all files before it */
    snprintf(path, sizeof path, "%s/out-%s", shared->folder, format);
    ATH_TRY(athi_export_find(s->ctx, format, &f));
    ATH_TRY(athi_export_folder(&few, f, path));
    return athi_remove_tree(s->ctx, path);
}
static ath_status tensorboard(const athi_study *s, athi_text *out) {
    (void)out;
    return into_folder(s, "tensorboard");
}
static ath_status mlflow(const athi_study *s, athi_text *out) {
    (void)out;
    return into_folder(s, "mlflow");
}

static ath_status look_at_page(ath_ctx *ctx) { return look(ctx, page); }
static ath_status look_at_best(ath_ctx *ctx) { return look(ctx, best); }
static ath_status look_at_csv(ath_ctx *ctx) { return look(ctx, athi_export_csv); }
static ath_status look_at_json(ath_ctx *ctx) { return look(ctx, athi_export_json); }
static ath_status look_at_tensorboard(ath_ctx *ctx) { return look(ctx, tensorboard); }
static ath_status look_at_mlflow(ath_ctx *ctx) { return look(ctx, mlflow); }

static void every_allocation_may_fail(void **state) {
    (void)state;
    oom_sweep(look_at_page);
    oom_sweep(look_at_best);
    oom_sweep(look_at_csv);
    oom_sweep(look_at_json);
    oom_sweep(look_at_tensorboard);
    oom_sweep(look_at_mlflow);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

static void the_best_is_complete(void **state) {
    study *t = *state;
    athi_study s;
    const athi_trial **found;
    int64_t n;
    assert_ok(t->f.ctx, athi_study_open(t->f.ctx, t->f.arena, t->folder, NULL, &s));
    assert_ok(t->f.ctx, athi_study_best(&s, t->f.arena, &found, &n));
    assert_int_equal(n, 1);
    assert_int_equal(found[0]->number, 10);
    athi_study_close(&s);
}

static void a_folder_without_a_study(void **state) {
    study *t = *state;
    athi_study s;
    assert_fails(t->f.ctx, athi_study_open(t->f.ctx, t->f.arena, "/tmp", NULL, &s), ATH_E_NOTFOUND,
                 "/tmp: there is no study.db in it; `athanor run` makes one");
    athi_study_close(&s);
    assert_fails(t->f.ctx, athi_study_open(t->f.ctx, t->f.arena, t->path, "other", &s), ATH_E_NOTFOUND,
                 "there is no study 'other'; it holds 'test'");
    athi_study_close(&s);
}

/* A folder that cannot be made, as on a full disk, leaves nothing behind; the first failure is what is told. */
static void an_export_that_fails(void **state) {
    study *t = *state;
    athi_study s;
    const athi_export_format *f;
    assert_ok(t->f.ctx, athi_study_open(t->f.ctx, t->f.arena, t->path, NULL, &s));
    assert_ok(t->f.ctx, athi_export_find(t->f.ctx, "tensorboard", &f));
    assert_fails(t->f.ctx, athi_export_folder(&s, f, "/dev/full/out"), ATH_E_IO, "/dev/full/out");
    assert_fails(t->f.ctx, athi_report_html(&s, false, "/dev/full/r.html"), ATH_E_IO, "/dev/full/r.html");
    athi_study_close(&s);
}

static void times_are_utc(void **state) {
    char text[32];
    (void)state;
    athi_study_time(0.25, text);
    assert_string_equal(text, "1970-01-01T00:00:00.250Z");
    athi_study_time(1795694238.735, text);
    assert_string_equal(text, "2026-11-26T11:57:18.735Z");
}

/* The check value of CRC-32C ("123456789" gives E3069283), masked as TFRecord does; and protobuf's own examples. */
static void checksums_and_messages(void **state) {
    study *t = *state;
    uint32_t crc = 0xE3069283u;
    athi_text out = {.ctx = t->f.ctx};
    assert_int_equal(athi_crc32c_masked("123456789", 9), (crc >> 15 | crc << 17) + 0xA282EAD8u);
    athi_proto_int(&out, 1, 150);
    athi_proto_text(&out, 2, "testing");
    assert_int_equal(out.length, 12);
    assert_memory_equal(out.text, "\x08\x96\x01\x12\x07testing", 12);
    out.length = 0;
    athi_proto_int(&out, 1, -1);
    assert_memory_equal(out.text, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    out.length = 0;
    athi_proto_double(&out, 1, 1.0);
    athi_proto_float(&out, 2, -2.0f);
    assert_memory_equal(out.text, "\x09\0\0\0\0\0\0\xf0\x3f\x15\0\0\0\xc0", 14);
    athi_text_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_best_is_complete),
        cmocka_unit_test(a_folder_without_a_study),
        cmocka_unit_test(an_export_that_fails),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(checksums_and_messages),
    };
    return cmocka_run_group_tests(tests, set_up, study_teardown);
}
