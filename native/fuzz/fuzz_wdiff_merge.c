/* Two files merged, older first: applied to an image, seen as a virtual one, and as a stream of packs, against their
 * records applied one by one.
 * Input: 4 bytes length of the older file, then both. */
#include "wdiff_reading.h"
#include "wdiff_pack.h"
#include "wdiff_virtual.h"

enum { CHUNK_BYTES = 10000 };

static int put_record(void *context, const walb_wdiff_record *r, const uint8_t *data)
{
    uint8_t *at = (uint8_t *)context + r->address_lb * WALB_LB_BYTES;

    if (r->address_lb > IMAGE_LB || r->blocks_lb > IMAGE_LB - r->address_lb)
        return -1;
    if (data)
        memcpy(at, data, (size_t)r->blocks_lb * WALB_LB_BYTES);
    else
        memset(at, 0, (size_t)r->blocks_lb * WALB_LB_BYTES);
    return 0;
}

/* The merge as a stream of packs into a file: what it gives verifies. Returns the file, or -1 when the merge fails. */
static int pack(const int *fds, size_t n, int codec, uint32_t max_io_lb)
{
    static uint8_t chunk[CHUNK_BYTES];
    walb_failure f;
    walb_wdiff_merge *m = walb_wdiff_merge_new(fds, n, 1, max_io_lb, &f);
    walb_wdiff_packer *p;
    walb_wdiff_verifier v;
    uint8_t header[WALB_WDIFF_FILE_HEADER_BYTES], uuid[16];
    int64_t got;
    int fd;

    if (!m)
        return -1;
    walb_wdiff_merge_uuid(m, uuid);
    walb_wdiff_build_header(header, WALB_WDIFF_SORTED, uuid);
    fd = file_of(header, sizeof header);
    p = walb_wdiff_packer_new(m, codec, 0, &f);
    MUST(p);
    walb_wdiff_verifier_init(&v);
    while ((got = walb_wdiff_packer_read(p, chunk, sizeof chunk, &f)) > 0)
        MUST(walb_wdiff_receive(&v, fd, chunk, (size_t)got, &f) == 0);
    MUST(got < 0 || walb_wdiff_verifier_is_complete(&v));
    walb_wdiff_packer_free(p);
    walb_wdiff_merge_free(m);
    if (got == 0) {
        walb_wdiff_build_end(chunk);
        MUST(write(fd, chunk, WALB_WDIFF_PACK_HEADER_BYTES) == WALB_WDIFF_PACK_HEADER_BYTES);
        return fd;
    }
    close(fd);
    return -1;
}

/* The merge over an image full of IMAGE_FILL, without applying it. Returns 0 or a failure. */
static int see(const int *fds, uint8_t *image)
{
    static int base = -1;
    walb_failure f;
    walb_wdiff_merge *m = walb_wdiff_merge_new(fds, 2, 1, WALB_WDIFF_MAX_IO_LB, &f);
    walb_wdiff_virtual *v;
    int64_t got, done = 0;

    if (!m)
        return -1;
    if (base < 0) {
        base = memfd_create("base", 0);
        memset(image, IMAGE_FILL, IMAGE_BYTES);
        MUST(base >= 0 && write(base, image, IMAGE_BYTES) == IMAGE_BYTES);
    }
    v = walb_wdiff_virtual_new(m, base, 1, IMAGE_BYTES, &f);
    MUST(v);
    do {
        size_t room = done + CHUNK_BYTES < IMAGE_BYTES ? CHUNK_BYTES : (size_t)(IMAGE_BYTES - done);
        got = walb_wdiff_virtual_read(v, image + done, room, &f);
        done += got > 0 ? got : 0;
    } while (got > 0);
    MUST(got < 0 || done == IMAGE_BYTES);
    walb_wdiff_virtual_free(v);
    walb_wdiff_merge_free(m);
    return (int)got;
}

static void check(const int *fds, int codec, int same_uuid)
{
    static uint8_t plain[IMAGE_BYTES], merged[IMAGE_BYTES], packed[IMAGE_BYTES], seen[IMAGE_BYTES];
    int is_good, result, fd;
    walb_failure f;

    memset(plain, IMAGE_FILL, sizeof plain);
    is_good = read_wdiff(fds[0], put_record, plain) == 0 && read_wdiff(fds[1], put_record, plain) == 0;
    result = apply_merge(walb_wdiff_merge_new(fds, 2, 1, 0, &f), merged);
    fd = pack(fds, 2, codec, WALB_WDIFF_MAX_IO_LB);
    MUST(!is_good || !same_uuid || result == 0);
    if (is_good && result == 0)
        MUST(memcmp(plain, merged, sizeof plain) == 0 && fd >= 0);
    if (result == 0)
        MUST(see(fds, seen) == 0 && memcmp(merged, seen, sizeof merged) == 0);
    else
        see(fds, seen);
    if (fd >= 0 && result == 0)
        MUST(apply_merge(walb_wdiff_merge_new(&fd, 1, 1, 0, &f), packed) == 0 && memcmp(merged, packed, sizeof merged) == 0);
    if (fd >= 0)
        close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t older;
    int signs, fds[2];
    uint8_t *copy;

    if (size < 4)
        return 0;
    older = walb_get32(data) % (size - 3);
    copy = malloc(size);
    MUST(copy);
    memcpy(copy, data, size);
    for (signs = 0; signs < 2; signs++) {
        uint8_t *newer = copy + 4 + older;
        size_t rest = size - 4 - older;
        if (signs) {
            sign_wdiff(copy + 4, older);
            if (older >= 32 && rest >= 32)
                memcpy(newer + 16, copy + 20, 16);
            sign_wdiff(newer, rest);
        }
        fds[0] = file_of(copy + 4, older);
        fds[1] = file_of(newer, rest);
        check(fds, size > 12 && data[12] & 1 ? 2 : 0, signs && older >= 32);
        close(fds[0]);
        close(fds[1]);
    }
    free(copy);
    return 0;
}
