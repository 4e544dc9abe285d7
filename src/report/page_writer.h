/* Between the files of the page's data: what they write to, and how values are written. */
#ifndef ATHI_REPORT_PAGE_WRITER_H
#define ATHI_REPORT_PAGE_WRITER_H

#include "report/study.h"

#include <math.h>

typedef struct athi_page_writer {
    const athi_study *study;
    athi_arena *arena;
    athi_text *out;
    double begun; /* the first start; times are written from it */
} athi_page_writer;

static inline void add(athi_page_writer *w, const char *text) { athi_text_add(w->out, text, (int64_t)strlen(text)); }

/* JSON's own text, with "<" as an escape: nothing in it can end the element that it stands in. */
static inline void put_json(athi_page_writer *w, const athi_value *v) {
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
static inline void put_text(athi_page_writer *w, const char *text) {
    athi_value v = {.type = ATHI_STRING, .text = text ? text : ""};
    put_json(w, &v);
}
/* JSON has no infinity, but 1e999 reads as one; NaN is "there is none". */
static inline void put_number(athi_page_writer *w, double v, int digits) {
    if (isnan(v))
        add(w, "null");
    else if (isinf(v))
        add(w, v > 0 ? "1e999" : "-1e999");
    else
        athi_text_printf(w->out, "%.*g", digits, v);
}
static inline void comma(athi_page_writer *w, int64_t i) {
    if (i) add(w, ",");
}

/* "17":"…": what few trials have, by their places. */
static inline void begin_entry(athi_page_writer *w, int64_t *count, int64_t i) {
    comma(w, (*count)++);
    athi_text_printf(w->out, "\"%lld\":", (long long)i);
}

/** The trials, a column each of what they have (page_trials.c). */
void athi_page_trials(athi_page_writer *w);

#endif
