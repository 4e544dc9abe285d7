/* Ops that only move elements: the same code for every element type, by its size. */
#include "backends/ref/ref.h"

static int64_t element_size(const athi_call *call) {
    return athi_dtype_size(athi_ref_node(call)->in[0]->dtype);
}
static int64_t count_of(const ath_tensor *t) { return athi_shape_count(t->shape); }

/* copy, and reshape, which may run in place */
void athi_ref_copy(const athi_call *call) {
    void *out = athi_ref_out(call, 0);
    const void *in = athi_ref_in(call, 0);
    if (out != in) memmove(out, in, (size_t)(count_of(athi_ref_node(call)->in[0]) * element_size(call)));
}

/* out[i] = in[walk's i-th offset], n elements */
static void gather(char *out, const char *in, athi_walk *w, int64_t n, int64_t size) {
    for (int64_t i = 0; i < n; i++, athi_walk_next(w))
        memcpy(out + i * size, in + w->offset[0] * size, (size_t)size);
}

void athi_ref_broadcast_to(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    athi_walk w = athi_walk_broadcast(node->out[0].shape, node->in[0]->shape, NULL);
    gather(athi_ref_out(call, 0), athi_ref_in(call, 0), &w, count_of(&node->out[0]), element_size(call));
}

/* axis i of the output is axis perm[i] of the input */
void athi_ref_transpose(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    athi_walk w = {.shape = node->out[0].shape};
    int64_t stride[ATHI_MAX_RANK];
    athi_ref_strides(node->in[0]->shape, stride);
    for (int i = 0; i < w.shape.rank; i++) w.stride[0][i] = stride[node->attr.perm.axis[i]];
    gather(athi_ref_out(call, 0), athi_ref_in(call, 0), &w, count_of(&node->out[0]), element_size(call));
}

/* A walk over the box of `box`'s shape that begins at `begin` in a value of shape `whole`. */
static athi_walk walk_box(athi_shape box, athi_shape whole, const int64_t *begin) {
    athi_walk w = {.shape = box};
    athi_ref_strides(whole, w.stride[0]);
    for (int i = 0; i < box.rank; i++) w.offset[0] += begin[i] * w.stride[0][i];
    return w;
}

void athi_ref_slice(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    athi_walk w = walk_box(node->out[0].shape, node->in[0]->shape, node->attr.slice.begin);
    gather(athi_ref_out(call, 0), athi_ref_in(call, 0), &w, count_of(&node->out[0]), element_size(call));
}

/* dx = zeros, and dy where the slice was */
void athi_ref_slice_grad(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const char *dy = athi_ref_in(call, 0);
    char *dx = athi_ref_out(call, 0);
    const int64_t n = count_of(node->in[0]), size = element_size(call);
    athi_walk w = walk_box(node->in[0]->shape, node->out[0].shape, node->attr.slice.begin);
    memset(dx, 0, (size_t)(count_of(&node->out[0]) * size));
    for (int64_t i = 0; i < n; i++, athi_walk_next(&w))
        memcpy(dx + w.offset[0] * size, dy + i * size, (size_t)size);
}

/* In front of the axis there are `outer` runs; each input gives every run its own part. */
void athi_ref_concat(const athi_call *call) {
    const athi_node *node = athi_ref_node(call);
    const athi_shape to = node->out[0].shape;
    const int axis = node->attr.axis.axis < 0 ? node->attr.axis.axis + to.rank : node->attr.axis.axis;
    char *out = athi_ref_out(call, 0);
    int64_t outer = 1, inner = element_size(call), done = 0;
    for (int i = 0; i < axis; i++) outer *= to.dim[i];
    for (int i = axis + 1; i < to.rank; i++) inner *= to.dim[i];
    for (int k = 0; k < node->n_in; k++) {
        const char *in = athi_ref_in(call, k);
        const int64_t run = node->in[k]->shape.dim[axis] * inner;
        for (int64_t i = 0; i < outer; i++)
            memcpy(out + i * to.dim[axis] * inner + done, in + i * run, (size_t)run);
        done += run;
    }
}

/* Offset of cell (n, h, w, c) in a [N, H, W, C] value: plain, or [N, C/block, H, W, block]. */
static int64_t layout_at(athi_layout layout, athi_shape s, int64_t cell, int64_t c) {
    static const int64_t blocks[] = {[ATHI_BLOCKED8] = 8, [ATHI_BLOCKED16] = 16};
    const int64_t C = s.dim[3], image = s.dim[1] * s.dim[2];
    if (layout == ATHI_PLAIN) return cell * C + c;
    const int64_t block = blocks[layout], n = cell / image, hw = cell % image;
    return ((n * (C / block) + c / block) * image + hw) * block + c % block;
}

void athi_ref_reorder(const athi_call *call) {
    const ath_tensor *from = athi_ref_node(call)->in[0], *to = &athi_ref_node(call)->out[0];
    const char *in = athi_ref_in(call, 0);
    char *out = athi_ref_out(call, 0);
    const int64_t size = element_size(call), C = from->shape.dim[3], cells = count_of(from) / ATHI_MAX(C, 1);
    for (int64_t cell = 0; cell < cells; cell++)
        for (int64_t c = 0; c < C; c++)
            memcpy(out + layout_at(to->layout, to->shape, cell, c) * size,
                   in + layout_at(from->layout, from->shape, cell, c) * size, (size_t)size);
}
