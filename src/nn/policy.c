/* Dtype policies, as Keras names them: how layers compute. Variables are float32 in all of them. */
#include "nn/net.h"

static const ath_dtype float32 = ATH_F32, mixed_bfloat16 = ATH_BF16;
static const athi_row rows[] = {
    {.name = "float32", .doc = "everything in float32", .impl = &float32},
    {.name = "mixed_bfloat16",
     .doc = "layers compute on bfloat16 values; weights, statistics, losses and updates are float32",
     .impl = &mixed_bfloat16},
    {0},
};
const athi_kind athi_policies = {"dtype_policy", "dtype_policies", rows};

ath_status athi_policy_find(ath_ctx *ctx, const char *name, const char *where, ath_dtype *compute) {
    const athi_row *row = athi_row_find(&athi_policies, name);
    if (!row)
        return athi_fail(ctx, ATH_E_OPTION, "%s: there is no policy '%.60s'; there are float32 and mixed_bfloat16",
                         where, name);
    *compute = *(const ath_dtype *)row->impl;
    return ATH_OK;
}
