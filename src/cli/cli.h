/* The program's inside: verbs are rows {name, sentence, arguments, options, function}; one parser reads the options of
 * all of them, and --help is printed from the same rows.
 *
 *   main.c  verbs, signals, exit codes     arguments.c  parsing, help       place.c  cache folder, terminal, own path,
 *                                                                                    the folder of a run
 *   verb_*.c  a verb or a small family     progress.c   what is seen while something runs */
#ifndef ATHI_CLI_H
#define ATHI_CLI_H

#include "base/value.h"
#include "recipe/recipe.h"
#include "report/study.h"

#include <stdio.h>

typedef enum athi_flag_type {
    ATHI_FLAG_SWITCH, /* --json */
    ATHI_FLAG_TEXT,   /* --out F */
    ATHI_FLAG_COUNT,  /* --threads N: an integer of at least 1 */
    ATHI_FLAG_TEXTS,  /* --set A --set B */
} athi_flag_type;

typedef struct athi_flag {
    const char *name; /* without the dashes */
    athi_flag_type type;
    const char *argument; /* "FILE"; NULL for switches */
    const char *doc;
} athi_flag;

enum { ATHI_FLAGS_MAX = 16, ATHI_SETS_MAX = 64 };

/* What was given for one flag. */
typedef struct athi_given {
    bool set;
    const char *text;
    int64_t count;
} athi_given;

typedef struct athi_cli athi_cli;
typedef struct athi_verb {
    const char *name;
    const char *arguments; /* "RECIPE"; those in [] may be left out */
    const char *doc;
    const athi_flag *flags; /* ended by a row without name */
    ath_status (*run)(athi_cli *cli);
    bool hidden;  /* for the program itself: not in the list */
    bool command; /* what follows -- is a command line of another program */
    bool orderly; /* an interrupt asks it to end; the others just end */
} athi_verb;
extern const athi_verb athi_verbs[]; /* ended by a row without name */

struct athi_cli {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_verb *verb;
    const char *arguments[2];
    int n_arguments;
    athi_given given[ATHI_FLAGS_MAX]; /* by the verb's flags */
    const char *sets[ATHI_SETS_MAX];  /* of all flags that may stand several times */
    const char *set_flags[ATHI_SETS_MAX];
    int n_sets;
    const char *const *command; /* what follows --, NULL-ended; NULL: none */
    bool help;
    bool started; /* a failure from now on is exit 1 */
    bool forgets; /* nothing of it is kept, however it ends */
    const volatile int *interrupted;
};

/* Exit codes. */
enum { ATHI_EXIT_DONE = 0, ATHI_EXIT_FAILED = 1, ATHI_EXIT_REFUSED = 2, ATHI_EXIT_INTERRUPTED = 130 };

/* ---- arguments.c --------------------------------------------------------------------------------- */

/** Reads argv after the verb. The sentence names the nearest option where one is unknown. */
ath_status athi_cli_parse(athi_cli *cli, int n, char **argv);
void athi_cli_help(const athi_verb *verb, FILE *out);
void athi_cli_usage(FILE *out);
const athi_given *athi_cli_given(const athi_cli *cli, const char *flag);
bool athi_cli_has(const athi_cli *cli, const char *flag);
const char *athi_cli_text(const athi_cli *cli, const char *flag, const char *otherwise);
int64_t athi_cli_count(const athi_cli *cli, const char *flag, int64_t otherwise);

/** What was given for one that may stand several times, in the arena; NULL: no memory. */
const char *const *athi_cli_texts(athi_cli *cli, const char *flag, int *n);

/* Flags that several verbs share. */
#define ATHI_FLAG_JSON_ROW                                                                                           \
    { "json", ATHI_FLAG_SWITCH, NULL, "the result as JSON on standard output" }
#define ATHI_FLAG_STUDY_ROW                                                                                          \
    { "study", ATHI_FLAG_TEXT, "NAME", "which study, where the file holds several" }
#define ATHI_FLAG_SET_ROW                                                                                            \
    {                                                                                                                \
        "set", ATHI_FLAG_TEXTS, "PATH=VALUE",                                                                        \
            "another value in the recipe (YAML, ranges too); may stand several times"                                \
    }
#define ATHI_FLAG_PARAM_ROW                                                                                          \
    {                                                                                                                \
        "param", ATHI_FLAG_TEXTS, "NAME=RANGE",                                                                      \
            "a parameter: 'lr=!float {min: 1e-5, max: 0.1, prior: log}'; replaces the file's or adds"                \
    }
#define ATHI_FLAG_THREADS_ROW                                                                                        \
    { "threads", ATHI_FLAG_COUNT, "N", "processor threads (default: all cores)" }
#define ATHI_FLAG_BACKEND_ROW                                                                                        \
    { "backend", ATHI_FLAG_TEXT, "NAME", "what computes (`athanor list backends`; default: the best that runs)" }

/* ---- place.c ------------------------------------------------------------------------------------- */

/** Folder of decoded data: ATHANOR_CACHE, XDG_CACHE_HOME/athanor, ~/.cache/athanor; NULL where none is known. */
const char *athi_cli_cache(athi_arena *arena);
/** The path of this program, for workers. */
const char *athi_cli_program(athi_arena *arena);
/** Takes the passwords in URLs out of the list of processes. The arena lives as long as argv is read. */
ath_status athi_cli_hide_passwords(athi_arena *arena, int n, char **argv);
/** What --dir, --jobs, --threads, --study and --overwrite say of a run called `name`. A process that dies is a failed
 * trial from now on, not our end. */
ath_status athi_cli_run_opts(athi_cli *cli, const char *name, athi_run_opts *opts);
/** Can a file be written there? A sentence before the work, in place of one behind it. */
ath_status athi_cli_check_output(athi_cli *cli, const char *path);
/** ATH_E_OPTION: `output` is the very file `input`, which would be lost. */
ath_status athi_cli_check_spared(athi_cli *cli, const char *output, const char *input);
/** Makes a folder of its own below TMPDIR; memory: below /dev/shm where that can be. To be removed by athi_cli_remove. */
ath_status athi_cli_temporary(athi_cli *cli, bool memory, const char **folder);
/** Removes it after work that ended with `status`; what went wrong first is what is told. */
ath_status athi_cli_remove(athi_cli *cli, const char *folder, ath_status status);
/** May box drawing characters be written there? */
bool athi_cli_utf8(FILE *out);

/* ---- verb_simulate.c ----------------------------------------------------------------------------- */

/** tune with --simulate. */
ath_status athi_tune_simulated(athi_cli *cli);

/* ---- progress.c ---------------------------------------------------------------------------------- */

/** A line that stays. */
void athi_cli_line(const char *fmt, ...) ATHI_PRINTF(1, 2);
/** A line that the next one replaces; nothing where there is no terminal. */
void athi_cli_progress(const char *fmt, ...) ATHI_PRINTF(1, 2);
/** Prints a text that may hold anything: control characters as \u001b. */
void athi_cli_plain(FILE *out, const char *text);
/** A word as a shell takes it, for commands that are suggested; NULL: no memory. */
const char *athi_cli_word(const athi_cli *cli, const char *word);
/** A map of parameters on standard output, a line each. */
void athi_cli_params(const athi_cli *cli, const athi_value *params);
/** Prints a value as JSON, indented, on standard output. */
ath_status athi_cli_json(athi_cli *cli, const athi_value *value);

/** Prints the table of a run's or a sweep's report. */
ath_status athi_cli_table(athi_cli *cli, const athi_value *report);

/* ---- verb_show.c --------------------------------------------------------------------------------- */

/** Opens the study that the verb's argument and --study name, and closes it after `at`. */
ath_status athi_cli_look(athi_cli *cli, ath_status (*at)(athi_cli *cli, athi_study *study));

/* ---- show_replay.c ------------------------------------------------------------------------------- */

/** show with --replay. */
ath_status athi_show_replay(athi_cli *cli, athi_study *study);

/* ---- verbs --------------------------------------------------------------------------------------- */

ath_status athi_verb_run(athi_cli *cli);
ath_status athi_verb_tune(athi_cli *cli);
ath_status athi_verb_ask_tell(athi_cli *cli);
ath_status athi_verb_train(athi_cli *cli);
ath_status athi_verb_worker(athi_cli *cli);
ath_status athi_verb_worker_process(athi_cli *cli);
ath_status athi_verb_predict(athi_cli *cli);
ath_status athi_verb_evaluate(athi_cli *cli);
ath_status athi_verb_quantize(athi_cli *cli);
ath_status athi_verb_show(athi_cli *cli);
ath_status athi_verb_best(athi_cli *cli);
ath_status athi_verb_export(athi_cli *cli);
ath_status athi_verb_import(athi_cli *cli);
ath_status athi_verb_report(athi_cli *cli);
ath_status athi_verb_explain(athi_cli *cli);
ath_status athi_verb_list(athi_cli *cli);
ath_status athi_verb_doctor(athi_cli *cli);
ath_status athi_verb_sweep(athi_cli *cli);
ath_status athi_verb_bench(athi_cli *cli);
extern const athi_flag athi_flags_run[], athi_flags_tune[], athi_flags_ask_tell[], athi_flags_train[],
    athi_flags_worker[], athi_flags_worker_process[], athi_flags_predict[], athi_flags_evaluate[], athi_flags_quantize[], athi_flags_study[],
    athi_flags_best[], athi_flags_export[], athi_flags_report[], athi_flags_explain[], athi_flags_list[],
    athi_flags_import[], athi_flags_doctor[], athi_flags_bench[], athi_flags_sweep[];

/** docs/options.md: every kind, row and option. */
ath_status athi_cli_markdown(athi_text *out);

#endif
