/* The runner with shell scripts as workers: they answer, crash, hang, talk nonsense, use too much, are
 * killed. */
#include "tune/study_test.h"

#include "tune/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

static volatile int interrupted;
static void on_alarm(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Reads tasks; $t is the trial, $e the execution. `body` runs for each; `ok` answers well. */
static const char *script(study *t, const char *body) {
    return athi_arena_printf(
        t->f.arena,
        "field() { v=${line#*\\\"$1\\\":}; v=${v# }; echo ${v%%%%[,\\}]*}; }\n"
        "ok() { echo '{\"step\":1,\"values\":{\"score\":'$t'.5}}'; echo '{\"done\":true}'; }\n"
        "while read -r line; do t=$(field trial); e=$(field execution)\n%s\ndone",
        body);
}

typedef struct setting {
    int jobs, executions;
    int64_t max_trials, memory;
    int64_t output;
    int retries;
    const int *core;
    void (*progress)(void *, const athi_search *, const athi_task *, const athi_value *);
    pid_t child; /* that the test has started itself */
    double timeout;
    const char *program; /* NULL: sh */
} setting;

static athi_runner_result result;

static ath_status run(study *t, const char *body, setting set) {
    athi_search_opts opts = {.space = t->f.space,
                             .sampler = athi_row_find(&athi_samplers, "random"),
                             .store = t->store,
                             .seed = 7,
                             .max_trials = set.max_trials ? set.max_trials : 4,
                             .executions = set.executions ? set.executions : 1,
                             .jobs = set.jobs ? set.jobs : 1};
    const char *argv[] = {set.program ? set.program : "sh", "-c", script(t, body), NULL};
    athi_search *search;
    assert_ok(t->f.ctx, athi_search_open(t->f.ctx, &opts, &search));
    static const char *const gpus[] = {"3", "MIG-7"};
    interrupted = 0;
    athi_runner_opts runner = {.search = search,
                               .space = t->f.space,
                               .argv = argv,
                               .directory = t->folder,
                               .jobs = opts.jobs,
                               .threads = 3,
                               .limits = {.timeout = set.timeout,
                                          .memory = set.memory,
                                          .kill_after = 1,
                                          .retry_after = 0.01,
                                          .retries = set.retries,
                                          .output = set.output,
                                          .cores = set.core,
                                          .n_cores = set.core != NULL,
                                          .gpus = gpus,
                                          .n_gpus = ATHI_COUNT(gpus)},
                               .progress = set.progress,
                               .interrupted = &interrupted};
    ath_status status = athi_runner_run(t->f.ctx, &runner, &result);
    athi_search_close(search);
    if (set.child) waitpid(set.child, NULL, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, dead or alive */
    assert_int_equal(errno, ECHILD);
    return status;
}

static const char *words(study *t, int trial, int execution) {
    char path[160], *data;
    int64_t size;
    snprintf(path, sizeof path, "%s/trials/%d/%d/stderr.log", t->folder, trial, execution);
    assert_ok(t->f.ctx, athi_file_read(t->f.ctx, path, false, 1 << 20, &data, &size));
    const char *copy = athi_arena_strdup(t->f.arena, data);
    athi_free(t->f.ctx, data);
    return copy;
}

static void study_anew(study *t) {
    athi_store_close(t->store);
    assert_ok(t->f.ctx, athi_remove_tree(t->f.ctx, t->folder));
    assert_ok(t->f.ctx, athi_make_dirs(t->f.ctx, t->folder));
    study_open(t);
}

static void begin(study *t) {
    study_space(t);
    study_open(t);
}

static void workers_answer(void **state) {
    study *t = *state;
    begin(t);
    assert_ok(t->f.ctx,
              run(t, "echo $$ $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $GOMP_SPINCOUNT >&2; ok", (setting){.max_trials = 6}));
    assert_string_equal(result.why, "max_trials");
    assert_true(result.peak_worker_bytes > 100000);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
        assert_true(study_trial(t, i)->values[0] == i + 0.5);
        assert_string_equal(words(t, i, 0), words(t, 0, 0)); /* one process for all */
    }
    assert_non_null(strstr(words(t, 0, 0), " 3 3 2000\n"));
}

static void in_parallel(void **state) {
    study *t = *state;
    begin(t);
    assert_ok(t->f.ctx, run(t, "ok", (setting){.jobs = 3, .executions = 2, .max_trials = 8}));
    assert_int_equal(study_count(t), 8);
    for (int i = 0; i < 8; i++) assert_int_equal(study_trial(t, i)->n_executions, 2);
}

/* Trial 1 goes wrong in each of these ways; the others do not notice. */
static void one_goes_wrong(void **state) {
    study *t = *state;
    begin(t);
    static const struct {
        const char *how;
        athi_reason reason;
        const char *message;
        setting set;
    } rows[] = {
        {"echo warm-up >&2; echo 'boom: bad kernel' >&2; exit 3",
         ATHI_REASON_CRASH,
         "status 3 before its task was done: boom: bad kernel",
         {0}},
        {"exit 0", ATHI_REASON_CRASH, "status 0", {0}},
        {"kill -9 $$", ATHI_REASON_LOST, "signal 9 (SIGKILL, Killed)", {0}},
        {"kill -SEGV $$", ATHI_REASON_CRASH, "signal 11 (SIGSEGV, Segmentation fault)", {0}},
        {"echo Hello; ok", ATHI_REASON_CRASH, "not an answer: 'Hello'", {0}},
        {"echo '[1,2]'; ok", ATHI_REASON_CRASH, "not an answer: '[1,2]'", {0}},
        {"echo '{\"step\":1}'; ok", ATHI_REASON_CRASH, "not an answer", {0}},
        {"echo '{\"step\":1,\"values\":{\"loss\":2}}'; ok",
         ATHI_REASON_CRASH,
         "no 'score'; it has: loss",
         {0}},
        {"echo '{\"done\":true}'", ATHI_REASON_CRASH, "without a report of 'score'", {0}},
        {"echo '{\"failed\":\"nan\",\"message\":\"loss is nan\"}'", ATHI_REASON_NAN, "loss is nan", {0}},
        {"echo 'cannot allocate memory' >&2; exit 1", ATHI_REASON_MEMORY, "cannot allocate memory", {0}},
        {"head -c 900000000 /dev/zero | tail -c 900000000 >/dev/null || exit 1", ATHI_REASON_MEMORY, "memory exhausted", {.memory = 200 << 20}},
        {"hold() { (head -c 150000000 /dev/zero; sleep 60) | tail -c 150000000 >/dev/null; }; hold & hold & wait; exit 1",
         ATHI_REASON_MEMORY,
         "more than memory_limit allows (200 MiB)", /* none of them alone */
         {.memory = 200 << 20}},
        {"head -c 3000000 /dev/zero | tr '\\0' x; sleep 60", ATHI_REASON_CRASH, "not an answer: 'xxxx", {0}},
        {"sleep 60; ok", ATHI_REASON_TIMEOUT, "no end within 0.7 seconds", {.timeout = 0.7}},
        {"trap '' TERM; sleep 60; sleep 60",
         ATHI_REASON_TIMEOUT,
         "no end within 0.7 seconds",
         {.timeout = 0.7}},
        {"exec >&-; sleep 60", ATHI_REASON_CRASH, "closed its standard output", {0}},
    };
    for (int i = 0; i < ATHI_COUNT(rows); i++) {
        const char *body = athi_arena_printf(t->f.arena, "if [ $t = 1 ]; then %s; else ok; fi", rows[i].how);
        assert_ok(t->f.ctx, run(t, body, rows[i].set));
        const athi_trial *x = study_trial(t, 1);
        if (x->reason != rows[i].reason || !x->message || !strstr(x->message, rows[i].message))
            fail_msg("%s: %s, '%s'", rows[i].how, athi_reason_name(x->reason), x->message ? x->message : "");
        for (int k = 0; k < 4; k++)
            if (k != 1) assert_int_equal(study_trial(t, k)->state, ATHI_TRIAL_COMPLETE);
        study_anew(t);
    }
}

/* What was lost is tried again by itself, what crashed where it is asked for; reports of the first try count. */
static void tried_again(void **state) {
    study *t = *state;
    begin(t);
    const char *once = "echo '{\"step\":1,\"values\":{\"score\":9}}'; d=$(field dir | tr -d '\"'); "
                       "field resumed >&2; [ -e $d/once ] || { touch $d/once; %s; }; ok";
    const char *killed = athi_arena_printf(t->f.arena, once, "kill -9 $$");
    assert_ok(t->f.ctx, run(t, killed, (setting){.max_trials = 2}));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
        assert_true(study_trial(t, i)->values[0] == 9);
        assert_string_equal(words(t, i, 0), "false\ntrue\n");
    }
    study_anew(t);
    const char *crashed = athi_arena_printf(t->f.arena, once, "exit 3");
    assert_ok(t->f.ctx, run(t, crashed, (setting){.max_trials = 2, .retries = 1}));
    assert_int_equal(study_trial(t, 1)->state, ATHI_TRIAL_COMPLETE);
    study_anew(t);
    assert_fails(t->f.ctx, run(t, "echo $$ >&2; exit 3", (setting){.retries = 2}), ATH_E_FAILED, "status 3");
    int tries = 0;
    for (const char *p = words(t, 0, 0); *p; p++) tries += *p == '\n';
    assert_int_equal(tries, 3);
}

/* A full disk ends the search and blames no trial. */
static void a_full_disk(void **state) {
    study *t = *state;
    begin(t);
    const char *full = "[ $t = 1 ] && { echo 'cp: x: No space left on device' >&2; exit 1; }; ok";
    assert_fails(t->f.ctx, run(t, full, (setting){0}), ATH_E_IO, "free some and start again");
    assert_int_equal(study_trial(t, 1)->state, ATHI_TRIAL_RUNNING);
    assert_ok(t->f.ctx, run(t, "ok", (setting){0}));
    for (int i = 0; i < 4; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
}

/* A runaway printer fills neither disk nor memory, and keeps nobody from being heard. */
static void much_is_printed(void **state) {
    study *t = *state;
    begin(t);
    const char *body = "[ $t = 0 ] && head -c 30000000 /dev/zero | tr '\\0' x >&2; ok";
    assert_ok(t->f.ctx, run(t, body, (setting){.jobs = 2, .output = 5000}));
    const char *log = words(t, 0, 0);
    assert_int_equal(strlen(log), 5000 + strlen(strchr(log, '\n')));
    assert_string_equal(strchr(log, '\n'), "\n[cut by athanor: more than output_limit, 0.00477 MiB]\n");
    assert_int_equal(study_count(t), 4);
}

/* Holds the database for a second and a half once there is a file "hold"; says so with a file "held". */
static pid_t hold_database(const study *t) {
    pid_t child = fork();
    if (child) return child;
    char path[160];
    snprintf(path, sizeof path, "%s/hold", t->folder);
    for (int i = 0; i < 1000 && !athi_file_exists(path); i++) usleep(10000);
    sqlite3 *db;
    sqlite3_open(t->path, &db);
    sqlite3_busy_timeout(db, 1000);
    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    snprintf(path, sizeof path, "%s/held", t->folder);
    close(open(path, O_CREAT | O_WRONLY, 0666));
    usleep(1500000);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(db);
    _exit(0);
}

static int away, back;
static void count_absences(void *user, const athi_search *search, const athi_task *task, const athi_value *event) {
    (void)user, (void)search, (void)task;
    away += athi_value_get(event, "away") != NULL, back += athi_value_get(event, "back") != NULL;
}

/* The study cannot be reached for a while: nothing is lost, and nobody's trial fails for it, its time limit included. */
static void the_study_is_away(void **state) {
    study *t = *state;
    begin(t);
    athi_store_patience(t->store, 20);
    away = back = 0;
    pid_t child = hold_database(t);
    const char *body = "if [ $t = 1 ]; then f=$(field dir | tr -d '\"')/../../..; touch $f/hold; "
                       "while ! [ -e $f/held ]; do sleep 0.01; done; "
                       "echo '{\"step\":1,\"values\":{\"score\":7}}'; echo '{\"step\":2,\"values\":{\"score\":8}}'; "
                       "echo '{\"done\":true}'; exit 0; fi; ok";
    ath_status status = run(t, body, (setting){.progress = count_absences, .child = child, .timeout = 1.2});
    assert_ok(t->f.ctx, status);
    assert_int_equal(away, 1);
    assert_int_equal(back, 1);
    assert_int_equal(study_count(t), 4);
    for (int i = 0; i < 4; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
    assert_int_equal(study_trial(t, 1)->n_reports, 2);
    assert_true(study_trial(t, 1)->values[0] == 8);
}

static void cores_and_devices(void **state) {
    study *t = *state;
    begin(t);
    cpu_set_t mine;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    int first = 0;
    while (!CPU_ISSET((size_t)first, &mine)) first++;
    const char *body = "echo $CUDA_VISIBLE_DEVICES $(grep Cpus_allowed_list /proc/self/status) >&2; "
                       "[ $t -lt 2 ] && sleep 0.3; ok";
    assert_ok(t->f.ctx, run(t, body, (setting){.jobs = 2, .max_trials = 2, .core = &first}));
    const char *expected[] = {"3", "MIG-7"};
    for (int i = 0; i < 2; i++)
        assert_string_equal(words(t, i, 0), athi_arena_printf(t->f.arena, "%s Cpus_allowed_list: %d\n", expected[i], first));
}

static void all_go_wrong(void **state) {
    study *t = *state;
    begin(t);
    assert_fails(t->f.ctx, run(t, "echo no such library >&2; exit 1", (setting){.max_trials = 50}),
                 ATH_E_FAILED, "no such library");
    assert_string_equal(result.why, "failures");
    assert_int_equal(study_count(t), 3);
}

static void a_worker_that_does_not_exist(void **state) {
    study *t = *state;
    begin(t);
    assert_fails(t->f.ctx, run(t, "", (setting){.program = "/no/such/worker"}), ATH_E_FAILED, "No such file");
}

/* A program that serves two tasks and leaves is started again. */
static void workers_may_leave_between_tasks(void **state) {
    study *t = *state;
    begin(t);
    assert_ok(t->f.ctx,
              run(t, "echo $$ >&2; ok; n=$((n+1)); [ $n = 2 ] && exit 0", (setting){.max_trials = 7}));
    for (int i = 0; i < 7; i++) assert_int_equal(study_trial(t, i)->state, ATHI_TRIAL_COMPLETE);
    assert_string_equal(words(t, 0, 0), words(t, 1, 0));
    assert_string_not_equal(words(t, 1, 0), words(t, 2, 0));
}

static void a_failed_execution_stops_the_others(void **state) {
    study *t = *state;
    begin(t);
    double before = athi_now();
    assert_ok(t->f.ctx, run(t, "[ $t = 0 ] && { [ $e = 0 ] && exit 1; sleep 60; }; ok",
                            (setting){.jobs = 2, .executions = 2, .max_trials = 2}));
    assert_true(athi_now() - before < 30);
    assert_int_equal(study_trial(t, 0)->state, ATHI_TRIAL_FAILED);
    assert_int_equal(study_trial(t, 1)->state, ATHI_TRIAL_COMPLETE);
}

static void interrupted_and_continued(void **state) {
    study *t = *state;
    begin(t);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    /* Saves what it has when it is told to end. */
    assert_fails(t->f.ctx,
                 run(t,
                     "[ $t = 0 ] && { ok; continue; }; echo '{\"step\":1,\"values\":{\"score\":9}}';"
                     "trap 'echo saved >&2; exit 0' TERM; while :; do sleep 0.05; done",
                     (setting){0}),
                 ATH_E_INTERRUPTED, "start again to go on");
    assert_string_equal(result.why, "interrupted");
    assert_non_null(strstr(words(t, 1, 0), "saved\n"));
    assert_int_equal(study_trial(t, 0)->state, ATHI_TRIAL_COMPLETE);
    assert_int_equal(study_trial(t, 1)->state, ATHI_TRIAL_RUNNING);
    assert_ok(t->f.ctx, run(t, "field resumed >&2; ok", (setting){0}));
    assert_true(study_trial(t, 1)->values[0] == 9);
    assert_non_null(strstr(words(t, 1, 0), "saved\ntrue\n")); /* the log goes on */
    assert_string_equal(words(t, 2, 0), "false\n");
}

/* When the runner is killed, its workers go with it. */
static void workers_die_with_the_runner(void **state) {
    study *t = *state;
    begin(t);
    athi_store_close(t->store);
    t->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        study_open(t);
        run(t, "echo $$ >&2; sleep 60", (setting){0});
        _exit(0);
    }
    char path[160];
    snprintf(path, sizeof path, "%s/trials/0/0/stderr.log", t->folder);
    for (int i = 0; i < 1000 && !athi_file_exists(path); i++) usleep(10000);
    pid_t worker = (pid_t)atoi(words(t, 0, 0));
    assert_true(worker > 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    char proc[64], status = 'R';
    snprintf(proc, sizeof proc, "/proc/%d/stat", (int)worker);
    for (int i = 0; i < 500 && status != 'Z'; i++) { /* gone, or waiting for whoever adopted it */
        FILE *f = fopen(proc, "r");
        if (!f) break;
        if (fscanf(f, "%*d %*s %c", &status) != 1) status = 'Z';
        fclose(f);
        if (i == 499) fail_msg("worker %d lives on", (int)worker);
        usleep(10000);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, study_setup, study_teardown)
    const struct CMUnitTest tests[] = {
        TEST(workers_answer),
        TEST(in_parallel),
        TEST(one_goes_wrong),
        TEST(tried_again),
        TEST(a_full_disk),
        TEST(much_is_printed),
        TEST(the_study_is_away),
        TEST(cores_and_devices),
        TEST(all_go_wrong),
        TEST(a_worker_that_does_not_exist),
        TEST(workers_may_leave_between_tasks),
        TEST(a_failed_execution_stops_the_others),
        TEST(interrupted_and_continued),
        TEST(workers_die_with_the_runner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
