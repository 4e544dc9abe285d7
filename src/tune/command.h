/* Any program as what is tuned: its command line holds templates, its standard output the reports.
 *
 *   python train.py --lr {lr} --out {dir}      {name} {trial} {seed} {dir}; {args}: --name value …; {{ a brace
 *   {"step": 3, "val_loss": 0.2}               a report; without "step" the final value; other lines are its log
 *
 * No shell takes part: an argument stays one argument whatever stands in it, but for {args}. The same values
 * stand in ATHANOR_PARAM_<NAME>, ATHANOR_TRIAL, ATHANOR_SEED, ATHANOR_DIR and ATHANOR_BUDGET
 * (the steps that it may take: where a scheduler pauses it, or max_t). ATHANOR_RESUMED is 1 where a resumable one
 * goes on, else empty. runner.h runs it. */
#ifndef ATHI_COMMAND_H
#define ATHI_COMMAND_H

#include "tune/search.h"

typedef struct athi_command {
    const char *const *argv; /* with templates, NULL-ended */
    const athi_space *space;
    const char *const *objectives; /* a report holds all of them */
    int n_objectives;
    bool resumable; /* it goes on with what it has left in {dir} when ATHANOR_RESUMED is 1 */
} athi_command;

/** Templates, names in the environment, and the program itself, with the default point. */
ath_status athi_command_check(ath_ctx *ctx, const athi_command *command);
/** The command line of a task; `folder` is what {dir} becomes. NULL-ended, in the arena. */
ath_status athi_command_argv(ath_ctx *ctx, athi_arena *arena, const athi_command *command, const athi_task *task,
                             const char *folder, const char *const **argv);
/** NAME=VALUE of a task, n of them. */
ath_status athi_command_variables(ath_ctx *ctx, athi_arena *arena, const athi_command *command, const athi_task *task,
                                  const char *folder, char ***variables, int64_t *n);

/** One word as a shell would take it. */
void athi_command_quote(const char *word, athi_text *out);

/* What one execution has written so far. */
typedef struct athi_output {
    int64_t reports, lines;
    bool from_zero;  /* its first step was 0: one is added to all */
    char keys[200];  /* of the last JSON object without the objective */
    char broken[80]; /* line that names the objective and is not JSON */
    char last[200];  /* line of the log */
} athi_output;

/** One line of standard output: *values its numbers and *step (0: the final value), or *values NULL for a line
 *  of the log. NaN, Infinity and -Infinity may stand unquoted. ATH_E_DATA: a report that cannot be one. */
ath_status athi_command_line(ath_ctx *ctx, athi_arena *arena, const athi_command *command, athi_output *output,
                             const char *line, int64_t length, int64_t *step, athi_value **values);
/** The sentence for a program that ended well without a report. */
void athi_command_silent(const athi_command *command, const athi_output *output, char *text, size_t size);

/** One JSON text in which NaN, Infinity and -Infinity may stand unquoted: they are read as the texts "nan",
 *  "inf", "-inf", which reports understand. */
ath_status athi_json_read_loose(ath_ctx *ctx, athi_arena *arena, const char *text, int64_t n, athi_value **out);

#endif
