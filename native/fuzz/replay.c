#define _GNU_SOURCE
/* main of the drivers where libFuzzer is not there: SEED ROUNDS PATH... runs every file below the paths as it is, and then
 * ROUNDS changed copies of it. Each input is copied into memory of exactly its size, so that a read behind it is seen. */
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

enum { MAX_INPUT_BYTES = 1 << 20, MAX_CHANGES = 8 };

static uint64_t random_state;
static unsigned long rounds, n_files, n_inputs;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    MUST(copy);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_inputs++;
}

static void change(uint8_t *data, size_t size)
{
    static const uint32_t edges[] = {0, 1, 2, 15, 16, 127, 128, 255, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff};
    /* Half of the changes go where headers are. */
    size_t at = next_random() % (next_random() % 2 && size > 8192 ? 8192 : size), left = size - at;
    uint32_t edge = edges[next_random() % (sizeof edges / sizeof *edges)];

    switch (next_random() % 4) {
    case 0:
        data[at] ^= (uint8_t)(1 << next_random() % 8);
        break;
    case 1:
        data[at] = (uint8_t)next_random();
        break;
    case 2:
        memcpy(data + at, &edge, left < 2 ? left : 2);
        break;
    default:
        memcpy(data + at, &edge, left < 4 ? left : 4);
        break;
    }
}

static int replay_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    static uint8_t data[MAX_INPUT_BYTES], changed[MAX_INPUT_BYTES];
    FILE *file = kind == FTW_F ? fopen(path, "rb") : NULL;
    size_t size, end;
    unsigned long i, n;

    if (!file)
        return 0;
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    n_files++;
    run(data, size);
    for (i = 0; size > 0 && i < rounds; i++) {
        memcpy(changed, data, size);
        end = next_random() % 8 ? size : next_random() % size + 1;
        for (n = next_random() % MAX_CHANGES + 1; n > 0; n--)
            change(changed, end);
        run(changed, end);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int i;

    if (argc < 4) {
        fprintf(stderr, "usage: %s SEED ROUNDS PATH...\n", argv[0]);
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 0) * 2 + 1;
    rounds = strtoul(argv[2], NULL, 0);
    for (i = 3; i < argc; i++)
        if (nftw(argv[i], replay_file, 8, FTW_PHYS) != 0) {
            fprintf(stderr, "%s: cannot walk %s\n", argv[0], argv[i]);
            return 2;
        }
    printf("%s: %lu files, %lu inputs\n", argv[0], n_files, n_inputs);
    return 0;
}
