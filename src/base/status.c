/* Version and status texts. */
#include "base/base.h"

#define ATHI_STR(x)  #x
#define ATHI_XSTR(x) ATHI_STR(x)

const char *ath_version(void) {
    return ATHI_XSTR(ATH_VERSION_MAJOR) "." ATHI_XSTR(ATH_VERSION_MINOR) "." ATHI_XSTR(ATH_VERSION_PATCH);
}

const char *ath_status_text(ath_status status) {
    switch (status) {
#define ATHI_STATUS_CASE(name, value, text)                                                                  \
    case ATH_##name: return text;
        ATH_STATUS_LIST(ATHI_STATUS_CASE)
#undef ATHI_STATUS_CASE
    }
    return "unknown status";
}
