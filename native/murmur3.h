/* MurmurHash3 x64-128 (wdiff-format.md sections 11.1 to 11.3): the hash of chunks in hash backups. */
#ifndef WALB_MURMUR3_H
#define WALB_MURMUR3_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* The 16 bytes of a message. */
void walb_murmur3(const uint8_t *data, size_t len, uint32_t seed, uint8_t *digest);

/* Joins the hashes of consecutive chunks into `digest` by XOR: the first with the seed, each other with one more. The last
 * chunk may be short. */
void walb_murmur3_xor(const uint8_t *data, size_t len, size_t chunk_bytes, uint32_t seed, uint8_t *digest);
/* cffi-end */

#endif
