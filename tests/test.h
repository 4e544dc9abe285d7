/* What every test includes: cmocka, and asserts that print the context's sentence. */
#ifndef ATH_TEST_H
#define ATH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/** The call succeeds, or the test fails with the sentence of `ctx`. */
#define assert_ok(ctx, expr)                                                                                 \
    do {                                                                                                     \
        ath_status assert_status_ = (expr);                                                                  \
        if (assert_status_ != ATH_OK)                                                                        \
            fail_msg("%s: %s: %s", #expr, ath_status_text(assert_status_), ath_errmsg(ctx));                  \
    } while (0)

/** The call fails with this status and a sentence that contains `part`. */
#define assert_fails(ctx, expr, status, part)                                                                \
    do {                                                                                                     \
        ath_status assert_status_ = (expr);                                                                  \
        if (assert_status_ != (status) || !strstr(ath_errmsg(ctx), (part)))                                   \
            fail_msg("%s: got %s: '%s', wanted %s with '%s'", #expr, ath_status_text(assert_status_),         \
                     ath_errmsg(ctx), ath_status_text(status), (part));                                      \
    } while (0)

#endif
