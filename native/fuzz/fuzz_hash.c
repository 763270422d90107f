/* Hashes in pieces and side by side against one message at once; comparison of blocks against itself. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bdiff.h"
#include "fuzz.h"
#include "hash_file.h"
#include "murmur3.h"
#include "siphash.h"

enum { MAX_CHUNKS = 4096 };

static void hash(const uint8_t *data, size_t len, uint8_t *digest)
{
    walb_siphash s;
    size_t cut = len ? data[0] % len : 0;

    walb_siphash_init(&s);
    walb_siphash_update(&s, data, cut);
    walb_siphash_update(&s, data + cut, len - cut);
    walb_siphash_digest(&s, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t chunks[] = {8, 24, 40, 512, 4096};
    static uint8_t digests[MAX_CHUNKS * 16];
    uint8_t one[16], joined[16] = {0};
    int fd = memfd_create("hash", 0);
    walb_failure f;
    size_t i, at;

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    for (i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        size_t n = size < chunks[i] * MAX_CHUNKS ? size : chunks[i] * MAX_CHUNKS;
        MUST(walb_hash_chunks(fd, 0, n, chunks[i], WALB_HASH_SIPHASH, 0, digests, &f) == 0);
        for (at = 0; at < n; at += chunks[i]) {
            hash(data + at, n - at < chunks[i] ? n - at : chunks[i], one);
            MUST(memcmp(one, digests + at / chunks[i] * 16, 16) == 0);
        }
        MUST(walb_hash_chunks(fd, 0, n, chunks[i], WALB_HASH_MURMUR3, 7, digests, &f) == 0);
    }
    walb_murmur3_xor(data, size, 100, 0, joined);
    walb_murmur3_xor(data, size, 100, 0, joined);
    for (i = 0; i < 16; i++)
        MUST(joined[i] == 0);
    if (size > 0 && size < 1 << 20) {
        uint32_t *different = malloc((size + 1) * sizeof *different);
        MUST(different && walb_different_blocks(data, data, size, 1 + data[0], different) == 0);
        free(different);
    }
    close(fd);
    return 0;
}
