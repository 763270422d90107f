/* Makes ranges of a file or block device read as zeros. */
#ifndef WALB_ZERO_H
#define WALB_ZERO_H

#include <stdint.h>

/* cffi-begin */
/* Frees the range where the file system or device can, without growing the file: 0, or -EOPNOTSUPP and the like. */
int walb_punch_hole(int fd, uint64_t offset_bytes, uint64_t len_bytes);

/* The range reads as zeros afterwards: punched, or else written. Returns 0 or a negated errno. */
int walb_zero_range(int fd, uint64_t offset_bytes, uint64_t len_bytes);
/* cffi-end */

#endif
