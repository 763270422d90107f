/* The image that diffs make of a base, without applying them (wdiff-format.md section 8). */
#ifndef WALB_WDIFF_VIRTUAL_H
#define WALB_WDIFF_VIRTUAL_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_merge.h"

/* cffi-begin */
typedef struct walb_wdiff_virtual walb_wdiff_virtual;

/* An image of size_bytes. base_fd is read in ascending order, with pread or, when it cannot seek, with read; -1: zeros. Behind
 * its end are zeros, too. Records are clipped to the size. NULL without memory. */
walb_wdiff_virtual *walb_wdiff_virtual_new(walb_wdiff_merge *m, int base_fd, int can_seek, uint64_t size_bytes,
                                           walb_failure *f);
void walb_wdiff_virtual_free(walb_wdiff_virtual *v);

/* The next bytes, as many as there is room for, fewer only at the end. Returns how many, or a failure. */
int64_t walb_wdiff_virtual_read(walb_wdiff_virtual *v, uint8_t *dst, size_t room, walb_failure *f);

/* Writes at offset and leaves out long zeros: they are to be holes of a new file. */
int walb_write_with_holes(int fd, const uint8_t *data, size_t len, uint64_t offset, walb_failure *f);
/* cffi-end */

#endif
