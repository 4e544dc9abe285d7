/* The tables of studies in a PostgreSQL database: what Optuna 5.0 makes there (types, sequences and names of constraints
 * as pg_dump shows them; `serial` makes the sequences), and our own beside them. */
#include "tune/store_internal.h"

#ifdef ATHI_POSTGRES

/* A table of attributes of a study or trial. */
#define ATTRIBUTES(name, id, owner)                                                                                  \
    "CREATE TABLE " name "s (" name "_id serial PRIMARY KEY, " id " integer REFERENCES " owner "(" id "), key"       \
    " character varying(512), value_json text, CONSTRAINT " name "s_" id "_key_key UNIQUE (" id ", key));"

static const char optuna_tables[] =
    "CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE');"
    "CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN');"
    "CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING');"
    "CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG');"
    "CREATE TABLE alembic_version (version_num character varying(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));"
    "INSERT INTO alembic_version VALUES ('" ATHI_OPTUNA_SCHEMA "');"
    "CREATE TABLE version_info (version_info_id integer PRIMARY KEY, schema_version integer,"
    " library_version character varying(256), CONSTRAINT version_info_version_info_id_check"
    " CHECK (version_info_id = 1));"
    "INSERT INTO version_info VALUES (1, 12, '5.0.0');"
    "CREATE TABLE studies (study_id serial PRIMARY KEY, study_name character varying(512) NOT NULL);"
    "CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);"
    "CREATE TABLE study_directions (study_direction_id serial PRIMARY KEY, direction studydirection NOT NULL,"
    " study_id integer NOT NULL REFERENCES studies(study_id), objective integer NOT NULL,"
    " CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective));"
    "CREATE TABLE trials (trial_id serial PRIMARY KEY, number integer, study_id integer REFERENCES studies(study_id),"
    " state trialstate NOT NULL, datetime_start timestamp without time zone,"
    " datetime_complete timestamp without time zone);"
    "CREATE INDEX ix_trials_study_id ON trials (study_id);"
    "CREATE TABLE trial_heartbeats (trial_heartbeat_id serial PRIMARY KEY,"
    " trial_id integer NOT NULL REFERENCES trials(trial_id), heartbeat timestamp without time zone NOT NULL,"
    " CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id));"
    "CREATE TABLE trial_intermediate_values (trial_intermediate_value_id serial PRIMARY KEY,"
    " trial_id integer NOT NULL REFERENCES trials(trial_id), step integer NOT NULL,"
    " intermediate_value double precision, intermediate_value_type trialintermediatevaluetype NOT NULL,"
    " CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step));"
    "CREATE TABLE trial_params (param_id serial PRIMARY KEY, trial_id integer REFERENCES trials(trial_id),"
    " param_name character varying(512), param_value double precision, distribution_json text,"
    " CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name));"
    "CREATE TABLE trial_values (trial_value_id serial PRIMARY KEY,"
    " trial_id integer NOT NULL REFERENCES trials(trial_id), objective integer NOT NULL, value double precision,"
    " value_type trialvaluetype NOT NULL, CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, "
    "objective));" ATTRIBUTES("study_system_attribute", "study_id", "studies")
        ATTRIBUTES("study_user_attribute", "study_id", "studies")
            ATTRIBUTES("trial_system_attribute", "trial_id", "trials")
                ATTRIBUTES("trial_user_attribute", "trial_id", "trials");

/* The same as in an SQLite file (store_schema.c says what each is for), and athanor_commits: how many transactions each
 * store has committed, so that one whose answer was lost is recognised. */
#define ATHANOR_TABLES(kind)                                                                                         \
    "CREATE " kind " IF NOT EXISTS athanor_study(study_id integer NOT NULL, key text NOT NULL, value text,"          \
    " PRIMARY KEY(study_id, key));"                                                                                  \
    "CREATE " kind " IF NOT EXISTS athanor_trials(trial_id integer PRIMARY KEY, seen bigint, reason text,"           \
    " message text, finished bigint, paused integer NOT NULL DEFAULT 0, relation integer, relative bigint,"          \
    " relative_step bigint);"                                                                                        \
    "CREATE " kind " IF NOT EXISTS athanor_executions(trial_id integer NOT NULL, execution bigint NOT NULL,"         \
    " objective integer NOT NULL, value double precision, best_step bigint,"                                         \
    " PRIMARY KEY(trial_id, execution, objective));"                                                                 \
    "CREATE " kind " IF NOT EXISTS athanor_reports(trial_id integer NOT NULL, execution bigint NOT NULL,"            \
    " step bigint NOT NULL, value double precision, json text, seconds double precision,"                            \
    " PRIMARY KEY(trial_id, execution, step));"                                                                      \
    "CREATE " kind " IF NOT EXISTS athanor_leases(trial_id integer PRIMARY KEY, owner text NOT NULL,"                \
    " expires double precision NOT NULL);"                                                                           \
    "CREATE " kind " IF NOT EXISTS athanor_commits(token text PRIMARY KEY, n bigint NOT NULL,"                       \
    " at timestamp with time zone NOT NULL);"

static const char own_tables[] =
    ATHANOR_TABLES("TABLE") "CREATE INDEX IF NOT EXISTS athanor_trials_finished ON athanor_trials(finished);";
/* Who only looks changes nothing: empty temporary ones stand in, of this connection alone. */
static const char stand_ins[] = ATHANOR_TABLES("TEMP TABLE");

/* Columns that a table of an older study lacks: how that is seen, added, and read where nothing may be changed. */
#define LATER(table, column, type)                                                                                   \
    {                                                                                                                \
        "SELECT 1 WHERE NOT EXISTS(SELECT 1 FROM pg_attribute WHERE attrelid='" table                                \
        "'::regclass AND attname='" column "')",                                                                     \
            "ALTER TABLE " table " ADD COLUMN " column " " type,                                                     \
            "CREATE TEMP VIEW " table " AS SELECT *, CAST(NULL AS " type ") AS " column " FROM " table               \
    }
static const struct {
    const char *lacks, *add, *read;
} later[] = {LATER("athanor_trials", "relative_step", "bigint"),
             LATER("athanor_reports", "seconds", "double precision")};

static ath_status bring_up(athi_store *s, bool write) {
    for (int i = 0; i < ATHI_COUNT(later); i++) {
        const char *lacks;
        ATH_TRY(athi_postgres_script(s, later[i].lacks, &lacks));
        if (lacks) ATH_TRY(athi_postgres_script(s, write ? later[i].add : later[i].read, NULL));
    }
    return ATH_OK;
}

/* Whose database it is. *fresh: it has no study tables yet; other programs' tables may stand beside them. */
static ath_status check(athi_store *s, bool *fresh) {
    const char *table = NULL, *version = NULL;
    ATH_TRY(athi_postgres_script(s,
                                 "SELECT to_regclass('alembic_version') WHERE to_regclass('alembic_version')"
                                 " IS NOT NULL",
                                 &table));
    *fresh = !table;
    if (!table) {
        ATH_TRY(
            athi_postgres_script(s, "SELECT to_regclass('trials') WHERE to_regclass('trials') IS NOT NULL", &table));
        return table ? athi_fail(s->ctx, ATH_E_STATE,
                                 "%s: another program's table 'trials' is in this database, and no alembic_version; "
                                 "name another database",
                                 s->path)
                     : ATH_OK;
    }
    ATH_TRY(athi_postgres_script(s, "SELECT version_num FROM alembic_version", &version));
    return athi_schema_version(s, version, "database");
}

static ath_status create_tables(athi_store *s, void *args) {
    (void)args;
    const char *own = NULL;
    bool fresh = false;
    ATH_TRY(check(s, &fresh));
    if (fresh) ATH_TRY(athi_postgres_script(s, optuna_tables, NULL));
    ATH_TRY(athi_postgres_script(s,
                                 "SELECT to_regclass('athanor_commits') WHERE to_regclass('athanor_commits') IS NOT"
                                 " NULL",
                                 &own));
    return own ? bring_up(s, true) : athi_postgres_script(s, own_tables, NULL);
}

ath_status athi_postgres_tables(athi_store *s, bool create) {
    if (create) return athi_sql_transaction(s, ATHI_SQL_DURABLE, create_tables, NULL);
    const char *own = NULL;
    bool fresh = false;
    ATH_TRY(check(s, &fresh));
    if (fresh) return athi_fail(s->ctx, ATH_E_NOTFOUND, "%s: the database holds no study", s->path);
    ATH_TRY(athi_postgres_script(s,
                                 "SELECT to_regclass('athanor_reports') WHERE to_regclass('athanor_reports') IS NOT"
                                 " NULL",
                                 &own));
    return own ? bring_up(s, false) : athi_postgres_script(s, stand_ins, NULL);
}

#endif
