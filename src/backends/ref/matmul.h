/* The product of matrices. Included by f32.c and f64.c. */

/* c[M, N] = op(a)[M, K] op(b)[K, N] */
static void run_MATMUL(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const T *a = athi_ref_in(call, 0), *b = athi_ref_in(call, 1);
    T *c = athi_ref_out(call, 0);
    const bool ta = node->attr.matmul.transpose_a, tb = node->attr.matmul.transpose_b;
    const int64_t M = node->out[0].shape.dim[0], N = node->out[0].shape.dim[1],
                  K_ = node->in[0]->shape.dim[!ta];
    const int64_t a_row = ta ? 1 : K_, a_col = ta ? M : 1, b_row = tb ? 1 : N, b_col = tb ? K_ : 1;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            double sum = 0;
            for (int64_t k = 0; k < K_; k++)
                sum += (double)a[i * a_row + k * a_col] * b[k * b_row + j * b_col];
            c[i * N + j] = (T)sum;
        }
}
