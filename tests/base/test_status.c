/* Every status has a text of its own. */
#include "test.h"

static void texts_differ(void **state) {
    (void)state;
    static const ath_status all[] = {
#define STATUS_VALUE(name, value, text) ATH_##name,
        ATH_STATUS_LIST(STATUS_VALUE)
#undef STATUS_VALUE
    };
    for (int i = 0; i < ATHI_COUNT(all); i++) {
        assert_string_not_equal(ath_status_text(all[i]), "unknown status");
        for (int j = 0; j < i; j++) assert_string_not_equal(ath_status_text(all[i]), ath_status_text(all[j]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_differ)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
