/* Pooling and one-channel convolution against the loops that define them, over random geometry. */
#include "kernels_test.h"

/* Random geometry whose every window meets the image. */
static athi_pool random_pool(void) {
    athi_pool p = {.N = random_int(1, 5),
                   .H = random_int(2, 12),
                   .W = random_int(2, 12),
                   .C = random_int(1, 40),
                   .kernel_h = random_int(1, 3),
                   .kernel_w = random_int(1, 3),
                   .stride_h = random_int(1, 3),
                   .stride_w = random_int(1, 3)};
    if (random_int(0, 1)) p.C = 16 * random_int(1, 3);
    p.kernel_h = ATHI_MIN(p.kernel_h, p.H), p.kernel_w = ATHI_MIN(p.kernel_w, p.W);
    p.pad_top = random_int(0, p.kernel_h - 1), p.pad_left = random_int(0, p.kernel_w - 1);
    p.out_h = (p.H + p.pad_top - 1) / p.stride_h + 1, p.out_w = (p.W + p.pad_left - 1) / p.stride_w + 1;
    p.out_h = random_int(1, p.out_h), p.out_w = random_int(1, p.out_w);
    return p;
}

static athi_pool tiles_of_2(int64_t N, int64_t H, int64_t W, int64_t C) {
    return (athi_pool){.N = N,
                       .H = H,
                       .W = W,
                       .C = C,
                       .kernel_h = 2,
                       .kernel_w = 2,
                       .stride_h = 2,
                       .stride_w = 2,
                       .out_h = H / 2,
                       .out_w = W / 2};
}

/* For one output element: calls what the loops want to know about each place of its window. */
typedef struct {
    float max, sum;
    int places, at;
    int64_t at_offset;
} window_result;

static window_result look(const athi_pool *p, const float *x, int64_t n, int64_t oi, int64_t oj, int64_t c) {
    window_result r = {.max = -INFINITY, .at = -1};
    for (int64_t a = 0; a < p->kernel_h; a++)
        for (int64_t b = 0; b < p->kernel_w; b++) {
            int64_t i = oi * p->stride_h - p->pad_top + a, j = oj * p->stride_w - p->pad_left + b;
            if (i < 0 || j < 0 || i >= p->H || j >= p->W) continue;
            int64_t offset = ((n * p->H + i) * p->W + j) * p->C + c;
            r.sum += x[offset], r.places++;
            if (r.at < 0 || x[offset] > r.max)
                r.max = x[offset], r.at = (int)(a * p->kernel_w + b), r.at_offset = offset;
        }
    return r;
}

static void check_pool(const athi_cpu_kernels *k, const athi_pool *p) {
    int64_t nx = p->N * p->H * p->W * p->C, ny = p->N * p->out_h * p->out_w * p->C;
    float *x = floats(nx), *y = floats(ny), *dy = random_floats(ny, -1, 1), *dx = floats(nx),
          *want = floats(ny);
    float *average = floats(ny), *want_average = floats(ny), *want_dx = floats(nx), *want_relu = floats(nx);
    float *want_average_dx = floats(nx);
    uint8_t *index = malloc((size_t)ny), *want_index = malloc((size_t)ny);
    for (int64_t i = 0; i < nx; i++)
        x[i] = (float)random_int(-6, 6) * 0.25f,
        want_dx[i] = want_relu[i] = want_average_dx[i] = 0; /* ties */
    for (int64_t at = 0; at < ny; at++) {
        int64_t c = at % p->C, oj = at / p->C % p->out_w, oi = at / p->C / p->out_w % p->out_h;
        int64_t n = at / p->C / p->out_w / p->out_h;
        window_result r = look(p, x, n, oi, oj, c);
        want[at] = r.max, want_index[at] = (uint8_t)r.at, want_average[at] = r.sum / (float)r.places;
        want_dx[r.at_offset] += dy[at];
        if (r.max > 0) want_relu[r.at_offset] += dy[at];
        for (int64_t a = 0; a < p->kernel_h; a++)
            for (int64_t b = 0; b < p->kernel_w; b++) {
                int64_t i = oi * p->stride_h - p->pad_top + a, j = oj * p->stride_w - p->pad_left + b;
                if (i >= 0 && j >= 0 && i < p->H && j < p->W)
                    want_average_dx[((n * p->H + i) * p->W + j) * p->C + c] += dy[at] / (float)r.places;
            }
    }
    k->max_pool(2, p, x, y, index);
    assert_close("max_pool", k, y, want, ny, 0, 0);
    assert_memory_equal(index, want_index, (size_t)ny);
    k->max_pool(1, p, x, y, NULL);
    assert_close("max_pool without index", k, y, want, ny, 0, 0);
    k->max_pool_grad(2, p, dy, index, NULL, dx);
    assert_close("max_pool_grad", k, dx, want_dx, nx, 1e-6, 9);
    k->max_pool_grad(2, p, dy, index, y, dx);
    assert_close("max_pool_grad with relu", k, dx, want_relu, nx, 1e-6, 9);
    k->average_pool(2, p, x, average);
    assert_close("average_pool", k, average, want_average, ny, 1e-6, 9);
    k->average_pool_grad(2, p, dy, dx);
    assert_close("average_pool_grad", k, dx, want_average_dx, nx, 1e-6, 9);
    free_floats(x, nx), free_floats(y, ny), free_floats(dy, ny), free_floats(dx, nx), free_floats(want, ny);
    free_floats(average, ny), free_floats(want_average, ny), free_floats(want_dx, nx),
        free_floats(want_relu, nx);
    free_floats(want_average_dx, nx), free(index), free(want_index);
}

static void pools(const athi_cpu_kernels *k) {
    const athi_pool fixed[] = {tiles_of_2(3, 26, 26, 16), tiles_of_2(2, 11, 11, 64), tiles_of_2(2, 5, 7, 3)};
    for (int i = 0; i < ATHI_COUNT(fixed); i++) check_pool(k, &fixed[i]);
    for (int i = 0; i < 150; i++) {
        athi_pool p = random_pool();
        check_pool(k, &p);
    }
    athi_pool p = tiles_of_2(1, 2, 2, 1);
    float x[4] = {1, NAN, 5, NAN}, y;
    uint8_t index;
    k->max_pool(1, &p, x, &y, &index);
    assert_true(isnan(y) && index == 1);
}

static void check_conv1(const athi_cpu_kernels *k, const athi_conv1 *c) {
    int64_t block = c->block ? c->block : c->K, taps = c->kernel_h * c->kernel_w;
    int64_t nx = c->N * c->H * c->W, ny = c->N * c->out_h * c->out_w * c->K, nw = taps * c->K;
    float *x = random_floats(nx, -1, 1), *w = random_floats(nw, -1, 1), *bias = random_floats(c->K, -1, 1);
    float *y = floats(ny), *want = floats(ny), *dy = random_floats(ny, -1, 1), *dw = floats(nw),
          *db = floats(c->K);
    float *want_dw = floats(nw), *want_db = floats(c->K), *again = floats(nw);
    int64_t room = k->conv1_workspace(2, c) / 4;
    float *workspace = floats(room);
    double *gradient = calloc((size_t)(nw + c->K), sizeof *gradient);
    bool relu = random_int(0, 1);
    for (int64_t n = 0; n < c->N; n++)
        for (int64_t i = 0; i < c->out_h; i++)
            for (int64_t j = 0; j < c->out_w; j++)
                for (int64_t o = 0; o < c->K; o++) {
                    int64_t at = (((n * (c->K / block) + o / block) * c->out_h + i) * c->out_w + j) * block +
                                 o % block;
                    double sum = (double)bias[o], d = (double)dy[at];
                    for (int64_t t = 0; t < taps; t++) {
                        int64_t a = i * c->stride_h - c->pad_top + t / c->kernel_w;
                        int64_t b = j * c->stride_w - c->pad_left + t % c->kernel_w;
                        if (a < 0 || b < 0 || a >= c->H || b >= c->W) continue;
                        double pixel = (double)x[(n * c->H + a) * c->W + b];
                        sum += pixel * (double)w[t * c->K + o];
                        gradient[t * c->K + o] += pixel * d;
                    }
                    want[at] = relu && sum < 0 ? 0 : (float)sum;
                    gradient[nw + o] += d;
                }
    for (int64_t i = 0; i < nw; i++) want_dw[i] = (float)gradient[i];
    for (int64_t i = 0; i < c->K; i++) want_db[i] = (float)gradient[nw + i];
    k->conv1(2, c, x, w, bias, relu, y, workspace);
    assert_close("conv1", k, y, want, ny, 2e-6, (double)taps);
    double terms = sqrt((double)(c->N * c->out_h * c->out_w));
    k->conv1_grad_w(2, c, x, dy, dw, db, workspace);
    assert_close("conv1_grad_w", k, dw, want_dw, nw, 2e-6, 1 + terms);
    assert_close("conv1_grad_w bias", k, db, want_db, c->K, 2e-6, 1 + terms);
    k->conv1_grad_w(1, c, x, dy, again, NULL, workspace);
    assert_memory_equal(dw, again, (size_t)nw * sizeof *dw);
    free_floats(x, nx), free_floats(w, nw), free_floats(bias, c->K), free_floats(y, ny),
        free_floats(want, ny);
    free_floats(dy, ny), free_floats(dw, nw), free_floats(db, c->K), free_floats(want_dw, nw);
    free_floats(want_db, c->K), free_floats(again, nw), free_floats(workspace, room), free(gradient);
}

static void convolutions(const athi_cpu_kernels *k) {
    for (int i = 0; i < 100; i++) {
        athi_conv1 c = {.N = random_int(1, 20),
                        .K = random_int(1, 50),
                        .kernel_h = random_int(1, 5),
                        .kernel_w = random_int(1, 5),
                        .stride_h = random_int(1, 2),
                        .stride_w = random_int(1, 2)};
        int64_t block = 8 * random_int(1, 2);
        if (random_int(0, 1)) c.block = block, c.K = block * random_int(1, 4);
        if (random_int(0, 1)) c.kernel_h = c.kernel_w = 3;
        c.H = c.kernel_h + random_int(0, 9), c.W = c.kernel_w + random_int(0, 9);
        int64_t pad_h = random_int(0, c.kernel_h - 1),
                pad_w = random_int(0, c.kernel_w - 1); /* both sides together */
        c.pad_top = pad_h / 2, c.pad_left = pad_w / 2;
        c.out_h = (c.H + pad_h - c.kernel_h) / c.stride_h + 1,
        c.out_w = (c.W + pad_w - c.kernel_w) / c.stride_w + 1;
        check_conv1(k, &c);
    }
}

static void pooling_agrees_with_loops(void **state) {
    (void)state;
    for_each_instance(pools);
}
static void conv1_agrees_with_loops(void **state) {
    (void)state;
    for_each_instance(convolutions);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pooling_agrees_with_loops),
                                       cmocka_unit_test(conv1_agrees_with_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
