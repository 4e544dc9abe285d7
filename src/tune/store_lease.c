/* Several drivers on one study: a running trial is leased to one of them, until a moment on the database's clock. Who
 * does not renew its leases is taken for dead, and its trials are anybody's. */
#include "tune/store_internal.h"

ath_status athi_store_own(athi_store *s, const char *owner, double seconds) {
    s->owner = athi_arena_strdup(s->arena, owner);
    s->lease_seconds = seconds;
    return s->owner ? ATH_OK : ATH_E_NOMEM;
}

typedef enum holder { NOBODY, OURS, ANOTHER } holder;

ath_status athi_lease_ask(athi_store *s, int64_t id, athi_rows **q) {
    *q = NULL;
    return s->owner ? athi_sql_query(s, SQL_LEASE, q, "i", id) : ATH_OK;
}

/* Who holds the trial; NOBODY also where the lease of another driver has run out. */
static ath_status answer(athi_store *s, athi_rows *q, holder *who) {
    bool row;
    *who = NOBODY;
    ATH_TRY(athi_sql_step(s, q, &row));
    if (!row) return ATH_OK;
    const char *owner = athi_sql_text(q, 0);
    if (owner && !strcmp(owner, s->owner))
        *who = OURS;
    else if (athi_sql_int(q, 1))
        *who = ANOTHER;
    athi_sql_reset(q);
    return ATH_OK;
}

static ath_status look(athi_store *s, int64_t id, holder *who) {
    athi_rows *q;
    ATH_TRY(athi_lease_ask(s, id, &q));
    return answer(s, q, who);
}

ath_status athi_lease_check(athi_store *s, int64_t number, athi_rows *q) {
    holder who;
    if (!q) return ATH_OK;
    ATH_TRY(answer(s, q, &who));
    if (who == OURS) return ATH_OK;
    return athi_fail(s->ctx, ATH_E_STATE,
                     "%s: trial %lld belongs to another driver now: this one did not renew its "
                     "lease in time",
                     s->path, (long long)number);
}

ath_status athi_lease_take(athi_store *s, int64_t id) {
    return s->owner ? athi_sql_run(s, SQL_LEASE_TAKE, "itd", id, s->owner, s->lease_seconds) : ATH_OK;
}

ath_status athi_lease_drop(athi_store *s, int64_t id) {
    return s->owner ? athi_sql_run(s, SQL_LEASE_DROP, "i", id) : ATH_OK;
}

typedef struct taking {
    int64_t id;
    bool *taken;
} taking;

static ath_status take(athi_store *s, void *args) {
    const taking *t = args;
    holder who;
    ATH_TRY(athi_store_is_running(s, t->id, t->taken));
    if (!*t->taken) return ATH_OK;
    ATH_TRY(athi_lease_take(s, t->id));
    ATH_TRY(look(s, t->id, &who));
    *t->taken = who == OURS;
    return ATH_OK;
}

ath_status athi_store_take(athi_store *s, int64_t number, bool *taken) {
    int64_t id;
    holder who;
    *taken = true;
    if (!s->owner) return ATH_OK;
    ATH_TRY(athi_store_id(s, number, &id));
    ATH_TRY(look(s, id, &who)); /* the usual answer costs no transaction that writes */
    if (who == ANOTHER) return *taken = false, ATH_OK;
    return athi_sql_transaction(s, ATHI_SQL_QUICK, take, &(taking){id, taken});
}

static ath_status renew(athi_store *s, void *args) {
    (void)args;
    return athi_sql_run(s, SQL_LEASE_RENEW, "td", s->owner, s->lease_seconds);
}

ath_status athi_store_renew(athi_store *s) {
    return s->owner ? athi_sql_transaction(s, ATHI_SQL_QUICK, renew, NULL) : ATH_OK;
}

ath_status athi_store_holds(athi_store *s, int64_t number, bool *held) {
    int64_t id;
    holder who = OURS;
    if (s->owner) ATH_TRY(athi_store_id(s, number, &id));
    if (s->owner) ATH_TRY(look(s, id, &who));
    *held = who == OURS;
    return ATH_OK;
}

static ath_status release(athi_store *s, void *args) {
    (void)args;
    return athi_sql_run(s, SQL_LEASE_RELEASE, "t", s->owner);
}

ath_status athi_store_release(athi_store *s) {
    return s->owner ? athi_sql_transaction(s, ATHI_SQL_QUICK, release, NULL) : ATH_OK;
}
