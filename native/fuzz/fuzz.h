/* What each driver has: one function that feeds one input to one part of the core. It must return, whatever the input. */
#ifndef WALB_FUZZ_H
#define WALB_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the core that does not hold ends the driver like a sanitizer does. */
#define MUST(condition)  \
    do {                 \
        if (!(condition)) \
            abort();     \
    } while (0)

#endif
