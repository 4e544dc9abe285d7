/* Limits: how long and on what an execution runs. Time and memory are watched, processors and devices are given out
 * to the slots once and for all. */
#include "tune/runner_internal.h"

#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const double LOOK_SECONDS = 0.1; /* between two looks at the memory */
static const double MEBIBYTES = 1 << 20;

/* ---- processors and devices ---------------------------------------------------------------------- */

/* The share of slot i: with fewer processors than slots one each, and several slots on one. */
static void share(const athi_limits *limits, int i, int n, cpu_set_t *set) {
    int from = (int)((int64_t)i * limits->n_cores / n), to = (int)((int64_t)(i + 1) * limits->n_cores / n);
    CPU_ZERO(set);
    for (int k = from; k < ATHI_MAX(to, from + 1); k++) CPU_SET((size_t)limits->cores[k], set);
}

ath_status athi_slot_equip(athi_runner *r, int index) {
    const athi_limits *limits = &r->opts->limits;
    athi_slot *w = &r->slots[index];
    int threads = ATHI_MAX(r->opts->threads, r->opts->command ? 0 : 1);
    if (!(w->environment = athi_process_environment(r->arena, threads))) return ATH_E_NOMEM;
    if (limits->n_gpus) {
        char *own = athi_arena_printf(r->arena, "CUDA_VISIBLE_DEVICES=%s", limits->gpus[index % limits->n_gpus]);
        if (!own) return ATH_E_NOMEM;
        if (!(w->environment = athi_environment_with(r->arena, w->environment, &own, 1))) return ATH_E_NOMEM;
    }
    if (!limits->n_cores) return ATH_OK;
    cpu_set_t *set = athi_arena_alloc(r->arena, (int64_t)sizeof(*set));
    if (!set) return ATH_E_NOMEM;
    share(limits, index, r->n, set);
    w->cores = set;
    return ATH_OK;
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void watch_time(athi_runner *r, athi_slot *w, double now) {
    if ((w->kill_at && now >= w->kill_at) || (w->force_at && now >= w->force_at))
        athi_process_signal(&w->process, SIGKILL);
    if (w->kill_at || !w->deadline || now < w->deadline || r->since > 0) return; /* away: deadlines wait */
    athi_slot_ask_to_end(r, w, ATHI_REASON_TIMEOUT, "no end within %g seconds", r->opts->limits.timeout);
}

/* ---- memory -------------------------------------------------------------------------------------- */

/* Bytes that belong to the process alone: files that it maps and what it shares are not its own. */
static int64_t private_bytes(const char *pid) {
    char path[64];
    long long resident = 0, shared = 0;
    snprintf(path, sizeof(path), "/proc/%.20s/statm", pid);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%*s %lld %lld", &resident, &shared) != 2) resident = shared = 0;
    fclose(f);
    return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static athi_slot *slot_of_group(athi_runner *r, pid_t group) {
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].alive && r->slots[i].process.pid == group) return &r->slots[i];
    return NULL;
}

/* RLIMIT_DATA holds for each process alone; this is about a command and all that it has started. */
static void watch_memory(athi_runner *r) {
    DIR *folder = opendir("/proc");
    if (!folder) return;
    for (int i = 0; i < r->n; i++) r->slots[i].memory = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        athi_slot *w = slot_of_group(r, getpgid(atoi(entry->d_name)));
        if (w) w->memory += private_bytes(entry->d_name);
    }
    closedir(folder);
    for (int i = 0; i < r->n; i++) {
        athi_slot *w = &r->slots[i];
        if (!w->alive || w->state != ATHI_SLOT_RUNNING || w->kill_at || w->memory <= r->opts->limits.memory) continue;
        athi_slot_ask_to_end(r, w, ATHI_REASON_MEMORY, "the %s used %.0f MiB, more than memory_limit allows (%g MiB)",
                             w->process.noun, (double)w->memory / MEBIBYTES,
                             (double)r->opts->limits.memory / MEBIBYTES);
        athi_process_signal(&w->process, SIGKILL); /* it may take much more while it is polite */
    }
}

void athi_runner_watch(athi_runner *r) {
    double now = athi_now();
    if (r->stopping) return;
    for (int i = 0; i < r->n; i++)
        if (r->slots[i].state == ATHI_SLOT_RUNNING && r->slots[i].alive) watch_time(r, &r->slots[i], now);
    if (r->opts->limits.memory <= 0 || now < r->looked_at + LOOK_SECONDS) return;
    r->looked_at = now;
    watch_memory(r);
}
