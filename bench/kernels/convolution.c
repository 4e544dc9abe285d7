/* Kernel lab: Winograd's convolution against oneDNN's direct one on the shapes that training meets, forward, input
 * gradient and weight gradient. Times are milliseconds (of the thread if there is one, else by
 * the wall), medians of rounds in which the sides take turns;
 * the number in brackets is the rate of the direct convolution's operations as a share of the threads' FMA peak.
 *     ninja -C build tests/backends/lab_convolution && build/tests/backends/lab_convolution [threads [isa [layer]]]
 * isa 3 is bfloat16, on both sides. With an isa below the best, hold oneDNN to it too: DNNL_MAX_CPU_ISA=AVX2. */
#include "backends/cpu/kernels.h"
#include "base/base.h"
#include "lab.h"

#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

enum { ROUNDS = 5, PASSES = 3 };

typedef struct {
    const char *what;
    int64_t N, H, W, C, K, pad;
} shape;
static const shape shapes[] = {
    {"cnn 32-64", 64, 13, 13, 32, 64, 0},     {"wrn 16-160", 32, 28, 28, 16, 160, 1},
    {"64-64", 32, 28, 28, 64, 64, 1},         {"128-128", 32, 28, 28, 128, 128, 1},
    {"wrn 160-160", 32, 28, 28, 160, 160, 1}, {"wrn 160-320", 32, 14, 14, 160, 320, 1},
    {"wrn 320-320", 32, 14, 14, 320, 320, 1}, {"wrn 320-640", 32, 7, 7, 320, 640, 1},
    {"wrn 640-640", 32, 7, 7, 640, 640, 1},   {"wrn 640-640 b8", 8, 7, 7, 640, 640, 1},
};

static athi_cpu_kernels kernels;
static int threads = 1;

/* Other programs' time counts only where several threads leave no choice. */
static double now(void) { return threads > 1 ? lab_wall() : lab_cpu(); }

/* n random numbers of the kernels' type, in room for as many floats. */
static void *random_values(int64_t n) {
    float *p = aligned_alloc(64, (size_t)(n * 4 + 63) / 64 * 64);
    for (int64_t i = 0; i < n; i++) p[i] = (float)(rand() % 255) / 255 - 0.5f;
    if (kernels.narrow) kernels.narrow(1, n, p, p); /* each is written behind what is read next */
    return p;
}

/* ---- oneDNN -------------------------------------------------------------------------------------- */

typedef dnnl_memory_desc_t desc;
typedef struct {
    dnnl_primitive_t primitive;
    int n;
    dnnl_exec_arg_t args[8];
} primitive;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static dnnl_memory_t memory_of(const desc *md, void *p) {
    dnnl_memory_t m;
    dnnl_memory_create(&m, md, engine, p ? p : DNNL_MEMORY_ALLOCATE);
    return m;
}
static void add_arg(primitive *p, int key, dnnl_memory_t m) { p->args[p->n++] = (dnnl_exec_arg_t){key, m}; }

/* The passes over x, w, y (blocked as the instance likes); weights in oneDNN's own format. */
static void make_direct(const shape *s, const athi_winograd *c, void *x, void *y, primitive out[PASSES]) {
    const dnnl_data_type_t type = kernels.narrow ? dnnl_bf16 : dnnl_f32;
    dnnl_format_tag_t tag = kernels.width == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    desc dx, dy, dw;
    dnnl_dims_t pad = {s->pad, s->pad}, stride = {1, 1};
    dnnl_memory_desc_init_by_tag(&dx, 4, (dnnl_dims_t){s->N, s->C, s->H, s->W}, type, tag);
    dnnl_memory_desc_init_by_tag(&dy, 4, (dnnl_dims_t){s->N, s->K, c->out_h, c->out_w}, type, tag);
    dnnl_memory_desc_init_by_tag(&dw, 4, (dnnl_dims_t){s->K, s->C, 3, 3}, type, dnnl_format_tag_any);
    dnnl_convolution_desc_t d[PASSES];
    dnnl_convolution_forward_desc_init(&d[0], dnnl_forward_training, dnnl_convolution_direct, &dx, &dw, NULL, &dy,
                                       stride, pad, pad);
    dnnl_convolution_backward_data_desc_init(&d[1], dnnl_convolution_direct, &dx, &dw, &dy, stride, pad, pad);
    dnnl_convolution_backward_weights_desc_init(&d[2], dnnl_convolution_direct, &dx, &dw, NULL, &dy, stride, pad,
                                                pad);
    static const int keys[PASSES][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    dnnl_primitive_desc_t hint = NULL;
    for (int i = 0; i < PASSES; i++) {
        dnnl_primitive_desc_t pd;
        if (dnnl_primitive_desc_create(&pd, &d[i], NULL, engine, hint) != dnnl_success) exit(1);
        dnnl_primitive_create(&out[i].primitive, pd);
        out[i].n = 0;
        add_arg(&out[i], keys[i][0], memory_of(&dx, x));
        add_arg(&out[i], keys[i][1],
                memory_of(
                    dnnl_primitive_desc_query_md(pd, i == 2 ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0),
                    NULL));
        add_arg(&out[i], keys[i][2], memory_of(&dy, y));
        if (!hint) hint = pd;
    }
}
static void run_direct(const primitive *p) { dnnl_primitive_execute(p->primitive, stream, p->n, p->args); }

/* ---- Winograd ------------------------------------------------------------------------------------ */

typedef struct {
    athi_winograd forward, backward;
    void *x, *w, *y, *dw, *room;
} winograd;
static void run_winograd(const winograd *s, int pass) {
    if (pass == 0) kernels.winograd(threads, &s->forward, s->x, s->w, false, NULL, false, s->y, s->room);
    if (pass == 1) kernels.winograd(threads, &s->backward, s->y, s->w, true, NULL, false, s->x, s->room);
    if (pass == 2) kernels.winograd_grad_w(threads, &s->forward, s->x, s->y, s->dw, s->room);
}

int main(int argc, char **argv) {
    threads = argc > 1 ? atoi(argv[1]) : 1;
    const int isa = argc > 2 ? atoi(argv[2]) : ATHI_CPU_BEST;
    if (isa <= ATHI_CPU_BEST)
        athi_cpu_kernels_init(&kernels, (athi_cpu_isa)isa);
    else if (!athi_cpu_kernels_init_bf16(&kernels, ATHI_CPU_BEST))
        return fprintf(stderr, "no AVX512-BF16\n"), 1;
    omp_set_num_threads(threads);
    dnnl_engine_create(&engine, dnnl_cpu, 0);
    dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    printf("instance %s, %d threads; milliseconds (%% of peak), direct and Winograd\n%-16s %26s %26s %26s\n",
           kernels.name, threads, "layer", "forward", "input gradient", "weight gradient");
    for (int n = 0; n < ATHI_COUNT(shapes); n++) {
        const shape *s = &shapes[n];
        if (argc > 3 && !strstr(s->what, argv[3])) continue;
        const int64_t out_h = s->H + 2 * s->pad - 2, out_w = s->W + 2 * s->pad - 2, block = kernels.width;
        const int64_t nx = s->N * s->H * s->W * s->C, ny = s->N * out_h * out_w * s->K, nw = 9 * s->C * s->K;
        winograd w = {.forward = {s->N, s->H, s->W, s->C, s->K, s->pad, s->pad, out_h, out_w, block, block},
                      .backward = {s->N, out_h, out_w, s->K, s->C, 2 - s->pad, 2 - s->pad, s->H, s->W, block, block},
                      .x = random_values(nx),
                      .y = random_values(ny),
                      .w = random_values(nw),
                      .dw = random_values(nw)};
        int64_t room = ATHI_MAX(kernels.winograd_workspace(&w.forward), kernels.winograd_workspace(&w.backward));
        w.room = random_values(ATHI_MAX(room, kernels.winograd_grad_w_workspace(&w.forward)) / 4);
        primitive direct[PASSES];
        make_direct(s, &w.forward, w.x, w.y, direct);
        double flop = 2.0 * (double)(nw * s->N * out_h * out_w), times[PASSES][2][ROUNDS], shares[PASSES][2][ROUNDS];
        for (int round = -1; round < ROUNDS; round++) {
            double peak = lab_peak_flops(kernels.isa) * threads;
            for (int pass = 0; pass < PASSES; pass++)
                for (int side = 0; side < 2; side++) {
                    double begin = now();
                    side ? run_winograd(&w, pass) : run_direct(&direct[pass]);
                    if (round < 0) continue;
                    times[pass][side][round] = now() - begin;
                    shares[pass][side][round] = flop / times[pass][side][round] / peak;
                }
        }
        printf("%-16s", s->what);
        for (int pass = 0; pass < PASSES; pass++)
            for (int side = 0; side < 2; side++)
                printf("  %6.2f (%3.0f%%)", 1e3 * lab_median(times[pass][side], ROUNDS),
                       100 * lab_median(shares[pass][side], ROUNDS));
        printf("\n");
        fflush(stdout);
        free(w.x), free(w.y), free(w.w), free(w.dw), free(w.room);
    }
    return 0;
}
