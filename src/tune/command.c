/* Commands: filling in templates, and reading what a program prints. */
#include "tune/command.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEED_SHIFT = 33 }; /* {seed} has 31 bits: every language's generator takes that many */

typedef struct filling {
    ath_ctx *ctx;
    athi_arena *arena;
    const athi_command *command;
    const athi_value *params; /* of those that exist */
    const char *trial, *seed, *folder, *budget;
} filling;

/* ---- values as texts ----------------------------------------------------------------------------- */

static const char *text_of(athi_arena *arena, const athi_value *v) {
    if (v->type == ATHI_STRING) return v->text;
    athi_text text = {.ctx = athi_arena_ctx(arena)};
    const char *copy = NULL;
    if (athi_json_write(&text, v, 0) == ATH_OK && !text.failed) copy = athi_arena_strdup(arena, text.text);
    athi_text_free(&text);
    return copy;
}

static ath_status begin(filling *f, const athi_task *task, const char *folder) {
    athi_value *params = NULL;
    ATH_TRY(athi_space_point_write(f->arena, f->command->space, task->point, &params));
    f->params = params;
    f->trial = athi_arena_printf(f->arena, "%lld", (long long)task->trial);
    f->seed = athi_arena_printf(f->arena, "%llu", (unsigned long long)(task->seed >> SEED_SHIFT));
    f->budget = task->budget ? athi_arena_printf(f->arena, "%lld", (long long)task->budget) : "";
    f->folder = folder;
    return f->trial && f->seed && f->budget ? ATH_OK : ATH_E_NOMEM;
}

/* ---- templates ----------------------------------------------------------------------------------- */

static const char *const own_names[] = {"trial", "seed", "dir", "budget", "args"};

static ath_status unknown_template(const filling *f, const char *name) {
    const athi_space *space = f->command->space;
    const char *near =
        space->n ? athi_nearest(name, &space->params[0].name, space->n, sizeof space->params[0]) : NULL;
    return athi_fail(f->ctx, ATH_E_OPTION,
                     "the command has {%.60s}, but no parameter is called so%s%s%s there are also {trial}, {seed}, "
                     "{dir}, {budget} and {args}, and a brace itself is written {{",
                     name, near ? "; did you mean {" : ";", near ? near : "", near ? "}?" : "");
}

/* What {name} becomes; a parameter that this trial does not have is the empty text. */
static ath_status fill_one(const filling *f, const char *name, const char *argument, const char **text) {
    const char *const own[] = {f->trial, f->seed, f->folder, f->budget};
    for (int i = 0; i < ATHI_COUNT(own); i++)
        if (strcmp(own_names[i], name) == 0) return *text = own[i], ATH_OK;
    if (strcmp(name, "args") == 0)
        return athi_fail(f->ctx, ATH_E_OPTION,
                         "the command has {args} within '%.100s'; it becomes several arguments and must stand alone",
                         argument);
    if (athi_space_find(f->command->space, name) < 0) return unknown_template(f, name);
    const athi_value *v = athi_value_get(f->params, name);
    *text = v ? text_of(f->arena, v) : "";
    return *text ? ATH_OK : ATH_E_NOMEM;
}

static ath_status fill(const filling *f, const char *argument, athi_text *out) {
    for (const char *p = argument; *p;) {
        const char *brace = strchr(p, '{');
        athi_text_add(out, p, brace ? brace - p : (int64_t)strlen(p));
        if (!brace) break;
        if (brace[1] == '{') {
            athi_text_add(out, "{", 1);
            p = brace + 2;
            continue;
        }
        const char *end = strchr(brace, '}'), *text = NULL;
        if (!end)
            return athi_fail(f->ctx, ATH_E_OPTION,
                             "the command has a brace that is not closed in '%.100s'; a brace itself is written {{",
                             argument);
        const char *name = athi_arena_strndup(f->arena, brace + 1, end - brace - 1);
        if (!name) return ATH_E_NOMEM;
        ATH_TRY(fill_one(f, name, argument, &text));
        athi_text_add(out, text, (int64_t)strlen(text));
        p = end + 1;
    }
    return ATH_OK;
}

static ath_status filled(const filling *f, const char *argument, const char **out) {
    athi_text text = {.ctx = f->ctx};
    athi_text_add(&text, "", 0);
    ath_status status = fill(f, argument, &text);
    if (status == ATH_OK && text.failed) status = ATH_E_NOMEM;
    if (status == ATH_OK && !(*out = athi_arena_strdup(f->arena, text.text ? text.text : ""))) status = ATH_E_NOMEM;
    athi_text_free(&text);
    return status;
}

ath_status athi_command_argv(ath_ctx *ctx, athi_arena *arena, const athi_command *command, const athi_task *task,
                             const char *folder, const char *const **argv) {
    filling f = {.ctx = ctx, .arena = arena, .command = command};
    ATH_TRY(begin(&f, task, folder));
    int64_t n = 0, k = 0;
    for (int64_t i = 0; command->argv[i]; i++) n += strcmp(command->argv[i], "{args}") == 0 ? 2 * f.params->n : 1;
    const char **list = athi_arena_array(arena, n + 1, (int64_t)sizeof *list);
    if (!list) return ATH_E_NOMEM;
    for (int64_t i = 0; command->argv[i]; i++) {
        if (strcmp(command->argv[i], "{args}") != 0) {
            ATH_TRY(filled(&f, command->argv[i], &list[k++]));
            continue;
        }
        for (int64_t p = 0; p < f.params->n; p++) {
            if (!(list[k++] = athi_arena_printf(arena, "--%s", f.params->keys[p]))) return ATH_E_NOMEM;
            if (!(list[k++] = text_of(arena, f.params->items[p]))) return ATH_E_NOMEM;
        }
    }
    *argv = list;
    return ATH_OK;
}

void athi_command_quote(const char *word, athi_text *out) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    if (*word && strspn(word, plain) == strlen(word)) {
        athi_text_printf(out, "%s", word);
        return;
    }
    athi_text_printf(out, "'");
    for (; *word; word++) athi_text_printf(out, *word == '\'' ? "'\\''" : "%c", *word);
    athi_text_printf(out, "'");
}

/* ---- environment --------------------------------------------------------------------------------- */

/* "net.units" -> "ATHANOR_PARAM_NET_UNITS": what a shell can read. */
static char *variable_name(athi_arena *arena, const char *name) {
    char *text = athi_arena_printf(arena, "ATHANOR_PARAM_%s", name);
    for (char *p = text; p && *p; p++) *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    return text;
}

ath_status athi_command_variables(ath_ctx *ctx, athi_arena *arena, const athi_command *command, const athi_task *task,
                                  const char *folder, char ***variables, int64_t *n) {
    filling f = {.ctx = ctx, .arena = arena, .command = command};
    ATH_TRY(begin(&f, task, folder));
    char **list = athi_arena_array(arena, f.params->n + 5, (int64_t)sizeof *list);
    if (!list) return ATH_E_NOMEM;
    *n = 0;
    list[(*n)++] = athi_arena_printf(arena, "ATHANOR_TRIAL=%s", f.trial);
    list[(*n)++] = athi_arena_printf(arena, "ATHANOR_SEED=%s", f.seed);
    list[(*n)++] = athi_arena_printf(arena, "ATHANOR_DIR=%s", folder);
    list[(*n)++] = athi_arena_printf(arena, "ATHANOR_RESUMED=%s", command->resumable && task->resumed ? "1" : "");
    list[(*n)++] = athi_arena_printf(arena, "ATHANOR_BUDGET=%s", f.budget);
    for (int64_t p = 0; p < f.params->n; p++) {
        const char *name = variable_name(arena, f.params->keys[p]), *value = text_of(arena, f.params->items[p]);
        if (!name || !value) return ATH_E_NOMEM;
        list[(*n)++] = athi_arena_printf(arena, "%s=%s", name, value);
    }
    for (int64_t i = 0; i < *n; i++)
        if (!list[i]) return ATH_E_NOMEM;
    *variables = list;
    return ATH_OK;
}

/* ---- checks before anything starts --------------------------------------------------------------- */

static ath_status check_names(ath_ctx *ctx, athi_arena *arena, const athi_space *space) {
    for (int64_t i = 0; i < space->n; i++) {
        const char *name = space->params[i].name, *variable = variable_name(arena, name);
        if (!variable) return ATH_E_NOMEM;
        for (int k = 0; k < ATHI_COUNT(own_names); k++)
            if (strcmp(own_names[k], name) == 0)
                return athi_fail(
                    ctx, ATH_E_OPTION,
                    "a parameter is called '%s', which is what {%s} stands for already; give it another name", name,
                    name);
        for (int64_t k = 0; k < i; k++) {
            const char *other = variable_name(arena, space->params[k].name);
            if (!other) return ATH_E_NOMEM;
            if (strcmp(variable, other) == 0)
                return athi_fail(ctx, ATH_E_OPTION, "the parameters '%s' and '%s' would both be %s; rename one",
                                 space->params[k].name, name, variable);
        }
    }
    return ATH_OK;
}

static bool is_program(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

/* Where execvp would look; `search` is the value of PATH in the environment that the command gets. */
static bool in_path(athi_arena *arena, const char *program, const char *search) {
    for (const char *p = search; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
        int length = (int)strcspn(p, ":");
        const char *path = athi_arena_printf(arena, "%.*s%s%s", length, p, length ? "/" : "", program);
        if (path && is_program(path)) return true;
    }
    return false;
}

extern char **environ;

static ath_status check_program(ath_ctx *ctx, athi_arena *arena, const char *program) {
    const char *search = "/bin:/usr/bin";
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "PATH=", 5) == 0) search = *e + 5;
    if (strchr(program, '/') ? is_program(program) : in_path(arena, program, search)) return ATH_OK;
    return athi_fail(ctx, ATH_E_NOTFOUND, "the command '%s' %s; nothing was started", program,
                     access(program, F_OK) == 0 && strchr(program, '/')
                         ? "is there, but is no program that can be executed (chmod +x?)"
                     : strchr(program, '/')
                         ? "does not exist"
                         : "was found in no folder of PATH; a program of this folder is written ./NAME");
}

ath_status athi_command_check(ath_ctx *ctx, const athi_command *command) {
    if (!command->argv || !command->argv[0] || !*command->argv[0])
        return athi_fail(ctx, ATH_E_OPTION, "the command is empty; write it after --");
    athi_arena *arena = athi_arena_create(ctx);
    double *point = arena ? athi_arena_array(arena, ATHI_MAX(command->space->n, 1), (int64_t)sizeof *point) : NULL;
    const char *const *argv = NULL;
    ath_status status = point ? check_names(ctx, arena, command->space) : ATH_E_NOMEM;
    if (status == ATH_OK) {
        athi_space_default(command->space, point);
        athi_task task = {.point = point};
        status = athi_command_argv(ctx, arena, command, &task, ".", &argv);
    }
    if (status == ATH_OK) status = check_program(ctx, arena, argv[0]);
    if (arena) athi_arena_destroy(arena);
    return status;
}
