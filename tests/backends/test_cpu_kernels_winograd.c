/* Winograd's convolution against the loops of the direct one in double: random geometry, odd channels, both layouts,
 * both gradients; and the error that its transforms are allowed to make. */
#include "kernels_test.h"

/* Element (n, i, j, c) of images [N, H, W, C], plain or in blocks. */
static int64_t at(int64_t block, int64_t H, int64_t W, int64_t C, int64_t n, int64_t i, int64_t j, int64_t c) {
    if (!block) block = C;
    return (((n * (C / block) + c / block) * H + i) * W + j) * block + c % block;
}

/* What the loops give: y, and the gradients of x and w from dy. */
typedef struct {
    double *y, *dx, *dw;
} truth;

static truth loops(const athi_winograd *c, const float *x, const float *w, const float *bias, const float *dy) {
    truth t = {calloc((size_t)(c->N * c->out_h * c->out_w * c->K), sizeof(double)),
               calloc((size_t)(c->N * c->H * c->W * c->C), sizeof(double)),
               calloc((size_t)(9 * c->C * c->K), sizeof(double))};
    for (int64_t n = 0; n < c->N; n++)
        for (int64_t i = 0; i < c->out_h; i++)
            for (int64_t j = 0; j < c->out_w; j++)
                for (int64_t k = 0; k < c->K; k++) {
                    const int64_t to = at(c->y_block, c->out_h, c->out_w, c->K, n, i, j, k);
                    t.y[to] = (double)bias[k];
                    for (int tap = 0; tap < 9; tap++) {
                        const int64_t a = i - c->pad_top + tap / 3, b = j - c->pad_left + tap % 3;
                        if (a < 0 || b < 0 || a >= c->H || b >= c->W) continue;
                        for (int64_t q = 0; q < c->C; q++) {
                            const int64_t from = at(c->x_block, c->H, c->W, c->C, n, a, b, q);
                            const int64_t weight = (tap * c->C + q) * c->K + k;
                            t.y[to] += (double)x[from] * (double)w[weight];
                            t.dx[from] += (double)dy[to] * (double)w[weight];
                            t.dw[weight] += (double)dy[to] * (double)x[from];
                        }
                    }
                }
    return t;
}

/* The error's root mean square as a share of the values' own: Winograd's errors go with the largest terms of a
 * transform, not with each result. Direct sums reach 1e-7. Over bfloat16 both factors of a product are rounded, to eight
 * bits; a result is too, which alone is 0.0017. */
static double allowed(const athi_cpu_kernels *k) { return k->narrow ? 0.02 : 1e-5; }

static void assert_near(const char *what, const athi_cpu_kernels *k, const float *got, const double *want, int64_t n,
                        bool relu) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double wanted = relu && want[i] < 0 ? 0 : want[i];
        error += ((double)got[i] - wanted) * ((double)got[i] - wanted), size += want[i] * want[i];
    }
    if (!(error <= allowed(k) * allowed(k) * size))
        fail_msg("%s (%s): the error is %.2g of the values", what, k->name, sqrt(error / size));
}

static void check(const athi_cpu_kernels *k, const athi_winograd *c) {
    const int64_t nx = c->N * c->H * c->W * c->C, ny = c->N * c->out_h * c->out_w * c->K, nw = 9 * c->C * c->K;
    float *x = random_floats(nx, -1, 1), *w = random_floats(nw, -1, 1), *bias = random_floats(c->K, -1, 1);
    float *y = floats(stored_floats(k, ny)), *dy = random_floats(ny, -1, 1), *dx = floats(stored_floats(k, nx)),
          *dw = floats(nw);
    void *sx = stored(k, x, nx), *sw = stored(k, w, nw), *sbias = stored(k, bias, c->K), *sdy = stored(k, dy, ny);
    const athi_winograd back = {c->N, c->out_h, c->out_w,   c->K,      c->C, 2 - c->pad_top, 2 - c->pad_left,
                                c->H, c->W,     c->y_block, c->x_block};
    const bool relu = random_int(0, 1);
    int64_t room = ATHI_MAX(k->winograd_workspace(c), k->winograd_workspace(&back));
    room = ATHI_MAX(room, k->winograd_grad_w_workspace(c)) / 4;
    float *workspace = floats(room), *again = floats(ATHI_MAX(ATHI_MAX(nx, ny), nw));
    truth t = loops(c, x, w, bias, dy);
    const size_t size = k->narrow ? 2 : 4;
    k->winograd(1, c, sx, sw, false, sbias, relu, y, workspace);
    k->winograd(2, c, sx, sw, false, sbias, relu, again, workspace);
    assert_memory_equal(again, y, (size_t)ny * size);
    y = as_floats(k, y, ny);
    assert_near("winograd", k, y, t.y, ny, relu);
    k->winograd(1, &back, sdy, sw, true, NULL, false, dx, workspace);
    k->winograd(3, &back, sdy, sw, true, NULL, false, again, workspace);
    assert_memory_equal(again, dx, (size_t)nx * size);
    dx = as_floats(k, dx, nx);
    assert_near("winograd, turned", k, dx, t.dx, nx, false);
    k->winograd_grad_w(1, c, sx, sdy, dw, workspace);
    k->winograd_grad_w(2, c, sx, sdy, again, workspace);
    assert_memory_equal(again, dw, (size_t)nw * sizeof *dw);
    assert_near("winograd_grad_w", k, dw, t.dw, nw, false);
    free_stored(k, sx, nx), free_stored(k, sw, nw), free_stored(k, sbias, c->K), free_stored(k, sdy, ny);
    free_floats(x, nx), free_floats(w, nw), free_floats(bias, c->K), free_floats(y, ny), free_floats(dy, ny);
    free_floats(dx, nx), free_floats(dw, nw), free_floats(workspace, room);
    free_floats(again, ATHI_MAX(ATHI_MAX(nx, ny), nw));
    free(t.y), free(t.dx), free(t.dw);
}

static void convolutions(const athi_cpu_kernels *k) {
    for (int i = 0; i < 40; i++) {
        athi_winograd c = {.N = random_int(1, 3), .H = random_int(3, 13), .W = random_int(3, 13)};
        const int64_t pad_h = random_int(0, 2), pad_w = random_int(0, 2); /* both sides together */
        c.C = random_int(1, 40), c.K = random_int(1, 40);
        if (random_int(0, 1)) c.x_block = 16, c.C = 16 * random_int(1, 3);
        if (random_int(0, 1)) c.y_block = 16, c.K = 16 * random_int(1, 3);
        c.pad_top = (pad_h + 1) / 2, c.pad_left = pad_w / 2;
        c.out_h = c.H + pad_h - 2, c.out_w = c.W + pad_w - 2;
        check(k, &c);
    }
    /* More than one block of tiles, of input and of output channels, the last of each smaller. */
    check(k, &(athi_winograd){1, 5, 5, 345, 170, 1, 1, 5, 5, 0, 0});
    check(k, &(athi_winograd){2, 70, 63, 12, 20, 0, 0, 68, 61, 0, 0});
}

static void winograd_agrees_with_loops(void **state) {
    (void)state;
    for_each_instance(convolutions);
    for_bf16(convolutions);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(winograd_agrees_with_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
