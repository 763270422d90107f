/* One file as both inputs of a merge: reading, merging, the pack stream of the result, applying it to an image,
 * and seeing that image without applying. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "wdiff_apply.h"
#include "wdiff_input.h"
#include "wdiff_pack.h"
#include "wdiff_virtual.h"

enum { IMAGE_LB = 1 << 16, SEEN_BYTES = 300 << 10, CHUNK_BYTES = 10000 };

static void pack(const int *fds, walb_failure *f)
{
    static uint8_t chunk[CHUNK_BYTES];
    walb_wdiff_merge *m = walb_wdiff_merge_new(fds, 2, WALB_WDIFF_MAX_IO_LB, f);
    walb_wdiff_packer *p;
    walb_wdiff_verifier v;
    int64_t n = 0;

    if (!m)
        return;
    p = walb_wdiff_packer_new(m, 2, 0, f);
    MUST(p);
    walb_wdiff_verifier_init(&v);
    while ((n = walb_wdiff_packer_read(p, chunk, sizeof chunk, f)) > 0)
        MUST(walb_wdiff_verify(&v, chunk, (size_t)n, f) == 0);
    MUST(n < 0 || walb_wdiff_verifier_is_complete(&v));
    walb_wdiff_packer_free(p);
    walb_wdiff_merge_free(m);
}

/* Returns whether all could be applied. */
static int apply(const int *fds, int image, walb_failure *f)
{
    walb_wdiff_merge *m = walb_wdiff_merge_new(fds, 2, WALB_WDIFF_MAX_IO_LB, f);
    walb_wdiff_apply *a;
    uint64_t done_lb;
    int result;

    if (!m)
        return 0;
    a = walb_wdiff_apply_new(m, image, IMAGE_LB, WALB_DISCARD_ZERO, f);
    MUST(a);
    do
        result = walb_wdiff_apply_step(a, &done_lb, f);
    while (result > 0);
    walb_wdiff_apply_free(a);
    walb_wdiff_merge_free(m);
    MUST(lseek(image, 0, SEEK_END) == (off_t)IMAGE_LB * 512);
    return result == 0;
}

/* What is seen through the diffs must be what applying them gave; the first of it, for speed. */
static void compare(const int *fds, int image, walb_failure *f)
{
    static uint8_t seen[CHUNK_BYTES], applied[CHUNK_BYTES];
    walb_wdiff_merge *m = walb_wdiff_merge_new(fds, 2, 0, f);
    walb_wdiff_virtual *v;
    uint64_t at = 0;
    int64_t n;

    MUST(m);
    v = walb_wdiff_virtual_new(m, -1, 0, SEEN_BYTES, f);
    MUST(v);
    while ((n = walb_wdiff_virtual_read(v, seen, sizeof seen, f)) > 0) {
        MUST(pread(image, applied, (size_t)n, (off_t)at) == n && memcmp(seen, applied, (size_t)n) == 0);
        at += (uint64_t)n;
    }
    MUST(n == 0 && at == SEEN_BYTES);
    walb_wdiff_virtual_free(v);
    walb_wdiff_merge_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2], image = memfd_create("image", 0), signs;
    uint8_t *copy = malloc(size + 1);
    walb_failure f;

    MUST(copy && image >= 0);
    memcpy(copy, data, size);
    for (signs = 0; signs < 2; signs++) {
        fds[0] = fds[1] = memfd_create("wdiff", 0);
        if (signs)
            sign_wdiff(copy, size);
        MUST(fds[0] >= 0 && write(fds[0], copy, size) == (ssize_t)size);
        pack(fds, &f);
        MUST(ftruncate(image, 0) == 0 && ftruncate(image, (off_t)IMAGE_LB * 512) == 0);
        if (apply(fds, image, &f))
            compare(fds, image, &f);
        close(fds[0]);
    }
    close(image);
    free(copy);
    return 0;
}
