/* A locale with a decimal comma for tests: one that the machine has, or one made for the test (localedef, of libc-bin). */
#ifndef ATH_DECIMAL_COMMA_H
#define ATH_DECIMAL_COMMA_H

#include "base/base.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static inline bool made_comma(void) {
    char folder[] = "/tmp/athanor-locale-XXXXXX", command[160];
    if (!mkdtemp(folder)) return false;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2>/dev/null", folder);
    bool there = system(command) == 0 && setenv("LOCPATH", folder, 1) == 0 && setlocale(LC_ALL, "de_DE.UTF-8");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 && there;
}

/** Sets it until setlocale(LC_ALL, "C"); false: there is none, and none can be made. */
static inline bool set_decimal_comma(void) {
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8", "de_DE"};
    for (int i = 0; i < ATHI_COUNT(locales); i++)
        if (setlocale(LC_ALL, locales[i])) return true;
    return made_comma();
}

#endif
