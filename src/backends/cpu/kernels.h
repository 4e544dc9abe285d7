/* The CPU's own compute kernels: plain functions over float arrays that know nothing of graphs.
 *
 *     athi_cpu_kernels k;
 *     athi_cpu_kernels_init(&k, ATHI_CPU_BEST);
 *     k.sgemm(threads, &(athi_gemm){.M = 128, .N = 64, .K = 784, .a = x, .lda = 784, …}, workspace);
 *
 * The table is filled with the functions of the best instruction set that the processor has. All matrices
 * are row-major; pointers need no alignment beyond that of their type; outputs overlap no inputs, except
 * that functions of each element may write over an operand. `threads` is how many may be used: the work is
 * split so that the bits of the result are the same for every number (but not for every instruction set).
 * Memory that a kernel needs comes from the caller: `…_workspace` says how many bytes, any alignment of
 * float. Kernels check nothing: shapes were checked when the graph was built. */
#ifndef ATHI_CPU_KERNELS_H
#define ATHI_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum athi_cpu_isa {
    ATHI_CPU_BASELINE, /* any x86-64 */
    ATHI_CPU_AVX2,     /* AVX2 and FMA */
    ATHI_CPU_AVX512,   /* F, DQ, BW, VL */
    ATHI_CPU_BEST = ATHI_CPU_AVX512,
} athi_cpu_isa;

/** C[M, N] = relu(op(A) op(B) + C + bias) where mask > 0 and else 0; each of C, bias, relu and mask only if
 * asked for. op(A) is [M, K]: A lies as [M, K], or as [K, M] if trans_a; op(B) is [K, N]: B lies as [K, N],
 * or as [N, K] if trans_b. ld…: floats from one row to the next as the matrix lies. */
typedef struct athi_gemm {
    int64_t M, N, K; /* K = 0: a product of zeros */
    bool trans_a, trans_b;
    bool accumulate; /* add to what C holds */
    bool relu;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    const float *panels; /* B in panels (instance.h) instead of b, for products of what a kernel has just made, more
                          * than the caches near by hold; or NULL */
    float *c;
    int64_t ldc;
    const float *bias; /* [N], or NULL */
    const float *mask; /* [M, N]: the gradient passes where this is positive (relu's output); or NULL */
    int64_t ldmask;
} athi_gemm;

/** How images lie: [N, pixels, C], or (block != 0, which divides C) [N, C / block, pixels, block]. */
typedef struct athi_images {
    int64_t N, pixels, C, block;
} athi_images;

/** Pooling of x [N, H, W, C] to y [N, out_h, out_w, C]. Output (i, j) is over rows i stride_h - pad_top …
 * + kernel_h - 1 and columns alike, as far as they lie in the image (padding counts neither in a maximum
 * nor in an average); each window must meet the image, and kernel_h * kernel_w <= 256.
 * A blocked layout nChwXc is given as N * C / X images of X channels. */
typedef struct athi_pool {
    int64_t N, H, W, C, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, out_h, out_w;
} athi_pool;

/** Convolution of one channel, x [N, H, W], with w [kernel_h, kernel_w, K] to y [N, out_h, out_w, K], or
 * to the blocked [N, K / block, out_h, out_w, block] (block divides K; 0 stands for K). */
typedef struct athi_conv1 {
    int64_t N, H, W, K, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, out_h, out_w, block;
} athi_conv1;

/** Convolution by 3 x 3 with stride 1, x [N, H, W, C] to y [N, out_h, out_w, K]: output (i, j) is over rows
 * i - pad_top … + 2 and columns alike, zeros beyond the image. Each of x and y lies plain, or (block != 0, which divides
 * its channels) as [N, channels / block, rows, columns, block]. */
typedef struct athi_winograd {
    int64_t N, H, W, C, K, pad_top, pad_left, out_h, out_w, x_block, y_block;
} athi_winograd;

/* Functions of one value: a row of graph/unary.def each. */
typedef enum athi_unary {
#define ATH_UNARY(id, ...) ATHI_UNARY_##id,
#include "graph/unary.def"
#undef ATH_UNARY
    ATHI_UNARY_COUNT
} athi_unary;

/* clang-format off */
/* RSUB is b - a, RDIV is b / a. MAX and MIN pass NaN on. */
#define ATHI_BINARY_LIST(ROW) ROW(ADD) ROW(SUB) ROW(MUL) ROW(DIV) ROW(MAX) ROW(MIN) ROW(RSUB) ROW(RDIV)
/* clang-format on */

#define ATHI_BINARY_VALUE(name) ATHI_BINARY_##name,
typedef enum athi_binary { ATHI_BINARY_LIST(ATHI_BINARY_VALUE) ATHI_BINARY_COUNT } athi_binary;

/* Optimisers; behind each its slots in order. adamw is adam with weight decay. */
typedef enum athi_step {
    ATHI_STEP_SGD,
    ATHI_STEP_SGD_MOMENTUM,              /* velocity */
    ATHI_STEP_SGD_NESTEROV,              /* velocity */
    ATHI_STEP_RMSPROP,                   /* velocity */
    ATHI_STEP_RMSPROP_MOMENTUM,          /* velocity, momentum */
    ATHI_STEP_RMSPROP_CENTERED,          /* velocity, average_gradient */
    ATHI_STEP_RMSPROP_CENTERED_MOMENTUM, /* velocity, average_gradient, momentum */
    ATHI_STEP_ADAM,                      /* momentum, velocity */
    ATHI_STEP_AMSGRAD,                   /* momentum, velocity, velocity_hat */
    ATHI_STEP_NADAM,                     /* momentum, velocity */
    ATHI_STEP_ADAMAX,                    /* m, u */
    ATHI_STEP_ADAGRAD,                   /* accumulator */
    ATHI_STEP_ADADELTA,                  /* accumulated_grad, accumulated_delta_var */
    ATHI_STEP_FTRL,                      /* accumulator, linear; learning_rate_power = -0.5 */
    ATHI_STEP_FTRL_ANY_POWER,            /* the same */
    ATHI_STEP_LION,                      /* momentum */
    ATHI_STEP_LAMB,                      /* momentum, velocity; one call is one variable: norms are taken over it */
    ATHI_STEP_LARS,                      /* momentum; one call is one variable */
    ATHI_STEP_COUNT,
} athi_step;

/** One step over n contiguous elements; slots[i] [n]; h: a step's numbers (graph/optimizer_math.h). */
typedef void athi_cpu_step(int threads, int64_t n, float *w, const float *g, float *const *slots, const float *h);

struct athi_int8_kernels;

typedef struct athi_cpu_kernels {
    const struct athi_int8_kernels *int8; /* int8.h; its instruction set is chosen apart, since few have VNNI */
    const char *int8_name;                /* "vnni", "avx2", "x86-64" */
    athi_cpu_isa isa;
    const char *name; /* "x86-64", "avx2", "avx512" */
    int width;        /* floats in a vector: also the channel block of blocked layouts */

    /* ---- gemm.c ---- */
    int64_t (*sgemm_workspace)(int threads);
    void (*sgemm)(int threads, const athi_gemm *g, void *workspace);

    /* ---- gather.c: to[i] = from[index[i]], rows of `columns` elements, i < n ----
     * Numbers become x * scale[c % period] + shift[c % period] for column c (period 1: the same for all;
     * the channels of NHWC images; or all columns). */
    void (*gather_u8)(int threads, int64_t n, int64_t columns, const uint8_t *from, const int64_t *index,
                      const float *scale, const float *shift, int64_t period, float *to);
    void (*gather_f32)(int threads, int64_t n, int64_t columns, const float *from, const int64_t *index,
                       const float *scale, const float *shift, int64_t period, float *to);
    void (*gather_bytes)(int threads, int64_t n, int64_t row_bytes, const void *from, const int64_t *index, void *to);

    /* ---- elementwise.c ---- */
    /* y = f(x); dx = dy f', from x or y, whichever unary.def says is kept. [n] each. */
    void (*unary[ATHI_UNARY_COUNT])(int threads, int64_t n, float alpha, float beta, const void *x, void *y);
    void (*unary_grad[ATHI_UNARY_COUNT])(int threads, int64_t n, float alpha, float beta, const void *dy,
                                         const void *kept, void *dx);
    /* y = a op b: b like a [n]; one number; a row [N] against each row of a [M, N]. */
    void (*binary[ATHI_BINARY_COUNT])(int threads, int64_t n, const void *a, const void *b, void *y);
    void (*binary_scalar[ATHI_BINARY_COUNT])(int threads, int64_t n, const void *a, float b, void *y);
    void (*binary_row[ATHI_BINARY_COUNT])(int threads, int64_t M, int64_t N, const void *a, const void *b, void *y);

    /* ---- reduce.c ---- */
    int64_t (*column_sums_workspace)(int64_t N);
    /* sums[N] of the columns of x [M, N]: the gradient of a bias. */
    void (*column_sums)(int threads, int64_t M, int64_t N, const void *x, float *sums, void *workspace);
    /* dx = dy where y > 0, else 0, and its column sums, in one pass (dx may be dy). */
    void (*relu_grad_column_sums)(int threads, int64_t M, int64_t N, const void *dy, const void *y, void *dx,
                                  float *sums, void *workspace);
    /* sums[M] of the rows of x [M, N]. */
    void (*row_sums)(int threads, int64_t M, int64_t N, const void *x, float *sums);
    /* Accumulated in double: for norms of gradients. */
    double (*sum_of_squares)(int threads, int64_t n, const float *x);

    /* ---- softmax.c: over the rows of [M, N]; labels [M] are in [0, N) ---- */
    void (*softmax)(int threads, int64_t M, int64_t N, const float *x, float *y);
    void (*softmax_grad)(int threads, int64_t M, int64_t N, const float *dy, const float *y, float *dx);
    void (*log_softmax)(int threads, int64_t M, int64_t N, const float *x, float *y);
    /* loss[M] = -log(p[label]), p [M, N] = softmax(x). */
    void (*softmax_xent)(int threads, int64_t M, int64_t N, const float *x, const int32_t *labels, float *loss,
                         float *p);
    /* dx = (p - onehot(label)) * row_weight[row] * scale; row_weight may be NULL (all 1). */
    void (*softmax_xent_grad)(int threads, int64_t M, int64_t N, const float *p, const int32_t *labels,
                              const float *row_weight, float scale, float *dx);
    /* The same against targets t [M, N], smoothed: t' = t (1 - s) + s / N; loss = -sum t' log p,
     * dx = (p * sum t' - t') * row_weight[row] * scale. */
    void (*softmax_dense_xent)(int threads, int64_t M, int64_t N, const float *x, const float *targets,
                               float smoothing, float *loss, float *p);
    void (*softmax_dense_xent_grad)(int threads, int64_t M, int64_t N, const float *p, const float *targets,
                                    float smoothing, const float *row_weight, float scale, float *dx);
    /* hit[M] = 1 where the first of the row's largest elements is the label's, else 0. */
    void (*argmax_equals)(int threads, int64_t M, int64_t N, const float *x, const int32_t *labels, float *hit);

    /* ---- pool.c ---- */
    /* index [N, out_h, out_w, C]: which place of its window (row-major) held the maximum, the first on a tie,
     * NaN being the largest; NULL where no gradient is wanted. */
    void (*max_pool)(int threads, const athi_pool *p, const void *x, void *y, uint8_t *index);
    /* All of dx is written. With y (the pooled values) the gradient of a relu before the pool is taken along. */
    void (*max_pool_grad)(int threads, const athi_pool *p, const void *dy, const uint8_t *index, const void *y,
                          void *dx);
    void (*average_pool)(int threads, const athi_pool *p, const void *x, void *y);
    void (*average_pool_grad)(int threads, const athi_pool *p, const void *dy, void *dx);

    /* ---- conv1.c: bias [K] or NULL; db [K] or NULL ---- */
    int64_t (*conv1_workspace)(int threads, const athi_conv1 *c);
    void (*conv1)(int threads, const athi_conv1 *c, const float *x, const float *w, const float *bias, bool relu,
                  float *y, void *workspace);
    void (*conv1_grad_w)(int threads, const athi_conv1 *c, const float *x, const float *dy, float *dw, float *db,
                         void *workspace);

    /* ---- winograd.c: F(4 x 4, 3 x 3) ---- */
    int64_t (*winograd_workspace)(const athi_winograd *c);
    /* w [3, 3, C, K]; or turned: w [3, 3, K, C] turned by 180 degrees, which makes y the gradient of a convolution's
     * input where x is that of its output. bias [K] or NULL. */
    void (*winograd)(int threads, const athi_winograd *c, const void *x, const void *w, bool turned, const void *bias,
                     bool relu, void *y, void *workspace);
    int64_t (*winograd_grad_w_workspace)(const athi_winograd *c);
    void (*winograd_grad_w)(int threads, const athi_winograd *c, const void *x, const void *dy, float *dw,
                            void *workspace);

    /* ---- dropout.c ---- */
    /* y[i] = x[i] / (1 - rate), or 0 where word i % 4 of athi_philox(seed, purpose, base + i / 4) is below
     * rate * 2^32. i counts elements as they lie plain. The gradient is the same call on dy. y may be x. */
    void (*dropout)(int threads, const athi_images *im, float rate, uint64_t seed, uint64_t purpose, uint64_t base,
                    const void *x, void *y);

    /* ---- bf16.c: conversions; NULL but in the table over bfloat16 ---- */
    void (*narrow)(int threads, int64_t n, const float *x, void *y);
    void (*widen)(int threads, int64_t n, const void *x, float *y);
    /* Matrices as cells (simd.h) for sgemm, whose K and strides count those then. From x [rows, columns], where the values of a
     * cell follow each other along a row: [rows][cells of a row]; or down a column: [strips][cells of a column][width]
     * in strips of `width` columns, zeros beyond the last. */
    void (*cells_along)(int threads, int64_t rows, int64_t columns, const void *x, float *cells);
    void (*cells_down)(int threads, int64_t rows, int64_t columns, int64_t width, const void *x, float *cells);
    /* y [M, N] = relu(c + bias) where mask > 0 and else 0; bias [N] and mask [M, N], each if there is one. */
    void (*finish_product)(int threads, int64_t M, int64_t N, const float *c, const void *bias, bool relu,
                           const void *mask, void *y);

    /* ---- peak.c ---- */
    /* Chains of a = a out[0] + out[1], over bfloat16 a = a + out[0] out[1] of pairs, the result to out[2]; returns how many
     * operations that were. */
    double (*multiply_add)(int64_t rounds, float *out);

    /* ---- norm.c: batch normalisation; `width` divides the channels, and is the block if there is one ---- */
    int64_t (*batch_norm_workspace)(const athi_images *im);
    /* y = (x - mean) / sqrt(variance + epsilon) gamma + beta, perhaps behind a relu; mean and variance [C] are x's. */
    void (*batch_norm)(int threads, const athi_images *im, const void *x, const float *gamma, const float *beta,
                       float epsilon, bool relu, void *y, float *mean, float *variance, void *workspace);
    int64_t (*batch_norm_grad_workspace)(const athi_images *im);
    /* The gradients of x, gamma and beta; dy counts where y > 0 (y NULL: everywhere). sums [C] of dx, or NULL. */
    void (*batch_norm_grad)(int threads, const athi_images *im, const void *dy, const void *y, const void *x,
                            const float *gamma, const float *mean, const float *variance, float epsilon, void *dx,
                            float *dgamma, float *dbeta, float *sums, void *workspace);

    /* ---- optimizers.c ---- */
    athi_cpu_step *step[ATHI_STEP_COUNT];
} athi_cpu_kernels;

/** The same over bfloat16 (processors with AVX512-BF16): what is a `void *` in the families of this table's rows is
 * bfloat16 there, the rest and all arithmetic float32. Rows of other families are those of AVX-512. False: this
 * processor has none, or `highest` is below AVX-512. */
bool athi_cpu_kernels_init_bf16(athi_cpu_kernels *k, athi_cpu_isa highest);

/** The best instruction set that this processor (and the system) runs. */
athi_cpu_isa athi_cpu_best_isa(void);
const char *athi_cpu_isa_name(athi_cpu_isa isa);
/** Fills the table with the best instance that is not above `highest`. */
void athi_cpu_kernels_init(athi_cpu_kernels *k, athi_cpu_isa highest);

/** This thread treats denormal numbers as zero from now on: optimisers slow by 1.7 when moments decay into
 * them. Each thread has its own setting; threads that OpenMP starts later inherit nothing. */
void athi_cpu_flush_denormals(void);

#endif
