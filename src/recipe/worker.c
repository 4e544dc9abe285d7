/* The worker's side of tune/runner.h: tasks in as JSON lines, reports out, one training after the other. Between two
 * tasks everything is freed; the data stays open while the recipe's `data:` stays the same. A training stops with its
 * state saved after the step `until` of its task, or when it is told to stop. */
#include "recipe/recipe.h"

#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct worker {
    ath_ctx *ctx;
    athi_arena *arena; /* of the worker's life */
    athi_recipe *recipe;
    const char *folder, *cache, *objective;
    bool maximize;
    int64_t timed_steps, warm_up; /* of a sweep; 0: trainings */
    athi_data *data;
    athi_arena *data_arena;     /* holds data_key */
    const athi_value *data_key; /* the `data:` section that `data` was opened for */
    int in, out;
    athi_text lines;   /* read and not taken yet */
    int64_t until;     /* of the training under way, 0: its end */
    volatile int halt; /* it stops, with its state saved */
    const volatile int *interrupted;
} worker;

/* ---- lines in ------------------------------------------------------------------------------------ */

/* Reads what is there, after waiting a while for it if told to; false at the end. Not for ever: a signal that comes
 * between the look at *interrupted and the wait does not end the wait. */
static bool read_more(worker *w, bool wait) {
    enum { LOOK_MS = 1000 };
    char buffer[4096];
    struct pollfd polled = {.fd = w->in, .events = POLLIN};
    if (poll(&polled, 1, wait ? LOOK_MS : 0) <= 0) return !w->interrupted || !*w->interrupted;
    ssize_t n = read(w->in, buffer, sizeof buffer);
    if (n > 0) athi_text_add(&w->lines, buffer, n);
    return n > 0 && !w->lines.failed;
}

/* How long the first whole line is, with its end; 0: there is none. */
static int64_t first_line(const worker *w) {
    const char *end = w->lines.length ? memchr(w->lines.text, '\n', (size_t)w->lines.length) : NULL;
    return end ? end - w->lines.text + 1 : 0;
}

static void drop_line(worker *w) {
    int64_t n = first_line(w);
    w->lines.length -= n;
    memmove(w->lines.text, w->lines.text + n, (size_t)w->lines.length);
}

static bool is_op(const athi_value *map, const char *op) {
    const athi_value *v = map->type == ATHI_MAP ? athi_value_get(map, "op") : NULL;
    return v && v->type == ATHI_STRING && strcmp(v->text, op) == 0;
}

/* Under way only one thing may be said to a worker. */
static ath_status look_for_stop(worker *w, athi_arena *arena) {
    athi_value *map = NULL;
    if (w->interrupted && *w->interrupted) w->halt = 1;
    read_more(w, false);
    int64_t n = first_line(w);
    if (!n) return ATH_OK;
    ATH_TRY(athi_json_read(w->ctx, arena, w->lines.text, n, &map));
    if (!is_op(map, "stop")) return ATH_OK; /* a task for later */
    drop_line(w);
    w->halt = 1;
    return ATH_OK;
}

/* ---- lines out ----------------------------------------------------------------------------------- */

static ath_status send(worker *w, const athi_value *line) {
    athi_text text = {.ctx = w->ctx};
    ath_status status = athi_json_write(&text, line, 0);
    athi_text_add(&text, "\n", 1);
    if (text.failed) status = ATH_E_NOMEM;
    for (int64_t done = 0; status == ATH_OK && done < text.length;) {
        ssize_t n = write(w->out, text.text + done, (size_t)(text.length - done));
        if (n > 0)
            done += n;
        else if (errno != EINTR)
            status = athi_fail(w->ctx, ATH_E_IO, "the runner is gone: %s", strerror(errno));
    }
    athi_text_free(&text);
    return status;
}

static int64_t peak_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

static ath_status on_epoch(void *user, const athi_epoch *e, bool *stop) {
    worker *w = user;
    (void)stop;
    athi_arena *arena = athi_arena_create(w->ctx);
    if (!arena) return ATH_E_NOMEM;
    athi_value *line = athi_value_new(arena, ATHI_MAP), *values = athi_value_new(arena, ATHI_MAP);
    ath_status status = line && values ? ATH_OK : ATH_E_NOMEM;
    for (int i = 0; status == ATH_OK && i < e->n; i++)
        status = athi_value_set(arena, values, e->names[i], athi_value_float(arena, e->values[i]));
    if (status == ATH_OK) status = athi_value_set(arena, line, "step", athi_value_int(arena, e->epoch));
    if (status == ATH_OK) status = athi_value_set(arena, line, "values", values);
    if (status == ATH_OK) status = athi_value_set(arena, line, "peak_rss", athi_value_int(arena, peak_bytes()));
    if (status == ATH_OK) status = send(w, line);
    if (status == ATH_OK) status = look_for_stop(w, arena);
    if (w->until && e->epoch >= w->until) w->halt = 1;
    athi_arena_destroy(arena);
    return status;
}

static void on_batch(void *user, int64_t epoch, int64_t batch, int64_t batches) {
    worker *w = user;
    (void)epoch, (void)batch, (void)batches;
    athi_arena *arena = athi_arena_create(w->ctx);
    ath_status ignored = arena ? look_for_stop(w, arena) : ATH_E_NOMEM; /* what is wrong with a line is told later */
    (void)ignored;
    if (arena) athi_arena_destroy(arena);
}

/* ---- tasks --------------------------------------------------------------------------------------- */

static ath_status open_data(worker *w, const athi_value *bound) {
    const athi_value *section = athi_value_get(bound, "data");
    if (w->data && athi_value_equal(section, w->data_key)) return ATH_OK;
    athi_data_close(w->data);
    w->data = NULL;
    athi_arena_reset(w->data_arena);
    w->data_key = athi_value_copy(w->data_arena, section);
    if (!w->data_key) return ATH_E_NOMEM;
    return athi_bound_data(w->ctx, bound, w->folder, w->cache, &w->data);
}

/* One report of one number. */
static ath_status time_steps(worker *w, athi_arena *arena, const athi_value *bound) {
    static const char *const names[] = {"samples_per_second"};
    double rate = 0;
    bool stop = false;
    ATH_TRY(athi_time_one(w->ctx, arena, bound, w->data, w->warm_up, w->timed_steps, &w->halt, &rate));
    return on_epoch(w, &(athi_epoch){.epoch = 1, .step = w->timed_steps, .names = names, .values = &rate, .n = 1},
                    &stop);
}

static ath_status train(worker *w, athi_arena *arena, const athi_value *task) {
    const athi_value *params = athi_value_get(task, "params"), *seed = athi_value_get(task, "seed"),
                     *dir = athi_value_get(task, "dir");
    if (!params || !seed || seed->type != ATHI_STRING || !dir || dir->type != ATHI_STRING)
        return athi_fail(w->ctx, ATH_E_SYNTAX, "worker: a task needs params, seed and dir");
    double *point = athi_arena_array(arena, w->recipe->space->n + 1, sizeof *point);
    if (!point) return ATH_E_NOMEM;
    ATH_TRY(athi_space_point_read(w->ctx, w->recipe->space, params, point));
    athi_value *bound = NULL;
    ATH_TRY(athi_recipe_bind(w->recipe, arena, point, strtoull(seed->text, NULL, 10), &bound));
    const athi_value *execution = athi_value_get(task, "execution");
    int64_t folds = w->recipe->tune.folds;
    if (folds && execution && execution->type == ATHI_INT)
        ATH_TRY(athi_bound_fold(arena, bound, execution->integer % folds, folds));
    ATH_TRY(open_data(w, bound));
    const athi_value *resumed = athi_value_get(task, "resumed"), *until = athi_value_get(task, "until"),
                     *begin = athi_value_get(task, "begin");
    w->until = until && until->type == ATHI_INT ? until->integer : 0;
    w->halt = 0;
    if (w->timed_steps) return time_steps(w, arena, bound);
    if (!resumed || !resumed->boolean) ATH_TRY(athi_remove_tree(w->ctx, dir->text));
    athi_training_opts opts = {.bound = bound,
                               .data = w->data,
                               .directory = dir->text,
                               .monitor = w->objective,
                               .maximize = w->maximize,
                               .inherited = begin && begin->type == ATHI_INT ? begin->integer : 0,
                               .n_callbacks = -1,
                               .on_epoch = on_epoch,
                               .on_batch = on_batch,
                               .user = w,
                               .interrupted = &w->halt};
    athi_job job;
    ATH_TRY(athi_train_one(w->ctx, arena, &opts, &job));
    athi_model_destroy(job.model);
    return ATH_OK;
}

/* What a failure says about the point (tune/sampler.h). */
static const char *reason_of(ath_status status) {
    static const struct {
        ath_status status;
        athi_reason reason;
    } reasons[] = {{ATH_E_FAILED, ATHI_REASON_NAN}, {ATH_E_NOMEM, ATHI_REASON_MEMORY}, {ATH_E_IO, ATHI_REASON_LOST}};
    for (int i = 0; i < ATHI_COUNT(reasons); i++)
        if (reasons[i].status == status) return athi_reason_name(reasons[i].reason);
    return athi_reason_name(ATHI_REASON_CRASH);
}

/* How the training ended: {"done":true}, {"stopped":true}, {"failed":reason,"message":…}. */
static ath_status answer(worker *w, athi_arena *arena, ath_status ended) {
    athi_value *map = athi_value_new(arena, ATHI_MAP);
    if (!map) return ATH_E_NOMEM;
    if (ended == ATH_OK || ended == ATH_E_INTERRUPTED) {
        const char *key = ended == ATH_OK ? "done" : "stopped";
        ATH_TRY(athi_value_set(arena, map, key, athi_value_bool(arena, true)));
    } else {
        ATH_TRY(athi_value_set(arena, map, "failed", athi_value_string(arena, reason_of(ended))));
        ATH_TRY(athi_value_set(arena, map, "message", athi_value_string(arena, ath_errmsg(w->ctx))));
    }
    return send(w, map);
}

static ath_status serve(worker *w, athi_arena *arena) {
    athi_value *task = NULL;
    ATH_TRY(athi_json_read(w->ctx, arena, w->lines.text, first_line(w), &task));
    drop_line(w);
    if (is_op(task, "stop")) return ATH_OK; /* what it is about has ended meanwhile */
    ath_status ended = train(w, arena, task);
    if (ended == ATH_E_INTERRUPTED && w->interrupted && *w->interrupted) return ended;
    return answer(w, arena, ended);
}

static ath_status serve_all(worker *w) {
    ath_status status = ATH_OK;
    athi_arena *arena = athi_arena_create(w->ctx);
    if (!arena) return ATH_E_NOMEM;
    while (status == ATH_OK && !(w->interrupted && *w->interrupted)) {
        athi_arena_reset(arena);
        if (first_line(w))
            status = serve(w, arena);
        else if (!read_more(w, true))
            break;
    }
    athi_arena_destroy(arena);
    return w->lines.failed ? ATH_E_NOMEM : status;
}

/* ---- the worker ---------------------------------------------------------------------------------- */

static const char *text_of(const athi_value *map, const char *key) {
    const athi_value *v = athi_value_get(map, key);
    return v && v->type == ATHI_STRING ? v->text : NULL;
}

static ath_status open_worker(worker *w, const char *path) {
    char *file = NULL;
    int64_t size = 0;
    athi_value *setup = NULL;
    ATH_TRY(athi_file_read(w->ctx, path, false, INT64_MAX, &file, &size));
    ath_status status = athi_json_read(w->ctx, w->arena, file, size, &setup);
    athi_free(w->ctx, file);
    if (status != ATH_OK) return athi_fail_prefix(w->ctx, status, "%s", path);
    w->folder = text_of(setup, "folder"), w->cache = text_of(setup, "cache"),
    w->objective = text_of(setup, "objective");
    const athi_value *maximize = athi_value_get(setup, "maximize");
    const char *recipe = text_of(setup, "recipe"), *name = text_of(setup, "file");
    if (!recipe || !name || !w->objective || !maximize)
        return athi_fail(w->ctx, ATH_E_SYNTAX, "%s: not the setup of a worker", path);
    w->maximize = maximize->boolean;
    const athi_value *steps = athi_value_get(setup, "timed_steps"), *warm_up = athi_value_get(setup, "warm_up");
    if (steps && warm_up) w->timed_steps = steps->integer, w->warm_up = warm_up->integer;
    return athi_recipe_parse(w->ctx, name, recipe, (int64_t)strlen(recipe), NULL, 0, &w->recipe);
}

ath_status athi_worker_serve(ath_ctx *ctx, const char *setup, int in, int out, const volatile int *interrupted) {
    worker w = {.ctx = ctx,
                .in = in,
                .out = out,
                .lines.ctx = ctx,
                .interrupted = interrupted,
                .arena = athi_arena_create(ctx),
                .data_arena = athi_arena_create(ctx)};
    ath_status status = w.arena && w.data_arena ? open_worker(&w, setup) : ATH_E_NOMEM;
    if (status == ATH_OK) status = serve_all(&w);
    athi_text_free(&w.lines);
    athi_data_close(w.data);
    athi_recipe_destroy(w.recipe);
    athi_arena_destroy(w.data_arena);
    athi_arena_destroy(w.arena);
    return status;
}
