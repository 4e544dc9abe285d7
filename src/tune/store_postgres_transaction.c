/* Transactions of the store on PostgreSQL, done again where a connection was lost. A study's writers take turns at its row in
 * `studies`, which is the row that Optuna locks for a new trial. */
#include "tune/store_postgres.h"

#ifdef ATHI_POSTGRES

#include "base/file.h"

#include <stdlib.h>

#define STUDIES_LOCK 0x617468616e6f72LL /* "athanor": held by who makes tables and studies */

/* How a commit is recognised whose answer was lost: each store counts its transactions in a row of its own, which
 * commits with them. A row that has the number already is not changed, and then the script gives no row. */
#define COUNT_COMMIT                                                                                                 \
    "; INSERT INTO athanor_commits(token, n, at) VALUES('%s', %lld, now()) ON CONFLICT(token) DO UPDATE SET"         \
    " n=excluded.n, at=excluded.at WHERE athanor_commits.n < excluded.n RETURNING n"
#define NEW_TOKEN                                                                                                    \
    "DELETE FROM athanor_commits WHERE at < now() - interval '7 days'; SELECT CAST(gen_random_uuid() AS TEXT)"

static ath_status make_token(athi_store *s) {
    const char *token;
    ATH_TRY(athi_postgres_script(s, NEW_TOKEN, &token));
    snprintf(s->connection->token, sizeof s->connection->token, "%s", token ? token : "");
    return ATH_OK;
}

void athi_postgres_forget_token(athi_store *s) {
    char script[128];
    snprintf(script, sizeof script, "DELETE FROM athanor_commits WHERE token='%s'", s->connection->token);
    if (s->connection->token[0] && !athi_postgres_is_lost(s)) PQclear(PQexec(s->connection->pg, script));
}

/* The beginning of a transaction in one exchange. The study's row is locked first: what an earlier try of ours did on a
 * connection that is lost has ended by then, well or badly. */
static ath_status begin_text(athi_store *s, athi_simple kind, athi_text *out) {
    if (kind == ATHI_SQL_READ) {
        athi_text_printf(out, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1");
        return out->failed ? ATH_E_NOMEM : ATH_OK;
    }
    athi_text_printf(out, "BEGIN; SET LOCAL lock_timeout TO %d; ", ATHI_MAX(s->patience_ms, 1));
    if (kind == ATHI_SQL_QUICK) athi_text_printf(out, "SET LOCAL synchronous_commit TO off; ");
    if (s->study_id)
        athi_text_printf(out, "SELECT 1 FROM studies WHERE study_id=%lld FOR UPDATE" COUNT_COMMIT,
                         (long long)s->study_id, s->connection->token, (long long)s->connection->commits);
    else
        athi_text_printf(out, "SELECT pg_advisory_xact_lock(%lld)", (long long)STUDIES_LOCK);
    return out->failed ? ATH_E_NOMEM : ATH_OK;
}

ath_status athi_postgres_begin(athi_store *s, athi_simple kind, bool again, bool *done) {
    struct athi_connection *c = s->connection;
    athi_text script = {.ctx = s->ctx};
    const char *row = NULL;
    if (!again) c->commits++, c->since = athi_now();
    ath_status status = athi_postgres_is_lost(s) ? athi_postgres_reconnect(s) : ATH_OK;
    if (status == ATH_OK && s->study_id && !c->token[0] && kind != ATHI_SQL_READ) status = make_token(s);
    if (status == ATH_OK) status = begin_text(s, kind, &script);
    if (status == ATH_OK) status = athi_postgres_script(s, script.text, &row);
    athi_text_free(&script);
    *done = status == ATH_OK && !row;
    if (status != ATH_OK && !athi_postgres_is_lost(s)) PQclear(PQexec(c->pg, "ROLLBACK"));
    c->within = status == ATH_OK;
    return status;
}

/* The commit goes with the last statements; where one of them was wrong, it is not run. */
static ath_status commit(athi_store *s) {
    struct athi_connection *c = s->connection;
    if (PQpipelineStatus(c->pg) == PQ_PIPELINE_OFF) return athi_postgres_script(s, "COMMIT", NULL);
    if (c->n_pending == ATHI_PENDING_MAX) ATH_TRY(athi_postgres_receive(s));
    if (!PQsendQueryParams(c->pg, "COMMIT", 0, NULL, NULL, NULL, NULL, 0)) return athi_postgres_fail(s, NULL);
    athi_postgres_push(c, (athi_sent){.rows = NULL});
    return athi_postgres_leave_pipeline(s);
}

ath_status athi_postgres_end(athi_store *s, ath_status status) {
    s->connection->within = false;
    if (status == ATH_OK) status = commit(s);
    if (status == ATH_OK || athi_postgres_is_lost(s)) return status;
    char sentence[ATHI_ERRMSG_MAX]; /* of what went wrong first */
    memcpy(sentence, s->ctx->errmsg, sizeof sentence);
    ath_status left = athi_postgres_leave_pipeline(s);
    (void)left;
    memcpy(s->ctx->errmsg, sentence, sizeof sentence);
    PQclear(PQexec(s->connection->pg, "ROLLBACK"));
    return status;
}

/* A lost connection costs a try, not the call, nor do others that were in the way; both end some time. */
bool athi_postgres_again(athi_store *s, ath_status *status) {
    struct athi_connection *c = s->connection;
    const bool tried = *status == ATH_E_BUSY && (athi_postgres_is_lost(s) || c->in_the_way);
    c->in_the_way = false;
    if (!tried || 1000 * (athi_now() - c->since) > s->patience_ms) return false;
    if (!athi_postgres_is_lost(s)) return true;
    ath_status back = athi_postgres_reconnect(s);
    if (back != ATH_OK) *status = back;
    return back == ATH_OK;
}

/* What is visible differs only where a transaction has got a number or ended since. */
ath_status athi_postgres_version(athi_store *s, int64_t *out) {
    const char *text_of = NULL;
    ATH_TRY(athi_postgres_script(s, "SELECT hashtextextended(CAST(pg_current_snapshot() AS TEXT), 0)", &text_of));
    *out = text_of ? strtoll(text_of, NULL, 10) : 0;
    return ATH_OK;
}

#endif
