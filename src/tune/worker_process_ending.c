/* What the end of a process means: a reason, and a sentence with its last words. */
#include "tune/worker_process.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

int64_t athi_oom_kills(void) {
    FILE *f = fopen("/proc/vmstat", "re");
    char line[128];
    long long kills = 0;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "oom_kill %lld", &kills) == 1) break;
    if (f) fclose(f);
    return kills;
}

/* What programs say before they give up, and what that tells about the point. A full disk tells nothing. */
static const struct {
    const char *phrase;
    athi_reason reason;
} phrases[] = {
    {"out of memory", ATHI_REASON_MEMORY},      {"Cannot allocate memory", ATHI_REASON_MEMORY},
    {"MemoryError", ATHI_REASON_MEMORY},        {"bad_alloc", ATHI_REASON_MEMORY},
    {"memory exhausted", ATHI_REASON_MEMORY},   {"OutOfMemoryError", ATHI_REASON_MEMORY},
    {"RESOURCE_EXHAUSTED", ATHI_REASON_MEMORY}, {"No space left on device", ATHI_REASON_LOST},
    {"Disk quota exceeded", ATHI_REASON_LOST},
};

static athi_reason reason_in_words(const char *words) {
    for (int i = 0; i < ATHI_COUNT(phrases); i++)
        if (strcasestr(words, phrases[i].phrase)) return phrases[i].reason;
    return ATHI_REASON_CRASH;
}

/* Signals that somebody else sends: an administrator, a scheduler, a terminal that closed. */
static bool from_outside(int number) {
    return number == SIGKILL || number == SIGTERM || number == SIGHUP || number == SIGINT;
}

/* The last line that says something. */
static void last_line(const char *words, char *out, size_t size) {
    size_t end = strlen(words);
    while (end > 0 && (words[end - 1] == '\n' || words[end - 1] == '\r' || words[end - 1] == ' ')) end--;
    size_t begin = end;
    while (begin > 0 && words[begin - 1] != '\n') begin--;
    snprintf(out, size, "%.*s", (int)(end - begin), words + begin);
}

athi_reason athi_ending_explain(const athi_process *p, const athi_ending *e, bool oom, char *text, size_t size) {
    char words[ATHI_LAST_WORDS + 1];
    last_line(p->words, words, sizeof(words));
    const char *colon = words[0] ? ": " : "";
    bool signalled = WIFSIGNALED(e->how);
    /* A shell whose child was ended by a signal leaves with 128 and its number. */
    int status = signalled ? 0 : WEXITSTATUS(e->how), number = signalled ? WTERMSIG(e->how) : status - 128;
    const char *name = number > 0 ? sigabbrev_np(number) : NULL;
    athi_reason reason = reason_in_words(p->words);
    if (number == SIGKILL && oom)
        reason = ATHI_REASON_MEMORY;
    else if (reason == ATHI_REASON_CRASH && from_outside(number))
        reason = ATHI_REASON_LOST;
    if (signalled && number == SIGKILL && oom)
        snprintf(text, size, "the %s was killed because the machine was out of memory%s%s", p->noun, colon, words);
    else if (signalled)
        snprintf(text, size, "the %s was ended by signal %d (SIG%s, %s)%s%s", p->noun, number, name ? name : "?",
                 strsignal(number), colon, words);
    else
        snprintf(text, size, "the %s exited with status %d%s%s%s before its task was done%s%s", p->noun, status,
                 name ? " (SIG" : "", name ? name : "", name ? ")" : "", colon, words);
    return reason;
}
