/* The store's statements, a row each for both databases, and the calls that run them on the one that is open. */
#include "tune/store_internal.h"

/* Both databases understand them; {clock} stands for the seconds since the epoch by the database's clock, {given} for
 * what makes an INSERT tell the key that the row was given, where that has to be asked for. */
#define CLOCK "{clock}"
#define GIVEN "{given}"

static const char *const texts[SQL_COUNT] = {
    [SQL_STUDY_FIND] = "SELECT study_id, study_name FROM studies WHERE CAST(?1 AS TEXT) IS NULL OR "
                       "study_name=CAST(?1 AS TEXT) ORDER BY study_id",
    [SQL_STUDY_INSERT] = "INSERT INTO studies(study_name) VALUES(?1)" GIVEN,
    [SQL_DIRECTION_INSERT] = "INSERT INTO study_directions(direction, study_id, objective) VALUES(?1, ?2, ?3)",
    [SQL_DIRECTIONS] = "SELECT direction FROM study_directions WHERE study_id=?1 ORDER BY objective",
    [SQL_STUDY_ATTR_INSERT] = "INSERT INTO study_system_attributes(study_id, \"key\", value_json) VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(study_id, \"key\") DO UPDATE SET value_json=excluded.value_json",
    [SQL_STUDY_ATTR] = "SELECT value_json FROM study_system_attributes WHERE study_id=?1 AND \"key\"=?2",
    [SQL_STUDY_PUT] = "INSERT INTO athanor_study(study_id, \"key\", value) VALUES(?1, ?2, ?3)"
                      " ON CONFLICT(study_id, \"key\") DO UPDATE SET value=excluded.value",
    [SQL_STUDY_DELETE] = "DELETE FROM athanor_study WHERE study_id=?1 AND \"key\"=?2",
    [SQL_STUDY_GET] = "SELECT value FROM athanor_study WHERE study_id=?1 AND \"key\"=?2",
    [SQL_STUDY_TEXTS] = "SELECT \"key\", value FROM athanor_study WHERE study_id=?1 ORDER BY \"key\"",
    /* The same number as Optuna's count of earlier trials, since no trial is ever deleted alone. */
    [SQL_NEXT_NUMBER] = "SELECT (SELECT number + 1 FROM trials WHERE study_id=?1 ORDER BY trial_id DESC LIMIT 1),"
                        " (SELECT value FROM athanor_study WHERE study_id=?1 AND \"key\"='edits')",
    /* That number again, since both go in one exchange; ?3: which it has to be, -1: any. */
    [SQL_TRIAL_INSERT] =
        "INSERT INTO trials(number, study_id, state, datetime_start) SELECT number, CAST(?1 AS INTEGER), 'RUNNING',"
        " ?2 FROM (SELECT COALESCE((SELECT number + 1 FROM trials WHERE study_id=?1 ORDER BY"
        " trial_id DESC LIMIT 1), 0) AS number) AS next WHERE ?3 < 0 OR number=?3" GIVEN,
    [SQL_TRIAL_EXTRA_INSERT] =
        "INSERT INTO athanor_trials(trial_id, seen, relation, relative, relative_step) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_TRIAL_ID] = "SELECT trial_id FROM trials WHERE study_id=?1 AND number=?2",
    [SQL_LEASE] = "SELECT owner, CASE WHEN expires >= " CLOCK " THEN 1 ELSE 0 END FROM athanor_leases"
                  " WHERE trial_id=?1",
    [SQL_LEASE_OTHERS] = "SELECT t.number, l.owner FROM athanor_leases l JOIN trials t ON t.trial_id=l.trial_id"
                         " WHERE t.study_id=?1 AND l.owner<>?2 AND l.expires >= " CLOCK " AND t.state='RUNNING'"
                         " ORDER BY t.number LIMIT 1",
    [SQL_LEASE_TAKE] = "INSERT INTO athanor_leases(trial_id, owner, expires) VALUES(?1, ?2, " CLOCK " + ?3) ON"
                       " CONFLICT(trial_id) DO UPDATE SET owner=excluded.owner, expires=excluded.expires WHERE"
                       " athanor_leases.owner=excluded.owner OR athanor_leases.expires < " CLOCK,
    [SQL_LEASE_DROP] = "DELETE FROM athanor_leases WHERE trial_id=?1",
    [SQL_LEASE_RENEW] = "UPDATE athanor_leases SET expires=" CLOCK " + ?2 WHERE owner=?1",
    [SQL_LEASE_RELEASE] = "DELETE FROM athanor_leases WHERE owner=?1",
    [SQL_TRIAL_STATE] = "SELECT state FROM trials WHERE trial_id=?1",
    [SQL_TRIAL_FINISH] = "UPDATE trials SET state=?2, datetime_complete=?3 WHERE trial_id=?1",
    [SQL_TRIAL_EXTRA_FINISH] =
        "INSERT INTO athanor_trials(trial_id, reason, message, finished) VALUES(?1, ?2, ?3,"
        " (SELECT COALESCE(MAX(finished), 0) + 1 FROM athanor_trials)) ON CONFLICT(trial_id) DO UPDATE SET"
        " reason=excluded.reason, message=excluded.message, finished=excluded.finished, paused=0",
    [SQL_TRIAL_PAUSE] = "UPDATE athanor_trials SET paused=?2 WHERE trial_id=?1",
    [SQL_TRIALS_AFTER] = "SELECT trial_id, number FROM trials WHERE study_id=?1 AND trial_id>?2 ORDER BY trial_id",
    /* Of all trials from one to another, the trial's number in the first column and in order: reading many takes as
     * many statements as reading one. */
    [SQL_TRIAL_ROWS] =
        "SELECT t.trial_id, t.state, t.datetime_start, t.datetime_complete, a.seen, a.reason, a.message,"
        " a.paused, a.relation, a.relative, a.relative_step, a.finished FROM trials t LEFT JOIN athanor_trials a ON"
        " a.trial_id=t.trial_id WHERE t.trial_id BETWEEN ?1 AND ?2 ORDER BY t.trial_id",
    [SQL_TRIALS_ENDED] = "SELECT t.number FROM athanor_trials a JOIN trials t ON t.trial_id=a.trial_id WHERE"
                         " t.study_id=?1 AND a.finished IS NOT NULL ORDER BY a.finished",
    [SQL_PARAM_INSERT] = "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) "
                         "VALUES(?1, ?2, ?3, ?4)",
    [SQL_PARAMS_DELETE] = "DELETE FROM trial_params WHERE trial_id=?1",
    [SQL_PARAMS] = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
                   " WHERE trial_id BETWEEN ?1 AND ?2 ORDER BY trial_id",
    [SQL_PARAM_GROUPS] =
        "SELECT p.param_name, p.distribution_json, CASE WHEN p.distribution_json LIKE '{\"name\": \"Categorical%' "
        "THEN"
        " p.param_value ELSE 0 END FROM trial_params p JOIN trials t ON t.trial_id=p.trial_id WHERE t.study_id=?1"
        " GROUP BY 1, 2, 3",
    [SQL_PARAMS_MOVE] =
        "UPDATE trial_params SET distribution_json=?6, param_value=COALESCE(?7, param_value) WHERE param_name=?2 AND"
        " distribution_json=?3 AND param_value>=?4 AND param_value<=?5 AND trial_id IN (SELECT trial_id FROM trials"
        " WHERE study_id=?1)",
    [SQL_DISTRIBUTIONS] =
        "SELECT p.param_name, p.distribution_json FROM trial_params p JOIN trials t ON t.trial_id=p.trial_id"
        " WHERE t.study_id=?1 GROUP BY p.param_name, p.distribution_json ORDER BY MIN(p.param_id)",
    [SQL_VALUE_INSERT] = "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?1, ?2, ?3, ?4)",
    [SQL_VALUES] = "SELECT trial_id, objective, value, value_type FROM trial_values"
                   " WHERE trial_id BETWEEN ?1 AND ?2 ORDER BY trial_id",
    [SQL_INTERMEDIATE_INSERT] =
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value,"
        " intermediate_value_type) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(trial_id, step) DO UPDATE SET"
        " intermediate_value=excluded.intermediate_value, intermediate_value_type=excluded.intermediate_value_type",
    [SQL_INTERMEDIATE_DELETE] = "DELETE FROM trial_intermediate_values WHERE trial_id=?1 AND step>?2",
    [SQL_INTERMEDIATES] =
        "SELECT i.trial_id, i.step, i.intermediate_value, i.intermediate_value_type, r.seconds FROM"
        " trial_intermediate_values i LEFT JOIN athanor_reports r ON r.trial_id=i.trial_id AND r.execution=0 AND"
        " r.step=i.step WHERE i.trial_id BETWEEN ?1 AND ?2 ORDER BY i.trial_id, i.step",
    [SQL_TRIAL_ATTR_INSERT] = "INSERT INTO trial_user_attributes(trial_id, \"key\", value_json) VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(trial_id, \"key\") DO UPDATE SET value_json=excluded.value_json",
    [SQL_TRIAL_SYSTEM_INSERT] =
        "INSERT INTO trial_system_attributes(trial_id, \"key\", value_json) VALUES(?1, ?2, ?3)"
        " ON CONFLICT(trial_id, \"key\") DO UPDATE SET value_json=excluded.value_json",
    [SQL_TRIAL_ATTRS] = "SELECT \"key\", value_json FROM trial_user_attributes WHERE trial_id=?1 ORDER BY \"key\"",
    [SQL_TRIAL_SYSTEM_ATTRS] =
        "SELECT \"key\", value_json FROM trial_system_attributes WHERE trial_id=?1 ORDER BY \"key\"",
    [SQL_TRIAL_CONSTRAINTS] =
        "SELECT trial_id, value_json FROM trial_system_attributes WHERE trial_id BETWEEN ?1 AND ?2 AND"
        " (\"key\"='constraints' OR (\"key\">='constraints:' AND \"key\"<'constraints;'))"
        " ORDER BY trial_id, \"key\"",
    [SQL_REPORT_INSERT] = "INSERT INTO athanor_reports(trial_id, execution, step, value, json, seconds) "
                          "VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(trial_id, execution, step) DO UPDATE SET"
                          " value=excluded.value, json=excluded.json, seconds=excluded.seconds",
    [SQL_REPORTS_DELETE] = "DELETE FROM athanor_reports WHERE trial_id=?1 AND execution=?2 AND step>?3",
    [SQL_REPORTS] =
        "SELECT step, value, json, seconds FROM athanor_reports WHERE trial_id=?1 AND execution=?2 ORDER BY step",
    [SQL_REPORTS_ALL] = "SELECT execution, step, value, json, seconds FROM athanor_reports WHERE trial_id=?1 ORDER "
                        "BY execution, step",
    [SQL_REPORTS_COPY] =
        "INSERT INTO athanor_reports(trial_id, execution, step, value, json, seconds) SELECT CAST(?1 AS INTEGER),"
        " execution, step, value, json, seconds FROM athanor_reports WHERE trial_id=?2 AND execution=0 AND step>0 "
        "AND step<=?3",
    [SQL_INTERMEDIATES_COPY] =
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value, intermediate_value_type) SELECT"
        " CAST(?1 AS INTEGER), step, intermediate_value, intermediate_value_type FROM trial_intermediate_values WHERE"
        " trial_id=?2 AND step<=?3",
    [SQL_EXECUTION_INSERT] =
        "INSERT INTO athanor_executions(trial_id, execution, objective, value, "
        "best_step) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(trial_id, execution, objective) DO UPDATE SET"
        " value=excluded.value, best_step=excluded.best_step",
    [SQL_EXECUTION_DELETE] = "DELETE FROM athanor_executions WHERE trial_id=?1 AND execution=?2",
    [SQL_EXECUTIONS] = "SELECT trial_id, execution, objective, value, best_step FROM athanor_executions"
                       " WHERE trial_id BETWEEN ?1 AND ?2 ORDER BY trial_id, execution, objective",
    /* Of PostgreSQL alone. */
    [SQL_TURN] = "WITH turn AS MATERIALIZED (SELECT 1 FROM studies WHERE study_id=?1 FOR UPDATE) INSERT INTO"
                 " athanor_commits(token, n, at) SELECT ?2, ?3, now() FROM turn ON CONFLICT(token) DO UPDATE SET"
                 " n=excluded.n, at=excluded.at WHERE athanor_commits.n < excluded.n RETURNING n",
    [SQL_SNAPSHOT] = "SELECT hashtextextended(CAST(pg_current_snapshot() AS TEXT), 0)",
};

static void replace(athi_text *out, const char **at, const char *name, const char *by) {
    if (strncmp(*at, name, strlen(name))) return;
    athi_text_printf(out, "%s", by);
    *at += strlen(name);
}

char *athi_sql_text_of(ath_ctx *ctx, athi_sql which, const athi_dialect *d) {
    athi_text out = {.ctx = ctx};
    for (const char *p = texts[which]; *p;) {
        const char *before = p;
        replace(&out, &p, "?", d->mark);
        replace(&out, &p, CLOCK, d->clock);
        replace(&out, &p, GIVEN, d->given);
        if (p == before) athi_text_printf(&out, "%c", *p++);
    }
    if (out.failed) athi_text_free(&out);
    return out.text;
}

/* The URL's scheme tells; a plain path is an SQLite file. */
static const struct {
    const char *scheme;
    const athi_database *database;
    bool keep; /* the scheme belongs to what is opened */
} schemes[] = {
    {"sqlite:///", &athi_sqlite, false},   {"postgresql:", &athi_postgres, true},
    {"postgresql+", &athi_postgres, true}, /* as SQLAlchemy writes it, with a driver */
    {"postgres:", &athi_postgres, true},   {"", &athi_sqlite, true},
};

const athi_database *athi_database_of(const char *url, const char **place) {
    int i = 0;
    while (strncmp(url, schemes[i].scheme, strlen(schemes[i].scheme))) i++;
    *place = schemes[i].keep ? url : url + strlen(schemes[i].scheme);
    return schemes[i].database;
}

/* The scheme only: the rest may hold a password. */
ath_status athi_database_check(ath_ctx *ctx, const char *url) {
    const char *colon = strstr(url, "://"), *place;
    const int64_t n = colon ? colon - url : 0;
    if (!n || strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") != (size_t)n)
        return ATH_OK;
    if (athi_database_of(url, &place) != &athi_sqlite || place != url) return ATH_OK;
    return athi_fail(
        ctx, ATH_E_OPTION,
        "a study cannot lie in %.*s://: expected a file (study.db or sqlite:///study.db) or a PostgreSQL "
        "database (postgresql://user@host/database)",
        (int)n, url);
}

bool athi_store_is_file(const char *url, const char **path) { return athi_database_of(url, path) == &athi_sqlite; }

ath_status athi_sql_query(athi_store *s, athi_sql which, athi_rows **out, const char *types, ...) {
    va_list args;
    va_start(args, types);
    *out = &s->rows[which];
    (*out)->database = s->database;
    ath_status status = s->database->query(s, which, *out, types, args);
    va_end(args);
    return status;
}

ath_status athi_sql_step(athi_store *s, athi_rows *q, bool *row) {
    ath_status status = s->database->step(s, q, row);
    if (!*row) athi_sql_reset(q);
    return status;
}

ath_status athi_sql_run(athi_store *s, athi_sql which, const char *types, ...) {
    athi_rows *q = &s->rows[which];
    va_list args;
    va_start(args, types);
    q->database = s->database;
    ath_status status = s->database->query(s, which, q, types, args);
    va_end(args);
    bool row = false;
    if (status == ATH_OK && !s->database->defers) status = athi_sql_step(s, q, &row);
    if (row) athi_sql_reset(q);
    return status;
}

ath_status athi_sql_insert(athi_store *s, athi_sql which, int64_t *key, const char *types, ...) {
    athi_rows *q = &s->rows[which];
    va_list args;
    va_start(args, types);
    q->database = s->database;
    ath_status status = s->database->query(s, which, q, types, args);
    va_end(args);
    ATH_TRY(status); /* it may not be prepared */
    return athi_sql_inserted(s, q, key);
}

ath_status athi_sql_inserted(athi_store *s, athi_rows *q, int64_t *key) {
    bool row;
    ath_status status = s->database->step(s, q, &row);
    if (status == ATH_OK) *key = s->database->given(s, q);
    athi_sql_reset(q);
    return status;
}

void athi_sql_reset(athi_rows *q) { q->database->reset(q); }
bool athi_sql_null(athi_rows *q, int column) { return q->database->null(q, column); }
int64_t athi_sql_int(athi_rows *q, int column) { return q->database->integer(q, column); }
double athi_sql_double(athi_rows *q, int column) { return q->database->number(q, column); }
const char *athi_sql_text(athi_rows *q, int column) { return q->database->text(q, column); }
ath_status athi_sql_version(athi_store *s, int64_t *version) { return s->database->version(s, version); }

/* ---- transactions -------------------------------------------------------------------------------- */

static ath_status try_once(athi_store *s, athi_simple kind, bool again, athi_work work, void *args) {
    bool done = false;
    ATH_TRY(s->database->begin(s, kind, again, &done));
    return s->database->end(s, done ? ATH_OK : work(s, args));
}

ath_status athi_sql_transaction(athi_store *s, athi_simple kind, athi_work work, void *args) {
    if (s->group) return work(s, args);
    ath_status status = try_once(s, kind, false, work, args);
    while (s->database->again && s->database->again(s, &status)) status = try_once(s, kind, true, work, args);
    return status;
}

/* ---- groups -------------------------------------------------------------------------------------- */

typedef struct grouped {
    const athi_group *group;
    int64_t n; /* trials before */
    bool tried;
} grouped;

/* What was read within the group may have been its own, which nobody else will see. */
static void take_back(athi_store *s, const grouped *g) {
    for (int64_t i = g->n; i < s->n; i++) athi_free(s->ctx, s->cached[i].trial);
    s->n = g->n, s->data_version = -1;
    for (int64_t i = 0; i < s->n; i++)
        if (s->cached[i].grouped) s->cached[i].stale = true, s->cached[i].grouped = false;
    g->group->undo(g->group->user);
}

static ath_status do_group(athi_store *s, void *args) {
    grouped *g = args;
    if (g->tried) take_back(s, g);
    g->tried = true;
    s->group = g->group;
    ath_status status = g->group->work(g->group->user);
    s->group = NULL;
    return status;
}

ath_status athi_store_group(athi_store *s, const athi_group *group) {
    grouped g = {.group = group, .n = s->n};
    if (s->group) return group->work(group->user);
    ath_status status = athi_sql_transaction(s, group->durable ? ATHI_SQL_DURABLE : ATHI_SQL_KNOWN, do_group, &g);
    if (status != ATH_OK && g.tried) take_back(s, &g);
    for (int64_t i = 0; i < s->n; i++) s->cached[i].grouped = false;
    return status;
}
