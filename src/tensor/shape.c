/* Shapes and layouts: comparison, counting, printing, broadcasting. */
#include "tensor/tensor.h"

#include <stdio.h>

bool athi_shape_equal(athi_shape a, athi_shape b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

int64_t athi_shape_count(athi_shape s) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++)
        if (s.dim[i] == ATHI_DYN || !athi_mul(n, s.dim[i], &n)) return -1;
    return n;
}

const char *athi_shape_str(athi_shape s, char out[96]) {
    enum { SIZE = 96 };
    int at = snprintf(out, SIZE, "[");
    for (int i = 0; i < s.rank && at < SIZE; i++) {
        const char *comma = i ? ", " : "";
        if (s.dim[i] == ATHI_DYN)
            at += snprintf(out + at, (size_t)(SIZE - at), "%s%s", comma, i ? "?" : "batch");
        else
            at += snprintf(out + at, (size_t)(SIZE - at), "%s%lld", comma, (long long)s.dim[i]);
    }
    if (at < SIZE) snprintf(out + at, (size_t)(SIZE - at), "]");
    return out;
}

bool athi_shape_broadcast(athi_shape a, athi_shape b, athi_shape *out) {
    athi_shape r = {.rank = ATHI_MAX(a.rank, b.rank)};
    for (int i = 1; i <= r.rank; i++) { /* from the last axis forwards */
        int64_t x = i <= a.rank ? a.dim[a.rank - i] : 1;
        int64_t y = i <= b.rank ? b.dim[b.rank - i] : 1;
        int64_t *d = &r.dim[r.rank - i];
        if (x == y || y == 1)
            *d = x;
        else if (x == 1)
            *d = y;
        else if (x == ATHI_DYN || y == ATHI_DYN) /* it must turn out to be the known one, or 1 */
            *d = x == ATHI_DYN ? y : x;
        else
            return false;
    }
    *out = r;
    return true;
}

const char *athi_layout_name(athi_layout l) {
    static const char *const names[] = {"plain", "blocked8", "blocked16"};
    return names[l];
}

int64_t athi_layout_block(athi_layout l) {
    static const int64_t blocks[] = {1, 8, 16};
    return blocks[l];
}
