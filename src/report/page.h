/* report.html: one page with all pictures and tables of a study, which needs no other file and no network.
 *
 *   page/ (HTML, CSS, scripts) -- tools/embed_page.py, D3 --> page.c (generated): the frame
 *   page_data.c  the study as JSON     html.c  both together, and when a running study's page is written */
#ifndef ATHI_REPORT_PAGE_H
#define ATHI_REPORT_PAGE_H

#include "base/file.h"
#include "report/study.h"

/* The frame: before the title, between title and data, behind the data. */
extern const athi_piece athi_page[3];

/** The study as the page's scripts read it; "<" never stands in it. running: trials may follow. */
ath_status athi_page_data(const athi_study *study, bool running, athi_text *out);
/** Writes the page: beside, then renamed, so that a browser never reads a part. */
ath_status athi_report_html(const athi_study *study, bool running, const char *path);

/* The page of a study that runs. It costs less than 1 % of the time: after each writing, a hundred times as long passes
 * before the next, and at least ten seconds; the first one waits for two, as if one had cost 20 ms. */
typedef struct athi_live_page {
    ath_ctx *ctx;
    const char *folder;   /* of the run: the page lies in it */
    const char *database; /* NULL: study.db in the folder */
    const char *name;     /* of the study in it; NULL: the only one */
    athi_arena *arena;
    athi_study study;
    bool open;
    double next; /* athi_now of the next writing; 0: nothing has happened yet */
} athi_live_page;
/** Writes it when it is time to; last: now, and the study has ended. What cannot be written is a warning on the context's
 *  log, once: the search is worth more than its picture. */
void athi_live_page_write(athi_live_page *page, bool last);
void athi_live_page_close(athi_live_page *page);

#endif
