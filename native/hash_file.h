/* Hashes of the chunks of a file, read and hashed in steps that stay in the processor's cache. */
#ifndef WALB_HASH_FILE_H
#define WALB_HASH_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* cffi-begin */
#define WALB_HASH_SIPHASH 0
#define WALB_HASH_MURMUR3 1

/* Hashes len bytes at offset of a file in chunks (the last may be short); digests takes 16 bytes for each. seed is for
 * murmur3: every chunk has the same. A file that ends early is corrupt. Threads may hash parts of one file. */
int walb_hash_chunks(int fd, uint64_t offset, uint64_t len, size_t chunk_bytes, int algorithm, uint32_t seed,
                     uint8_t *digests, walb_failure *f);
/* cffi-end */

#endif
