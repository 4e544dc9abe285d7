/* Reading a verb's options and arguments, and printing what they are, from the same rows. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>

static int count_flags(const athi_verb *verb) {
    int n = 0;
    while (verb->flags && verb->flags[n].name) n++;
    return n;
}

/* ---- what was given ------------------------------------------------------------------------------ */

const athi_given *athi_cli_given(const athi_cli *cli, const char *flag) {
    static const athi_given nothing;
    for (int i = 0; i < count_flags(cli->verb); i++)
        if (strcmp(cli->verb->flags[i].name, flag) == 0) return &cli->given[i];
    return &nothing;
}
bool athi_cli_has(const athi_cli *cli, const char *flag) { return athi_cli_given(cli, flag)->set; }
const char *athi_cli_text(const athi_cli *cli, const char *flag, const char *otherwise) {
    const athi_given *g = athi_cli_given(cli, flag);
    return g->set ? g->text : otherwise;
}
int64_t athi_cli_count(const athi_cli *cli, const char *flag, int64_t otherwise) {
    const athi_given *g = athi_cli_given(cli, flag);
    return g->set ? g->count : otherwise;
}

const char *const *athi_cli_texts(athi_cli *cli, const char *flag, int *n) {
    const char **list = athi_arena_array(cli->arena, cli->n_sets + 1, (int64_t)sizeof *list);
    *n = 0;
    for (int i = 0; list && i < cli->n_sets; i++)
        if (strcmp(cli->set_flags[i], flag) == 0) list[(*n)++] = cli->sets[i];
    return list;
}

/* ---- parsing ------------------------------------------------------------------------------------- */

static ath_status unknown_flag(athi_cli *cli, const char *name) {
    const char *names[ATHI_FLAGS_MAX + 1] = {"help"};
    int n = 1;
    for (; n <= count_flags(cli->verb); n++) names[n] = cli->verb->flags[n - 1].name;
    const char *near = athi_nearest(name, names, n, sizeof names[0]);
    return athi_fail(cli->ctx, ATH_E_OPTION, "%s: there is no option --%s%s%s%s; see `athanor %s --help`",
                     cli->verb->name, name, near ? ", did you mean --" : "", near ? near : "", near ? "?" : "",
                     cli->verb->name);
}

static ath_status store(athi_cli *cli, int index, const char *text) {
    const athi_flag *flag = &cli->verb->flags[index];
    athi_given *g = &cli->given[index];
    g->set = true, g->text = text;
    if (flag->type == ATHI_FLAG_TEXTS) {
        if (cli->n_sets == ATHI_SETS_MAX)
            return athi_fail(cli->ctx, ATH_E_OPTION, "%s: --%s stands more than %d times", cli->verb->name,
                             flag->name, ATHI_SETS_MAX);
        cli->set_flags[cli->n_sets] = flag->name;
        cli->sets[cli->n_sets++] = text;
    }
    if (flag->type != ATHI_FLAG_COUNT) return ATH_OK;
    const bool threads = strcmp(flag->name, "threads") == 0;
    char *end = NULL;
    errno = 0;
    g->count = strtoll(text, &end, 10);
    if (errno || !*text || *end || g->count < 1 || g->count > INT32_MAX)
        return athi_fail(cli->ctx, ATH_E_OPTION, "%s: --%s takes an integer of at least 1, got '%s'", cli->verb->name,
                         flag->name, text);
    if (threads && g->count > ATHI_THREADS_MAX)
        return athi_fail(cli->ctx, ATH_E_OPTION, "%s: --threads takes an integer of 1 to %d, got '%s'",
                         cli->verb->name, ATHI_THREADS_MAX, text);
    return ATH_OK;
}

/* argv[*i] begins with "--"; its value may be the next one. */
static ath_status read_flag(athi_cli *cli, int n, char **argv, int *i) {
    char name[64];
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    if (length >= sizeof name) return unknown_flag(cli, text);
    memcpy(name, text, length);
    name[length] = '\0';
    if (strcmp(name, "help") == 0) return cli->help = true, ATH_OK;
    for (int k = 0; k < count_flags(cli->verb); k++) {
        const athi_flag *flag = &cli->verb->flags[k];
        if (strcmp(flag->name, name) != 0) continue;
        if (flag->type == ATHI_FLAG_SWITCH) {
            if (equals)
                return athi_fail(cli->ctx, ATH_E_OPTION, "%s: --%s takes no value, got '%s'", cli->verb->name, name,
                                 equals + 1);
            return store(cli, k, "");
        }
        if (equals && equals[1]) return store(cli, k, equals + 1);
        if (equals || *i + 1 >= n || !*argv[*i + 1])
            return athi_fail(cli->ctx, ATH_E_OPTION, "%s: --%s needs a value: --%s %s", cli->verb->name, name, name,
                             flag->argument);
        return store(cli, k, argv[++*i]);
    }
    return unknown_flag(cli, name);
}

static ath_status check_arguments(athi_cli *cli) {
    int needed = 0, allowed = 0;
    for (const char *p = cli->verb->arguments; *p; p++)
        if (p == cli->verb->arguments || p[-1] == ' ') allowed++, needed += *p != '[';
    if (cli->n_arguments >= needed && cli->n_arguments <= allowed) return ATH_OK;
    return athi_fail(cli->ctx, ATH_E_OPTION, "%s: expected %s, got %d argument%s; see `athanor %s --help`",
                     cli->verb->name, allowed ? cli->verb->arguments : "no arguments", cli->n_arguments,
                     ATHI_PLURAL(cli->n_arguments), cli->verb->name);
}

ath_status athi_cli_parse(athi_cli *cli, int n, char **argv) {
    bool only_arguments = false;
    for (int i = 0; i < n; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0 && cli->verb->command) {
            cli->command = (const char *const *)(argv + i + 1); /* main's argv ends with NULL */
            break;
        }
        if (!only_arguments && strcmp(argv[i], "--") == 0)
            only_arguments = true;
        else if (!only_arguments && strcmp(argv[i], "-h") == 0)
            cli->help = true;
        else if (!only_arguments && argv[i][0] == '-' && argv[i][1] == '-')
            ATH_TRY(read_flag(cli, n, argv, &i));
        else if (!only_arguments && argv[i][0] == '-' && argv[i][1])
            return unknown_flag(cli, argv[i] + 1);
        else {
            if (cli->n_arguments < ATHI_COUNT(cli->arguments)) cli->arguments[cli->n_arguments] = argv[i];
            cli->n_arguments++;
        }
    }
    return cli->help ? ATH_OK : check_arguments(cli);
}

/* ---- help ---------------------------------------------------------------------------------------- */

void athi_cli_help(const athi_verb *verb, FILE *out) {
    fprintf(out, "athanor %s%s%s%s\n\n%s\n", verb->name, *verb->arguments ? " " : "", verb->arguments,
            verb->flags && verb->flags[0].name ? " [options]" : "", verb->doc);
    if (verb->flags && verb->flags[0].name) fprintf(out, "\n");
    for (const athi_flag *f = verb->flags; f && f->name; f++) {
        char head[64];
        snprintf(head, sizeof head, "--%s%s%s", f->name, f->argument ? " " : "", f->argument ? f->argument : "");
        fprintf(out, "  %-20s  %s\n", head, f->doc);
    }
}

void athi_cli_usage(FILE *out) {
    fprintf(out, "athanor %s: trains models whose constants are ranges\n\nathanor VERB [arguments] [options]\n\n",
            ath_version());
    for (const athi_verb *v = athi_verbs; v->name; v++) {
        if (v->hidden) continue;
        char head[64];
        snprintf(head, sizeof head, "%s %s", v->name, v->arguments);
        fprintf(out, "  %-18s  %s\n", head, v->doc);
    }
    fprintf(out,
            "\n`athanor VERB --help` lists a verb's options.\n"
            "Exit codes: 0 done, 1 failed under way, 2 nothing was started, 130 interrupted with the state saved.\n");
}
