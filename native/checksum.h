/* Checksums and content tests of whole buffers. All functions are pure and thread-safe. */
#ifndef WALB_CHECKSUM_H
#define WALB_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* The format's checksum (wlog-format.md section 2): negated sum of little-endian u32 words plus salt; an odd tail is
 * extended with zero bytes. */
uint32_t walb_csum(const uint8_t *data, size_t len, uint32_t salt);

/* Partial sum, for data that comes in pieces: start with the salt, feed pieces whose length is a multiple of 4 (the last
 * may be odd), finish with the negation: csum = 0u - sum. */
uint32_t walb_csum_partial(const uint8_t *data, size_t len, uint32_t sum);

/* The same for pieces of any length: offset is how many bytes were summed before. */
uint32_t walb_csum_piece(const uint8_t *data, size_t len, uint64_t offset, uint32_t sum);

/* CRC-32C (Castagnoli), the frame checksum of the protocol. crc is 0 to start, or the value so far. */
uint32_t walb_crc32c(const uint8_t *data, size_t len, uint32_t crc);

/* 1 when all bytes are zero (an empty buffer is). */
int walb_is_zero(const uint8_t *data, size_t len);
/* cffi-end */

#endif
