/* Kernels over the rows of a matrix: softmax and cross-entropy, accuracy, sums, the batch gather, dropout. */
#include "kernels_test.h"

static void softmax_row(const float *x, int64_t N, double *p) {
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < N; j++) max = fmax(max, (double)x[j]);
    for (int64_t j = 0; j < N; j++) sum += p[j] = exp((double)x[j] - max);
    for (int64_t j = 0; j < N; j++) p[j] /= sum;
}

static void check_softmax(const athi_cpu_kernels *k, int64_t M, int64_t N) {
    int64_t n = M * N;
    float *x = random_floats(n, -20, 20), *t = random_floats(n, 0, 1), *weight = random_floats(M, 0, 2);
    float *p = floats(n), *loss = floats(M), *dx = floats(n), *want = floats(n), *want_loss = floats(M);
    float *want_dx = floats(n), *dy = random_floats(n, -1, 1), smoothing = 0.1f;
    int32_t *labels = malloc((size_t)M * sizeof *labels);
    double *row = malloc((size_t)N * sizeof *row);
    for (int64_t i = 0; i < M; i++) labels[i] = (int32_t)random_int(0, N - 1);

    for (int64_t i = 0; i < M; i++) {
        softmax_row(x + i * N, N, row);
        want_loss[i] = (float)-log(row[labels[i]]);
        for (int64_t j = 0; j < N; j++) {
            want[i * N + j] = (float)row[j];
            want_dx[i * N + j] = (float)((row[j] - (j == labels[i])) * (double)weight[i] * 0.5);
        }
    }
    k->softmax(2, M, N, x, p);
    assert_close("softmax", k, p, want, n, 2e-6, 1);
    k->softmax_xent(2, M, N, x, labels, loss, p);
    assert_close("softmax_xent", k, p, want, n, 2e-6, 1);
    assert_close("softmax_xent loss", k, loss, want_loss, M, 4e-6, 10);
    k->softmax_xent_grad(2, M, N, p, labels, weight, 0.5f, dx);
    assert_close("softmax_xent_grad", k, dx, want_dx, n, 2e-6, 2);
    k->log_softmax(2, M, N, x, dx);
    for (int64_t i = 0; i < M; i++)
        assert_true(fabsf(-dx[i * N + labels[i]] - want_loss[i]) < 1e-5f * fmaxf(1, want_loss[i]));

    for (int64_t i = 0; i < M; i++) {
        double all = 0, sum = 0, dot = 0;
        softmax_row(x + i * N, N, row);
        for (int64_t j = 0; j < N; j++) {
            double target = (double)t[i * N + j] * (1 - (double)smoothing) + (double)smoothing / (double)N;
            all += target, sum -= target * log(row[j]), dot += (double)dy[i * N + j] * row[j];
        }
        want_loss[i] = (float)sum;
        for (int64_t j = 0; j < N; j++) {
            double target = (double)t[i * N + j] * (1 - (double)smoothing) + (double)smoothing / (double)N;
            want_dx[i * N + j] = (float)((row[j] * all - target) * 0.25);
            want[i * N + j] = (float)(row[j] * ((double)dy[i * N + j] - dot));
        }
    }
    k->softmax_dense_xent(1, M, N, x, t, smoothing, loss, p);
    assert_close("softmax_dense_xent loss", k, loss, want_loss, M, 3e-6, 20 * (double)N);
    k->softmax_dense_xent_grad(1, M, N, p, t, smoothing, NULL, 0.25f, dx);
    assert_close("softmax_dense_xent_grad", k, dx, want_dx, n, 2e-6, (double)N);
    k->softmax_grad(2, M, N, dy, p, dx);
    assert_close("softmax_grad", k, dx, want, n, 3e-6, 1);

    for (int64_t i = 0; i < n; i++) x[i] = (float)random_int(0, 5); /* ties */
    k->argmax_equals(2, M, N, x, labels, loss);
    for (int64_t i = 0; i < M; i++) {
        int64_t best = 0;
        for (int64_t j = 1; j < N; j++)
            if (x[i * N + j] > x[i * N + best]) best = j;
        assert_true(loss[i] == (best == labels[i] ? 1.0f : 0.0f));
    }
    free_floats(x, n), free_floats(t, n), free_floats(weight, M), free_floats(p, n), free_floats(loss, M);
    free_floats(dx, n), free_floats(want, n), free_floats(want_loss, M), free_floats(want_dx, n), free_floats(dy, n);
    free(labels), free(row);
}

static void softmaxes(const athi_cpu_kernels *k) {
    check_softmax(k, 128, 10);
    check_softmax(k, 3, 10000);
    for (int i = 0; i < 60; i++) check_softmax(k, random_int(1, 40), random_int(1, 50));
    float x[3] = {1000, 999, -INFINITY}, p[3]; /* no overflow */
    k->softmax(1, 1, 3, x, p);
    assert_true(fabsf(p[0] - 0.7310586f) < 1e-6f && p[2] == 0);
    x[0] = NAN;
    k->softmax(1, 1, 3, x, p);
    assert_true(isnan(p[0]) && isnan(p[1]));
}

static void check_sums(const athi_cpu_kernels *k, int64_t M, int64_t N) {
    int64_t n = M * N;
    float *x = random_floats(n, -1, 1), *y = random_floats(n, -1, 1), *dx = floats(n), *want_dx = floats(n);
    float *sums = floats(N), *want = floats(N), *rows = floats(M), *want_rows = floats(M), *again = floats(N);
    float *workspace = floats(k->column_sums_workspace(N) / 4);
    double squares = 0;
    for (int64_t j = 0; j < N; j++) {
        double sum = 0;
        for (int64_t i = 0; i < M; i++) sum += (double)x[i * N + j];
        want[j] = (float)sum;
    }
    k->column_sums(1, M, N, x, sums, workspace);
    assert_close("column_sums", k, sums, want, N, 3e-6, sqrt((double)M) + 1);
    k->column_sums(3, M, N, x, again, workspace);
    assert_memory_equal(sums, again, (size_t)N * sizeof *sums);
    for (int64_t j = 0; j < N; j++) {
        double sum = 0;
        for (int64_t i = 0; i < M; i++) sum += (double)(want_dx[i * N + j] = y[i * N + j] > 0 ? x[i * N + j] : 0.0f);
        want[j] = (float)sum;
    }
    k->relu_grad_column_sums(2, M, N, x, y, dx, sums, workspace);
    assert_close("relu_grad_column_sums dx", k, dx, want_dx, n, 0, 1);
    assert_close("relu_grad_column_sums", k, sums, want, N, 3e-6, sqrt((double)M) + 1);
    for (int64_t i = 0; i < M; i++) {
        double sum = 0;
        for (int64_t j = 0; j < N; j++)
            sum += (double)x[i * N + j], squares += (double)x[i * N + j] * (double)x[i * N + j];
        want_rows[i] = (float)sum;
    }
    k->row_sums(2, M, N, x, rows);
    assert_close("row_sums", k, rows, want_rows, M, 3e-6, sqrt((double)N) + 1);
    double got = k->sum_of_squares(1, n, x);
    assert_true(fabs(got - squares) < 1e-12 * squares + 1e-300);
    assert_true(got == k->sum_of_squares(3, n, x));
    free_floats(x, n), free_floats(y, n), free_floats(dx, n), free_floats(want_dx, n), free_floats(sums, N);
    free_floats(want, N), free_floats(rows, M), free_floats(want_rows, M), free_floats(again, N);
    free_floats(workspace, k->column_sums_workspace(N) / 4);
}

static void sums(const athi_cpu_kernels *k) {
    check_sums(k, 128, 64);
    check_sums(k, 20000, 10);
    check_sums(k, 3000, 33);
    check_sums(k, 2, 5000);
    for (int i = 0; i < 100; i++) check_sums(k, random_int(1, 300), random_int(1, 90));
}

static void check_gather(const athi_cpu_kernels *k, int64_t n, int64_t columns, int64_t period) {
    enum { ROWS = 50 };
    float *scale = random_floats(period, -1, 1), *shift = random_floats(period, -1, 1), *to = floats(n * columns);
    float *want = floats(n * columns), *from = random_floats(ROWS * columns, -1, 1);
    uint8_t *bytes = malloc((size_t)(ROWS * columns)), *copied = malloc((size_t)(n * columns));
    int64_t *index = malloc((size_t)n * sizeof *index);
    for (int64_t i = 0; i < ROWS * columns; i++) bytes[i] = (uint8_t)random_int(0, 255);
    for (int64_t i = 0; i < n; i++) index[i] = random_int(0, ROWS - 1);
    for (int64_t i = 0; i < n * columns; i++) {
        int64_t c = i % columns % period;
        want[i] = (float)bytes[index[i / columns] * columns + i % columns] * scale[c] + shift[c];
    }
    k->gather_u8(2, n, columns, bytes, index, scale, shift, period, to);
    assert_close("gather_u8", k, to, want, n * columns, 1e-7, 255);
    for (int64_t i = 0; i < n * columns; i++) {
        int64_t c = i % columns % period;
        want[i] = from[index[i / columns] * columns + i % columns] * scale[c] + shift[c];
    }
    k->gather_f32(2, n, columns, from, index, scale, shift, period, to);
    assert_close("gather_f32", k, to, want, n * columns, 2e-7, 1);
    k->gather_bytes(2, n, columns, bytes, index, copied);
    for (int64_t i = 0; i < n; i++)
        assert_memory_equal(copied + i * columns, bytes + index[i] * columns, (size_t)columns);
    free_floats(scale, period), free_floats(shift, period), free_floats(to, n * columns);
    free_floats(want, n * columns), free_floats(from, ROWS * columns);
    free(bytes), free(copied), free(index);
}

static void gathers(const athi_cpu_kernels *k) {
    check_gather(k, 128, 784, 1);
    check_gather(k, 128, 784, 784);
    check_gather(k, 64, 32 * 32 * 3, 3);
    check_gather(k, 1000, 500, 1);
    for (int i = 0; i < 40; i++) {
        int64_t period = random_int(1, 300);
        check_gather(k, random_int(1, 9), period * random_int(1, 5), period);
    }
}

static void dropouts(const athi_cpu_kernels *k) {
    const uint64_t seed = 0x123456789abcdef0u, purpose = ATHI_PURPOSE(ATHI_RNG_DROPOUT, 3), base = 0xfffffff0u;
    for (int repeat = 0; repeat < 30; repeat++) {
        athi_images im = {.N = random_int(1, 3),
                          .pixels = random_int(1, 30),
                          .C = repeat ? random_int(1, 10) : 10007};
        if (repeat % 2) im.block = 16, im.C = 16 * random_int(1, 5);
        const int64_t n = im.N * im.pixels * im.C;
        float rate = repeat % 5 == 4 ? 0 : random_float(0, 1);
        float *x = random_floats(n, -1, 1), *y = floats(n), *again = floats(n);
        k->dropout(1, &im, rate, seed, purpose, base, x, y);
        for (int64_t i = 0; i < n; i++) {
            uint32_t words[4];
            const int64_t c = i % im.C, pixel = i / im.C % im.pixels, image = i / im.C / im.pixels;
            const int64_t at = im.block ? ((image * (im.C / 16) + c / 16) * im.pixels + pixel) * 16 + c % 16 : i;
            athi_philox(seed, purpose, base + (uint64_t)i / 4, words);
            float want = words[i % 4] < (uint32_t)((double)rate * 4294967296.0) ? 0 : x[at] * (1 / (1 - rate));
            assert_true(y[at] == want);
        }
        k->dropout(3, &im, rate, seed, purpose, base, x, again);
        assert_memory_equal(y, again, (size_t)n * sizeof *y);
        free_floats(x, n), free_floats(y, n), free_floats(again, n);
    }
    float x = 1, y;
    k->dropout(1, &(athi_images){1, 1, 1, 0}, 1, seed, purpose, base, &x, &y); /* all of it */
    assert_true(y == 0);
}

static void softmax_and_cross_entropy(void **state) {
    (void)state;
    for_each_instance(softmaxes);
}
static void sums_agree(void **state) {
    (void)state;
    for_each_instance(sums);
}
static void gather_converts_rows(void **state) {
    (void)state;
    for_each_instance(gathers);
}
static void dropout_follows_philox(void **state) {
    (void)state;
    for_each_instance(dropouts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_and_cross_entropy),
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(gather_converts_rows),
        cmocka_unit_test(dropout_follows_philox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
