/* Combining predictions and judging the result. Sums run in a fixed order, so results are the same bits everywhere. */
#include "ensemble/ensemble.h"

#include <math.h>

/* Probabilities are clipped as Keras clips them before the logarithm. */
static const double SMALLEST = 1e-7;

static double clip(double p) { return p < SMALLEST ? SMALLEST : p > 1 - SMALLEST ? 1 - SMALLEST : p; }

static void combine_row(const athi_members *m, const double *weights, int64_t row, float *out) {
    for (int64_t c = 0; c < m->classes; c++) {
        double sum = 0;
        for (int i = 0; i < m->n_members; i++) sum += weights[i] * (double)m->p[i][row * m->classes + c];
        out[c] = (float)sum;
    }
}

/* exp(sum of w log p), made to sum to one again; the largest logarithm is taken out, so that nothing underflows. */
static void combine_row_geometric(const athi_members *m, const double *weights, int64_t row, float *out) {
    double largest = -INFINITY, sum = 0;
    for (int pass = 0; pass < 3; pass++) {
        for (int64_t c = 0; c < m->classes; c++) {
            if (pass == 2) {
                out[c] = (float)((double)out[c] / sum);
                continue;
            }
            double log_p = 0;
            for (int i = 0; i < m->n_members; i++)
                if (weights[i] > 0) log_p += weights[i] * log(clip((double)m->p[i][row * m->classes + c]));
            if (pass == 0)
                largest = fmax(largest, log_p);
            else
                sum += (double)(out[c] = (float)exp(log_p - largest));
        }
    }
}

void athi_ensemble_combine(const athi_members *m, const double *weights, bool geometric, float *out) {
    for (int64_t row = 0; row < m->n; row++)
        (geometric ? combine_row_geometric : combine_row)(m, weights, row, out + row * m->classes);
}

static int64_t most_probable(const float *p, int64_t n) {
    int64_t best = 0;
    for (int64_t c = 1; c < n; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

athi_ensemble_score athi_ensemble_evaluate(const athi_members *m, const float *p) {
    double loss = 0;
    int64_t right = 0;
    if (m->n == 0) return (athi_ensemble_score){(double)NAN, (double)NAN};
    if (m->labels) {
        for (int64_t i = 0; i < m->n; i++) {
            loss -= log(clip((double)p[i * m->classes + m->labels[i]]));
            right += most_probable(p + i * m->classes, m->classes) == m->labels[i];
        }
        return (athi_ensemble_score){loss / (double)m->n, (double)right / (double)m->n};
    }
    for (int64_t i = 0; i < m->n * m->classes; i++) {
        double d = (double)p[i] - (double)m->targets[i];
        loss += d * d;
    }
    return (athi_ensemble_score){loss / (double)(m->n * m->classes), (double)NAN};
}

/* The weights without one member, summing to one: equal ones where it had all the weight. */
static void leave_out(const double *weights, int n, int member, double *rest) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (i != member) sum += weights[i];
    for (int i = 0; i < n; i++) rest[i] = i == member ? 0 : sum > 0 ? weights[i] / sum : 1.0 / (n - 1);
}

ath_status athi_ensemble_contributions(ath_ctx *ctx, const athi_members *m, const double *weights, bool geometric,
                                       double *loss_without, double *accuracy_without) {
    float *p = athi_alloc_array(ctx, m->n * m->classes, sizeof *p);
    double *rest = athi_alloc_array(ctx, m->n_members, sizeof *rest);
    ath_status status = p && rest ? ATH_OK : ATH_E_NOMEM;
    for (int i = 0; status == ATH_OK && i < m->n_members; i++) {
        athi_ensemble_score score = {(double)NAN, (double)NAN};
        if (m->n_members > 1) {
            leave_out(weights, m->n_members, i, rest);
            athi_ensemble_combine(m, rest, geometric, p);
            score = athi_ensemble_evaluate(m, p);
        }
        loss_without[i] = score.loss, accuracy_without[i] = score.accuracy;
    }
    athi_free(ctx, rest);
    athi_free(ctx, p);
    return status;
}
