/* The store on PostgreSQL, what a file has no like of: the URL and its password, a held row, lost connections. */
#include "tune/study_test.h"

#include "tune/store_internal.h"

static const double point[] = {32, 0.01, 1, 0.5};

static int64_t begin_one(study *t) {
    int64_t number;
    assert_ok(t->f.ctx,
              athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = point, .seen = 0}, &number));
    return number;
}

/* The URL with other words in place of the scheme, the user and the host. */
static void reach(study *t, const char *url, const char *sentence) {
    athi_study_info info = study_info(t);
    athi_store *s;
    assert_int_not_equal(athi_store_open(t->f.ctx, url, &info, &s), ATH_OK);
    if (!strstr(ath_errmsg(t->f.ctx), sentence)) fail_msg("expected '%s' in: %s", sentence, ath_errmsg(t->f.ctx));
    assert_null(strstr(ath_errmsg(t->f.ctx), "geheim"));
}

static void no_sentence_holds_the_password(void **state) {
    study *t = *state;
    reach(t, "postgresql://me:geheim@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db: connection");
    reach(t, "postgresql://me:geh@geheim@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db: expected");
    reach(t, "postgresql://me:geheim/1@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db: expected");
    reach(t, "postgresql://127.0.0.1:1/db?user=me&password=geheim&connect_timeout=1",
          "&password=***&connect_timeout=1");
    reach(t, "postgresql://me:geheim@127.0.0.1:port/db", "connection");
    reach(t, "postgresql://me:geheim@[::1/db", "expected postgresql://user:password@host:port/database");
    assert_string_equal(athi_store_shown(t->f.arena, "postgresql://me:geheim@h/db"), "postgresql://me:***@h/db");
    assert_string_equal(athi_store_shown(t->f.arena, "a:b@c://d.db"), "a:b@c://d.db");
    char url[256];
    const char *host = strchr(getenv("ATHANOR_TEST_POSTGRES"), '@') + 1;
    snprintf(url, sizeof url, "postgresql+psycopg2://postgres:geheim@%.*s/absent", (int)strcspn(host, "/"), host);
    reach(t, url, "database \"absent\" does not exist");
}

static void a_held_study_is_busy(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    athi_store_patience(t->store, 50);
    PGconn *other = PQconnectdb(t->path);
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "SELECT 1 FROM studies FOR UPDATE")); /* as Optuna does for a new trial */
    int64_t number;
    assert_fails(t->f.ctx,
                 athi_store_begin(t->store, t->f.space, &(athi_beginning){.point = point, .seen = 0}, &number),
                 ATH_E_BUSY, "another process");
    PQclear(PQexec(other, "COMMIT"));
    PQfinish(other);
    assert_int_equal(begin_one(t), 0);
}

/* Between two calls the connection may go: the next call makes a new one. */
static void a_lost_connection_comes_back(void **state) {
    study *t = *state;
    study_space(t);
    study_open(t);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(begin_one(t), i);
        study_sql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='athanor'");
        assert_int_equal(study_count(t), i + 1);
        study_sql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='athanor'");
    }
    const char *text;
    assert_ok(t->f.ctx, athi_store_get(t->store, t->f.arena, "stage", &text));
}

/* What is only looked at gets no tables of ours, and several studies stand side by side. */
static void studies_side_by_side(void **state) {
    study *t = *state;
    study_space(t);
    athi_study_info info = study_info(t);
    assert_fails(t->f.ctx, athi_store_open_existing(t->f.ctx, t->path, NULL, &t->store), ATH_E_NOTFOUND,
                 "holds no study");
    study_open(t);
    assert_int_equal(begin_one(t), 0);
    athi_store *second;
    info.name = "it's \"another\"";
    assert_ok(t->f.ctx, athi_store_open(t->f.ctx, t->path, &info, &second));
    int64_t number = -1;
    assert_ok(t->f.ctx, athi_store_begin(second, t->f.space, &(athi_beginning){.point = point, .seen = 0}, &number));
    assert_int_equal(number, 0);
    athi_store_close(second);
    assert_fails(t->f.ctx, athi_store_open_existing(t->f.ctx, t->path, NULL, &second), ATH_E_NOTFOUND,
                 "name one of its studies: 'test', 'it's \"another\"'");
    assert_int_equal(study_count(t), 1);
}

/* Eight drivers write at once: each trial is there once, numbered without a gap. */
static void many_writers(void **state) {
    enum { WRITERS = 8, EACH = 25 };
    study *t = *state;
    study_space(t);
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] != 0) continue;
        study_open(t); /* all of them make the tables and the study */
        double value = 1;
        for (int k = 0; k < EACH; k++)
            if (athi_store_finish(t->store, begin_one(t),
                                  &(athi_outcome){.state = ATHI_TRIAL_COMPLETE, .values = &value}))
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < WRITERS; i++) {
        int how;
        waitpid(writers[i], &how, 0);
        assert_int_equal(how, 0);
    }
    study_open(t);
    assert_int_equal(study_count(t), WRITERS * EACH);
    for (int i = 0; i < WRITERS * EACH; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_sentence_holds_the_password), TEST(a_held_study_is_busy), TEST(a_lost_connection_comes_back),
        TEST(studies_side_by_side),           TEST(many_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
