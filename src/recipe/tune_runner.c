/* What both kinds of search, over a recipe and over a command, say to the runner and hear from it: the limits of an
 * execution, from the options, and the lines about executions that did not go well. */
#include "recipe/internal.h"

#include <sched.h>
#include <stdio.h>

static const double MEBIBYTES = 1 << 20;

/* ---- processors ---------------------------------------------------------------------------------- */

static ath_status cores_there_are(athi_arena *arena, athi_limits *limits) {
    cpu_set_t set;
    int *list = athi_arena_array(arena, CPU_SETSIZE, (int64_t)sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    if (sched_getaffinity(0, sizeof(set), &set)) return ATH_OK; /* more than the set holds: the system chooses */
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET((size_t)i, &set)) list[limits->n_cores++] = i;
    limits->cores = list;
    return ATH_OK;
}

static ath_status wrong_cores(ath_ctx *ctx, const athi_value *cores) {
    char place[48];
    athi_value_place(cores, place);
    return athi_fail(ctx, ATH_E_OPTION,
                     "%scores: expected none, auto or a list of processor numbers such as [0, 1, 2, 3], got %s",
                     place, cores->type == ATHI_STRING ? cores->text : athi_value_type_name(cores->type));
}

static ath_status read_cores(ath_ctx *ctx, athi_arena *arena, const athi_value *cores, athi_limits *limits) {
    if (!cores || (cores->type == ATHI_STRING && strcmp(cores->text, "none") == 0)) return ATH_OK;
    if (cores->type == ATHI_STRING && strcmp(cores->text, "auto") == 0) return cores_there_are(arena, limits);
    if (cores->type != ATHI_LIST || !cores->n) return wrong_cores(ctx, cores);
    int *list = athi_arena_array(arena, cores->n, (int64_t)sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; i < cores->n; i++) {
        const athi_value *v = cores->items[i];
        if (v->type != ATHI_INT || v->integer < 0 || v->integer >= CPU_SETSIZE) return wrong_cores(ctx, cores);
        list[i] = (int)v->integer;
    }
    limits->cores = list, limits->n_cores = (int)cores->n;
    return ATH_OK;
}

/* ---- devices ------------------------------------------------------------------------------------- */

/* Numbers, or names such as MIG-4b2c…. */
static ath_status read_gpus(ath_ctx *ctx, athi_arena *arena, const athi_value *gpus, athi_limits *limits) {
    char place[48];
    if (!gpus || gpus->type == ATHI_NULL) return ATH_OK;
    const char **list = athi_arena_array(arena, ATHI_MAX(gpus->n, 1), (int64_t)sizeof(*list));
    if (!list) return ATH_E_NOMEM;
    bool fine = gpus->type == ATHI_LIST && gpus->n > 0;
    for (int64_t i = 0; fine && i < gpus->n; i++) {
        const athi_value *v = gpus->items[i];
        fine = (v->type == ATHI_INT && v->integer >= 0) || (v->type == ATHI_STRING && *v->text);
        if (!fine) break;
        list[i] = v->type == ATHI_STRING ? v->text : athi_arena_printf(arena, "%lld", (long long)v->integer);
        if (!list[i]) return ATH_E_NOMEM;
    }
    athi_value_place(gpus, place);
    if (!fine)
        return athi_fail(ctx, ATH_E_OPTION, "%sgpus: expected a list of devices such as [0, 1], got %s", place,
                         gpus->type == ATHI_LIST ? "one with other values" : athi_value_type_name(gpus->type));
    limits->gpus = list, limits->n_gpus = (int)gpus->n;
    return ATH_OK;
}

ath_status athi_tune_limits(ath_ctx *ctx, athi_arena *arena, const athi_tune_opts *opts, athi_limits *limits) {
    *limits = (athi_limits){.timeout = opts->timeout,
                            .kill_after = opts->kill_after,
                            .memory = (int64_t)(opts->memory_limit * MEBIBYTES),
                            .output = (int64_t)(opts->output_limit * MEBIBYTES),
                            .retries = (int)opts->retries};
    ATH_TRY(read_cores(ctx, arena, opts->cores, limits));
    return read_gpus(ctx, arena, opts->gpus, limits);
}

/* ---- lines for people ---------------------------------------------------------------------------- */

static const char *text_of(const athi_value *event, const char *key) {
    const athi_value *v = athi_value_get(event, key);
    return v && v->type == ATHI_STRING ? v->text : NULL;
}

bool athi_tune_event_line(const athi_task *task, const athi_value *event, char line[ATHI_EVENT_LINE]) {
    static const struct {
        const char *key, *format;
    } of_study[] = {{"away",
                     "%s; what runs goes on, and the study is asked again every second, for ten minutes at most"},
                    {"back", "%s"}};
    const char *failed = text_of(event, "failed"), *retry = text_of(event, "retry"),
               *message = text_of(event, "message");
    long long trial = (long long)task->trial;
    double seconds = 0;
    if (text_of(event, "pruned")) {
        snprintf(line, ATHI_EVENT_LINE, "trial %lld was stopped: others are better", trial);
        return true;
    }
    const athi_value *parent = athi_value_get(event, "child_of");
    if (parent) {
        snprintf(line, ATHI_EVENT_LINE, "trial %lld goes on from trial %lld, with other values", trial,
                 (long long)parent->integer);
        return true;
    }
    if (failed) snprintf(line, ATHI_EVENT_LINE, "trial %lld failed (%s): %s", trial, failed, message ? message : "");
    for (int i = 0; i < ATHI_COUNT(of_study); i++)
        if (text_of(event, of_study[i].key)) {
            snprintf(line, ATHI_EVENT_LINE, of_study[i].format, text_of(event, of_study[i].key));
            return true;
        }
    if (retry && athi_value_number(athi_value_get(event, "seconds"), &seconds))
        snprintf(line, ATHI_EVENT_LINE, "trial %lld: %s (%s); it is tried again in %g s", trial,
                 message ? message : "", retry, seconds);
    return failed || retry;
}
