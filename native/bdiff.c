#include "bdiff.h"

#include <string.h>

/* Equal stretches of this length are passed over at once. */
#define STRETCH_BYTES ((size_t)64 << 10)

size_t walb_different_blocks(const uint8_t *a, const uint8_t *b, size_t len, size_t block_bytes, uint32_t *different)
{
    size_t stretch = block_bytes < STRETCH_BYTES ? STRETCH_BYTES / block_bytes * block_bytes : block_bytes;
    size_t n = 0, begin, at;

    for (begin = 0; begin < len; begin += stretch) {
        size_t end = len - begin < stretch ? len : begin + stretch;
        if (memcmp(a + begin, b + begin, end - begin) == 0)
            continue;
        for (at = begin; at < end; at += block_bytes) {
            size_t size = end - at < block_bytes ? end - at : block_bytes;
            if (memcmp(a + at, b + at, size) != 0)
                different[n++] = (uint32_t)(at / block_bytes);
        }
    }
    return n;
}
