/* Optuna's forms of things: distributions as JSON, states, times, and numbers that SQL has no literal for. */
#include "tune/store_internal.h"

#include <math.h>
#include <time.h>

/* ---- distributions ------------------------------------------------------------------------------- */

static void write_string(athi_text *out, const char *text) {
    athi_value v = {.type = ATHI_STRING, .text = text};
    if (athi_json_write(out, &v, 0) != ATH_OK) out->failed = true;
}

ath_status athi_optuna_string(ath_ctx *ctx, const char *text, char **json) {
    athi_text out = {.ctx = ctx};
    write_string(&out, text);
    *json = out.text;
    if (!out.failed) return ATH_OK;
    athi_text_free(&out);
    return ATH_E_NOMEM;
}

/* Python writes a float with a point or an exponent, which is how a float differs from an int in JSON. */
static void write_float(athi_text *out, double v) {
    char digits[32];
    athi_format_double(v, digits);
    if (isnan(v))
        athi_text_printf(out, "NaN");
    else if (isinf(v))
        athi_text_printf(out, v < 0 ? "-Infinity" : "Infinity");
    else
        athi_text_printf(out, "%s%s", digits, strpbrk(digits, ".eE") ? "" : ".0");
}

/* Scalars as themselves; what stands behind anything else is called by its key. */
static ath_status write_choice(athi_text *out, const athi_branch *branch) {
    const athi_value *v = branch->value;
    if (v && v->type == ATHI_FLOAT) return write_float(out, v->number), ATH_OK;
    if (v && (v->type == ATHI_NULL || v->type == ATHI_BOOL || v->type == ATHI_INT)) return athi_json_write(out, v, 0);
    write_string(out, v && v->type == ATHI_STRING ? v->text : branch->key);
    return ATH_OK;
}

static ath_status write_choices(athi_text *out, const athi_space_param *p) {
    athi_text_printf(out, "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [");
    for (int i = 0; i < p->n_branches; i++) {
        if (i) athi_text_printf(out, ", ");
        ATH_TRY(write_choice(out, &p->branches[i]));
    }
    athi_text_printf(out, "]}}");
    return ATH_OK;
}

/* The last value of an additive grid; Optuna wants its upper end on the grid. */
static double grid_end(const athi_space_param *p) {
    double steps = floor((p->max - p->min) / p->step + 1e-9), end = p->min + steps * p->step;
    return fabs(end - p->max) < 1e-9 * p->step ? p->max : end;
}

static void write_int(athi_text *out, const athi_space_param *p) {
    bool log = p->prior == ATHI_PRIOR_LOG;
    double step = log || p->step < 1 ? 1 : p->step; /* a multiplying step is a log range without a step there */
    athi_text_printf(out,
                     "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": %s, \"step\": %.0f, \"low\": %.0f, "
                     "\"high\": %.0f}}",
                     log ? "true" : "false", step, p->min, !log && p->step > 1 ? grid_end(p) : p->max);
}

static void write_real(athi_text *out, const athi_space_param *p) {
    bool log = p->prior == ATHI_PRIOR_LOG, stepped = !log && p->step > 0;
    athi_text_printf(out, "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": ");
    stepped ? write_float(out, p->step) : athi_text_printf(out, "null");
    athi_text_printf(out, ", \"low\": ");
    write_float(out, p->min);
    athi_text_printf(out, ", \"high\": ");
    write_float(out, stepped ? grid_end(p) : p->max);
    athi_text_printf(out, ", \"log\": %s}}", log ? "true" : "false");
}

ath_status athi_optuna_distribution(ath_ctx *ctx, const athi_space_param *p, char **json) {
    athi_text out = {.ctx = ctx};
    ath_status status = ATH_OK;
    if (p->type == ATHI_PARAM_CHOICE)
        status = write_choices(&out, p);
    else
        p->type == ATHI_PARAM_INT ? write_int(&out, p) : write_real(&out, p);
    if (status == ATH_OK && out.failed) status = ATH_E_NOMEM;
    if (status != ATH_OK) athi_text_free(&out);
    *json = out.text;
    return status;
}

/* ---- values back --------------------------------------------------------------------------------- */

static bool same_choice(const athi_branch *branch, const athi_value *v) {
    const athi_value *own = branch->value;
    bool scalar = own && own->type != ATHI_LIST && own->type != ATHI_MAP && own->type != ATHI_STRING;
    if (!scalar) {
        if (own && own->type == v->type && v->type != ATHI_STRING) return athi_value_equal(own, v);
        const char *text = own && own->type == ATHI_STRING ? own->text : branch->key;
        return v->type == ATHI_STRING && !strcmp(v->text, text);
    }
    double a, b;
    if (athi_value_number(own, &a) && athi_value_number(v, &b)) return a == b;
    return athi_value_equal(own, v);
}

/* Index among our branches of the choice that another program numbered in its own order; -1: not one of ours. */
static ath_status choice_index(athi_store *s, const athi_space_param *p, const char *json, double stored,
                               double *value) {
    *value = -1;
    athi_value *root = NULL;
    ath_status status = athi_json_read(s->ctx, s->scratch, json, (int64_t)strlen(json), &root);
    if (status == ATH_E_NOMEM) return status;
    if (status != ATH_OK)
        return athi_fail_prefix(s->ctx, ATH_E_DATA, "%s: distribution of parameter '%s'", s->path, p->name);
    const athi_value *choices = athi_value_get(athi_value_get(root, "attributes"), "choices");
    if (!choices || choices->type != ATHI_LIST || !(stored >= 0 && stored < (double)choices->n)) return ATH_OK;
    for (int i = 0; i < p->n_branches; i++)
        if (same_choice(&p->branches[i], choices->items[(int64_t)stored])) *value = i;
    return ATH_OK;
}

ath_status athi_optuna_value(athi_store *s, const athi_space_param *p, const char *own_json, const char *json,
                             double stored, double *value, bool *inside) {
    *value = stored;
    if (p->type == ATHI_PARAM_CHOICE) {
        if (strcmp(own_json, json)) ATH_TRY(choice_index(s, p, json, stored, value));
        *inside = *value >= 0 && *value < p->n_branches;
        if (!*inside) *value = p->fallback;
        return ATH_OK;
    }
    double slack = 1e-9 * fmax(fabs(p->min), fabs(p->max)); /* a grid's end, added up differently */
    *inside = stored >= p->min - slack && stored <= p->max + slack &&
              !strncmp(json, own_json, sizeof("{\"name\": \"Int") - 1);
    if (!(stored >= p->min)) *value = p->min;
    if (stored > p->max) *value = p->max;
    return ATH_OK;
}

/* ---- states, times, numbers ---------------------------------------------------------------------- */

static const struct {
    athi_trial_state state;
    const char *text;
} states[] = {
    {ATHI_TRIAL_RUNNING, "RUNNING"},   {ATHI_TRIAL_PAUSED, "RUNNING"}, {ATHI_TRIAL_WAITING, "WAITING"},
    {ATHI_TRIAL_COMPLETE, "COMPLETE"}, {ATHI_TRIAL_PRUNED, "PRUNED"},  {ATHI_TRIAL_FAILED, "FAIL"},
};

const char *athi_optuna_state(athi_trial_state state) {
    for (int i = 0; i < ATHI_COUNT(states); i++)
        if (states[i].state == state) return states[i].text;
    return "RUNNING";
}

athi_trial_state athi_optuna_state_read(const char *text, bool paused) {
    if (paused) return ATHI_TRIAL_PAUSED;
    for (int i = 0; text && i < ATHI_COUNT(states); i++)
        if (!strcmp(states[i].text, text)) return states[i].state;
    return ATHI_TRIAL_RUNNING;
}

double athi_store_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void athi_optuna_time(double seconds, char out[32]) {
    time_t whole = (time_t)seconds;
    int micro = ATHI_MIN((int)nearbyint((seconds - (double)whole) * 1e6), 999999);
    struct tm tm;
    localtime_r(&whole, &tm);
    size_t n = strftime(out, 24, "%Y-%m-%d %H:%M:%S", &tm);
    static const char digits[] = "0123456789";
    out[n] = '.', out[n + 7] = 0;
    for (int i = 6; i >= 1; i--, micro /= 10) out[n + (size_t)i] = digits[micro % 10];
}

/* Local time to seconds. mktime would look at the time zone's file at each call, which is most of what it costs. */
static time_t seconds_of(struct tm *local) {
    const time_t wall = timegm(local);
    struct tm at;
    time_t t = wall - (localtime_r(&wall, &at) ? at.tm_gmtoff : 0);
    return localtime_r(&t, &at) ? wall - at.tm_gmtoff : t; /* again, where the offset changes in between */
}

double athi_optuna_time_read(const char *text) {
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%d %H:%M:%S", &tm) : NULL;
    if (!rest) return 0;
    double fraction = 0, unit = 0.1;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10) fraction += unit * (*rest - '0');
    return (double)seconds_of(&tm) + fraction;
}

athi_flow athi_optuna_flow(double v) {
    if (isnan(v)) return (athi_flow){NAN, "NAN"};
    if (isinf(v)) return (athi_flow){NAN, v > 0 ? "INF_POS" : "INF_NEG"};
    return (athi_flow){v, "FINITE"};
}

double athi_optuna_flow_read(double value, bool null, const char *type) {
    if (type && !strcmp(type, "INF_POS")) return INFINITY;
    if (type && !strcmp(type, "INF_NEG")) return -INFINITY;
    return null || (type && !strcmp(type, "NAN")) ? NAN : value;
}
