/* The tables of a study in an SQLite file: Optuna 5.0's to the letter, our own beside them, and the checks of a file
 * that is there. */
#include "tune/store_internal.h"

#include "base/file.h"

#include <sys/stat.h>

/* As Optuna 5.0 creates them, so that not even the text in sqlite_master differs. */
static const char optuna_tables[] = "CREATE TABLE alembic_version (\n"
                                    "\tversion_num VARCHAR(32) NOT NULL, \n"
                                    "\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n"
                                    ");"
                                    "INSERT INTO \"alembic_version\" VALUES('" ATHI_OPTUNA_SCHEMA "');"
                                    "CREATE TABLE studies (\n"
                                    "\tstudy_id INTEGER NOT NULL, \n"
                                    "\tstudy_name VARCHAR(512) NOT NULL, \n"
                                    "\tPRIMARY KEY (study_id)\n"
                                    ");"
                                    "CREATE TABLE study_directions (\n"
                                    "\tstudy_direction_id INTEGER NOT NULL, \n"
                                    "\tdirection VARCHAR(8) NOT NULL, \n"
                                    "\tstudy_id INTEGER NOT NULL, \n"
                                    "\tobjective INTEGER NOT NULL, \n"
                                    "\tPRIMARY KEY (study_direction_id), \n"
                                    "\tUNIQUE (study_id, objective), \n"
                                    "\tFOREIGN KEY(study_id) REFERENCES studies (study_id)\n"
                                    ");"
                                    "CREATE TABLE study_system_attributes (\n"
                                    "\tstudy_system_attribute_id INTEGER NOT NULL, \n"
                                    "\tstudy_id INTEGER, \n"
                                    "\t\"key\" VARCHAR(512), \n"
                                    "\tvalue_json TEXT, \n"
                                    "\tPRIMARY KEY (study_system_attribute_id), \n"
                                    "\tUNIQUE (study_id, \"key\"), \n"
                                    "\tFOREIGN KEY(study_id) REFERENCES studies (study_id)\n"
                                    ");"
                                    "CREATE TABLE study_user_attributes (\n"
                                    "\tstudy_user_attribute_id INTEGER NOT NULL, \n"
                                    "\tstudy_id INTEGER, \n"
                                    "\t\"key\" VARCHAR(512), \n"
                                    "\tvalue_json TEXT, \n"
                                    "\tPRIMARY KEY (study_user_attribute_id), \n"
                                    "\tUNIQUE (study_id, \"key\"), \n"
                                    "\tFOREIGN KEY(study_id) REFERENCES studies (study_id)\n"
                                    ");"
                                    "CREATE TABLE trial_heartbeats (\n"
                                    "\ttrial_heartbeat_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER NOT NULL, \n"
                                    "\theartbeat DATETIME NOT NULL, \n"
                                    "\tPRIMARY KEY (trial_heartbeat_id), \n"
                                    "\tUNIQUE (trial_id), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trial_intermediate_values (\n"
                                    "\ttrial_intermediate_value_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER NOT NULL, \n"
                                    "\tstep INTEGER NOT NULL, \n"
                                    "\tintermediate_value FLOAT, \n"
                                    "\tintermediate_value_type VARCHAR(7) NOT NULL, \n"
                                    "\tPRIMARY KEY (trial_intermediate_value_id), \n"
                                    "\tUNIQUE (trial_id, step), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trial_params (\n"
                                    "\tparam_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER, \n"
                                    "\tparam_name VARCHAR(512), \n"
                                    "\tparam_value FLOAT, \n"
                                    "\tdistribution_json TEXT, \n"
                                    "\tPRIMARY KEY (param_id), \n"
                                    "\tUNIQUE (trial_id, param_name), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trial_system_attributes (\n"
                                    "\ttrial_system_attribute_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER, \n"
                                    "\t\"key\" VARCHAR(512), \n"
                                    "\tvalue_json TEXT, \n"
                                    "\tPRIMARY KEY (trial_system_attribute_id), \n"
                                    "\tUNIQUE (trial_id, \"key\"), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trial_user_attributes (\n"
                                    "\ttrial_user_attribute_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER, \n"
                                    "\t\"key\" VARCHAR(512), \n"
                                    "\tvalue_json TEXT, \n"
                                    "\tPRIMARY KEY (trial_user_attribute_id), \n"
                                    "\tUNIQUE (trial_id, \"key\"), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trial_values (\n"
                                    "\ttrial_value_id INTEGER NOT NULL, \n"
                                    "\ttrial_id INTEGER NOT NULL, \n"
                                    "\tobjective INTEGER NOT NULL, \n"
                                    "\tvalue FLOAT, \n"
                                    "\tvalue_type VARCHAR(7) NOT NULL, \n"
                                    "\tPRIMARY KEY (trial_value_id), \n"
                                    "\tUNIQUE (trial_id, objective), \n"
                                    "\tFOREIGN KEY(trial_id) REFERENCES trials (trial_id)\n"
                                    ");"
                                    "CREATE TABLE trials (\n"
                                    "\ttrial_id INTEGER NOT NULL, \n"
                                    "\tnumber INTEGER, \n"
                                    "\tstudy_id INTEGER, \n"
                                    "\tstate VARCHAR(8) NOT NULL, \n"
                                    "\tdatetime_start DATETIME, \n"
                                    "\tdatetime_complete DATETIME, \n"
                                    "\tPRIMARY KEY (trial_id), \n"
                                    "\tFOREIGN KEY(study_id) REFERENCES studies (study_id)\n"
                                    ");"
                                    "CREATE TABLE version_info (\n"
                                    "\tversion_info_id INTEGER NOT NULL, \n"
                                    "\tschema_version INTEGER, \n"
                                    "\tlibrary_version VARCHAR(256), \n"
                                    "\tPRIMARY KEY (version_info_id), \n"
                                    "\tCHECK (version_info_id=1)\n"
                                    ");"
                                    "INSERT INTO \"version_info\" VALUES(1,12,'5.0.0');"
                                    "CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);"
                                    "CREATE INDEX ix_trials_study_id ON trials (study_id);";

/* trials: what Optuna's have no column for. finished: order in which they ended, so that with `seen` a
 * suggestion can be replayed. study: named texts, the definition among them. */
#define ATHANOR_TABLES(kind)                                                                                         \
    "CREATE " kind " IF NOT EXISTS athanor_study(study_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT,"          \
    " PRIMARY KEY(study_id, key)) WITHOUT ROWID;"                                                                    \
    "CREATE " kind " IF NOT EXISTS athanor_trials(trial_id INTEGER PRIMARY KEY, seen INTEGER, reason TEXT,"          \
    " message TEXT, finished INTEGER, paused INTEGER NOT NULL DEFAULT 0, relation INTEGER, relative INTEGER,"        \
    " relative_step INTEGER);"                                                                                       \
    "CREATE " kind " IF NOT EXISTS athanor_executions(trial_id INTEGER NOT NULL, execution INTEGER NOT NULL,"        \
    " objective INTEGER NOT NULL, value REAL, best_step INTEGER, PRIMARY KEY(trial_id, execution, objective))"       \
    " WITHOUT ROWID;"                                                                                                \
    "CREATE " kind " IF NOT EXISTS athanor_reports(trial_id INTEGER NOT NULL, execution INTEGER NOT NULL,"           \
    " step INTEGER NOT NULL, value REAL, json TEXT, seconds REAL, PRIMARY KEY(trial_id, execution, step))"           \
    " WITHOUT ROWID;"                                                                                                \
    "CREATE " kind " IF NOT EXISTS athanor_leases(trial_id INTEGER PRIMARY KEY, owner TEXT NOT NULL,"                \
    " expires REAL NOT NULL);"

static const char own_tables[] =
    ATHANOR_TABLES("TABLE") "CREATE INDEX IF NOT EXISTS athanor_trials_finished ON athanor_trials(finished);";
/* A file that is only looked at may lack ours, and is not changed: empty temporary ones stand in. */
static const char stand_ins[] = ATHANOR_TABLES("TEMP TABLE");

/* Before studies had several objectives, executions had one value, trials no relations, and nobody leases. */
static const char is_of_0_1_0[] =
    "SELECT name FROM sqlite_master WHERE type='table' AND name='athanor_executions' AND NOT "
    "EXISTS(SELECT 1 FROM pragma_table_info('athanor_executions') WHERE name='objective')";
static const char bring_up[] =
    "ALTER TABLE athanor_trials ADD COLUMN relation INTEGER; ALTER TABLE athanor_trials ADD COLUMN relative INTEGER;"
    "ALTER TABLE athanor_executions RENAME TO athanor_executions_0_1_0;" ATHANOR_TABLES(
        "TABLE") "INSERT INTO athanor_executions SELECT trial_id, execution, 0, value, best_step FROM "
                 "athanor_executions_0_1_0;"
                 "DROP TABLE athanor_executions_0_1_0;";
/* To look at one its tables are read as what they would become. */
static const char read_as[] =
    "CREATE TEMP VIEW athanor_trials AS SELECT *, NULL AS relation, NULL AS relative, NULL AS"
    " relative_step FROM main.athanor_trials;"
    "CREATE TEMP VIEW athanor_executions AS SELECT trial_id, execution, 0 AS objective, value, best_step FROM"
    " main.athanor_executions;";

/* A column that a table of an older study lacks: how that is seen, added, and read where nothing may be changed. */
#define LATER(table, column, type)                                                                                   \
    {                                                                                                                \
        "SELECT name FROM sqlite_master WHERE type='table' AND name='" table "' AND NOT EXISTS(SELECT 1 FROM"        \
        " pragma_table_info('" table "') WHERE name='" column "') AND NOT EXISTS(SELECT 1 FROM temp.sqlite_master"   \
        " WHERE name='" table "')",                                                                                  \
            "ALTER TABLE " table " ADD COLUMN " column " " type,                                                     \
            "CREATE TEMP VIEW " table " AS SELECT *, NULL AS " column " FROM main." table                            \
    }
static const struct {
    const char *lacks, *add, *read;
} later[] = {LATER("athanor_trials", "relative_step", "INTEGER"), LATER("athanor_reports", "seconds", "REAL")};

static ath_status run_script(athi_store *s, const char *script) {
    int rc = sqlite3_exec(s->db, script, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ATH_OK : athi_sqlite_fail(s, rc);
}

/* The first column of the first row as text of the arena; NULL without a row. */
static ath_status first_text(athi_store *s, const char *sql, const char **out) {
    *out = NULL;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    ath_status status = ATH_OK;
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *out = athi_arena_strdup(s->scratch, text ? text : "");
        if (!*out) status = ATH_E_NOMEM;
    } else if (rc != SQLITE_DONE) {
        status = athi_sqlite_fail(s, rc);
    }
    sqlite3_finalize(statement);
    return status;
}

ath_status athi_schema_version(athi_store *s, const char *version, const char *place) {
    if (version && !strcmp(version, ATHI_OPTUNA_SCHEMA)) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_STATE,
                     "%s: the study tables have version '%s', expected '" ATHI_OPTUNA_SCHEMA
                     "' (Optuna 3.2 to 5.0); bring an older one up with: optuna storage upgrade, or name another %s",
                     s->path, version ? version : "", place);
}

/* Whose file it is. *fresh: nothing is in it yet. */
static ath_status check(athi_store *s, bool *fresh) {
    const char *table = NULL, *version = NULL;
    ATH_TRY(first_text(s, "SELECT name FROM sqlite_master WHERE type='table' AND name='alembic_version'", &table));
    if (!table) {
        ATH_TRY(first_text(s, "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name LIMIT 1", &table));
        *fresh = !table;
        if (!table) return ATH_OK;
        return athi_fail(
            s->ctx, ATH_E_STATE,
            "%s: this is the database of another program (it has a table '%s' and no alembic_version); name "
            "another file",
            s->path, table);
    }
    *fresh = false;
    ATH_TRY(first_text(s, "SELECT version_num FROM alembic_version", &version));
    return athi_schema_version(s, version, "file");
}

static ath_status create_tables(athi_store *s, void *args) {
    bool fresh = false;
    (void)args;
    ath_status status = check(s, &fresh); /* again: another process may have been quicker */
    if (status == ATH_OK && fresh) status = run_script(s, optuna_tables);
    const char *old = NULL;
    if (status == ATH_OK) status = first_text(s, is_of_0_1_0, &old);
    if (status == ATH_OK && old) status = run_script(s, bring_up);
    for (int i = 0; status == ATH_OK && i < ATHI_COUNT(later); i++) {
        status = first_text(s, later[i].lacks, &old);
        if (status == ATH_OK && old) status = run_script(s, later[i].add);
    }
    if (status == ATH_OK) status = run_script(s, own_tables);
    return status;
}

/* SQLite's own handler comes to sleep for 100 ms, in which a dozen drivers' transactions are over: who waits starves. */
static int wait_turn(void *user, int times) {
    enum { SLEEP_MAX_MS = 5 };
    athi_store *s = user;
    const int ms = ATHI_MIN(1 + times / 4, SLEEP_MAX_MS);
    if (times == 0) s->waited_ms = 0;
    if (s->waited_ms >= s->patience_ms) return 0;
    s->waited_ms += ms;
    sqlite3_sleep(ms);
    return 1;
}

static ath_status open_file(athi_store *s, bool create, bool immutable) {
    if (s->db) sqlite3_close_v2(s->db);
    s->db = NULL;
    athi_text uri = {.ctx = s->ctx};
    athi_text_printf(&uri, "file:");
    for (const char *p = s->place; *p; p++) /* what has a meaning in a URI */
        athi_text_printf(&uri, strchr("%?#", *p) ? "%%%02x" : "%c", (unsigned char)*p);
    if (immutable) athi_text_printf(&uri, "?immutable=1");
    if (uri.failed) {
        athi_text_free(&uri);
        return ATH_E_NOMEM;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(uri.text, &s->db, flags, NULL);
    athi_text_free(&uri);
    if (rc != SQLITE_OK) return athi_sqlite_fail(s, rc);
    sqlite3_busy_handler(s->db, wait_turn, s);
    return ATH_OK;
}

/* WAL lets others read while we write. Turning it on needs the file alone for a moment, which SQLite does not
 * wait for. */
static ath_status use_wal(athi_store *s) {
    int waited_ms = 0;
    for (;;) {
        const char *mode = NULL;
        ath_status status = first_text(s, "PRAGMA journal_mode=WAL", &mode);
        if (status == ATH_OK && !strcmp(mode, "wal")) return ATH_OK;
        if (status != ATH_OK && status != ATH_E_BUSY) return status;
        if (waited_ms >= s->patience_ms)
            return status != ATH_OK ? status
                                    : athi_fail(s->ctx, ATH_E_IO,
                                                "%s: this file system cannot hold a study (no WAL "
                                                "journal: shared memory is missing); choose a local folder",
                                                s->path);
        sqlite3_sleep(20);
        waited_ms += 20;
    }
}

ath_status athi_schema_open(athi_store *s, bool create) {
    struct stat st;
    if (stat(s->place, &st) == 0 && S_ISDIR(st.st_mode))
        return athi_fail(s->ctx, ATH_E_IO, "%s: this is a folder, expected the file of a study", s->path);
    if (!create && stat(s->place, &st) != 0)
        return athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: no such file; expected the study.db of a run's folder",
                         s->path);
    ATH_TRY(open_file(s, create, false));
    bool fresh = false;
    ath_status status = check(s, &fresh);
    if (status == ATH_E_IO && !create) { /* WAL in a folder that cannot be written: nobody can be writing it either */
        ATH_TRY(open_file(s, false, true));
        status = check(s, &fresh);
    }
    ATH_TRY(status);
    if (create) {
        ATH_TRY(use_wal(s));
        return athi_sql_transaction(s, ATHI_SQL_DURABLE, create_tables, NULL);
    }
    if (fresh) return athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: the database is empty: it holds no study", s->path);
    const char *table = NULL;
    ATH_TRY(first_text(s, "SELECT name FROM sqlite_master WHERE type='table' AND name='athanor_reports'", &table));
    if (!table) return run_script(s, stand_ins);
    const char *old = NULL;
    ATH_TRY(first_text(s, is_of_0_1_0, &old));
    if (old) ATH_TRY(run_script(s, read_as));
    for (int i = 0; i < ATHI_COUNT(later); i++) {
        ATH_TRY(first_text(s, later[i].lacks, &old));
        if (old) ATH_TRY(run_script(s, later[i].read));
    }
    return ATH_OK;
}
