/* The study as the page's scripts read it: columns instead of rows, numbers as short as pictures need them. */
#include "report/page.h"
#include "report/page_writer.h"
#include "report/table.h"

#include "tune/importance.h"

#include <time.h>

enum {
    MOST_CURVES = 300,    /* learning curves in a page */
    MOST_POINTS = 200,    /* of a curve */
    MOST_LINES = 40,      /* command lines, of the best */
    CURVES_OF_BEST = 100, /* of MOST_CURVES; the others are spread evenly */
};

/* ---- what the study is of ------------------------------------------------------------------------ */

static void put_params(athi_page_writer *w) {
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

static void put_objectives(athi_page_writer *w) {
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

/* ---- the best ------------------------------------------------------------------------------------ */

static int64_t place_of(const athi_study *s, const athi_trial *t) {
    return t->number < s->n && s->trials[t->number] == t ? t->number : -1;
}

static ath_status put_best(athi_page_writer *w, const athi_trial *const *best, int64_t n) {
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
static ath_status choose_curves(athi_page_writer *w, bool *chosen, int64_t *with) {
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

static void put_curve(athi_page_writer *w, const athi_trial *t, int64_t place) {
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

static ath_status put_curves(athi_page_writer *w) {
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

static ath_status put_importance(athi_page_writer *w, const athi_importance_task *task, athi_importance of,
                                 bool scale) {
    double *v = athi_arena_array(w->arena, task->space->n + 1, (int64_t)sizeof *v), sum = 0;
    if (!v) return ATH_E_NOMEM;
    ATH_TRY(of(w->arena, task, v));
    for (int64_t i = 0; i < task->space->n; i++) sum += isnan(v[i]) ? 0 : v[i];
    add(w, "[");
    for (int64_t i = 0; i < task->space->n; i++) comma(w, i), put_number(w, scale && sum > 0 ? v[i] / sum : v[i], 5);
    add(w, "]");
    return ATH_OK;
}

static ath_status put_importances(athi_page_writer *w) {
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

static void put_part(athi_page_writer *w, const char *lead, const athi_value *part) {
    athi_value null = {.type = ATHI_NULL};
    add(w, lead);
    put_json(w, part ? part : &null);
}

/* Why the search ended, what is said of its winner, retrained models, the ensemble: report.json of the run's folder, if it is there. */
static ath_status put_run(athi_page_writer *w, bool running) {
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
static double as_of(const athi_page_writer *w, bool running) {
    double last = w->begun;
    if (running || w->study->n == 0) return (double)time(NULL);
    for (int64_t i = 0; i < w->study->n; i++)
        last = fmax(last, fmax(w->study->trials[i]->started, w->study->trials[i]->ended));
    return last;
}

static void put_head(athi_page_writer *w, bool running) {
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

static ath_status put_study(athi_page_writer *w, bool running) {
    const athi_trial **best;
    int64_t n;
    ATH_TRY(athi_study_best(w->study, w->arena, &best, &n));
    put_head(w, running);
    add(w, "\"trials\":{");
    athi_page_trials(w);
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
    athi_page_writer w = {.study = s, .arena = athi_arena_create(s->ctx), .out = out};
    if (!w.arena) return ATH_E_NOMEM;
    for (int64_t i = 0; i < s->n; i++)
        if (s->trials[i]->started > 0 && (w.begun == 0 || s->trials[i]->started < w.begun))
            w.begun = s->trials[i]->started;
    ath_status status = put_study(&w, running);
    athi_arena_destroy(w.arena);
    return status;
}
