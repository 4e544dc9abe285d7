/* What a tuned program prints: reports are JSON objects that hold the objective, all else is its log. */
#include "tune/command.h"

#include <math.h>
#include <stdio.h>

/* ---- JSON as programs write it ------------------------------------------------------------------- */

static bool ends_word(char c) {
    return !c || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", c);
}

/* Python, JavaScript and C write numbers that JSON has no words for. */
static const char *replacement(const char *p, const char *begin, int64_t *length) {
    static const struct {
        const char *word, *text;
    } words[] = {{"NaN", "\"nan\""},        {"nan", "\"nan\""},      {"-nan", "\"nan\""},  {"-NaN", "\"nan\""},
                 {"-Infinity", "\"-inf\""}, {"Infinity", "\"inf\""}, {"-inf", "\"-inf\""}, {"inf", "\"inf\""}};
    if (p > begin && !ends_word(p[-1])) return NULL;
    for (int i = 0; i < ATHI_COUNT(words); i++) {
        size_t n = strlen(words[i].word);
        if (strncmp(p, words[i].word, n) != 0 || !ends_word(p[n])) continue;
        *length = (int64_t)n;
        return words[i].text;
    }
    return NULL;
}

static void quote_numbers(const char *text, int64_t n, athi_text *out) {
    bool inside = false; /* a quoted text */
    for (int64_t i = 0; i < n;) {
        int64_t length = 1;
        const char *other = inside ? NULL : replacement(text + i, text, &length);
        if (inside && text[i] == '\\' && i + 1 < n)
            length = 2;
        else if (text[i] == '"')
            inside = !inside;
        if (other)
            athi_text_add(out, other, (int64_t)strlen(other));
        else
            athi_text_add(out, text + i, length);
        i += length;
    }
}

ath_status athi_json_read_loose(ath_ctx *ctx, athi_arena *arena, const char *text, int64_t n, athi_value **out) {
    ath_status status = athi_json_read(ctx, arena, text, n, out);
    if (status != ATH_E_SYNTAX) return status;
    athi_text loose = {.ctx = ctx};
    char *copy = athi_arena_strndup(arena, text, n); /* ended for certain */
    if (!copy) return ATH_E_NOMEM;
    if ((int64_t)strlen(copy) != n) return status;
    quote_numbers(copy, n, &loose);
    status = loose.failed ? ATH_E_NOMEM : athi_json_read(ctx, arena, loose.text ? loose.text : "", loose.length, out);
    athi_text_free(&loose);
    return status;
}

/* ---- lines --------------------------------------------------------------------------------------- */

static void remember_keys(athi_output *o, const athi_value *map) {
    size_t at = 0;
    o->keys[0] = 0;
    for (int64_t i = 0; i < map->n && at < sizeof o->keys - 1; i++)
        at += (size_t)ATHI_MAX(snprintf(o->keys + at, sizeof o->keys - at, "%s%s", i ? ", " : "", map->keys[i]), 0);
}

/* Steps count from 1; a program that counts from 0 is one ahead. */
static ath_status read_step(ath_ctx *ctx, athi_output *o, const athi_value *v, int64_t *step) {
    double number;
    if (!athi_value_number(v, &number) || number < 0 || number > 1e15 || floor(number) != number)
        return athi_fail(ctx, ATH_E_DATA, "a report's \"step\" is %s, expected an integer from 1",
                         v->text ? v->text : athi_value_type_name(v->type));
    if (number == 0 && !o->reports) o->from_zero = true;
    *step = (int64_t)number + o->from_zero;
    if (*step > 0) return ATH_OK;
    return athi_fail(
        ctx, ATH_E_DATA,
        "a report's \"step\" is 0 after others; steps count up from 0 or from 1, and the final value has none");
}

/* One that lacks another objective is a report too, which the search refuses with a sentence. */
static bool names_any(const athi_command *command, const athi_value *map) {
    for (int k = 0; k < command->n_objectives; k++)
        if (athi_value_get(map, command->objectives[k])) return true;
    return false;
}

ath_status athi_command_line(ath_ctx *ctx, athi_arena *arena, const athi_command *command, athi_output *o,
                             const char *line, int64_t length, int64_t *step, athi_value **values) {
    athi_value *map = NULL;
    int64_t first = 0;
    *step = 0, *values = NULL;
    o->lines++;
    while (first < length && (line[first] == ' ' || line[first] == '\t')) first++;
    if (first < length && line[first] == '{') {
        ath_status status = athi_json_read_loose(ctx, arena, line, length, &map);
        if (status == ATH_E_NOMEM) return status;
        if (status != ATH_OK && memmem(line, (size_t)length, command->objectives[0], strlen(command->objectives[0])))
            snprintf(o->broken, sizeof o->broken, "%.*s", (int)ATHI_MIN(length, 1000), line);
    }
    if (!map || map->type != ATHI_MAP || !names_any(command, map)) {
        if (map && map->type == ATHI_MAP) remember_keys(o, map);
        if (first < length && line[first] != '\r')
            snprintf(o->last, sizeof o->last, "%.*s", (int)ATHI_MIN(length, 1000), line);
        return ATH_OK;
    }
    athi_value *rest = athi_value_new(arena, ATHI_MAP);
    if (!rest) return ATH_E_NOMEM;
    for (int64_t i = 0; i < map->n; i++)
        if (strcmp(map->keys[i], "step") != 0)
            ATH_TRY(athi_value_push(arena, rest, map->keys[i], map->items[i]));
        else
            ATH_TRY(read_step(ctx, o, map->items[i], step));
    o->reports++;
    *values = rest;
    return ATH_OK;
}

void athi_command_silent(const athi_command *command, const athi_output *o, char *text, size_t size) {
    const char *name = command->objectives[0];
    if (o->broken[0])
        snprintf(text, size, "the command ended well but never reported '%s': this line is not JSON: %s", name,
                 o->broken);
    else if (o->keys[0])
        snprintf(text, size,
                 "the command ended well but never reported '%s'; its JSON lines have: %s; name one of these as the "
                 "objective",
                 name, o->keys);
    else
        snprintf(
            text, size,
            "the command ended well but never reported '%s': let it print a line {\"%s\": 0.5}, or {\"step\": 1, "
            "\"%s\": 0.5} as it goes, on standard output (%lld other line%s)",
            name, name, name, (long long)o->lines, ATHI_PLURAL(o->lines));
}
