/* A line chart as SVG, complete in itself. */
#ifndef ATHI_REPORT_CHART_H
#define ATHI_REPORT_CHART_H

#include "base/value.h"

typedef struct athi_chart_line {
    const char *name; /* for the legend; NULL: none */
    const double *x, *y;
    int64_t n;
} athi_chart_line;

typedef struct athi_chart {
    const char *title, *x_title, *y_title;
    const athi_chart_line *lines;
    int64_t n_lines;
    const char *const *names; /* x are numbers of these, at equal distances; NULL: x is a number */
    int64_t n_names;
    bool from_zero; /* the y axis begins at 0 */
    bool has_mark;  /* a dashed line across, at y = mark */
    double mark;
} athi_chart;

void athi_chart_svg(athi_text *out, const athi_chart *chart);

#endif
