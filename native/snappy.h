/* Raw snappy blocks (wdiff-format.md section 5.1), the codec of nearly every record. */
#ifndef WALB_SNAPPY_H
#define WALB_SNAPPY_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* Compresses into dst, which has room for limit bytes. Returns the size, at most limit, or 0 when the result would be
 * larger: dst is then garbage. Incompressible data are skipped over with growing steps, not looked at byte by byte. */
size_t walb_snappy_compress(const uint8_t *src, size_t len, uint8_t *dst, size_t limit);

/* Decodes a block that must fill exactly size bytes. Returns 0, or -1 for anything malformed; never reads or writes
 * outside the two buffers. */
int walb_snappy_decompress(const uint8_t *src, size_t len, uint8_t *dst, size_t size);
/* cffi-end */

#endif
