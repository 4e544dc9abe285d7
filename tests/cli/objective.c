/* A program that athanor tunes: objective --x X --n N; it minimises (x - 0.5)^2 + n. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    double x = 0;
    long n = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--x") == 0) x = strtod(argv[i + 1], NULL);
        if (strcmp(argv[i], "--n") == 0) n = strtol(argv[i + 1], NULL, 10);
    }
    for (int step = 1; step <= 3; step++)
        printf("{\"step\": %d, \"loss\": %.17g}\n", step, (x - 0.5) * (x - 0.5) + (double)n + 1.0 / step);
    return 0;
}
