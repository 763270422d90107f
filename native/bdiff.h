/* Comparing two byte ranges block by block. */
#ifndef WALB_BDIFF_H
#define WALB_BDIFF_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* Writes the numbers of the blocks that differ to `different`, which has room for all; returns how many. The last block may
 * be short. */
size_t walb_different_blocks(const uint8_t *a, const uint8_t *b, size_t len, size_t block_bytes, uint32_t *different);
/* cffi-end */

#endif
