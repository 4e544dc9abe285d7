/* TensorBoard's event files: a folder an execution, with its reports and its trial's values as scalars, and what the
 * HParams plugin's table needs: the experiment at the top, a session's start and end in each folder.
 *
 *   <folder>/events.out.tfevents.…            the experiment: parameters with their domains, metrics
 *   <folder>/trial-0012/events.…              one execution
 *   <folder>/trial-0012/execution-1/events.…  of several
 *
 * The study has no times of reports: they are spread evenly over the trial's. Field numbers are those of
 * tensorboard/compat/proto/{event,summary}.proto and tensorboard/plugins/hparams/{api,plugin_data}.proto. */
#include "report/export.h"

#include "base/file.h"
#include "report/proto.h"

#include <math.h>

enum { TYPE_STRING = 1, TYPE_BOOL = 2, TYPE_FLOAT64 = 3 };                               /* api.proto DataType */
enum { STATUS_UNKNOWN = 0, STATUS_SUCCESS = 1, STATUS_FAILURE = 2, STATUS_RUNNING = 3 }; /* api.proto Status */

/* One file under construction, and the nested messages, which are emptied when they are put into the next one. */
typedef struct writer {
    const athi_study *study;
    athi_arena *arena;
    athi_text file, event, summary, value, content, part, item, entry;
} writer;

static void free_writer(writer *w) {
    athi_text *all[] = {&w->file, &w->event, &w->summary, &w->value, &w->content, &w->part, &w->item, &w->entry};
    for (int i = 0; i < ATHI_COUNT(all); i++) athi_text_free(all[i]);
    if (w->arena) athi_arena_destroy(w->arena);
}

/* ---- events -------------------------------------------------------------------------------------- */

static void put_event(writer *w, double time, int64_t step) {
    athi_proto_double(&w->event, 1, time);
    if (step) athi_proto_int(&w->event, 2, step);
    athi_proto_message(&w->summary, 1, &w->value);
    athi_proto_message(&w->event, 5, &w->summary);
    athi_tfrecord(&w->file, &w->event);
}

static void put_scalar(writer *w, double time, int64_t step, const char *tag, double v) {
    athi_proto_text(&w->value, 1, tag);
    athi_proto_float(&w->value, 2, (float)v);
    put_event(w, time, step);
}

static void begin_file(writer *w, double time) {
    w->file.length = 0;
    athi_proto_double(&w->event, 1, time);
    athi_proto_text(&w->event, 3, "brain.Event:2");
    athi_tfrecord(&w->file, &w->event);
}

/* An empty float tensor with the plugin's data beside it: {version 0, <field>: w->part}. */
static void put_hparams(writer *w, double time, const char *tag, int field) {
    static const unsigned char null_tensor[] = {0x08, 0x01, 0x12,
                                                0x02, 0x12, 0x00}; /* DT_FLOAT, one dimension of 0 */
    athi_proto_message(&w->content, field, &w->part);
    athi_proto_text(&w->item, 1, "hparams");
    athi_proto_message(&w->item, 2, &w->content);
    athi_proto_message(&w->entry, 1, &w->item);
    athi_proto_text(&w->value, 1, tag);
    athi_proto_message(&w->value, 9, &w->entry);
    athi_proto_bytes(&w->value, 8, null_tensor, sizeof null_tensor);
    put_event(w, time, 0);
}

static ath_status end_file(writer *w, const char *folder, double time) {
    const athi_text *all[] = {&w->file,    &w->event, &w->summary, &w->value,
                              &w->content, &w->part,  &w->item,    &w->entry};
    for (int i = 0; i < ATHI_COUNT(all); i++)
        if (all[i]->failed) return ATH_E_NOMEM;
    const char *path = athi_arena_printf(w->arena, "%s/events.out.tfevents.%.0f.athanor", folder, floor(time));
    athi_piece piece = {w->file.text, w->file.length};
    if (!path) return ATH_E_NOMEM;
    ATH_TRY(athi_make_dirs(w->study->ctx, folder));
    return athi_file_write_pieces(w->study->ctx, path, &piece, 1, false);
}

/* ---- the experiment ------------------------------------------------------------------------------ */

/* google.protobuf.Value: a number, a text or a truth value. */
static void put_any(athi_text *out, const athi_value *v) {
    double number;
    if (athi_value_number(v, &number))
        athi_proto_double(out, 2, number);
    else if (v->type == ATHI_BOOL)
        athi_proto_int(out, 4, v->boolean);
    else
        athi_proto_text(out, 3, v->type == ATHI_STRING ? v->text : "null");
}

/* A choice is a number or a truth value in the table if all its branches are. */
static int type_of(const athi_space_param *p) {
    if (p->type != ATHI_PARAM_CHOICE) return TYPE_FLOAT64;
    bool numbers = true, truths = true;
    double number;
    for (int i = 0; i < p->n_branches; i++) {
        const athi_value *v = p->branches[i].value;
        numbers = numbers && athi_value_number(v, &number);
        truths = truths && v && v->type == ATHI_BOOL;
    }
    return numbers ? TYPE_FLOAT64 : truths ? TYPE_BOOL : TYPE_STRING;
}

/* The value of a point as the table's type has it. */
static void put_typed(athi_text *out, const athi_space_param *p, double value) {
    const athi_branch *b = p->type == ATHI_PARAM_CHOICE ? &p->branches[(int)value] : NULL;
    if (!b)
        athi_proto_double(out, 2, value);
    else if (type_of(p) == TYPE_STRING)
        athi_proto_text(out, 3, b->key);
    else
        put_any(out, b->value);
}

static void put_param(writer *w, const athi_space_param *p) {
    athi_proto_text(&w->item, 1, p->name);
    athi_proto_int(&w->item, 4, type_of(p));
    if (p->type == ATHI_PARAM_CHOICE) {
        for (int i = 0; i < p->n_branches; i++) {
            put_typed(&w->content, p, i);
            athi_proto_message(&w->entry, 1, &w->content);
        }
        athi_proto_message(&w->item, 5, &w->entry);
    } else {
        athi_proto_double(&w->entry, 1, p->min);
        athi_proto_double(&w->entry, 2, p->max);
        athi_proto_message(&w->item, 6, &w->entry);
    }
    athi_proto_message(&w->part, 4, &w->item);
}

#define LINEAGE "lineage" /* a column of studies whose trials have children */

static const char *metric_tag(writer *w, int k) {
    const char *tag = athi_arena_printf(w->arena, "objective/%s", w->study->info->objective_names[k]);
    if (!tag) w->file.failed = true;
    return tag ? tag : "";
}

static double first_start(const athi_study *s) {
    double first = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->started > 0 && (first == 0 || s->trials[i]->started < first)) first = s->trials[i]->started;
    return first;
}

static ath_status write_experiment(writer *w, const char *folder) {
    const athi_study *s = w->study;
    double time = first_start(s);
    begin_file(w, time);
    athi_proto_double(&w->part, 3, time);
    for (int64_t i = 0; i < s->space->n; i++) put_param(w, &s->space->params[i]);
    if (athi_study_has_children(s)) {
        athi_proto_text(&w->item, 1, LINEAGE);
        athi_proto_int(&w->item, 4, TYPE_STRING);
        athi_proto_message(&w->part, 4, &w->item);
    }
    for (int k = 0; k < s->info->n_objectives; k++) {
        athi_proto_text(&w->entry, 2, metric_tag(w, k));
        athi_proto_message(&w->item, 1, &w->entry);
        athi_proto_text(&w->item, 3, s->info->objective_names[k]);
        athi_proto_message(&w->part, 5, &w->item);
    }
    athi_proto_text(&w->part, 6, s->info->name);
    put_hparams(w, time, "_hparams_/experiment", 2);
    return end_file(w, folder, time);
}

/* ---- sessions ------------------------------------------------------------------------------------ */

static void put_lineage(writer *w, const athi_trial *t) {
    athi_text lineage = {.ctx = w->study->ctx};
    if (t->relation != ATHI_RELATION_CHILD) return;
    athi_study_put_lineage(w->study, t, &lineage);
    if (lineage.failed) w->file.failed = true;
    athi_proto_text(&w->content, 3, lineage.text ? lineage.text : "");
    athi_proto_text(&w->entry, 1, LINEAGE);
    athi_proto_message(&w->entry, 2, &w->content);
    athi_proto_message(&w->part, 1, &w->entry);
    athi_text_free(&lineage);
}

static void put_session_start(writer *w, const athi_trial *t) {
    const athi_space *space = w->study->space;
    for (int64_t i = 0; i < space->n; i++) {
        if (isnan(t->point[i])) continue;
        put_typed(&w->content, &space->params[i], t->point[i]);
        athi_proto_text(&w->entry, 1, space->params[i].name); /* an entry of map<string, Value> */
        athi_proto_message(&w->entry, 2, &w->content);
        athi_proto_message(&w->part, 1, &w->entry);
    }
    put_lineage(w, t);
    const char *group = athi_arena_printf(w->arena, "trial-%04lld", (long long)t->number);
    if (!group) w->file.failed = true;
    athi_proto_text(&w->part, 4, group ? group : "");
    athi_proto_double(&w->part, 5, t->started);
    put_hparams(w, t->started, "_hparams_/session_start_info", 3);
}

static void put_session_end(writer *w, const athi_trial *t) {
    static const int statuses[ATHI_STATES] = {
        [ATHI_TRIAL_WAITING] = STATUS_UNKNOWN, [ATHI_TRIAL_RUNNING] = STATUS_RUNNING,
        [ATHI_TRIAL_PAUSED] = STATUS_RUNNING,  [ATHI_TRIAL_COMPLETE] = STATUS_SUCCESS,
        [ATHI_TRIAL_PRUNED] = STATUS_SUCCESS,  [ATHI_TRIAL_FAILED] = STATUS_FAILURE,
    };
    if (!(t->ended > 0)) return;
    athi_proto_int(&w->part, 1, statuses[t->state]);
    athi_proto_double(&w->part, 2, t->ended);
    put_hparams(w, t->ended, "_hparams_/session_end_info", 4);
}

/* All numbers of a report's map; "nan" and "inf" stand as texts in it. */
static ath_status put_report(writer *w, const char *json, double time, int64_t step, int64_t *numbers) {
    athi_value *map = NULL;
    ATH_TRY(athi_json_read(w->study->ctx, w->arena, json, (int64_t)strlen(json), &map));
    for (int64_t i = 0; map->type == ATHI_MAP && i < map->n; i++) {
        double v;
        if (!athi_report_number(map->items[i], &v)) continue;
        put_scalar(w, time, step, map->keys[i], v);
        ++*numbers;
    }
    return ATH_OK;
}

static ath_status put_reports(writer *w, const athi_trial *t, int64_t e) {
    const athi_study *s = w->study;
    athi_report *reports;
    const char **json;
    int64_t n, numbers = 0;
    ATH_TRY(athi_store_reports(s->store, w->arena, t->number, e, &reports, &json, &n));
    double span = t->ended > t->started ? t->ended - t->started : 0;
    for (int64_t i = 0; i < n; i++)
        ATH_TRY(
            put_report(w, json[i], t->started + span * (double)(i + 1) / (double)(n + 1), reports[i].step, &numbers));
    for (int64_t i = 0; !numbers && e == 0 && i < t->n_reports; i++) /* a trial that Optuna ran */
        put_scalar(w, t->started + span * (double)(i + 1) / (double)(t->n_reports + 1), t->reports[i].step,
                   s->info->objective_names[0], t->reports[i].value);
    return ATH_OK;
}

static ath_status write_session(writer *w, const athi_trial *t, int64_t e, const char *folder) {
    const athi_study *s = w->study;
    int m = s->info->n_objectives;
    begin_file(w, t->started);
    put_session_start(w, t);
    ATH_TRY(put_reports(w, t, e));
    const double *values = e < t->n_executions ? t->execution_values + e * m : t->values;
    for (int k = 0; k < m; k++)
        if (!isnan(values[k])) put_scalar(w, t->ended > 0 ? t->ended : t->started, 0, metric_tag(w, k), values[k]);
    put_session_end(w, t);
    return end_file(w, folder, t->started);
}

static ath_status write_trial(writer *w, const athi_trial *t, const char *folder) {
    if (t->state == ATHI_TRIAL_WAITING) return ATH_OK; /* nothing happened yet */
    for (int64_t e = 0; e < ATHI_MAX(t->n_executions, 1); e++) {
        athi_arena_reset(w->arena);
        const char *session = t->n_executions > 1
                                  ? athi_arena_printf(w->arena, "%s/trial-%04lld/execution-%lld", folder,
                                                      (long long)t->number, (long long)e)
                                  : athi_arena_printf(w->arena, "%s/trial-%04lld", folder, (long long)t->number);
        if (!session) return ATH_E_NOMEM;
        ATH_TRY(write_session(w, t, e, session));
    }
    return ATH_OK;
}

ath_status athi_export_tensorboard(const athi_study *s, const char *folder) {
    writer w = {.study = s, .arena = athi_arena_create(s->ctx)};
    athi_text *all[] = {&w.file, &w.event, &w.summary, &w.value, &w.content, &w.part, &w.item, &w.entry};
    for (int i = 0; i < ATHI_COUNT(all); i++) all[i]->ctx = s->ctx;
    ath_status status = w.arena ? write_experiment(&w, folder) : ATH_E_NOMEM;
    for (int64_t i = 0; status == ATH_OK && i < s->n; i++) status = write_trial(&w, s->trials[i], folder);
    free_writer(&w);
    return status;
}
