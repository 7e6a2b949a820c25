"""The program in C that answers to a model's benchmark as the Python processes do (`worker`)."""

DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "model.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static float peak_mib(void)
{
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) {
            break;
        }
    }
    return (float)kib / 1024.0f;
}

/* model ROWS COUNT OUTPUTS BEGAN: then a word per line on standard input, and a number per line as the answer. */
int main(int arguments, char **argument)
{
    static float one[DSLNODE_INPUTS], out[DSLNODE_OUTPUTS];
    if (arguments != 5) {
        return 2;
    }
    long count = atol(argument[2]), some = count < 256 ? count : 256;
    float *rows = malloc((size_t)some * sizeof one);
    FILE *file = fopen(argument[1], "rb");
    if (!rows || !file || fread(rows, sizeof one, (size_t)some, file) != (size_t)some) {
        return 3;
    }
    dslnode_predict(rows, out);
    printf("%.9f\n", now() - atof(argument[4]));
    fflush(stdout);
    char word[16];
    while (scanf("%15s", word) == 1) {
        double began = now();
        if (!strcmp(word, "one")) {
            for (int turn = 0; turn < 20; turn++) {
                dslnode_predict(rows, out);
            }
            printf("%.9f\n", (now() - began) / 20);
        } else if (!strcmp(word, "many")) {
            for (long row = 0; row < some; row++) {
                dslnode_predict(rows + row * DSLNODE_INPUTS, out);
            }
            printf("%.9f\n", now() - began);
        } else if (!strcmp(word, "peak")) {
            printf("%.3f\n", peak_mib());
        } else {
            FILE *answers = fopen(argument[3], "wb");
            rewind(file);
            while (answers && fread(one, sizeof one, 1, file) == 1) {
                dslnode_predict(one, out);
                fwrite(out, sizeof out, 1, answers);
            }
            printf("%d\n", answers ? fclose(answers) : 1);
        }
        fflush(stdout);
    }
    return 0;
}
"""
