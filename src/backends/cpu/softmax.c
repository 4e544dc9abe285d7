/* Softmax over the rows of [M, N], alone and fused with cross-entropy, and the accuracy of rows. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"
#include "backends/cpu/vmath.h"

typedef struct {
    int64_t N;
    const float *x, *dy, *y; /* x: logits; y: probabilities */
    const int32_t *labels;
    const float *targets, *row_scale;
    float smoothing, scale;
    float *out, *loss;
} softmax_work;

static int64_t grain(int64_t N) { return 8192 / ATHI_MAX(N, 1) + 1; }

/* Lanes of the vector at column j that lie within the row. */
ATHI_INLINE vi inside(int64_t j, int64_t N) {
    vi lane;
    ATHI_UNROLL
    for (int i = 0; i < VW; i++) lane[i] = i;
    return lane < vseti((int32_t)ATHI_MIN(N - j, VW));
}

static float row_max(const float *x, int64_t N) {
    vf best = vset(-__builtin_inff());
    for (int64_t j = 0; j < N; j += VW) best = vmax(vsel(inside(j, N), vload_n(x + j, N - j), best), best);
    return vmax_lane(best);
}

/* out = exp(x - max); returns the sum. */
static float row_exp(const float *x, int64_t N, float max, float *out) {
    vf sum = {0};
    for (int64_t j = 0; j < N; j += VW) {
        vf e = vexp(vload_n(x + j, N - j) - max);
        vstore_n(out + j, e, N - j);
        sum += vsel(inside(j, N), e, (vf){0});
    }
    return vsum(sum);
}

static void row_scale(float *x, int64_t N, float by) {
    for (int64_t j = 0; j < N; j += VW) vstore_n(x + j, vload_n(x + j, N - j) * by, N - j);
}

static float log_of(float x) { return vlog(vset(x))[0]; }

static void softmax_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *x = w->x + i * w->N;
        float *y = w->out + i * w->N, sum = row_exp(x, w->N, row_max(x, w->N), y);
        row_scale(y, w->N, 1.0f / sum);
    }
}

static void softmax_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *dy = w->dy + i * w->N, *y = w->y + i * w->N;
        float *dx = w->out + i * w->N;
        vf dot = {0};
        for (int64_t j = 0; j < w->N; j += VW) dot += vload_n(dy + j, w->N - j) * vload_n(y + j, w->N - j);
        float sum = vsum(dot);
        for (int64_t j = 0; j < w->N; j += VW)
            vstore_n(dx + j, (vload_n(dy + j, w->N - j) - sum) * vload_n(y + j, w->N - j), w->N - j);
    }
}

static void log_softmax_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *x = w->x + i * w->N;
        float *y = w->out + i * w->N, max = row_max(x, w->N);
        float log_sum = log_of(row_exp(x, w->N, max, y));
        for (int64_t j = 0; j < w->N; j += VW)
            vstore_n(y + j, vload_n(x + j, w->N - j) - max - log_sum, w->N - j);
    }
}

static void xent_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *x = w->x + i * w->N;
        float *y = w->out + i * w->N, max = row_max(x, w->N), sum = row_exp(x, w->N, max, y);
        row_scale(y, w->N, 1.0f / sum);
        w->loss[i] = log_of(sum) - (x[w->labels[i]] - max);
    }
}

static void xent_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        float by = w->row_scale ? w->row_scale[i] * w->scale : w->scale;
        const float *y = w->y + i * w->N;
        float *dx = w->out + i * w->N;
        for (int64_t j = 0; j < w->N; j += VW) vstore_n(dx + j, vload_n(y + j, w->N - j) * by, w->N - j);
        dx[w->labels[i]] = (y[w->labels[i]] - 1.0f) * by;
    }
}

/* t (1 - a) + a / N, zero outside the row. */
ATHI_INLINE vf smoothed(const softmax_work *w, const float *target, int64_t j) {
    vf t = vload_n(target + j, w->N - j) * (1.0f - w->smoothing) + w->smoothing / (float)w->N;
    return vsel(inside(j, w->N), t, (vf){0});
}

static void dense_xent_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *x = w->x + i * w->N, *target = w->targets + i * w->N;
        float *y = w->out + i * w->N, max = row_max(x, w->N), sum = row_exp(x, w->N, max, y);
        float log_sum = log_of(sum);
        vf loss = {0};
        for (int64_t j = 0; j < w->N; j += VW) {
            vf t = smoothed(w, target, j);
            /* 0 * (x - max) may be 0 * -inf: no target, no loss */
            loss += vsel(t == 0.0f, (vf){0}, t * (log_sum - (vload_n(x + j, w->N - j) - max)));
        }
        row_scale(y, w->N, 1.0f / sum);
        w->loss[i] = vsum(loss);
    }
}

static void dense_xent_grad_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        float by = w->row_scale ? w->row_scale[i] * w->scale : w->scale;
        const float *y = w->y + i * w->N, *target = w->targets + i * w->N;
        float *dx = w->out + i * w->N;
        vf all = {0};
        for (int64_t j = 0; j < w->N; j += VW) all += smoothed(w, target, j);
        float total = vsum(all);
        for (int64_t j = 0; j < w->N; j += VW)
            vstore_n(dx + j, (vload_n(y + j, w->N - j) * total - smoothed(w, target, j)) * by, w->N - j);
    }
}

static void argmax_equals_part(const void *work, int64_t lo, int64_t hi, int part) {
    const softmax_work *w = work;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        const float *x = w->x + i * w->N;
        float best = row_max(x, w->N);
        int64_t first = 0;
        while (first < w->N && x[first] != best) first++;
        w->out[i] = first == w->labels[i] ? 1.0f : 0.0f;
    }
}

static void softmax(int threads, int64_t M, int64_t N, const float *x, float *y) {
    athi_cpu_for(threads, M, grain(N), 1, softmax_part, &(softmax_work){.N = N, .x = x, .out = y});
}
static void softmax_grad(int threads, int64_t M, int64_t N, const float *dy, const float *y, float *dx) {
    athi_cpu_for(threads, M, grain(N), 1, softmax_grad_part,
                 &(softmax_work){.N = N, .dy = dy, .y = y, .out = dx});
}
static void log_softmax(int threads, int64_t M, int64_t N, const float *x, float *y) {
    athi_cpu_for(threads, M, grain(N), 1, log_softmax_part, &(softmax_work){.N = N, .x = x, .out = y});
}
static void softmax_xent(int threads, int64_t M, int64_t N, const float *x, const int32_t *labels,
                         float *loss, float *y) {
    athi_cpu_for(threads, M, grain(N), 1, xent_part,
                 &(softmax_work){.N = N, .x = x, .labels = labels, .loss = loss, .out = y});
}
static void softmax_xent_grad(int threads, int64_t M, int64_t N, const float *y, const int32_t *labels,
                              const float *row_weight, float scale, float *dx) {
    athi_cpu_for(threads, M, grain(N), 1, xent_grad_part,
                 &(softmax_work){
                     .N = N, .y = y, .labels = labels, .row_scale = row_weight, .scale = scale, .out = dx});
}
static void softmax_dense_xent(int threads, int64_t M, int64_t N, const float *x, const float *targets,
                               float smoothing, float *loss, float *y) {
    athi_cpu_for(
        threads, M, grain(N), 1, dense_xent_part,
        &(softmax_work){.N = N, .x = x, .targets = targets, .smoothing = smoothing, .loss = loss, .out = y});
}
static void softmax_dense_xent_grad(int threads, int64_t M, int64_t N, const float *y, const float *targets,
                                    float smoothing, const float *row_weight, float scale, float *dx) {
    athi_cpu_for(threads, M, grain(N), 1, dense_xent_grad_part,
                 &(softmax_work){.N = N,
                                 .y = y,
                                 .targets = targets,
                                 .smoothing = smoothing,
                                 .row_scale = row_weight,
                                 .scale = scale,
                                 .out = dx});
}
static void argmax_equals(int threads, int64_t M, int64_t N, const float *x, const int32_t *labels,
                          float *hit) {
    athi_cpu_for(threads, M, grain(N), 1, argmax_equals_part,
                 &(softmax_work){.N = N, .x = x, .labels = labels, .out = hit});
}

void ATHI_INSTANCE(athi_cpu_fill_softmax)(athi_cpu_kernels *k) {
    k->softmax = softmax;
    k->softmax_grad = softmax_grad;
    k->log_softmax = log_softmax;
    k->softmax_xent = softmax_xent;
    k->softmax_xent_grad = softmax_xent_grad;
    k->softmax_dense_xent = softmax_dense_xent;
    k->softmax_dense_xent_grad = softmax_dense_xent_grad;
    k->argmax_equals = argmax_equals;
}
