/* Batch normalisation against its formulas in double: with and without relu, statistics far from zero. */
#include "kernels_test.h"

/* Element (n, pixel, c). */
static int64_t at(const athi_images *im, int64_t n, int64_t pixel, int64_t c) {
    if (!im->block) return (n * im->pixels + pixel) * im->C + c;
    return ((n * (im->C / im->block) + c / im->block) * im->pixels + pixel) * im->block + c % im->block;
}

typedef struct {
    const athi_images *im;
    float *x, *y, *dy, *dx, *gamma, *beta, *mean, *variance, *dgamma, *dbeta, *sums;
} arrays;

enum { EPSILON = 1000 }; /* its inverse */

/* Channel c of what a forward pass left. */
static void check_forward(const athi_cpu_kernels *k, const arrays *a, int64_t c, bool relu, double offset) {
    const athi_images *im = a->im;
    const double m = (double)(im->N * im->pixels);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < im->N * im->pixels; i++)
        mean += (double)a->x[at(im, i / im->pixels, i % im->pixels, c)] / m;
    for (int64_t i = 0; i < im->N * im->pixels; i++) {
        const double d = (double)a->x[at(im, i / im->pixels, i % im->pixels, c)] - mean;
        variance += d * d / m;
    }
    const float want[2] = {(float)mean, (float)variance}, got[2] = {a->mean[c], a->variance[c]};
    assert_close("batch_norm mean", k, got, want, 1, 3e-7, 1 + fabs(offset));
    assert_close("batch_norm variance", k, got + 1, want + 1, 1, 1e-6, 1 + fabs(offset));
    const double r = 1 / sqrt(variance + 1.0 / EPSILON);
    for (int64_t i = 0; i < im->N * im->pixels; i++) {
        const int64_t to = at(im, i / im->pixels, i % im->pixels, c);
        double y = ((double)a->x[to] - mean) * r * (double)a->gamma[c] + (double)a->beta[c];
        const float wanted = (float)(relu && y < 0 ? 0 : y);
        assert_close("batch_norm", k, &a->y[to], &wanted, 1, 4e-6, 4 + r * fabs(offset));
    }
}

/* Channel c of what a backward pass left; the relu is where y > 0. */
static void check_backward(const athi_cpu_kernels *k, const arrays *a, int64_t c, bool relu) {
    const athi_images *im = a->im;
    const double m = (double)(im->N * im->pixels), mean = (double)a->mean[c];
    const double r = 1 / sqrt((double)a->variance[c] + 1.0 / EPSILON);
    double sum = 0, product = 0, total = 0;
    for (int64_t i = 0; i < im->N * im->pixels; i++) {
        const int64_t from = at(im, i / im->pixels, i % im->pixels, c);
        const double g = relu && !(a->y[from] > 0) ? 0 : (double)a->dy[from];
        sum += g, product += g * ((double)a->x[from] - mean) * r;
    }
    const float want[2] = {(float)product, (float)sum};
    assert_close("batch_norm_grad gamma", k, &a->dgamma[c], &want[0], 1, 1e-5, 1 + sqrt(m));
    assert_close("batch_norm_grad beta", k, &a->dbeta[c], &want[1], 1, 1e-6, 1 + sqrt(m));
    for (int64_t i = 0; i < im->N * im->pixels; i++) {
        const int64_t from = at(im, i / im->pixels, i % im->pixels, c);
        const double g = relu && !(a->y[from] > 0) ? 0 : (double)a->dy[from];
        const double dx = (double)a->gamma[c] * r * (g - sum / m - ((double)a->x[from] - mean) * r * product / m);
        const float wanted = (float)dx;
        assert_close("batch_norm_grad", k, &a->dx[from], &wanted, 1, 4e-6, 1 + r);
        total += (double)a->dx[from];
    }
    const float wanted = (float)total;
    assert_close("batch_norm_grad sums", k, &a->sums[c], &wanted, 1, 2e-6, (1 + r) * sqrt(m));
}

static void check(const athi_cpu_kernels *k, const athi_images *im, bool relu, float offset) {
    const int64_t n = im->N * im->pixels * im->C;
    const int64_t room = ATHI_MAX(k->batch_norm_workspace(im), k->batch_norm_grad_workspace(im)) / 4;
    arrays a = {im,
                random_floats(n, offset - 1, offset + 1),
                floats(n),
                random_floats(n, -1, 1),
                floats(n),
                random_floats(im->C, -2, 2),
                random_floats(im->C, -1, 1),
                floats(im->C),
                floats(im->C),
                floats(im->C),
                floats(im->C),
                floats(im->C)};
    float *workspace = floats(room), *again = floats(n);
    const float epsilon = 1.0f / EPSILON;
    k->batch_norm(1, im, a.x, a.gamma, a.beta, epsilon, relu, a.y, a.mean, a.variance, workspace);
    k->batch_norm_grad(1, im, a.dy, relu ? a.y : NULL, a.x, a.gamma, a.mean, a.variance, epsilon, a.dx, a.dgamma,
                       a.dbeta, a.sums, workspace);
    for (int64_t c = 0; c < im->C; c++) {
        check_forward(k, &a, c, relu, (double)offset);
        check_backward(k, &a, c, relu);
    }
    k->batch_norm(2, im, a.x, a.gamma, a.beta, epsilon, relu, again, a.mean, a.variance, workspace);
    assert_memory_equal(again, a.y, (size_t)n * sizeof *again);
    k->batch_norm_grad(3, im, a.dy, relu ? a.y : NULL, a.x, a.gamma, a.mean, a.variance, epsilon, again, a.dgamma,
                       a.dbeta, NULL, workspace);
    assert_memory_equal(again, a.dx, (size_t)n * sizeof *again);
    free_floats(a.x, n), free_floats(a.y, n), free_floats(a.dy, n), free_floats(a.dx, n), free_floats(again, n);
    float *const of_channels[] = {a.gamma, a.beta, a.mean, a.variance, a.dgamma, a.dbeta, a.sums};
    for (int i = 0; i < ATHI_COUNT(of_channels); i++) free_floats(of_channels[i], im->C);
    free_floats(workspace, room);
}

static void norms(const athi_cpu_kernels *k) {
    for (int i = 0; i < 30; i++) {
        const athi_images im = {.N = random_int(1, 6),
                                .pixels = random_int(2, 60),
                                .C = k->width * random_int(1, 4),
                                .block = i % 5 ? k->width : 0};
        check(k, &im, i % 2, i % 3 == 2 ? 100 : 0);
    }
}

static void batch_norm_agrees_with_formulas(void **state) {
    (void)state;
    for_each_instance(norms);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_norm_agrees_with_formulas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
