/* The rows of the optimisers: options, slots and their first values. The equations are in nn/optimizer_math.h, which the
 * update kernels of the backends run. */
#include "nn/optimizers.h"
#include "nn/rows.h"

/* The table of slots: an optimiser has those of its list whose condition holds. */
typedef struct slots {
    int n;
    const char *names[3];
} slots;

static const char *const momentum_velocity[] = {"momentum", "velocity", NULL};
static const char *const momentum_only[] = {"momentum", NULL};

static int sgd_n(const void *opts) { return ((const ath_sgd_opts *)opts)->momentum > 0; }
static const char *const *sgd_names(const void *opts) {
    (void)opts;
    return momentum_only;
}
