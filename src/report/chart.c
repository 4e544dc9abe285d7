/* A line chart as SVG. */
#include "report/chart.h"

#include <math.h>

enum { WIDTH = 720, HEIGHT = 420, LEFT = 80, RIGHT = 24, TOP = 48, BOTTOM = 64, TICKS = 5, COLOURS = 8 };

/* Okabe and Ito 2008: told apart with every kind of colour blindness. */
static const char *const colours[COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#000000", "#f0e442"};

typedef struct axis {
    double low, high, step; /* in values */
    double from, to;        /* in pixels */
} axis;

static double place(const axis *a, double v) {
    return a->from + (v - a->low) / (a->high - a->low) * (a->to - a->from);
}

static void put_escaped(athi_text *out, const char *text) {
    for (; *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        entity ? athi_text_printf(out, "%s", entity) : athi_text_add(out, text, 1);
    }
}

/* ---- axes ---------------------------------------------------------------------------------------- */

/* Ends at multiples of 1, 2 or 5 times a power of ten. */
static axis round_axis(double low, double high, double from, double to) {
    if (!(high > low)) low -= fabs(low) / 2 + 0.5, high += fabs(high) / 2 + 0.5;
    double raw = (high - low) / TICKS, power = pow(10, floor(log10(raw))), part = raw / power;
    double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
    return (axis){floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, step, from, to};
}

static void widen(double v, double *low, double *high) {
    if (!isfinite(v)) return;
    *low = fmin(*low, v), *high = fmax(*high, v);
}

static void find_axes(const athi_chart *c, axis *x, axis *y) {
    double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
    for (int64_t l = 0; l < c->n_lines; l++)
        for (int64_t i = 0; i < c->lines[l].n; i++) {
            widen(c->lines[l].x[i], &low[0], &high[0]);
            widen(c->lines[l].y[i], &low[1], &high[1]);
        }
    if (c->has_mark) widen(c->mark, &low[1], &high[1]);
    if (c->from_zero) widen(0, &low[1], &high[1]);
    if (!c->names) widen(0, &low[0], &high[0]);
    for (int k = 0; k < 2; k++)
        if (low[k] > high[k]) low[k] = 0, high[k] = 1; /* no point at all */
    *x = c->names ? (axis){-0.5, (double)c->n_names - 0.5, 1, LEFT, WIDTH - RIGHT}
                  : round_axis(low[0], high[0], LEFT, WIDTH - RIGHT);
    *y = round_axis(low[1], high[1], HEIGHT - BOTTOM, TOP);
}

static void put_number(athi_text *out, double v, double step) {
    athi_text_printf(out, "%.6g", round(v / step) * step + 0.0); /* no -0 */
}

static void put_x_axis(athi_text *out, const athi_chart *c, const axis *x) {
    double first = c->names ? 0 : x->low, last = c->names ? (double)c->n_names - 1 : x->high;
    for (double v = first; v <= last + x->step / 2; v += x->step) {
        athi_text_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place(x, v), HEIGHT - BOTTOM + 20);
        if (c->names)
            put_escaped(out, c->names[(int64_t)v]);
        else
            put_number(out, v, x->step);
        athi_text_printf(out, "</text>\n");
    }
    athi_text_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18);
    put_escaped(out, c->x_title);
    athi_text_printf(out, "</text>\n");
}

static void put_y_axis(athi_text *out, const athi_chart *c, const axis *y) {
    for (double v = y->low; v <= y->high + y->step / 2; v += y->step) {
        double at = place(y, v);
        athi_text_printf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT,
                         WIDTH - RIGHT, at, at);
        athi_text_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, at + 4);
        put_number(out, v, y->step);
        athi_text_printf(out, "</text>\n");
    }
    athi_text_printf(out, "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">",
                     (TOP + HEIGHT - BOTTOM) / 2);
    put_escaped(out, c->y_title);
    athi_text_printf(out, "</text>\n");
}

/* ---- lines --------------------------------------------------------------------------------------- */

static void put_line(athi_text *out, const athi_chart_line *l, const axis *x, const axis *y, const char *colour) {
    athi_text_printf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour);
    for (int64_t i = 0; i < l->n; i++)
        if (isfinite(l->y[i])) athi_text_printf(out, "%.1f,%.1f ", place(x, l->x[i]), place(y, l->y[i]));
    athi_text_printf(out, "\"/>\n");
    for (int64_t i = 0; i < l->n; i++)
        if (isfinite(l->y[i]))
            athi_text_printf(out,
                             "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%.6g</title></circle>\n",
                             place(x, l->x[i]), place(y, l->y[i]), colour, l->y[i]);
}

static void put_legend(athi_text *out, const athi_chart *c) {
    int row = 0;
    for (int64_t l = 0; l < c->n_lines; l++) {
        if (!c->lines[l].name) continue;
        int at = HEIGHT - BOTTOM - 12 - 18 * row++;
        athi_text_printf(out,
                         "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"4\" fill=\"%s\"/><text x=\"%d\" y=\"%d\" "
                         "text-anchor=\"end\">",
                         WIDTH - RIGHT - 20, at - 6, colours[l % COLOURS], WIDTH - RIGHT - 28, at);
        put_escaped(out, c->lines[l].name);
        athi_text_printf(out, "</text>\n");
    }
}

void athi_chart_svg(athi_text *out, const athi_chart *c) {
    axis x, y;
    find_axes(c, &x, &y);
    athi_text_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                     "font-size=\"13\" fill=\"#222\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
                     "<text x=\"%d\" y=\"26\" font-size=\"16\" font-weight=\"bold\">",
                     WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    put_escaped(out, c->title);
    athi_text_printf(out, "</text>\n");
    put_y_axis(out, c, &y);
    put_x_axis(out, c, &x);
    if (c->has_mark)
        athi_text_printf(
            out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#222\" stroke-dasharray=\"6 4\"/>\n",
            LEFT, WIDTH - RIGHT, place(&y, c->mark), place(&y, c->mark));
    for (int64_t l = 0; l < c->n_lines; l++) put_line(out, &c->lines[l], &x, &y, colours[l % COLOURS]);
    put_legend(out, c);
    athi_text_printf(out, "</svg>\n");
}
