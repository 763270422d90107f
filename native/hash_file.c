#include "hash_file.h"

#include <stdlib.h>

#include "file_io.h"
#include "murmur3.h"
#include "siphash.h"

/* What is read at once of each of the messages that are hashed side by side. */
#define PIECE_BYTES ((size_t)32 << 10)

/* Eight whole chunks, a multiple of 8 bytes each, side by side. */
static int hash_eight(int fd, uint64_t offset, size_t chunk_bytes, uint8_t *buffer, uint8_t *digests, walb_failure *f)
{
    walb_siphash_lanes s;
    size_t at, n;
    int lane, result;

    walb_siphash_lanes_init(&s);
    for (at = 0; at < chunk_bytes; at += n) {
        n = chunk_bytes - at < PIECE_BYTES ? chunk_bytes - at : PIECE_BYTES;
        for (lane = 0; lane < WALB_SIPHASH_LANES; lane++) {
            result = walb_read_at(fd, buffer + (size_t)lane * PIECE_BYTES, n, offset + (uint64_t)lane * chunk_bytes + at, f);
            if (result != 0)
                return result;
        }
        walb_siphash_lanes_update(&s, buffer, PIECE_BYTES, n);
    }
    walb_siphash_lanes_digest(&s, digests);
    return 0;
}

static int hash_siphash(int fd, uint64_t offset, size_t len, uint8_t *buffer, uint8_t *digest, walb_failure *f)
{
    walb_siphash s;
    size_t n;

    for (walb_siphash_init(&s); len > 0; offset += n, len -= n) {
        int result;
        n = len < PIECE_BYTES ? len : PIECE_BYTES;
        result = walb_read_at(fd, buffer, n, offset, f);
        if (result != 0)
            return result;
        walb_siphash_update(&s, buffer, n);
    }
    walb_siphash_digest(&s, digest);
    return 0;
}

int walb_hash_chunks(int fd, uint64_t offset, uint64_t len, size_t chunk_bytes, int algorithm, uint32_t seed,
                     uint8_t *digests, walb_failure *f)
{
    const uint64_t eight = (uint64_t)WALB_SIPHASH_LANES * chunk_bytes;
    size_t room = PIECE_BYTES * WALB_SIPHASH_LANES;
    uint8_t *buffer = malloc(algorithm == WALB_HASH_MURMUR3 && chunk_bytes > room ? chunk_bytes : room);
    int result = buffer ? 0 : walb_fail_memory(f);

    while (result == 0 && len > 0) {
        size_t n = len < chunk_bytes ? (size_t)len : chunk_bytes, count = 1;
        if (algorithm == WALB_HASH_MURMUR3) {
            result = walb_read_at(fd, buffer, n, offset, f);
            if (result == 0)
                walb_murmur3(buffer, n, seed, digests);
        } else if (len >= eight && chunk_bytes % 8 == 0) {
            n = (size_t)eight;
            count = WALB_SIPHASH_LANES;
            result = hash_eight(fd, offset, chunk_bytes, buffer, digests, f);
        } else {
            result = hash_siphash(fd, offset, n, buffer, digests, f);
        }
        digests += 16 * count;
        offset += n;
        len -= n;
    }
    free(buffer);
    return result;
}
