/* Packs of single bulks of an image, for comparing images by hashes (wdiff-format.md section 10.2). */
#ifndef WALB_WDIFF_BULKS_H
#define WALB_WDIFF_BULKS_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* Most bytes that n bulks take as packs. */
size_t walb_wdiff_bulks_room(size_t n, size_t bulk_bytes);

/* Writes packs with one record for each of n bulks of a range of an image. The range is len bytes, whole blocks, from block
 * address_lb on; its bulks have bulk_bytes (at most 32 MiB), the last may be short. `numbers` of the bulks count in the range
 * and ascend; `data` are these bulks alone, end to end. Bulks of zeros become records without data, the others are
 * compressed where that makes them smaller. dst has walb_wdiff_bulks_room. Returns the length. */
size_t walb_wdiff_pack_bulks(const uint8_t *data, size_t len, uint64_t address_lb, size_t bulk_bytes, const uint32_t *numbers,
                             size_t n, int codec, int level, uint8_t *dst);
/* cffi-end */

#endif
