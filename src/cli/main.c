/* The program: finds the verb and runs it. */
#include "cli/cli.h"
#include "graph/backend.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

const athi_verb athi_verbs[] = {
    {"run", "RECIPE", "All stages that the recipe names: sweep, tune, retrain, ensemble, evaluate.", athi_flags_run,
     athi_verb_run, false, false, true},
    {"train", "RECIPE", "One training, ranges at their defaults.", athi_flags_train, athi_verb_train, false, false,
     true},
    {"tune", "[FILE]",
     "The search alone: over a RECIPE, or over any program: tune SPACE -- COMMAND --lr {lr}, where SPACE may be left "
     "out "
     "for --param.",
     athi_flags_tune, athi_verb_tune, false, true, true},
    {"sweep", "RECIPE", "Every value of a constant, timed or trained: table, CSV and charts.", athi_flags_sweep,
     athi_verb_sweep, false, false, true},
    {"worker", "STUDY", "One more worker on a study, from any machine that reaches its database.", athi_flags_worker,
     athi_verb_worker, false, false, true},
    {"ask-tell", "[SPACE]", "The samplers as a server: JSON lines on standard input and output.", athi_flags_ask_tell,
     athi_verb_ask_tell, false, false, true},
    {"predict", "MODEL", "What a finished model gives for the samples of a file.", athi_flags_predict,
     athi_verb_predict, false, false, false},
    {"evaluate", "MODEL", "Loss and metrics of a finished model.", athi_flags_evaluate, athi_verb_evaluate, false,
     false, false},
    {"quantize", "MODEL", "An int8 copy of a finished model, and what that changes: size, speed, metrics.",
     athi_flags_quantize, athi_verb_quantize, false, false, false},
    {"show", "STUDY", "The trials of a study: a run's folder, or a study.db.", athi_flags_study, athi_verb_show,
     false, false, false},
    {"best", "STUDY", "The best trial of a study; of several objectives, the Pareto front.", athi_flags_best,
     athi_verb_best, false, false, false},
    {"export", "STUDY", "All trials of a study as CSV, JSON, TensorBoard's event files or MLflow's folders.",
     athi_flags_export, athi_verb_export, false, false, false},
    {"import", "SOURCE STUDY",
     "A study of Optuna (database, journal) or of KerasTuner (folder) becomes one that all these verbs understand.",
     athi_flags_import, athi_verb_import, false, false, false},
    {"report", "STUDY", "A page with all pictures and tables of a study, for any browser, without network.",
     athi_flags_report, athi_verb_report, false, false, false},
    {"explain", "RECIPE",
     "The space; which kernel runs each op and why; parameters, memory, FLOPs; --profile: where a step's time goes.",
     athi_flags_explain, athi_verb_explain, false, false, false},
    {"list", "[KIND]", "What there is: layers, optimizers, samplers, ...; alone: the kinds.", athi_flags_list,
     athi_verb_list, false, false, false},
    {"bench", "", "What this machine can do at best, and how near to it each main kernel comes.", athi_flags_bench,
     athi_verb_bench, false, false, false},
    {"doctor", "", "What this machine has, what is missing, and how to get it.", athi_flags_doctor, athi_verb_doctor,
     false, false, false},
    {"worker-process", "", "Trains what a run sends on standard input.", athi_flags_worker_process,
     athi_verb_worker_process, true, false, true},
    {0},
};

/* ---- signals ------------------------------------------------------------------------------------- */

static volatile int interrupted;

/* The first signal asks for an orderly end with the state saved; a second one ends at once. */
static void on_signal(int number) {
    if (interrupted) {
        signal(number, SIG_DFL);
        raise(number);
    }
    interrupted = 1;
}

static void watch_signals(const athi_verb *verb) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    signal(SIGCHLD, SIG_DFL); /* who starts us may ignore it, and then nobody learns how a worker has ended */
    if (!verb->orderly) return;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup: it shall go on */
        sigaction(SIGHUP, &action, NULL);
}

/* A standard stream that was closed would be the next file that is opened, and our words would go into it. The wrong way
 * round: reading and writing fail as they would. */
static void hold_streams(void) {
    int fd = STDIN_FILENO;
    while (fd <= STDERR_FILENO &&
           (fcntl(fd, F_GETFD) >= 0 || open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == fd))
        fd++;
}

/* ---- one verb ------------------------------------------------------------------------------------ */

static void say(const char *sentence) { athi_cli_line("athanor: %s", sentence); }

static void on_log(void *user, ath_log_level level, const char *line) {
    (void)user;
    if (level >= ATH_LOG_WARNING) say(line);
}

static int exit_code(const athi_cli *cli, ath_status status) {
    if (status == ATH_OK) return ATHI_EXIT_DONE;
    if (status == ATH_E_INTERRUPTED) return ATHI_EXIT_INTERRUPTED;
    return cli->started || status == ATH_E_FAILED ? ATHI_EXIT_FAILED : ATHI_EXIT_REFUSED;
}

/* ATHANOR_CPU=avx2 leaves what is newer unused, here and in the workers, which inherit it: to see what another processor
 * would do. */
static ath_status hold_processor(ath_ctx *ctx) {
    const char *name = getenv("ATHANOR_CPU");
    if (!name || !*name) return ATH_OK;
    const athi_backend *cpu;
    ATH_TRY(athi_backend_find(ctx, "cpu", &cpu));
    ath_status status = cpu->hold_to(ctx, name);
    return status == ATH_OK ? status : athi_fail_prefix(ctx, status, "ATHANOR_CPU");
}

/* Parses with a context of its own, since the one that the verb works with follows from the options. */
static int perform(const athi_verb *verb, int n, char **argv) {
    athi_cli cli = {.verb = verb, .interrupted = &interrupted};
    ath_ctx *parsing = NULL;
    if (ath_ctx_create(NULL, &parsing) != ATH_OK) return say("out of memory"), ATHI_EXIT_REFUSED;
    cli.ctx = parsing;
    ath_status status = athi_cli_parse(&cli, n, argv);
    if (status != ATH_OK) say(ath_errmsg(parsing));
    ath_ctx_destroy(parsing);
    if (status != ATH_OK) return ATHI_EXIT_REFUSED;
    if (cli.help) return athi_cli_help(verb, stdout), ATHI_EXIT_DONE;
    ath_ctx_opts opts = {.struct_size = sizeof opts,
                         .log = on_log,
                         .threads = (int)athi_cli_count(&cli, "threads", 0),
                         .backend = athi_cli_text(&cli, "backend", NULL)};
    if (ath_ctx_create(&opts, &cli.ctx) != ATH_OK) return say("out of memory"), ATHI_EXIT_REFUSED;
    cli.arena = athi_arena_create(cli.ctx);
    status = cli.arena ? hold_processor(cli.ctx) : ATH_E_NOMEM;
    if (status == ATH_OK) status = verb->run(&cli);
    if (status == ATH_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        cli.started = true;
        status = athi_fail(cli.ctx, ATH_E_IO, "standard output cannot be written");
    }
    if (status == ATH_E_INTERRUPTED)
        say(cli.forgets ? "interrupted; nothing of it is kept"
                        : "interrupted; the state is saved, the same command goes on from there");
    else if (status != ATH_OK)
        say(*ath_errmsg(cli.ctx) ? ath_errmsg(cli.ctx) : ath_status_text(status));
    int code = exit_code(&cli, status);
    athi_arena_destroy(cli.arena);
    ath_ctx_destroy(cli.ctx);
    return code;
}

/* Nobody else reads what stands in the arguments. */
static int in_private(const athi_verb *verb, int n, char **argv) {
    ath_ctx *ctx = NULL;
    athi_arena *arena = ath_ctx_create(NULL, &ctx) == ATH_OK ? athi_arena_create(ctx) : NULL;
    ath_status status = arena ? athi_cli_hide_passwords(arena, n, argv) : ATH_E_NOMEM;
    int code = ATHI_EXIT_REFUSED;
    if (status == ATH_OK)
        code = perform(verb, n, argv);
    else
        say(ath_status_text(status));
    if (arena) athi_arena_destroy(arena);
    ath_ctx_destroy(ctx);
    return code;
}

static int unknown_verb(const char *name) {
    const char *near = athi_nearest(name, athi_verbs, ATHI_COUNT(athi_verbs) - 2, sizeof athi_verbs[0]);
    fprintf(stderr, "athanor: there is no verb '%s'%s%s%s; see `athanor --help`\n", name,
            near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    return ATHI_EXIT_REFUSED;
}

int main(int argc, char **argv) {
    hold_streams();
    if (argc < 2) return athi_cli_usage(stderr), ATHI_EXIT_REFUSED;
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return athi_cli_usage(stdout), ATHI_EXIT_DONE;
    if (strcmp(name, "--version") == 0) return printf("athanor %s\n", ath_version()), ATHI_EXIT_DONE;
    for (const athi_verb *v = athi_verbs; v->name; v++) {
        if (strcmp(v->name, name) != 0) continue;
        watch_signals(v);
        return in_private(v, argc - 2, argv + 2);
    }
    return unknown_verb(name);
}
