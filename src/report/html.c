/* Writing the page, once or while a study runs. */
#include "report/page.h"

#include <math.h>

/* Seconds; seconds a second of writing, which is 1 %; what the first one may cost. */
static const double LEAST_PAUSE = 10, PAUSE_PER_COST = 100, FIRST_COST = 0.02;

static void put_escaped(athi_text *out, const char *text) {
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};
    for (; *text; text++) {
        const char *entity = NULL;
        for (int i = 0; i < ATHI_COUNT(entities); i++)
            if (*text == entities[i].c) entity = entities[i].entity;
        entity ? athi_text_printf(out, "%s", entity) : athi_text_add(out, text, 1);
    }
}

ath_status athi_report_html(const athi_study *s, bool running, const char *path) {
    athi_text title = {.ctx = s->ctx}, data = {.ctx = s->ctx};
    put_escaped(&title, s->info->name);
    athi_text_printf(&title, " – Athanor");
    ath_status status = athi_page_data(s, running, &data);
    if (status == ATH_OK && (title.failed || data.failed)) status = ATH_E_NOMEM;
    if (status == ATH_OK) {
        athi_piece pieces[] = {
            athi_page[0], {title.text, title.length}, athi_page[1], {data.text, data.length}, athi_page[2]};
        status = athi_file_write_pieces(s->ctx, path, pieces, ATHI_COUNT(pieces), true);
    }
    athi_text_free(&title);
    athi_text_free(&data);
    return status;
}

/* ---- while it runs ------------------------------------------------------------------------------- */

static ath_status write_live(athi_live_page *p, bool last) {
    if (!p->open) {
        if (!p->arena && !(p->arena = athi_arena_create(p->ctx))) return ATH_E_NOMEM;
        const char *given = p->database ? p->database : p->folder;
        ath_status status = athi_study_open(p->ctx, p->arena, given, p->name, &p->study);
        if (status != ATH_OK) return athi_study_close(&p->study), status;
        p->study.folder = p->folder;
        p->open = true;
    } else
        ATH_TRY(athi_study_refresh(&p->study));
    const char *path = athi_arena_printf(p->arena, "%s/report.html", p->folder);
    return path ? athi_report_html(&p->study, !last, path) : ATH_E_NOMEM;
}

void athi_live_page_write(athi_live_page *p, bool last) {
    double begin = athi_now();
    char sentence[ATHI_ERRMSG_MAX];
    if (p->next == 0) p->next = begin + PAUSE_PER_COST * FIRST_COST;
    if (!last && begin < p->next) return;
    memcpy(sentence, p->ctx->errmsg, sizeof sentence);
    if (write_live(p, last) != ATH_OK && p->next < HUGE_VAL) {
        athi_log(p->ctx, ATH_LOG_WARNING, "the page of the study cannot be written: %s", ath_errmsg(p->ctx));
        p->next = HUGE_VAL;
    }
    memcpy(p->ctx->errmsg, sentence, sizeof sentence); /* what the run has to say outranks it */
    if (p->next < HUGE_VAL) {
        double now = athi_now();
        p->next = now + ATHI_MAX(LEAST_PAUSE, PAUSE_PER_COST * (now - begin));
    }
}

void athi_live_page_close(athi_live_page *p) {
    if (p->open) athi_study_close(&p->study);
    if (p->arena) athi_arena_destroy(p->arena);
    *p = (athi_live_page){0};
}
