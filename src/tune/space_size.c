/* How many distinct points a space holds.
 *
 * A parameter whose conditions name one parent hangs in a tree, where counts multiply over siblings and add
 * over the parent's values. Parameters above one with several parents (a name shared by two branches) are
 * assigned one after the other first, and the trees below counted for each assignment. Values of a parent
 * that let the same children exist are one class, so that a wide int costs no more than a narrow one. Frames
 * on the stack hold the assignment: counting allocates nothing. */
#include "tune/space_internal.h"

#include <math.h>

typedef struct frame frame;
struct frame {
    const frame *up;
    int param;
    double value;
};

static const double MOST_ASSIGNMENTS = 1e5;

static bool exists(const athi_space *space, const frame *f, int param) {
    const athi_space_param *p = &space->params[param];
    for (int k = 0; k < p->n_conditions; k++)
        for (const frame *g = f; g; g = g->up)
            if (g->param == p->conditions[k].parent && g->value >= p->conditions[k].low &&
                g->value <= p->conditions[k].high)
                return true;
    return p->n_conditions == 0;
}

/* The first grid index whose value is >= bound (> bound if `above`), n if there is none. */
static int64_t first_at(const athi_space_param *p, double bound, bool above, int64_t n) {
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        double v = athi_param_nth(p, middle);
        if (above ? v > bound : v >= bound)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The index at which the class after that of `start` begins, n at the end. */
static int64_t next_class(const athi_space *space, int param, int64_t start) {
    const athi_space_param *p = &space->params[param];
    int64_t n = athi_param_count(p), next = n;
    for (int64_t i = 0; i < space->n; i++)
        for (int k = 0; k < space->params[i].n_conditions; k++) {
            const athi_condition *c = &space->params[i].conditions[k];
            if (c->parent != param) continue;
            int64_t a = first_at(p, c->low, false, n), b = first_at(p, c->high, true, n);
            if (a > start) next = ATHI_MIN(next, a);
            if (b > start) next = ATHI_MIN(next, b);
        }
    return next;
}

static bool only_parent(const athi_space_param *p, int parent) {
    for (int k = 0; k < p->n_conditions; k++)
        if (p->conditions[k].parent != parent) return false;
    return p->n_conditions > 0;
}

static bool has_several_parents(const athi_space_param *p) {
    return p->n_conditions > 0 && !only_parent(p, p->conditions[0].parent);
}

static bool is_above(const athi_space *space, int param, int below) {
    const athi_space_param *p = &space->params[below];
    for (int k = 0; k < p->n_conditions; k++)
        if (p->conditions[k].parent == param || is_above(space, param, p->conditions[k].parent)) return true;
    return false;
}

/* Must be assigned first: stands above a parameter with several parents. */
static bool is_assigned(const athi_space *space, int param) {
    for (int64_t i = 0; i < space->n; i++)
        if (has_several_parents(&space->params[i]) && is_above(space, param, (int)i)) return true;
    return false;
}

static double count_tree(const athi_space *space, const frame *up, int param) {
    int64_t n = athi_param_count(&space->params[param]);
    double sum = 0;
    for (int64_t start = 0, next; start < n; start = next) {
        next = next_class(space, param, start);
        frame f = {up, param, athi_param_nth(&space->params[param], start)};
        double product = (double)(next - start);
        for (int64_t i = 0; i < space->n; i++)
            if (only_parent(&space->params[i], param) && exists(space, &f, (int)i))
                product *= count_tree(space, &f, (int)i);
        sum += product;
    }
    return sum;
}

static double count_assigned(const athi_space *space, const frame *up, int64_t k) {
    while (k < space->n && !is_assigned(space, space->order[k])) k++;
    if (k == space->n) { /* the trees that start here */
        double product = 1;
        for (int64_t i = 0; i < space->n; i++) {
            const athi_space_param *p = &space->params[i];
            bool root =
                p->n_conditions == 0 || has_several_parents(p) || is_assigned(space, p->conditions[0].parent);
            if (root && !is_assigned(space, (int)i) && exists(space, up, (int)i))
                product *= count_tree(space, up, (int)i);
        }
        return product;
    }
    int param = space->order[k];
    if (!exists(space, up, param)) return count_assigned(space, up, k + 1);
    int64_t n = athi_param_count(&space->params[param]);
    double sum = 0;
    for (int64_t start = 0, next; start < n; start = next) {
        next = next_class(space, param, start);
        frame f = {up, param, athi_param_nth(&space->params[param], start)};
        sum += (double)(next - start) * count_assigned(space, &f, k + 1);
    }
    return sum;
}

double athi_space_size(const athi_space *space) {
    double assignments = 1;
    for (int64_t i = 0; i < space->n; i++) {
        int64_t n = athi_param_count(&space->params[i]), classes = 0;
        if (n == 0) return INFINITY;
        if (!is_assigned(space, (int)i)) continue;
        for (int64_t start = 0; start < n; classes++) start = next_class(space, (int)i, start);
        assignments *= (double)classes;
    }
    if (assignments > MOST_ASSIGNMENTS) return INFINITY; /* such a space is never exhausted */
    return count_assigned(space, NULL, 0);
}
