/* Sorted files: the reader, and the verifier of arriving packs, whose verdict must not depend on how the stream is cut and
 * which accepts nothing that the reader refuses later. */
#include "wdiff_reading.h"
#include "wdiff_pack.h"

/* Length of the packs before the end pack when all verify, else -1; the stream is given in steps. */
static int64_t verify(const uint8_t *packs, size_t size, size_t step)
{
    walb_wdiff_verifier *v = malloc(sizeof *v);
    walb_failure f;
    int64_t result = -1;
    size_t at;

    MUST(v);
    walb_wdiff_verifier_init(v);
    for (at = 0; at < size; at += step)
        if (walb_wdiff_verify(v, packs + at, size - at < step ? size - at : step, &f) != 0)
            break;
    if (at >= size && walb_wdiff_verifier_is_complete(v))
        result = (int64_t)size;
    free(v);
    return result;
}

static void check(const uint8_t *data, size_t size)
{
    const uint8_t *packs = data + WALB_WDIFF_FILE_HEADER_BYTES;
    size_t rest = size - WALB_WDIFF_FILE_HEADER_BYTES;
    int fd = file_of(data, size);
    uint8_t *whole;

    read_wdiff(fd, visit_nothing, NULL);
    close(fd);
    /* As it came, and without what may be its end pack. */
    MUST(verify(packs, rest, rest) == verify(packs, rest, 1 + data[8] * 7));
    if (rest < WALB_WDIFF_PACK_HEADER_BYTES)
        return;
    rest -= WALB_WDIFF_PACK_HEADER_BYTES;
    if (verify(packs, rest, rest + 1) < 0)
        return;
    whole = malloc(size);
    MUST(whole);
    walb_wdiff_build_header(whole, WALB_WDIFF_SORTED, data + 16);
    memcpy(whole + WALB_WDIFF_FILE_HEADER_BYTES, packs, rest);
    walb_wdiff_build_end(whole + WALB_WDIFF_FILE_HEADER_BYTES + rest);
    fd = file_of(whole, size);
    /* Whether data decode is not verified on arrival. */
    MUST(read_wdiff(fd, NULL, NULL) == 0);
    close(fd);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    MUST(copy);
    memcpy(copy, data, size);
    if (size > WALB_WDIFF_FILE_HEADER_BYTES) {
        check(copy, size);
        copy[6] = WALB_WDIFF_SORTED;
        sign_wdiff(copy, size);
        check(copy, size);
    }
    free(copy);
    return 0;
}
