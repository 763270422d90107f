/* The snappy codec: any bytes as a compressed block, and a round trip. */
#include <string.h>

#include "fuzz.h"
#include "snappy.h"

enum { MAX_OUTPUT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[] = {0, 1, 512, 65536, MAX_OUTPUT_BYTES};
    uint8_t *packed = malloc(size + 1), *plain;
    size_t i, n;

    MUST(packed);
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        plain = malloc(sizes[i] + 1);
        MUST(plain);
        walb_snappy_decompress(data, size, plain, sizes[i]);
        free(plain);
    }
    n = walb_snappy_compress(data, size, packed, size);
    MUST(n <= size);
    if (n > 0) {
        plain = malloc(size);
        MUST(plain && walb_snappy_decompress(packed, n, plain, size) == 0 && memcmp(plain, data, size) == 0);
        free(plain);
    }
    free(packed);
    return 0;
}
