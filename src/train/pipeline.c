/* The next batch is made by a thread of its own while a step computes.
 *
 *   loop   ask(1) ─ take(1) ─ ask(2) ─ step 1 ─ take(2) ─ ask(3) ─ step 2 …
 *   thread    └ makes 1 ┘        └ makes 2 ┘       └ makes 3 ┘
 *
 * What a batch holds is a function of its key and its samples, so it does not matter who makes it. Both sides wait on
 * condition variables. The plan's input slots share their memory with values of the step, so the thread fills memory of
 * its own, which is copied. */
#include "train/internal.h"

#include <pthread.h>
#include <signal.h>

struct athi_pipeline {
    const athi_feed *feed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum { IDLE, ASKED, READY, LEAVING } state;
    athi_batch_key key; /* of what was asked for */
    const int64_t *order;
    int64_t n;
    athi_slots made;          /* whole batches; x NULL: the model has no input to fill */
    int64_t x_bytes, y_bytes; /* of a sample */
};

/* ---- the thread ---------------------------------------------------------------------------------- */

static void change_state(athi_pipeline *p, int state) {
    p->state = state;
    pthread_cond_broadcast(&p->changed);
}

static void *work(void *all) {
    athi_pipeline *p = all;
    p->feed->model->backend->enter(1); /* how this thread treats denormal numbers: as the loop's does */
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->state != ASKED && p->state != LEAVING) pthread_cond_wait(&p->changed, &p->lock);
        if (p->state == LEAVING) break;
        pthread_mutex_unlock(&p->lock); /* nobody touches the request until it is READY */
        athi_feed_batch(p->feed, &p->made, &p->key, p->order, p->n);
        pthread_mutex_lock(&p->lock);
        if (p->state == ASKED) change_state(p, READY);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(athi_pipeline *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&p->thread, NULL, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* ---- the loop's side ------------------------------------------------------------------------------- */

static int64_t sample_bytes(athi_shape s, ath_dtype dtype) {
    int64_t bytes = athi_dtype_size(dtype);
    for (int d = 1; d < s.rank; d++) bytes *= s.dim[d];
    return bytes;
}

static int64_t batch_bytes(const athi_net *net, int64_t batch) {
    int64_t x = sample_bytes(net->inputs[0].shape, ATH_F32),
            y = net->target_slot < 0 ? 0 : sample_bytes(net->target_shape, net->target_dtype),
            w = net->weight_slot < 0 ? 0 : (int64_t)sizeof(float);
    return batch * (x + y + w);
}

int64_t athi_feeding_bytes(ath_model *m, const athi_augment_list *list, int64_t batch) {
    const athi_feed feed = {.model = m, .augment = list};
    int64_t scratch = athi_feed_scratch(&feed, batch) * (int64_t)sizeof(float);
    return scratch && m->ctx->threads > 1 ? scratch + batch_bytes(m->net, batch) : scratch;
}

ath_status athi_pipeline_start(athi_arena *arena, const athi_feed *feed, int64_t batch, athi_pipeline **out) {
    const athi_net *net = feed->model->net;
    *out = NULL;
    athi_pipeline *p = athi_arena_alloc(arena, (int64_t)sizeof *p);
    char *memory = athi_arena_aligned(arena, batch_bytes(net, batch));
    if (!p || !memory) return ATH_E_NOMEM;
    p->feed = feed;
    p->x_bytes = sample_bytes(net->inputs[0].shape, ATH_F32);
    p->made.x = memory, memory += batch * p->x_bytes;
    if (net->target_slot >= 0) {
        p->y_bytes = sample_bytes(net->target_shape, net->target_dtype);
        p->made.y = memory, memory += batch * p->y_bytes;
    }
    if (net->weight_slot >= 0) p->made.w = (float *)(void *)memory;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (start_thread(p) == 0) *out = p; /* else the loop makes its batches itself */
    return ATH_OK;
}

void athi_pipeline_ask(athi_pipeline *p, const athi_batch_key *key, const int64_t *order, int64_t n) {
    pthread_mutex_lock(&p->lock);
    while (p->state == ASKED) pthread_cond_wait(&p->changed, &p->lock);
    p->key = *key, p->order = order, p->n = n;
    change_state(p, ASKED);
    pthread_mutex_unlock(&p->lock);
}

void athi_pipeline_take(athi_pipeline *p, const athi_slots *to) {
    pthread_mutex_lock(&p->lock);
    while (p->state == ASKED) pthread_cond_wait(&p->changed, &p->lock);
    p->state = IDLE;
    pthread_mutex_unlock(&p->lock);
    if (to->x) memcpy(to->x, p->made.x, (size_t)(p->n * p->x_bytes));
    if (to->y) memcpy(to->y, p->made.y, (size_t)(p->n * p->y_bytes));
    if (to->w) memcpy(to->w, p->made.w, (size_t)p->n * sizeof *to->w);
}

void athi_pipeline_stop(athi_pipeline *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    change_state(p, LEAVING);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}
