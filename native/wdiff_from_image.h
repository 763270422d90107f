/* The blocks of an image as a wdiff: one normal record for every io_blocks blocks (wdiff-format.md section 13.2, wdiff-full). */
#ifndef WALB_WDIFF_FROM_IMAGE_H
#define WALB_WDIFF_FROM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_builder.h"

/* cffi-begin */
/* Makes one part, by its number, of len bytes (whole blocks) of an image. They come from `data`, or from byte `offset` of
 * a file. address_lb is their place in the image, a multiple of io_blocks. */
int walb_wdiff_from_image_part(walb_wdiff_builder *b, uint64_t number, int fd, uint64_t offset, const uint8_t *data,
                               size_t len, uint64_t address_lb, uint32_t io_blocks, walb_failure *f);
/* cffi-end */

#endif
