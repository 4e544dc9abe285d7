/* The batch gather: rows of a data set by their numbers, converted and normalised on the way. */
#include "backends/cpu/instance.h"
#include "backends/cpu/parallel.h"

enum {
    PATTERN = 256,  /* a short period of scales is repeated to about this length */
    AHEAD = 3,      /* rows are fetched so many before they are read */
    FETCHED = 4096, /* bytes of them; the rest the processor foresees */
};

typedef struct {
    int64_t columns, period, row_bytes;
    const int64_t *index;
    const void *from;
    void *to;
    const float *scale, *shift;
} gather_work;

ATHI_INLINE vf convert(const uint8_t *p) { return __builtin_convertvector(vwiden(vloadb(p)), vf); }

/* One row; scale and shift repeat with the period. */
ATHI_INLINE void row(const bool bytes, const gather_work *w, int64_t r, const float *scale, const float *shift,
                     int64_t period) {
    const uint8_t *u8 = (const uint8_t *)w->from + w->index[r] * w->columns;
    const float *f32 = (const float *)w->from + w->index[r] * w->columns;
    float *to = (float *)w->to + r * w->columns;
    for (int64_t j = 0; j < w->columns; j += period) {
        int64_t n = ATHI_MIN(period, w->columns - j), i = 0;
        for (; i + VW <= n; i += VW) {
            vf x = bytes ? convert(u8 + j + i) : vload(f32 + j + i);
            vstore(to + j + i, x * vload(scale + i) + vload(shift + i));
        }
        for (; i < n; i++) to[j + i] = (bytes ? (float)u8[j + i] : f32[j + i]) * scale[i] + shift[i];
    }
}

/* Rows lie anywhere in a data set larger than the caches: the processor cannot guess the next one. */
ATHI_INLINE void fetch(const gather_work *w, int64_t index, int64_t size) {
    const char *from = (const char *)w->from + index * w->columns * size;
    for (int64_t at = 0; at < ATHI_MIN(w->columns * size, FETCHED); at += 64) __builtin_prefetch(from + at);
}

/* A period of one number or a few is written out to a longer one: a multiple of it, and of whole vectors. */
ATHI_INLINE void rows(const bool bytes, const gather_work *w, int64_t lo, int64_t hi) {
    float scale[PATTERN], shift[PATTERN];
    int64_t period = w->period;
    if (period <= PATTERN / VW) {
        period = PATTERN / (period * VW) * (period * VW);
        for (int64_t i = 0; i < period; i++) scale[i] = w->scale[i % w->period], shift[i] = w->shift[i % w->period];
    }
    bool repeated = period != w->period;
    for (int64_t r = lo; r < hi; r++) {
        if (r + AHEAD < hi) fetch(w, w->index[r + AHEAD], bytes ? 1 : (int64_t)sizeof(float));
        row(bytes, w, r, repeated ? scale : w->scale, repeated ? shift : w->shift, period);
    }
}

static void u8_part(const void *work, int64_t lo, int64_t hi, int part) {
    (void)part;
    rows(true, work, lo, hi);
}
static void f32_part(const void *work, int64_t lo, int64_t hi, int part) {
    (void)part;
    rows(false, work, lo, hi);
}
static void bytes_part(const void *work, int64_t lo, int64_t hi, int part) {
    const gather_work *w = work;
    (void)part;
    for (int64_t r = lo; r < hi; r++)
        memcpy((char *)w->to + r * w->row_bytes, (const char *)w->from + w->index[r] * w->row_bytes,
               (size_t)w->row_bytes);
}

static int64_t grain(int64_t columns) { return 65536 / ATHI_MAX(columns, 1) + 1; }

static void gather_u8(int threads, int64_t n, int64_t columns, const uint8_t *from, const int64_t *index,
                      const float *scale, const float *shift, int64_t period, float *to) {
    athi_cpu_for(threads, n, grain(columns), 1, u8_part,
                 &(gather_work){.columns = columns,
                                .period = period,
                                .index = index,
                                .from = from,
                                .to = to,
                                .scale = scale,
                                .shift = shift});
}
static void gather_f32(int threads, int64_t n, int64_t columns, const float *from, const int64_t *index,
                       const float *scale, const float *shift, int64_t period, float *to) {
    athi_cpu_for(threads, n, grain(columns), 1, f32_part,
                 &(gather_work){.columns = columns,
                                .period = period,
                                .index = index,
                                .from = from,
                                .to = to,
                                .scale = scale,
                                .shift = shift});
}
static void gather_bytes(int threads, int64_t n, int64_t row_bytes, const void *from, const int64_t *index,
                         void *to) {
    athi_cpu_for(threads, n, grain(row_bytes), 1, bytes_part,
                 &(gather_work){.row_bytes = row_bytes, .index = index, .from = from, .to = to});
}

void ATHI_INSTANCE(athi_cpu_fill_gather)(athi_cpu_kernels *k) {
    k->gather_u8 = gather_u8;
    k->gather_f32 = gather_f32;
    k->gather_bytes = gather_bytes;
}
