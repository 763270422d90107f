/* Checksums in two pieces against one. */
#include "fuzz.h"
#include "checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = size ? data[0] % size / 4 * 4 : 0;
    uint32_t sum = walb_csum_partial(data + cut, size - cut, walb_csum_partial(data, cut, 7));

    MUST(0u - sum == walb_csum(data, size, 7));
    MUST(walb_crc32c(data + cut, size - cut, walb_crc32c(data, cut, 0)) == walb_crc32c(data, size, 0));
    MUST(walb_is_zero(data, cut) || !walb_is_zero(data, size));
    return 0;
}
