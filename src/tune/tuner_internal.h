/* Between the files of the define-by-run search: tuner.c searches, tuner_params.c answers what a trial asks for. */
#ifndef ATHI_TUNER_INTERNAL_H
#define ATHI_TUNER_INTERNAL_H

#include "athanor/tune.h"

#include "tune/search.h"

struct ath_tuner {
    ath_ctx *ctx;
    athi_arena *arena; /* the space and what best() gave out */
    athi_space *space;
    athi_store *store;
    athi_search_opts search;
    int lock;
    int64_t stored_n; /* parameters of the space that the study knows */
};

struct ath_hp {
    ath_tuner *tuner;
    bool fixed; /* of a finished trial: nothing is added */
    double *point;
    bool *asked;
    int64_t n, point_cap, asked_cap;
    ath_status status; /* the first error */
    char sentence[ATHI_ERRMSG_MAX];
};

struct ath_trial {
    ath_tuner *tuner;
    ath_hp *hp;
    athi_search *search;
    athi_task task;
    int64_t written; /* parameters that the study knows this trial to have, -1: none were written */
};

/* Shorter structs of older programs are filled up with zeros. */
#define TAKE(type, opts)                                                                                             \
    type o = {0};                                                                                                    \
    memcpy(&o, opts, ATHI_MIN(opts->struct_size, sizeof(o)))

/** Room for the space's parameters; new ones are not asked for yet. */
ath_status athi_hp_fit(ath_hp *hp);
void athi_hp_free_values(ath_hp *hp);

#endif
