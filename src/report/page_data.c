/* The study as the page's scripts read it: columns instead of rows, numbers as short as pictures need them. */
#include "report/page.h"
#include "report/table.h"

#include "tune/importance.h"

#include <math.h>
#include <time.h>

enum {
    MOST_CURVES = 300,    /* learning curves in a page */
    MOST_POINTS = 200,    /* of a curve */
    MOST_LINES = 40,      /* command lines, of the best */
    MOST_MESSAGE = 600,   /* bytes of a message */
    CURVES_OF_BEST = 100, /* of MOST_CURVES; the others are spread evenly */
};

typedef struct writer {
    const athi_study *study;
    athi_arena *arena;
    athi_text *out;
    double begun; /* the first start; times are written from it */
} writer;

/* ---- values -------------------------------------------------------------------------------------- */

static void add(writer *w, const char *text) { athi_text_add(w->out, text, (int64_t)strlen(text)); }

/* JSON's own text, with "<" as an escape: nothing in it can end the element that it stands in. */
static void put_json(writer *w, const athi_value *v) {
    athi_text text = {.ctx = w->study->ctx};
    if (!v || athi_json_write(&text, v, 0) != ATH_OK || text.failed) w->out->failed = true;
    const char *p = text.text ? text.text : "";
    for (const char *less; (less = strchr(p, '<')); p = less + 1) {
        athi_text_add(w->out, p, less - p);
        add(w, "\\u003c");
    }
    add(w, p);
    athi_text_free(&text);
}
static void put_text(writer *w, const char *text) {
    athi_value v = {.type = ATHI_STRING, .text = text ? text : ""};
    put_json(w, &v);
}
/* JSON has no infinity, but 1e999 reads as one; NaN is "there is none". */
static void put_number(writer *w, double v, int digits) {
    if (isnan(v))
        add(w, "null");
    else if (isinf(v))
        add(w, v > 0 ? "1e999" : "-1e999");
    else
        athi_text_printf(w->out, "%.*g", digits, v);
}
static void comma(writer *w, int64_t i) {
    if (i) add(w, ",");
}

/* ---- what the study is of ------------------------------------------------------------------------ */

static void put_params(writer *w) {
    const athi_space *space = w->study->space;
    add(w, "\"params\":[");
    for (int64_t i = 0; i < space->n; i++) {
        const athi_space_param *p = &space->params[i];
        comma(w, i);
        add(w, "{\"name\":");
        put_text(w, p->name);
        if (p->type == ATHI_PARAM_CHOICE) {
            add(w, ",\"choices\":[");
            for (int b = 0; b < p->n_branches; b++) comma(w, b), put_text(w, p->branches[b].key);
            add(w, "]}");
            continue;
        }
        add(w, ",\"min\":");
        put_number(w, p->min, 17);
        add(w, ",\"max\":");
        put_number(w, p->max, 17);
        athi_text_printf(w->out, ",\"log\":%s,\"int\":%s}", p->prior == ATHI_PRIOR_LOG ? "true" : "false",
                         p->type == ATHI_PARAM_INT ? "true" : "false");
    }
    add(w, "]");
}

static void put_objectives(writer *w) {
    const athi_study_info *info = w->study->info;
    add(w, "\"objectives\":[");
    for (int k = 0; k < info->n_objectives; k++) {
        comma(w, k);
        add(w, "{\"name\":");
        put_text(w, info->objective_names[k]);
        athi_text_printf(w->out, ",\"max\":%s}", info->maximize[k] ? "true" : "false");
    }
    add(w, "]");
}

/* ---- trials -------------------------------------------------------------------------------------- */

#define COLUMN(name, put_one)                                                                                        \
    do {                                                                                                             \
        add(w, "\"" name "\":[");                                                                                    \
        for (int64_t i = 0; i < w->study->n; i++) {                                                                  \
            const athi_trial *t = w->study->trials[i];                                                               \
            comma(w, i);                                                                                             \
            put_one;                                                                                                 \
        }                                                                                                            \
        add(w, "]");                                                                                                 \
    } while (0)

static void put_time(writer *w, double seconds) {
    if (seconds > 0)
        athi_text_printf(w->out, "%.3f", seconds - w->begun);
    else
        add(w, "null");
}

static void put_columns(writer *w) {
    const athi_study *s = w->study;
    COLUMN("number", athi_text_printf(w->out, "%lld", (long long)t->number));
    add(w, ",");
    COLUMN("state", athi_text_printf(w->out, "%d", (int)t->state));
    add(w, ",");
    COLUMN("start", put_time(w, t->started));
    add(w, ",");
    COLUMN("end", put_time(w, t->ended));
    add(w, ",\"values\":[");
    for (int k = 0; k < s->info->n_objectives; k++) {
        add(w, k ? ",[" : "[");
        for (int64_t i = 0; i < s->n; i++) comma(w, i), put_number(w, s->trials[i]->values[k], 9);
        add(w, "]");
    }
    add(w, "],\"params\":[");
    for (int64_t p = 0; p < s->space->n; p++) {
        int digits = s->space->params[p].type == ATHI_PARAM_INT ? 17 : 7;
        add(w, p ? ",[" : "[");
        for (int64_t i = 0; i < s->n; i++) comma(w, i), put_number(w, s->trials[i]->point[p], digits);
        add(w, "]");
    }
    add(w, "]");
}

/* "17":"…": what few trials have, by their places. */
static void begin_entry(writer *w, int64_t *count, int64_t i) {
    comma(w, (*count)++);
    athi_text_printf(w->out, "\"%lld\":", (long long)i);
}

static void put_message(writer *w, const char *message) {
    size_t size = strlen(message);
    if (size <= MOST_MESSAGE) {
        put_text(w, message);
        return;
    }
    size_t end = MOST_MESSAGE;
    while (end && ((unsigned char)message[end] & 0xc0) == 0x80) end--; /* not within a character */
    const char *part = athi_arena_printf(w->arena, "%.*s…", (int)end, message);
    if (!part) w->out->failed = true;
    put_text(w, part);
}

static void put_texts(writer *w) {
    const athi_study *s = w->study;
    int64_t count = 0;
    add(w, ",\"reason\":{");
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->reason) begin_entry(w, &count, i), put_text(w, athi_reason_name(s->trials[i]->reason));
    count = 0;
    add(w, "},\"message\":{");
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->message) begin_entry(w, &count, i), put_message(w, s->trials[i]->message);
    add(w, "}");
}

static void put_executions(writer *w) {
    const athi_study *s = w->study;
    int m = s->info->n_objectives;
    int64_t count = 0;
    add(w, ",\"executions\":{");
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (t->n_executions < 2) continue;
        begin_entry(w, &count, i);
        for (int64_t e = 0; e < t->n_executions; e++)
            for (int k = 0; k < m; k++) {
                add(w, k ? "," : e ? "],[" : "[[");
                put_number(w, t->execution_values[e * m + k], 9);
            }
        add(w, "]]");
    }
    add(w, "}");
}

static void put_marks(writer *w) {
    const athi_study *s = w->study;
    int64_t count = 0;
    add(w, ",\"broken\":[");
    for (int64_t i = 0; i < s->n; i++)
        if (!athi_study_feasible(s->trials[i])) comma(w, count++), athi_text_printf(w->out, "%lld", (long long)i);
    count = 0;
    add(w, "],\"relation\":{");
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        if (!athi_study_relation(t)) continue;
        begin_entry(w, &count, i);
        athi_text_printf(w->out, "[\"%s\",%lld", athi_study_relation(t), (long long)t->relative);
        if (t->relation == ATHI_RELATION_CHILD) athi_text_printf(w->out, ",%lld", (long long)t->relative_step);
        add(w, "]");
    }
    add(w, "}");
}

/* ---- the best ------------------------------------------------------------------------------------ */

static int64_t place_of(const athi_study *s, const athi_trial *t) {
    return t->number < s->n && s->trials[t->number] == t ? t->number : -1;
}

static ath_status put_best(writer *w, const athi_trial *const *best, int64_t n) {
    int64_t count = 0;
    add(w, "\"best\":[");
    for (int64_t i = 0; i < n; i++)
        comma(w, i), athi_text_printf(w->out, "%lld", (long long)place_of(w->study, best[i]));
    add(w, "],\"commands\":{");
    for (int64_t i = 0; i < n && i < MOST_LINES; i++) {
        athi_text line = {.ctx = w->study->ctx};
        ath_status status = athi_study_line(w->study, best[i], &line);
        if (status == ATH_OK && line.length)
            begin_entry(w, &count, place_of(w->study, best[i])), put_text(w, line.text);
        athi_text_free(&line);
        if (status == ATH_E_NOMEM) return status; /* a recipe that has changed since has no line, but a picture */
    }
    add(w, "}");
    return ATH_OK;
}

/* ---- learning curves ----------------------------------------------------------------------------- */

static double loss_of(const athi_study *s, const athi_trial *t) {
    double v = t->values[0];
    return isnan(v) ? INFINITY : s->info->maximize[0] ? -v : v;
}

/* Marks up to MOST_CURVES trials: those that run, the best, and evenly many of the others. */
static ath_status choose_curves(writer *w, bool *chosen, int64_t *with) {
    const athi_study *s = w->study;
    double *worst = athi_arena_array(w->arena, CURVES_OF_BEST, (int64_t)sizeof *worst);
    int64_t n_best = 0, taken = 0, others = 0, seen = 0;
    if (!worst) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        *with += t->n_reports > 0;
        double loss = loss_of(s, t);
        if (!t->n_reports || !(loss < INFINITY) || (n_best == CURVES_OF_BEST && loss >= worst[n_best - 1])) continue;
        int64_t k = n_best < CURVES_OF_BEST ? n_best++ : n_best - 1; /* the best so far, sorted by insertion */
        for (; k > 0 && worst[k - 1] > loss; k--) worst[k] = worst[k - 1];
        worst[k] = loss;
    }
    bool all = *with <= MOST_CURVES;
    for (int64_t i = 0; i < s->n; i++) {
        const athi_trial *t = s->trials[i];
        bool good = n_best && loss_of(s, t) <= worst[n_best - 1];
        chosen[i] = t->n_reports > 0 && taken < MOST_CURVES && (all || good || t->state == ATHI_TRIAL_RUNNING);
        taken += chosen[i];
        others += t->n_reports > 0 && !chosen[i];
    }
    for (int64_t i = 0, room = MOST_CURVES - taken; i < s->n && room > 0 && others > 0; i++)
        if (s->trials[i]->n_reports > 0 && !chosen[i]) {
            chosen[i] = seen * room / others != (seen + 1) * room / others;
            seen++;
        }
    return ATH_OK;
}

static void put_curve(writer *w, const athi_trial *t, int64_t place) {
    int64_t step = (t->n_reports + MOST_POINTS - 1) / MOST_POINTS, count = 0;
    athi_text_printf(w->out, "{\"trial\":%lld,\"steps\":[", (long long)place);
    for (int64_t i = 0; i < t->n_reports; i++)
        if (i % step == 0 || i == t->n_reports - 1)
            comma(w, count++), athi_text_printf(w->out, "%lld", (long long)t->reports[i].step);
    count = 0;
    add(w, "],\"values\":[");
    for (int64_t i = 0; i < t->n_reports; i++)
        if (i % step == 0 || i == t->n_reports - 1) comma(w, count++), put_number(w, t->reports[i].value, 6);
    add(w, "]}");
}

static ath_status put_curves(writer *w) {
    const athi_study *s = w->study;
    int64_t with = 0, count = 0;
    bool *chosen = athi_arena_array(w->arena, s->n + 1, (int64_t)sizeof *chosen);
    if (!chosen) return ATH_E_NOMEM;
    ATH_TRY(choose_curves(w, chosen, &with));
    add(w, "\"curves\":[");
    for (int64_t i = 0; i < s->n; i++)
        if (chosen[i]) comma(w, count++), put_curve(w, s->trials[i], i);
    athi_text_printf(w->out, "],\"curves_of\":%lld", (long long)with);
    return ATH_OK;
}

/* ---- importances --------------------------------------------------------------------------------- */

static ath_status put_importance(writer *w, const athi_importance_task *task, athi_importance of, bool scale) {
    double *v = athi_arena_array(w->arena, task->space->n + 1, (int64_t)sizeof *v), sum = 0;
    if (!v) return ATH_E_NOMEM;
    ATH_TRY(of(w->arena, task, v));
    for (int64_t i = 0; i < task->space->n; i++) sum += isnan(v[i]) ? 0 : v[i];
    add(w, "[");
    for (int64_t i = 0; i < task->space->n; i++) comma(w, i), put_number(w, scale && sum > 0 ? v[i] / sum : v[i], 5);
    add(w, "]");
    return ATH_OK;
}

static ath_status put_importances(writer *w) {
    const athi_study *s = w->study;
    add(w, "\"importance\":[");
    for (int k = 0; k < s->info->n_objectives; k++) {
        athi_importance_task task = {s->space, s->trials, s->n, k, s->info->maximize[k]};
        add(w, k ? ",{\"ped_anova\":" : "{\"ped_anova\":");
        ATH_TRY(put_importance(w, &task, athi_importance_ped_anova, true));
        add(w, ",\"fanova\":");
        ATH_TRY(put_importance(w, &task, athi_importance_fanova, false));
        add(w, "}");
    }
    add(w, "]");
    return ATH_OK;
}

/* ---- the run's own report ------------------------------------------------------------------------ */

static void put_part(writer *w, const char *lead, const athi_value *part) {
    athi_value null = {.type = ATHI_NULL};
    add(w, lead);
    put_json(w, part ? part : &null);
}

/* Why the search ended, what is said of its winner, retrained models, the ensemble: report.json of the run's folder, if it is there. */
static ath_status put_run(writer *w, bool running) {
    const athi_study *s = w->study;
    const char *path = s->folder ? athi_arena_printf(w->arena, "%s/report.json", s->folder) : NULL;
    char *text = NULL;
    int64_t size = 0;
    athi_value *report = NULL;
    if (path && !running && athi_file_exists(path)) {
        if (athi_file_read(s->ctx, path, false, INT64_MAX, &text, &size) == ATH_OK &&
            athi_json_read(s->ctx, w->arena, text, size, &report) == ATH_E_NOMEM)
            w->out->failed = true;
        athi_free(s->ctx, text);
    }
    const athi_value *search = athi_value_get(report, "search"), *told = search ? search : report,
                     *ended = athi_value_get(told, "ended");
    add(w, "\"ended\":");
    put_text(w, ended && ended->type == ATHI_STRING ? athi_report_why(ended->text) : "");
    put_part(w, ",\"incumbent\":", athi_value_get(told, "incumbent"));
    put_part(w, ",\"rescored\":", athi_value_get(told, "rescored"));
    put_part(w, ",\"models\":", athi_value_get(report, "models"));
    put_part(w, ",\"ensemble\":", athi_value_get(report, "ensemble"));
    put_part(w, ",\"sweeps\":", athi_value_get(report, "sweeps"));
    put_part(w, ",\"training\":", athi_value_get(report, "training"));
    return w->out->failed ? ATH_E_NOMEM : ATH_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* Until when bars of running trials go: now, or where the study stopped; then the page is the same at any time. */
static double as_of(const writer *w, bool running) {
    double last = w->begun;
    if (running || w->study->n == 0) return (double)time(NULL);
    for (int64_t i = 0; i < w->study->n; i++)
        last = fmax(last, fmax(w->study->trials[i]->started, w->study->trials[i]->ended));
    return last;
}

static void put_head(writer *w, bool running) {
    add(w, "{\"study\":");
    put_text(w, w->study->info->name);
    add(w, ",\"version\":");
    put_text(w, ath_version());
    athi_text_printf(w->out, ",\"running\":%s,\"begun\":%.3f,\"now\":%.3f,\"states\":[", running ? "true" : "false",
                     w->begun, as_of(w, running) - w->begun);
    for (int i = 0; i < ATHI_STATES; i++) comma(w, i), put_text(w, athi_state_name((athi_trial_state)i));
    add(w, "],");
    put_objectives(w);
    add(w, ",");
    put_params(w);
    add(w, ",");
}

static ath_status put_study(writer *w, bool running) {
    const athi_trial **best;
    int64_t n;
    ATH_TRY(athi_study_best(w->study, w->arena, &best, &n));
    put_head(w, running);
    add(w, "\"trials\":{");
    put_columns(w);
    put_texts(w);
    put_executions(w);
    put_marks(w);
    add(w, "},");
    ATH_TRY(put_best(w, best, n));
    add(w, ",");
    ATH_TRY(put_curves(w));
    add(w, ",");
    ATH_TRY(put_importances(w));
    add(w, ",");
    ATH_TRY(put_run(w, running));
    add(w, "}");
    return w->out->failed ? ATH_E_NOMEM : ATH_OK;
}

ath_status athi_page_data(const athi_study *s, bool running, athi_text *out) {
    writer w = {.study = s, .arena = athi_arena_create(s->ctx), .out = out};
    if (!w.arena) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->started > 0 && (w.begun == 0 || s->trials[i]->started < w.begun))
            w.begun = s->trials[i]->started;
    ath_status status = put_study(&w, running);
    athi_arena_destroy(w.arena);
    return status;
}
