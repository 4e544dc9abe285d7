/* sgemm against three loops in double: random and awkward sizes, leading dimensions, epilogues, threads. */
#include "kernels_test.h"

static double element(const float *p, int64_t ld, bool trans, int64_t i, int64_t j) {
    return trans ? p[j * ld + i] : p[i * ld + j];
}

static void naive(const athi_gemm *g, float *c) {
    for (int64_t i = 0; i < g->M; i++)
        for (int64_t j = 0; j < g->N; j++) {
            double sum = g->accumulate ? c[i * g->ldc + j] : 0;
            for (int64_t k = 0; k < g->K; k++)
                sum += element(g->a, g->lda, g->trans_a, i, k) * element(g->b, g->ldb, g->trans_b, k, j);
            if (g->bias) sum += g->bias[j];
            if (g->relu && sum < 0) sum = 0;
            if (g->mask && !(g->mask[i * g->ldmask + j] > 0)) sum = 0;
            c[i * g->ldc + j] = (float)sum;
        }
}

/* One random product of the given size: all of C's rows, gaps between them included, must agree. */
static void check(const athi_cpu_kernels *k, int64_t M, int64_t N, int64_t K) {
    athi_gemm g = {.M = M,
                   .N = N,
                   .K = K,
                   .trans_a = random_int(0, 1),
                   .trans_b = random_int(0, 1),
                   .accumulate = random_int(0, 1),
                   .relu = random_int(0, 3) == 0};
    g.lda = (g.trans_a ? M : K) + random_int(0, 3), g.ldb = (g.trans_b ? K : N) + random_int(0, 3);
    g.ldc = N + random_int(0, 3), g.ldmask = N + random_int(0, 3);
    int64_t na = g.lda * (g.trans_a ? K : M), nb = g.ldb * (g.trans_b ? N : K), nc = g.ldc * M,
            nm = g.ldmask * M;
    float *a = random_floats(na, -1, 1), *b = random_floats(nb, -1, 1), *bias = random_floats(N, -1, 1);
    float *mask = random_floats(nm, -1, 1), *c = random_floats(nc, -1, 1), *want = floats(nc),
          *again = floats(nc);
    g.a = a, g.b = b;
    if (random_int(0, 1)) g.bias = bias;
    if (random_int(0, 3) == 0) g.mask = mask;
    memcpy(want, c, (size_t)nc * sizeof *c);
    memcpy(again, c, (size_t)nc * sizeof *c);
    naive(&g, want);
    float *workspace = floats(k->sgemm_workspace(3) / 4);
    g.c = c;
    k->sgemm(1, &g, workspace);
    assert_close("sgemm", k, c, want, nc, 2e-6, 1 + sqrt((double)K));
    g.c = again;
    k->sgemm((int)random_int(2, 3), &g, workspace);
    if (nc) assert_memory_equal(c, again, (size_t)nc * sizeof *c);
    free_floats(a, na), free_floats(b, nb), free_floats(bias, N), free_floats(mask, nm);
    free_floats(c, nc), free_floats(want, nc), free_floats(again, nc);
    free_floats(workspace, k->sgemm_workspace(3) / 4);
}

static void shapes(const athi_cpu_kernels *k) {
    static const int64_t fixed[][3] = {{128, 64, 784},  {128, 10, 64},  {784, 64, 128}, {128, 64, 10},
                                       {64, 128, 1600}, {1, 1, 1},      {1, 512, 7},    {513, 1, 33},
                                       {5, 5, 0},       {128, 256, 641}};
    for (int i = 0; i < ATHI_COUNT(fixed); i++)
        for (int repeat = 0; repeat < 8; repeat++) check(k, fixed[i][0], fixed[i][1], fixed[i][2]);
    for (int i = 0; i < 400; i++) check(k, random_int(1, 40), random_int(1, 70), random_int(1, 50));
}

static void sgemm_agrees_with_loops(void **state) {
    (void)state;
    for_each_instance(shapes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sgemm_agrees_with_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
