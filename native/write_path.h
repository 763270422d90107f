/* The two write paths of the user-space walb device: packs into the ring of the log device, and block writes to the
 * data device. Both block; call them from threads. */
#ifndef WALB_WRITE_PATH_H
#define WALB_WRITE_PATH_H

#include <stdint.h>

#include "wlog_build.h"

/* cffi-begin */
/* Builds packs of the writes, in order, from *lsid on and writes them into the ring on fd. Nothing is placed at or
 * beyond limit_lsid: what does not fit any more is left. The page cache's block in which the last pack ends is filled
 * with zeros where that stays below zero_limit_lsid: a block that is written in part would first be read from the disk.
 * Returns the number of writes logged and moves *lsid behind the last pack, or returns a negative errno (then the
 * ring's content from *lsid on is undefined). */
int64_t walb_device_write_log(int fd, const walb_log_ring *ring, walb_log_write *writes, uint32_t n_writes,
                              uint64_t *lsid, uint64_t limit_lsid, uint64_t zero_limit_lsid);

/* Writes to the data device; where writes overlap the later one wins. Disjoint ones are sorted by address and joined.
 * Discarded ranges read as zeros afterwards: holes where the device can make them, else written zeros.
 * Returns 0 or a negative errno. */
int walb_device_write_data(int fd, const walb_log_write *writes, uint32_t n_writes);
/* cffi-end */

#endif
