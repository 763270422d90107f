/* The verifier of arriving packs: the same verdict however the stream is cut. */
#include "fuzz.h"
#include "wdiff_input.h"
#include "wdiff_pack.h"

static int verify(const uint8_t *data, size_t size, size_t step)
{
    walb_wdiff_verifier v;
    walb_failure f;
    size_t at;

    walb_wdiff_verifier_init(&v);
    for (at = 0; at < size; at += step)
        if (walb_wdiff_verify(&v, data + at, size - at < step ? size - at : step, &f) != 0)
            return -1;
    return walb_wdiff_verifier_is_complete(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1), *packs = copy + WALB_WDIFF_FILE_HEADER_BYTES;
    size_t rest = size - WALB_WDIFF_FILE_HEADER_BYTES;
    int signs;

    MUST(copy);
    memcpy(copy, data, size);
    for (signs = 0; signs < 2 && size > WALB_WDIFF_FILE_HEADER_BYTES; signs++) {
        if (signs)
            sign_wdiff(copy, size);
        MUST(verify(packs, rest, rest) == verify(packs, rest, 1 + data[8] * 7));
    }
    free(copy);
    return 0;
}
