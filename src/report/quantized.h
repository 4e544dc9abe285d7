/* What quantisation changed, as lines for people. */
#ifndef ATHI_REPORT_QUANTIZED_H
#define ATHI_REPORT_QUANTIZED_H

#include "base/value.h"

/** Appends layers, size, speed and metrics before and after, from recipe/quantize.h's report. */
void athi_report_quantized(athi_text *out, const athi_value *report);

#endif
