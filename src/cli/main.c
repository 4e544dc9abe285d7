/* The program: finds the verb and runs it. */
#include "athanor/base.h"

#include <stdio.h>

int main(void) {
    printf("athanor %s\n", ath_version());
    return 0;
}
