/* Texts: formatting that no locale changes, growing texts, numbers, and the nearest name.
 * The calling program may have set a locale with a decimal comma; ours is always "C", for this thread and for
 * the length of one call. */
#include "base/base.h"

#include <ctype.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void c_locale_make(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Switches this thread to the C locale; what it returns goes to leave_c. */
static locale_t enter_c(void) {
    pthread_once(&c_locale_once, c_locale_make);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}
static void leave_c(locale_t old) {
    if (old) uselocale(old);
}

int athi_vsnprintf(char *out, size_t size, const char *fmt, va_list args) {
    locale_t old = enter_c();
    int n = vsnprintf(out, size, fmt, args);
    leave_c(old);
    return n;
}

double athi_strtod(const char *text, char **end) {
    locale_t old = enter_c();
    double value = strtod(text, end);
    leave_c(old);
    return value;
}

/* ---- growing texts ------------------------------------------------------------------------------- */

/* Room for n more bytes and a NUL. */
static bool reserve(athi_text *t, int64_t n) {
    int64_t wanted;
    if (t->failed) return false;
    if (!athi_add(t->length, n, &wanted) || wanted > INT64_MAX / 4) {
        athi_nomem(t->ctx, INT64_MAX);
        return !(t->failed = true);
    }
    if (wanted < t->cap) return true;
    int64_t cap = t->cap ? t->cap : 64;
    while (cap <= wanted) cap *= 2;
    void *text = t->text;
    if (athi_realloc(t->ctx, &text, t->text ? t->length + 1 : 0, cap) != ATH_OK) return !(t->failed = true);
    t->text = text;
    t->cap = cap;
    return true;
}

void athi_text_add(athi_text *t, const char *data, int64_t n) {
    if (!reserve(t, n)) return;
    if (n > 0) memcpy(t->text + t->length, data, (size_t)n);
    t->length += n;
    t->text[t->length] = 0;
}

void athi_text_printf(athi_text *t, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = athi_vsnprintf(NULL, 0, fmt, args);
    if (n >= 0 && reserve(t, n)) {
        athi_vsnprintf(t->text + t->length, (size_t)n + 1, fmt, again);
        t->length += n;
    }
    va_end(again);
    va_end(args);
}

void athi_text_free(athi_text *t) {
    if (t->text) athi_free(t->ctx, t->text);
    t->text = NULL;
    t->length = t->cap = 0;
    t->failed = false;
}

/* ---- numbers ------------------------------------------------------------------------------------- */

char *athi_format_double(double value, char out[32]) {
    if (isnan(value) || isinf(value)) {
        return strcpy(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    }
    locale_t old = enter_c();
    /* 15 digits always survive decimal -> double -> decimal, so what was written shorter is found at 15;
     * subnormals have fewer. */
    int digits = fabs(value) < DBL_MIN ? 1 : 15;
    for (; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    leave_c(old);
    return out;
}

/* ---- the nearest name ---------------------------------------------------------------------------- */

enum { NAME_MAX_LENGTH = 63 };

/* Damerau-Levenshtein distance in which a pair is swapped once (optimal string alignment), without case. */
static int distance(const char *a, int na, const char *b, int nb) {
    int rows[3][NAME_MAX_LENGTH + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= nb; j++) last[j] = j;
    for (int i = 1; i <= na; i++) {
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            int best = ATHI_MIN(ATHI_MIN(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2]))
                best = ATHI_MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
        int *spare = before;
        before = last, last = now, now = spare;
    }
    return last[nb];
}

/* "cosine" for "cosine_decay": one name holds the other, and it is long enough to mean something. */
static bool contains(const char *a, const char *b) {
    return (strlen(a) >= 3 && strcasestr(b, a)) || (strlen(b) >= 3 && strcasestr(a, b));
}

const char *athi_nearest(const char *wanted, const void *names, int64_t n, size_t stride) {
    int length = (int)strnlen(wanted, NAME_MAX_LENGTH + 1), best = 0;
    const char *found = NULL, *part = NULL;
    if (length == 0 || length > NAME_MAX_LENGTH) return NULL;
    for (int64_t i = 0; i < n; i++) {
        const char *name;
        memcpy(&name, (const char *)names + (size_t)i * stride, sizeof name);
        int other = name ? (int)strnlen(name, NAME_MAX_LENGTH + 1) : 0;
        if (other == 0 || other > NAME_MAX_LENGTH) continue;
        int d = distance(wanted, length, name, other), allowed = (ATHI_MAX(length, other) + 1) / 3;
        bool begins =
            other > length && strncasecmp(wanted, name, (size_t)length) == 0; /* "tun": rather tune than run */
        if (d <= ATHI_MAX(allowed, 1) && d < ATHI_MAX(length, other) && (!found || 2 * d - begins < best))
            found = name, best = 2 * d - begins;
        if (!part && contains(wanted, name)) part = name;
    }
    return found ? found : part;
}
