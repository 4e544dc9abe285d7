/* Kernel lab: our sgemm against OpenBLAS and oneDNN on the shapes that training meets, one thread, as shares
 * of the FMA peak measured in the same round (the machine's clock drifts). Sides run in turn; medians.
 *     ninja -C build tests/backends/lab_gemm && OMP_NUM_THREADS=1 build/tests/backends/lab_gemm [isa] */
#include "backends/cpu/kernels.h"
#include "lab.h"

#include <cblas.h>
#include <math.h>
#include <oneapi/dnnl/dnnl.h>

enum { ROUNDS = 9, ROOM = 1 << 21 };

typedef struct {
    const char *what;
    int64_t M, N, K;
    bool ta, tb;
} shape;

static const shape shapes[] = {
    {"784-64   forward", 128, 64, 784, false, false},  {"784-64   dW", 784, 64, 128, true, false},
    {"64-10    forward", 128, 10, 64, false, false},   {"64-10    dW", 64, 10, 128, true, false},
    {"64-10    dX", 128, 64, 10, false, true},         {"784-512  forward", 128, 512, 784, false, false},
    {"784-512  dW", 784, 512, 128, true, false},       {"512-512  forward", 128, 512, 512, false, false},
    {"512-512  dW", 512, 512, 128, true, false},       {"512-512  dX", 128, 512, 512, false, true},
    {"512-10   forward", 128, 10, 512, false, false},  {"512-10   dX", 128, 512, 10, false, true},
    {"1600-128 forward", 64, 128, 1600, false, false}, {"1600-128 dW", 1600, 128, 64, true, false},
    {"1600-128 dX", 64, 1600, 128, false, true},       {"winograd 160", 490, 128, 160, false, false},
    {"winograd 160 dU", 160, 160, 320, true, false},   {"winograd 640", 128, 128, 640, false, false},
};

static athi_cpu_kernels kernels;
static void *workspace;

static void own(const shape *s, const float *a, const float *b, float *c) {
    kernels.sgemm(1,
                  &(athi_gemm){.M = s->M,
                               .N = s->N,
                               .K = s->K,
                               .trans_a = s->ta,
                               .trans_b = s->tb,
                               .a = a,
                               .lda = s->ta ? s->M : s->K,
                               .b = b,
                               .ldb = s->tb ? s->K : s->N,
                               .c = c,
                               .ldc = s->N},
                  workspace);
}
static void openblas(const shape *s, const float *a, const float *b, float *c) {
    int M = (int)s->M, N = (int)s->N, K = (int)s->K;
    cblas_sgemm(CblasRowMajor, s->ta ? CblasTrans : CblasNoTrans, s->tb ? CblasTrans : CblasNoTrans, M, N, K, 1, a,
                s->ta ? M : K, b, s->tb ? K : N, 0, c, N);
}
static void onednn(const shape *s, const float *a, const float *b, float *c) {
    dnnl_sgemm(s->ta ? 'T' : 'N', s->tb ? 'T' : 'N', s->M, s->N, s->K, 1, a, s->ta ? s->M : s->K, b,
               s->tb ? s->K : s->N, 0, c, s->N);
}

typedef void product(const shape *s, const float *a, const float *b, float *c);
static product *const sides[] = {own, openblas, onednn};
enum { SIDES = 3 };

int main(int argc, char **argv) {
    athi_cpu_kernels_init(&kernels, argc > 1 ? (athi_cpu_isa)atoi(argv[1]) : ATHI_CPU_BEST);
    float *a = aligned_alloc(64, ROOM * 4), *b = aligned_alloc(64, ROOM * 4), *c[SIDES];
    workspace = aligned_alloc(64, (size_t)kernels.sgemm_workspace(1));
    for (int i = 0; i < SIDES; i++) c[i] = aligned_alloc(64, ROOM * 4);
    for (int i = 0; i < ROOM; i++) a[i] = (float)(rand() % 255) / 255, b[i] = (float)(rand() % 255) / 255 - 0.5f;
    printf("instance %s; microseconds (%% of peak)\n%-18s %5s %5s %5s %16s %16s %16s\n", kernels.name, "layer", "M",
           "N", "K", "athanor", "OpenBLAS", "oneDNN");
    for (size_t n = 0; n < sizeof shapes / sizeof *shapes; n++) {
        const shape *s = &shapes[n];
        double flop = 2.0 * (double)(s->M * s->N * s->K), seconds[SIDES][ROUNDS], share[SIDES][ROUNDS];
        int repeats = (int)(2e8 / flop) + 1;
        for (int round = -1; round < ROUNDS; round++) {
            double peak = lab_peak_flops(kernels.isa);
            for (int side = 0; side < SIDES; side++) {
                double start = lab_cpu();
                for (int i = 0; i < repeats; i++) sides[side](s, a, b, c[side]);
                if (round < 0) continue;
                seconds[side][round] = (lab_cpu() - start) / repeats;
                share[side][round] = flop / seconds[side][round] / peak;
            }
        }
        printf("%-18s %5d %5d %5d", s->what, (int)s->M, (int)s->N, (int)s->K);
        for (int side = 0; side < SIDES; side++) {
            for (int64_t i = 0; i < s->M * s->N; i++)
                if (fabsf(c[side][i] - c[0][i]) > 1e-4f * (float)s->K) {
                    printf("\nside %d differs at %d\n", side, (int)i);
                    return 1;
                }
            printf("%9.1f (%3.0f%%)", 1e6 * lab_median(seconds[side], ROUNDS), 100 * lab_median(share[side], ROUNDS));
        }
        printf("\n");
    }
    return 0;
}
