/* The trials in the page's data: a column for what all have, and by their places what few have. */
#include "report/page_writer.h"

enum { MOST_MESSAGE = 600 }; /* bytes of a message */

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

static void put_time(athi_page_writer *w, double seconds) {
    if (seconds > 0)
        athi_text_printf(w->out, "%.3f", seconds - w->begun);
    else
        add(w, "null");
}

static void put_columns(athi_page_writer *w) {
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

static void put_message(athi_page_writer *w, const char *message) {
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

static void put_texts(athi_page_writer *w) {
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

static void put_executions(athi_page_writer *w) {
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

static void put_marks(athi_page_writer *w) {
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

void athi_page_trials(athi_page_writer *w) {
    put_columns(w);
    put_texts(w);
    put_executions(w);
    put_marks(w);
}
