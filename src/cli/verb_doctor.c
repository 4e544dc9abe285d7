/* doctor: what this machine has for Athanor, what is missing, and how to get it. */
#include "cli/cli.h"
#include "data/data.h"
#include "graph/backend.h"

#include <jansson.h>
#include <nlopt.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>
#include <zlib.h>
#ifdef ATHI_POSTGRES
#include <libpq-fe.h>
#endif

const athi_flag athi_flags_doctor[] = {
    ATHI_FLAG_JSON_ROW,
    {0},
};

/* One finding: {what, finding}, in the order in which they are told. */
typedef struct findings {
    athi_cli *cli;
    athi_value *map;
    ath_status status;
} findings;

static void tell(findings *f, const char *what, const char *fmt, ...) ATHI_PRINTF(3, 4);
static void tell(findings *f, const char *what, const char *fmt, ...) {
    char line[512];
    va_list args;
    va_start(args, fmt);
    athi_vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (f->status != ATH_OK) return;
    f->status = athi_value_set(f->cli->arena, f->map, what, athi_value_string(f->cli->arena, line));
    if (f->status == ATH_OK && !athi_cli_has(f->cli, "json")) printf("%-22s %s\n", what, line);
}

/* The value of a line "key : value" or "key: value kB" of a file in /proc. */
static bool proc_line(const char *path, const char *key, char *out, size_t size) {
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon);
        found = true;
    }
    if (file) fclose(file);
    return found;
}

static void tell_machine(findings *f) {
    char text[256];
    tell(f, "athanor", "%s", ath_version());
    tell(f, "processor", "%s, %d cores for this process",
         proc_line("/proc/cpuinfo", "model name", text, sizeof text) ? text : "unknown", f->cli->ctx->threads);
    if (proc_line("/proc/meminfo", "MemTotal", text, sizeof text)) {
        double total = athi_strtod(text, NULL) / 1048576;
        double free_now =
            proc_line("/proc/meminfo", "MemAvailable", text, sizeof text) ? athi_strtod(text, NULL) / 1048576 : 0;
        tell(f, "memory", "%.1f GiB, %.1f GiB available", total, free_now);
    }
}

static void tell_backends(findings *f) {
    for (int i = 0; athi_backends[i]; i++) {
        char what[64];
        const athi_backend *b = athi_backends[i];
        athi_text text = {.ctx = f->cli->ctx};
        const char *missing = b->unavailable ? b->unavailable() : NULL;
        if (missing)
            athi_text_printf(&text, "not usable: %s", missing);
        else if (b->describe)
            b->describe(&text);
        else
            athi_text_printf(&text, "%s", b->doc);
        snprintf(what, sizeof what, "backend %s", b->name);
        tell(f, what, "%s", text.text ? text.text : "");
        athi_text_free(&text);
    }
}

static void tell_libraries(findings *f) {
    int major = 0, minor = 0, patch = 0;
    tell(f, "SQLite", "%s", sqlite3_libversion());
#ifdef ATHI_POSTGRES
    const int pq = PQlibVersion();
    tell(f, "PostgreSQL client", "%d.%d", pq / 10000, pq % 10000);
#else
    tell(f, "PostgreSQL client", "left out of this build (meson setup -Dpostgres=enabled)");
#endif
    tell(f, "zlib", "%s", zlibVersion());
    tell(f, "jansson", "%s", jansson_version_str());
    nlopt_version(&major, &minor, &patch);
    tell(f, "NLopt", "%d.%d.%d", major, minor, patch);
    yaml_get_version(&major, &minor, &patch);
    tell(f, "libyaml", "%d.%d.%d", major, minor, patch);
}

/* A named set is there when it opens. */
static void tell_data(findings *f) {
    const char *cache = athi_cli_cache(f->cli->arena);
    for (const athi_row *row = athi_sources.rows; row->name; row++) {
        char what[64];
        if (!row->impl) continue;
        athi_data *data = NULL;
        athi_data_opts opts = {.struct_size = sizeof opts, .source = row->name, .batch = 1};
        snprintf(what, sizeof what, "data %s", row->name);
        if (athi_data_open(f->cli->ctx, &opts, "", cache, &data) == ATH_OK)
            tell(f, what, "%lld + %lld samples", (long long)data->train.n, (long long)data->test.n);
        else
            tell(f, what, "missing: %s", ath_errmsg(f->cli->ctx));
        athi_data_close(data);
    }
    bool usable = cache && (access(cache, W_OK) == 0 || access(cache, F_OK) != 0);
    tell(f, "cache of decoded data", "%s%s", cache ? cache : "none: set ATHANOR_CACHE to a folder",
         !cache || usable ? "" : " (not writable: files are decoded at every start; set ATHANOR_CACHE)");
}

ath_status athi_verb_doctor(athi_cli *cli) {
    findings f = {cli, athi_value_new(cli->arena, ATHI_MAP), ATH_OK};
    if (!f.map) return ATH_E_NOMEM;
    tell_machine(&f);
    tell_backends(&f);
    tell_libraries(&f);
    tell_data(&f);
    if (f.status == ATH_OK && athi_cli_has(cli, "json")) return athi_cli_json(cli, f.map);
    return f.status;
}
