/* A training over time, from its log: when it reached its target. */
#include "recipe/sweep.h"

#include "recipe/internal.h"

#include <math.h>

typedef struct curve {
    athi_arena *arena;
    const char *monitor;
    double target, seconds;
    bool maximize, aims; /* aims: there is a target */
    athi_value *map, *epochs;
} curve;

static ath_status put(athi_arena *arena, athi_value *map, const char *key, double v) {
    return isfinite(v) ? athi_value_set(arena, map, key, athi_value_float(arena, v)) : ATH_OK;
}

static double number_of(const athi_value *map, const char *key) {
    double v;
    return athi_value_number(athi_value_get(map, key), &v) ? v : (double)NAN;
}

/* The first epoch at the target. */
static ath_status put_reached(curve *c, const athi_value *epoch) {
    athi_value *reached = athi_value_new(c->arena, ATHI_MAP);
    if (!reached) return ATH_E_NOMEM;
    ATH_TRY(athi_value_set(c->arena, reached, "epoch", athi_value_int(c->arena, epoch->integer)));
    ATH_TRY(put(c->arena, reached, "seconds", c->seconds));
    return athi_value_set(c->arena, c->map, "reached", reached);
}

static ath_status add_epoch(curve *c, const athi_value *line) {
    const athi_value *epoch = athi_value_get(line, "epoch");
    athi_value *one = athi_value_new(c->arena, ATHI_MAP);
    double value = number_of(line, c->monitor), seconds = number_of(line, "seconds");
    if (!one) return ATH_E_NOMEM;
    if (!epoch || epoch->type != ATHI_INT) return ATH_OK;
    if (isfinite(seconds)) c->seconds += seconds;
    ATH_TRY(athi_value_set(c->arena, one, "epoch", athi_value_int(c->arena, epoch->integer)));
    ATH_TRY(put(c->arena, one, "seconds", c->seconds));
    ATH_TRY(put(c->arena, one, "value", value));
    ATH_TRY(put(c->arena, one, "samples_per_second", number_of(line, "samples_per_second")));
    ATH_TRY(put(c->arena, one, "throughput", number_of(line, "throughput")));
    ATH_TRY(athi_value_append(c->arena, c->epochs, one));
    bool there = c->aims && (c->maximize ? value >= c->target : value <= c->target);
    return there && !athi_value_get(c->map, "reached") ? put_reached(c, epoch) : ATH_OK;
}

static ath_status read_lines(ath_ctx *ctx, curve *c, const char *text, int64_t size) {
    for (const char *line = text, *end;
         line < text + size && (end = memchr(line, '\n', (size_t)(text + size - line))); line = end + 1) {
        athi_value *v = NULL;
        ATH_TRY(athi_json_read(ctx, c->arena, line, end - line, &v));
        ATH_TRY(add_epoch(c, v));
    }
    return ATH_OK;
}

ath_status athi_curve_read(ath_ctx *ctx, athi_arena *arena, const char *log, const athi_value *bound,
                           const char *monitor, athi_value **out) {
    athi_training_specs specs;
    char *text = NULL;
    int64_t size = 0;
    bool known;
    *out = NULL;
    if (!athi_file_exists(log)) return ATH_OK;
    ATH_TRY(athi_training_read(ctx, arena, bound, &specs));
    curve c = {arena, monitor, 0, 0, false, false, athi_value_new(arena, ATHI_MAP), athi_value_new(arena, ATHI_LIST)};
    if (!c.map || !c.epochs) return ATH_E_NOMEM;
    c.aims = athi_callbacks_target(specs.callbacks, specs.n_callbacks, &c.monitor, &c.target, &c.maximize);
    if (!c.aims) c.maximize = athi_metric_direction(monitor, &known);
    ATH_TRY(athi_value_set(arena, c.map, "monitor", athi_value_string(arena, c.monitor)));
    if (c.aims) ATH_TRY(put(arena, c.map, "target", c.target));
    ATH_TRY(athi_value_set(arena, c.map, "epochs", c.epochs));
    ATH_TRY(athi_file_read(ctx, log, false, INT64_MAX, &text, &size));
    ath_status status = read_lines(ctx, &c, text, size);
    athi_free(ctx, text);
    *out = c.map;
    return status;
}
