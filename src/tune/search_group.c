/* Several calls of a search in one commit: what they did is taken back together, in the study and here. */
#include "tune/search_internal.h"

typedef struct group {
    athi_search *search;
    athi_search before; /* with copies of what the calls may free */
    bool saved;         /* it is there */
    ath_status (*work)(void *user);
    void *user;
} group;

static void *copy_bytes(athi_search *s, const void *from, int64_t n, int64_t size, bool *failed) {
    void *copy = n ? athi_alloc_array(s->ctx, n, size) : NULL;
    if (copy) memcpy(copy, from, (size_t)(n * size));
    *failed |= n && !copy;
    return copy;
}

static void copy_owned(athi_search *s, const athi_execution *from, athi_execution *to, bool *failed) {
    const int64_t bytes = from->final_json ? (int64_t)strlen(from->final_json) + 1 : 0;
    to->final_json = copy_bytes(s, from->final_json, bytes, 1, failed);
    to->constraints = copy_bytes(s, from->constraints, from->n_constraints, (int64_t)sizeof *to->constraints, failed);
}

static athi_active *copy_active(athi_search *s, const athi_active *a, bool *failed) {
    athi_active *copy = copy_bytes(s, a, 1, (int64_t)sizeof *a, failed);
    if (!copy) return NULL;
    copy->point = copy_bytes(s, a->point, s->opts.space->n, (int64_t)sizeof *a->point, failed);
    copy->executions = copy_bytes(s, a->executions, a->n, (int64_t)sizeof *a->executions, failed);
    for (int64_t i = 0; copy->executions && i < a->n; i++)
        copy_owned(s, &a->executions[i], &copy->executions[i], failed);
    return copy;
}

static void free_lists(athi_search *owner, athi_search *s) {
    for (int64_t i = 0; s->actives && i < s->n; i++) athi_active_free(owner, s->actives[i]);
    for (int64_t i = 0; s->queue && i < s->n_queue; i++) athi_free(owner->ctx, s->queue[i]);
    athi_free(owner->ctx, s->actives);
    athi_free(owner->ctx, s->queue);
}

/* The search's lists, copied into `to`, which has all else of it already. */
static ath_status copy_lists(athi_search *s, athi_search *to) {
    bool failed = false;
    to->actives = copy_bytes(s, s->actives, s->n, (int64_t)sizeof *to->actives, &failed);
    to->queue = copy_bytes(s, s->queue, s->n_queue, (int64_t)sizeof *to->queue, &failed);
    to->cap = to->n, to->cap_queue = to->n_queue;
    for (int64_t i = 0; to->actives && i < to->n; i++) to->actives[i] = copy_active(s, s->actives[i], &failed);
    for (int64_t i = 0; to->queue && i < to->n_queue; i++)
        to->queue[i] = copy_bytes(s, s->queue[i], s->opts.space->n, (int64_t)sizeof(double), &failed);
    if (!failed) return ATH_OK;
    free_lists(s, to);
    to->actives = NULL, to->queue = NULL, to->n = to->n_queue = 0;
    return ATH_E_NOMEM;
}

static ath_status work(void *user) {
    group *g = user;
    athi_search *s = g->search;
    g->before = *s;
    ATH_TRY(copy_lists(s, &g->before));
    g->saved = true;
    return g->work(g->user);
}

static void undo(void *user) {
    group *g = user;
    athi_search *s = g->search;
    if (!g->saved) return;
    athi_cache_clear(&s->cache); /* it may know of results that never were */
    free_lists(s, s);
    *s = g->before;
    s->cache = (athi_cache){0};
    g->saved = false;
}

ath_status athi_search_group(athi_search *s, bool durable, ath_status (*calls)(void *user), void *user) {
    group g = {.search = s, .work = calls, .user = user};
    athi_group in_store = {.work = work, .undo = undo, .user = &g, .durable = durable};
    ath_status status = athi_store_group(s->opts.store, &in_store);
    if (g.saved) free_lists(s, &g.before);
    return status;
}
