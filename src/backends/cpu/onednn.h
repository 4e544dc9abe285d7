/* What oneDNN offers, as the halves of kernel rows. No vendor header is seen here. */
#ifndef ATHI_ONEDNN_H
#define ATHI_ONEDNN_H

#include "backends/cpu/cpu.h"

void athi_onednn_describe(athi_text *out);
/** Nothing above `highest`, in the whole process; false: too late, it has made primitives already. */
bool athi_onednn_limit(athi_cpu_isa highest);

/** conv2d; conv2d + add of a bias; conv2d + add + relu. */
bool athi_onednn_accepts_conv(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_onednn_make_conv(athi_make *m, const athi_unit *unit, athi_call *call);
bool athi_onednn_accepts_conv_grad_x(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_onednn_make_conv_grad_x(athi_make *m, const athi_unit *unit, athi_call *call);
bool athi_onednn_accepts_conv_grad_w(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_onednn_make_conv_grad_w(athi_make *m, const athi_unit *unit, athi_call *call);

/** batch_norm_train and batch_norm_infer, perhaps + relu; layer_norm; all their gradients are accepted by the same
 *  function. */
bool athi_onednn_accepts_norm(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_onednn_make_norm(athi_make *m, const athi_unit *unit, athi_call *call);
ath_status athi_onednn_make_norm_grad(athi_make *m, const athi_unit *unit, athi_call *call);

bool athi_onednn_accepts_reorder(const athi_unit *unit, char why[ATHI_WHY_MAX]);
ath_status athi_onednn_make_reorder(athi_make *m, const athi_unit *unit, athi_call *call);

#endif
