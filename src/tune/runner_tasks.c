/* Who runs what: tasks from the search onto idle slots, and how a task begins on a worker or as a command. */
#include "tune/runner_internal.h"

#include "base/file.h"

#include <stdio.h>
#include <unistd.h>

int athi_runner_alive(const athi_runner *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += r->slots[i].alive;
    return n;
}

int athi_runner_busy(const athi_runner *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += r->slots[i].state != ATHI_SLOT_IDLE;
    return n;
}

static const double LOCKED_SECONDS = 1; /* between two tries to get a folder */

/* ---- beginnings ---------------------------------------------------------------------------------- */

static ath_status write_request(athi_runner *r, athi_slot *w) {
    athi_arena *a = r->scratch;
    athi_value *map = athi_value_new(a, ATHI_MAP), *params = NULL;
    char seed[32];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)w->task.seed); /* as text: JSON numbers end at 2^53 */
    ATH_TRY(athi_space_point_write(a, r->opts->space, w->task.point, &params));
    if (!map) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(a, map, "op", athi_value_string(a, "run")));
    ATH_TRY(athi_value_set(a, map, "trial", athi_value_int(a, w->task.trial)));
    ATH_TRY(athi_value_set(a, map, "execution", athi_value_int(a, w->task.execution)));
    ATH_TRY(athi_value_set(a, map, "seed", athi_value_string(a, seed)));
    ATH_TRY(athi_value_set(a, map, "dir", athi_value_string(a, w->folder)));
    ATH_TRY(athi_value_set(a, map, "params", params));
    ATH_TRY(athi_value_set(a, map, "resumed", athi_value_bool(a, w->task.resumed)));
    if (w->task.budget) ATH_TRY(athi_value_set(a, map, "until", athi_value_int(a, w->task.budget)));
    if (w->task.begin) ATH_TRY(athi_value_set(a, map, "begin", athi_value_int(a, w->task.begin)));
    athi_text text = {.ctx = r->ctx};
    ath_status status = athi_json_write(&text, map, 0);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    athi_free(r->ctx, w->request);
    w->request = status == ATH_OK ? text.text : NULL;
    if (status != ATH_OK) athi_text_free(&text);
    return status;
}

/* A task begins: nothing of the one before is left. */
static void begin_task(athi_runner *r, athi_slot *w) {
    const athi_limits *limits = &r->opts->limits;
    w->state = ATHI_SLOT_RUNNING;
    w->lines = 0;
    w->kill_at = 0;
    w->stop = ATHI_ACTION_CONTINUE;
    w->force_at = 0;
    athi_capture_close(&w->process.log);
    w->process.log = (athi_capture){.path = w->errors_path, .limit = limits->output, .fd = -1};
    w->process.n_words = 0, w->process.words[0] = 0;
    w->oom_kills = athi_oom_kills();
    athi_search_started(r->opts->search, &w->task);
    w->deadline = limits->timeout > 0 ? athi_now() + limits->timeout : 0;
}

static ath_status start_process(athi_runner *r, athi_slot *w, athi_process_opts opts) {
    opts.memory_limit = r->opts->limits.memory;
    opts.cores = w->cores;
    ATH_TRY(athi_process_start(r->ctx, &w->process, &opts));
    w->alive = true;
    w->served = 0;
    return ATH_OK;
}

ath_status athi_slot_send(athi_runner *r, athi_slot *w) {
    athi_process_opts opts = {.argv = r->opts->argv, .environment = w->environment, .noun = "worker"};
    if (!w->alive) ATH_TRY(start_process(r, w, opts));
    begin_task(r, w);
    return athi_process_send(&w->process, w->request);
}

/* A process of its own, whose logs begin empty where it does. */
static ath_status start_command(athi_runner *r, athi_slot *w, bool there) {
    athi_process_opts opts = {.noun = "command"};
    char **own = NULL;
    int64_t n = 0;
    const bool goes_on = r->opts->command->resumable && w->task.resumed && there;
    if (w->task.resumed && !goes_on) ATH_TRY(athi_search_restart(r->opts->search, &w->task));
    w->task.resumed = goes_on;
    ATH_TRY(athi_command_argv(r->ctx, r->scratch, r->opts->command, &w->task, w->folder, &opts.argv));
    ATH_TRY(athi_command_variables(r->ctx, r->scratch, r->opts->command, &w->task, w->folder, &own, &n));
    if (!(opts.environment = athi_environment_with(r->scratch, w->environment, own, n))) return ATH_E_NOMEM;
    if (!goes_on) unlink(w->errors_path), unlink(w->log_path);
    ATH_TRY(start_process(r, w, opts));
    athi_process_close_input(&w->process);
    begin_task(r, w);
    w->output = (athi_output){0};
    w->log = (athi_capture){.path = w->log_path, .limit = r->opts->limits.output, .fd = -1};
    return ATH_OK;
}

/* A driver whose lease has run out may live on without knowing: its processes still work in the folder. */
static ath_status lock_folder(athi_runner *r, athi_slot *w) {
    if (w->lock >= 0 || !athi_search_shared(r->opts->search)) return ATH_OK;
    const char *path = athi_arena_printf(r->scratch, "%s.lock", w->folder);
    return path ? athi_lock_take(r->ctx, path, &w->lock) : ATH_E_NOMEM;
}

static ath_status start_task(athi_runner *r, athi_slot *w) {
    athi_arena_reset(r->scratch);
    const bool there = athi_file_exists(w->folder);
    if (!there && w->task.child)
        return athi_slot_fail(r, w, ATHI_REASON_LOST, "its state lies with another driver, whose folder is not here");
    ATH_TRY(athi_make_dirs(r->ctx, w->folder));
    ath_status locked = lock_folder(r, w);
    if (locked == ATH_E_BUSY) return w->again_at = athi_now() + LOCKED_SECONDS, ATH_OK;
    ATH_TRY(locked);
    if (r->opts->command) return start_command(r, w, there);
    ATH_TRY(write_request(r, w));
    return athi_slot_send(r, w);
}

static ath_status try_again(athi_runner *r, athi_slot *w) {
    if (w->state != ATHI_SLOT_WAITING || r->away || athi_now() < w->again_at) return ATH_OK;
    if (w->tries) w->task.resumed = true; /* what the try before has saved and reported may count */
    return athi_runner_bear(r, start_task(r, w));
}

/* ---- children -------------------------------------------------------------------------------------- */

ath_status athi_runner_inherit(void *user, int64_t child, int64_t parent, bool fresh) {
    const athi_inheritance *i = user;
    athi_text from = {.ctx = i->ctx}, to = {.ctx = i->ctx}, above = {.ctx = i->ctx};
    athi_text_printf(&from, "%s/trials/%lld/0", i->directory, (long long)parent);
    athi_text_printf(&above, "%s/trials/%lld", i->directory, (long long)child);
    athi_text_printf(&to, "%s/trials/%lld/0", i->directory, (long long)child);
    ath_status status = from.failed || to.failed || above.failed ? ATH_E_NOMEM : ATH_OK;
    bool done = status == ATH_OK && !fresh && athi_file_exists(to.text);
    if (status == ATH_OK && !done) status = athi_make_dirs(i->ctx, above.text);
    if (status == ATH_OK && !done) status = athi_copy_tree(i->ctx, from.text, to.text);
    if (status != ATH_OK && status != ATH_E_NOMEM)
        status = athi_fail_prefix(i->ctx, status, "trial %lld goes on from the state of trial %lld", (long long)child,
                                  (long long)parent);
    athi_text_free(&from), athi_text_free(&to), athi_text_free(&above);
    return status;
}

static ath_status tell_parent(athi_runner *r, const athi_task *task) {
    if (task->parent < 0) return ATH_OK;
    athi_value *event = athi_value_new(r->scratch, ATHI_MAP);
    if (!event) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(r->scratch, event, "child_of", athi_value_int(r->scratch, task->parent)));
    athi_runner_tell(r, task, event);
    return ATH_OK;
}

/* ---- beginnings of tasks --------------------------------------------------------------------------- */

static char *path_of(athi_runner *r, const char *folder, const char *name) {
    const char *path = athi_arena_printf(r->scratch, "%s/%s", folder, name);
    return path ? athi_strdup(r->ctx, path) : NULL;
}

static ath_status give_task(athi_runner *r, athi_slot *w, const athi_task *task) {
    athi_arena_reset(r->scratch);
    w->task = *task;
    w->tries = 0;
    w->state = ATHI_SLOT_WAITING, w->again_at = 0; /* until it has begun */
    char below[64];
    snprintf(below, sizeof(below), "trials/%lld/%lld", (long long)task->trial, (long long)task->execution);
    if (!(w->folder = path_of(r, r->opts->directory, below))) return ATH_E_NOMEM;
    if (!(w->errors_path = path_of(r, w->folder, "stderr.log"))) return ATH_E_NOMEM;
    if (!(w->log_path = path_of(r, w->folder, "stdout.log"))) return ATH_E_NOMEM;
    ATH_TRY(tell_parent(r, task));
    return try_again(r, w);
}

/* ---- from the search ----------------------------------------------------------------------------- */

/* Of a command's first trial it is unknown whether it works at all. */
static bool alone(const athi_runner *r) {
    return r->opts->command && athi_runner_busy(r) && !athi_search_any_came(r->opts->search);
}

ath_status athi_runner_give_tasks(athi_runner *r, bool *waiting) {
    *waiting = false;
    for (int i = 0; i < r->n; i++) ATH_TRY(athi_slot_settle(r, &r->slots[i]));
    for (int i = 0; i < r->n; i++) ATH_TRY(try_again(r, &r->slots[i]));
    for (int i = 0; i < r->n && !r->done && !r->away && !alone(r); i++) {
        athi_task task;
        athi_next next;
        const char *why = NULL;
        if (r->slots[i].state != ATHI_SLOT_IDLE) continue;
        ATH_TRY(athi_runner_bear(r, athi_search_next(r->opts->search, &task, &next, &why)));
        if (r->away) return ATH_OK;
        if (next == ATHI_NEXT_WAIT) {
            *waiting = true;
            return ATH_OK;
        }
        if (next == ATHI_NEXT_DONE) {
            r->done = true;
            r->result->why = why;
            return ATH_OK;
        }
        if (r->opts->begun) *r->opts->begun = true;
        ATH_TRY(give_task(r, &r->slots[i], &task));
    }
    return ATH_OK;
}
