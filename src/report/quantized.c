/* What quantisation changed, as lines for people. */
#include "report/quantized.h"

static double number(const athi_value *map, const char *key) {
    double v = 0;
    const athi_value *value = athi_value_get(map, key);
    return value && athi_value_number(value, &v) ? v : 0;
}

static const char *text(const athi_value *map, const char *key) {
    const athi_value *value = athi_value_get(map, key);
    return value && value->type == ATHI_STRING ? value->text : "";
}

/* "int8:     conv2d, dense" and "float32:  conv2d_1 (it has groups of channels)". */
static void put_layers(athi_text *out, const athi_value *layers, const char *became) {
    bool any = false;
    for (int64_t i = 0; layers && i < layers->n; i++) {
        const athi_value *layer = layers->items[i];
        if (strcmp(text(layer, "became"), became) != 0) continue;
        if (!any) athi_text_printf(out, "%s:%*s", became, 9 - (int)strlen(became), "");
        athi_text_printf(out, "%s%s", any ? ", " : "", text(layer, "layer"));
        if (*text(layer, "reason")) athi_text_printf(out, " (%s)", text(layer, "reason"));
        any = true;
    }
    if (any) athi_text_printf(out, "\n");
}

void athi_report_quantized(athi_text *out, const athi_value *report) {
    const athi_value *before = athi_value_get(report, "float32"), *after = athi_value_get(report, "int8"),
                     *layers = athi_value_get(report, "layers");
    put_layers(out, layers, "int8");
    put_layers(out, layers, "float32");
    if (!before || !after) return;
    const double bytes[] = {number(before, "bytes"), number(after, "bytes")},
                 rates[] = {number(before, "samples_per_second"), number(after, "samples_per_second")};
    athi_text_printf(out, "size:     %.1f KiB -> %.1f KiB (%.0f %%)\n", bytes[0] / 1024, bytes[1] / 1024,
                     100 * bytes[1] / bytes[0]);
    athi_text_printf(out, "speed:    %.0f -> %.0f samples/s (%.2fx)\n", rates[0], rates[1], rates[1] / rates[0]);
    for (int64_t i = 2; i < before->n; i++) { /* behind bytes and speed: loss and metrics */
        const char *key = before->keys[i];
        athi_text_printf(out, "%s:%*s%.4f -> %.4f (%+.4f), %s\n", key, ATHI_MAX(9 - (int)strlen(key), 1), "",
                         number(before, key), number(after, key), number(after, key) - number(before, key),
                         text(report, "part"));
    }
}
