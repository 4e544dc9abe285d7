/* The store's statements, how they are run, and what is said when SQLite cannot. */
#include "tune/store_internal.h"

#define CLOCK "((julianday('now') - 2440587.5) * 86400.0)" /* the database's, in seconds since the epoch */

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_DURABLE] = "PRAGMA synchronous=FULL",
    [SQL_QUICK] = "PRAGMA synchronous=NORMAL",
    [SQL_DATA_VERSION] = "PRAGMA data_version",
    [SQL_STUDY_FIND] = "SELECT study_id, study_name FROM studies WHERE ?1 IS NULL OR study_name=?1 ORDER BY study_id",
    [SQL_STUDY_INSERT] = "INSERT INTO studies(study_name) VALUES(?1)",
    [SQL_DIRECTION_INSERT] = "INSERT INTO study_directions(direction, study_id, objective) VALUES(?1, ?2, ?3)",
    [SQL_DIRECTIONS] = "SELECT direction FROM study_directions WHERE study_id=?1 ORDER BY objective",
    [SQL_STUDY_ATTR_INSERT] =
        "INSERT OR REPLACE INTO study_system_attributes(study_id, \"key\", value_json) VALUES(?1, ?2, ?3)",
    [SQL_STUDY_ATTR] = "SELECT value_json FROM study_system_attributes WHERE study_id=?1 AND \"key\"=?2",
    [SQL_STUDY_PUT] = "INSERT OR REPLACE INTO athanor_study(study_id, \"key\", value) VALUES(?1, ?2, ?3)",
    [SQL_STUDY_DELETE] = "DELETE FROM athanor_study WHERE study_id=?1 AND \"key\"=?2",
    [SQL_STUDY_GET] = "SELECT value FROM athanor_study WHERE study_id=?1 AND \"key\"=?2",
    /* The same number as Optuna's count of earlier trials, since no trial is ever deleted alone. */
    [SQL_NEXT_NUMBER] = "SELECT number + 1 FROM trials WHERE study_id=?1 ORDER BY trial_id DESC LIMIT 1",
    [SQL_TRIAL_INSERT] = "INSERT INTO trials(number, study_id, state, datetime_start) VALUES(?1, ?2, 'RUNNING', ?3)",
    [SQL_TRIAL_EXTRA_INSERT] =
        "INSERT INTO athanor_trials(trial_id, seen, relation, relative) VALUES(?1, ?2, ?3, ?4)",
    [SQL_TRIAL_ID] = "SELECT trial_id FROM trials WHERE study_id=?1 AND number=?2",
    [SQL_LEASE] = "SELECT owner, expires >= " CLOCK " FROM athanor_leases WHERE trial_id=?1",
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
    [SQL_TRIAL_ROW] = "SELECT t.state, t.datetime_start, t.datetime_complete, a.seen, a.reason, a.message, a.paused,"
                      " a.relation, a.relative"
                      " FROM trials t LEFT JOIN athanor_trials a ON a.trial_id=t.trial_id WHERE t.trial_id=?1",
    [SQL_PARAM_INSERT] = "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) "
                         "VALUES(?1, ?2, ?3, ?4)",
    [SQL_PARAMS_DELETE] = "DELETE FROM trial_params WHERE trial_id=?1",
    [SQL_PARAMS] = "SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id=?1",
    [SQL_DISTRIBUTIONS] =
        "SELECT p.param_name, p.distribution_json FROM trial_params p JOIN trials t ON t.trial_id=p.trial_id"
        " WHERE t.study_id=?1 GROUP BY p.param_name, p.distribution_json ORDER BY MIN(p.param_id)",
    [SQL_VALUE_INSERT] = "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES(?1, ?2, ?3, ?4)",
    [SQL_VALUES] = "SELECT objective, value, value_type FROM trial_values WHERE trial_id=?1",
    [SQL_INTERMEDIATE_INSERT] = "INSERT OR REPLACE INTO trial_intermediate_values(trial_id, step, intermediate_value,"
                                " intermediate_value_type) VALUES(?1, ?2, ?3, ?4)",
    [SQL_INTERMEDIATE_DELETE] = "DELETE FROM trial_intermediate_values WHERE trial_id=?1 AND step>?2",
    [SQL_INTERMEDIATES] = "SELECT step, intermediate_value, intermediate_value_type FROM trial_intermediate_values"
                          " WHERE trial_id=?1 ORDER BY step",
    [SQL_TRIAL_ATTR_INSERT] =
        "INSERT OR REPLACE INTO trial_user_attributes(trial_id, \"key\", value_json) VALUES(?1, ?2, ?3)",
    [SQL_TRIAL_SYSTEM_INSERT] =
        "INSERT OR REPLACE INTO trial_system_attributes(trial_id, \"key\", value_json) VALUES(?1, ?2, ?3)",
    [SQL_TRIAL_CONSTRAINTS] =
        "SELECT value_json FROM trial_system_attributes WHERE trial_id=?1 AND (\"key\"='constraints'"
        " OR (\"key\">='constraints:' AND \"key\"<'constraints;')) ORDER BY \"key\"",
    [SQL_REPORT_INSERT] = "INSERT OR REPLACE INTO athanor_reports(trial_id, execution, step, value, json) "
                          "VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_REPORTS_DELETE] = "DELETE FROM athanor_reports WHERE trial_id=?1 AND execution=?2 AND step>?3",
    [SQL_REPORTS] = "SELECT step, value, json FROM athanor_reports WHERE trial_id=?1 AND execution=?2 ORDER BY step",
    [SQL_EXECUTION_INSERT] = "INSERT OR REPLACE INTO athanor_executions(trial_id, execution, objective, value, "
                             "best_step) VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_EXECUTION_DELETE] = "DELETE FROM athanor_executions WHERE trial_id=?1 AND execution=?2",
    [SQL_EXECUTIONS] = "SELECT execution, objective, value, best_step FROM athanor_executions WHERE trial_id=?1"
                       " ORDER BY execution DESC",
};

static const struct {
    int code;
    ath_status status;
    const char *sentence;
} failures[] = {
    {SQLITE_NOTADB, ATH_E_SYNTAX, "this is not an SQLite database; name another file, or remove this one"},
    {SQLITE_CORRUPT, ATH_E_DATA,
     "the database is damaged; restore a copy, or recover it with: sqlite3 FILE .recover"},
    {SQLITE_FULL, ATH_E_IO, "no space left on the disk; free some and start again: finished trials are kept"},
    {SQLITE_BUSY, ATH_E_BUSY, "another process has held the database for too long; end it, or try again later"},
    {SQLITE_LOCKED, ATH_E_BUSY, "another process has held the database for too long; end it, or try again later"},
    {SQLITE_READONLY, ATH_E_IO,
     "the file or its folder cannot be written; change its permissions or choose another place"},
    {SQLITE_PERM, ATH_E_IO, "no permission to open the file; change its permissions or choose another place"},
    {SQLITE_CANTOPEN, ATH_E_IO, "the file cannot be opened; the folder must exist and be writable"},
    {SQLITE_NOMEM, ATH_E_NOMEM, "out of memory"},
};

ath_status athi_sql_fail(athi_store *s, int rc) {
    for (int i = 0; i < ATHI_COUNT(failures); i++)
        if (failures[i].code == (rc & 0xff))
            return athi_fail(s->ctx, failures[i].status, "%s: %s", s->path, failures[i].sentence);
    return athi_fail(s->ctx, ATH_E_IO, "%s: %s (SQLite code %d)", s->path, sqlite3_errmsg(s->db), rc);
}

static ath_status bind(athi_store *s, athi_sql which, sqlite3_stmt **out, const char *types, va_list args) {
    if (!s->statements[which]) {
        int rc = sqlite3_prepare_v3(s->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[which], NULL);
        if (rc != SQLITE_OK) return athi_sql_fail(s, rc);
    }
    sqlite3_stmt *statement = s->statements[which];
    int rc = SQLITE_OK;
    for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
        if (types[i] == 'i')
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(args, int64_t));
        else if (types[i] == 'd')
            rc = sqlite3_bind_double(statement, i + 1, va_arg(args, double));
        else
            rc = sqlite3_bind_text(statement, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
    }
    *out = statement;
    return rc == SQLITE_OK ? ATH_OK : athi_sql_fail(s, rc);
}

ath_status athi_sql_query(athi_store *s, athi_sql which, sqlite3_stmt **out, const char *types, ...) {
    va_list args;
    va_start(args, types);
    ath_status status = bind(s, which, out, types, args);
    va_end(args);
    return status;
}

ath_status athi_sql_step(athi_store *s, sqlite3_stmt *statement, bool *row) {
    int rc = sqlite3_step(statement);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) return ATH_OK;
    ath_status status = rc == SQLITE_DONE ? ATH_OK : athi_sql_fail(s, rc);
    athi_sql_reset(statement);
    return status;
}

void athi_sql_reset(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

ath_status athi_sql_run(athi_store *s, athi_sql which, const char *types, ...) {
    sqlite3_stmt *statement = NULL;
    va_list args;
    va_start(args, types);
    ath_status status = bind(s, which, &statement, types, args);
    va_end(args);
    if (status != ATH_OK) return status;
    bool row = false;
    status = athi_sql_step(s, statement, &row);
    if (row) athi_sql_reset(statement);
    return status;
}

ath_status athi_sql_begin(athi_store *s, bool durable) {
    ATH_TRY(athi_sql_run(s, durable ? SQL_DURABLE : SQL_QUICK, ""));
    return athi_sql_run(s, SQL_BEGIN, "");
}

ath_status athi_sql_end(athi_store *s, ath_status status) {
    if (status == ATH_OK) status = athi_sql_run(s, SQL_COMMIT, "");
    /* Some failures (a full disk) roll back by themselves; the sentence that stands is the first one. */
    if (status != ATH_OK && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
