/* Ops that only move elements of any type: transpose, slice and its gradient, broadcast. Each is the copy of a box
 * whose cells have their own strides on both sides; axes that lie alike on both are one. */
#include "backends/cpu/cpu.h"
#include "backends/cpu/parallel.h"

typedef struct axis {
    int64_t n, from, to; /* cells, bytes from one to the next */
} axis;

typedef struct box {
    axis axes[ATHI_MAX_RANK];
    int rank;
    int64_t size; /* bytes of an element */
} box;

/* Axes come from outside in; one that goes on where the inner one ends is joined with it. */
static void add_axis(box *b, int64_t n, int64_t from, int64_t to) {
    if (n == 1) return;
    axis *last = b->rank ? &b->axes[b->rank - 1] : NULL;
    if (last && last->from == n * from && last->to == n * to)
        *last = (axis){last->n * n, from, to};
    else
        b->axes[b->rank++] = (axis){n, from, to};
}

static void copy_row(const axis *a, int64_t size, const char *from, char *to) {
    if (a->from == size && a->to == size) {
        memcpy(to, from, (size_t)(a->n * size));
    } else if (size == 4 && a->to == 4) {
        for (int64_t i = 0; i < a->n; i++) memcpy(to + i * 4, from + i * a->from, 4);
    } else {
        for (int64_t i = 0; i < a->n; i++) memcpy(to + i * a->to, from + i * a->from, (size_t)size);
    }
}

/* The cells of n axes from `a` on. */
static void copy_axes(const axis *a, int n, int64_t size, const char *from, char *to) {
    if (n == 0)
        memcpy(to, from, (size_t)size);
    else if (n == 1)
        copy_row(a, size, from, to);
    else
        for (int64_t i = 0; i < a->n; i++) copy_axes(a + 1, n - 1, size, from + i * a->from, to + i * a->to);
}

typedef struct box_work {
    const box *b;
    const char *from;
    char *to;
} box_work;
static void box_part(const void *work, int64_t lo, int64_t hi, int part) {
    const box_work *w = work;
    const axis *a = w->b->axes;
    (void)part;
    for (int64_t i = lo; i < hi; i++)
        copy_axes(a + 1, w->b->rank - 1, w->b->size, w->from + i * a->from, w->to + i * a->to);
}

static void copy_box(int threads, const box *b, const void *from, void *to) {
    if (b->rank < 2) {
        copy_axes(b->axes, b->rank, b->size, from, to);
        return;
    }
    int64_t inner = b->size;
    for (int i = 1; i < b->rank; i++) inner *= b->axes[i].n;
    athi_cpu_for(threads, b->axes[0].n, 65536 / ATHI_MAX(inner, 1) + 1, 1, box_part, &(box_work){b, from, to});
}

typedef struct shape_state {
    athi_cpu_base base;
    box b;
    int64_t skip_from, skip_to; /* bytes in front of the box */
    int64_t clear;              /* bytes of the output that are zeroed before */
} shape_state;

static void run_box(const athi_call *call) {
    const shape_state *s = call->state;
    char *to = call->out[0];
    if (s->clear) memset(to, 0, (size_t)s->clear);
    copy_box(s->base.threads, &s->b, (const char *)call->in[0] + s->skip_from, to + s->skip_to);
}

static void strides_of(athi_shape s, int64_t size, int64_t stride[ATHI_MAX_RANK]) {
    for (int i = s.rank - 1; i >= 0; size *= s.dim[i--]) stride[i] = size;
}

static void set_transpose(shape_state *s, const athi_node *node) {
    const athi_shape out = node->out[0].shape;
    int64_t from[ATHI_MAX_RANK], to[ATHI_MAX_RANK];
    strides_of(node->in[0]->shape, s->b.size, from);
    strides_of(out, s->b.size, to);
    for (int i = 0; i < out.rank; i++) add_axis(&s->b, out.dim[i], from[node->attr.perm.axis[i]], to[i]);
}

static void set_broadcast(shape_state *s, const athi_node *node) {
    const athi_shape in = node->in[0]->shape, out = node->out[0].shape;
    int64_t from[ATHI_MAX_RANK], to[ATHI_MAX_RANK];
    strides_of(in, s->b.size, from);
    strides_of(out, s->b.size, to);
    for (int i = 0; i < out.rank; i++) {
        const int k = i - (out.rank - in.rank);
        add_axis(&s->b, out.dim[i], k < 0 || in.dim[k] == 1 ? 0 : from[k], to[i]);
    }
}

/* slice: a box of the input is the output; its gradient: dy is a box of the output. */
static void set_slice(shape_state *s, const athi_node *node) {
    const bool grad = node->op == ATHI_OP_SLICE_GRAD;
    const athi_shape whole = grad ? node->out[0].shape : node->in[0]->shape;
    const athi_shape part = grad ? node->in[0]->shape : node->out[0].shape;
    int64_t wide[ATHI_MAX_RANK], narrow[ATHI_MAX_RANK], skip = 0;
    strides_of(whole, s->b.size, wide);
    strides_of(part, s->b.size, narrow);
    for (int i = 0; i < part.rank; i++) {
        skip += node->attr.slice.begin[i] * wide[i];
        add_axis(&s->b, part.dim[i], grad ? narrow[i] : wide[i], grad ? wide[i] : narrow[i]);
    }
    *(grad ? &s->skip_to : &s->skip_from) = skip;
    if (grad) s->clear = athi_shape_count(whole) * s->b.size;
}

static ath_status make_shape(athi_make *m, const athi_unit *unit, athi_call *call) {
    const athi_node *node = unit->nodes[0];
    shape_state *s = athi_cpu_state(m, call, sizeof *s, run_box);
    if (!s) return ATH_E_NOMEM;
    s->b.size = athi_dtype_size(node->in[0]->dtype);
    if (node->op == ATHI_OP_TRANSPOSE)
        set_transpose(s, node);
    else if (node->op == ATHI_OP_BROADCAST_TO)
        set_broadcast(s, node);
    else
        set_slice(s, node);
    return ATH_OK;
}

static bool accepts_shape(const athi_unit *unit, char why[ATHI_WHY_MAX]) {
    return athi_cpu_is_plain(unit, why) && athi_cpu_yes(why, "rows by memcpy");
}
const athi_kernel athi_cpu_shape[] = {{"own:copy", accepts_shape, make_shape, ATHI_LAYOUT_PLAIN}, {0}};
