/* Log bytes to an indexed wdiff file (wdiff-format.md sections 6.1, 6.2, 6.4): images are written as they come, the index
 * is kept in memory and written at the end. */
#ifndef WALB_WDIFF_FROM_LOG_H
#define WALB_WDIFF_FROM_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* cffi-begin */
typedef struct walb_wdiff_from_log walb_wdiff_from_log;

/* next_lsid: the log up to here is in the file; the others are final after the end. */
typedef struct {
    uint64_t next_lsid, file_bytes;
    uint32_t n_ios, n_index_records;
} walb_wdiff_converted;

/* Appends the file header at the descriptor's position. NULL without memory. */
walb_wdiff_from_log *walb_wdiff_from_log_new(int fd, const uint8_t *uuid, uint32_t pbs, uint32_t salt, uint64_t begin_lsid,
                                             walb_failure *f);

/* Converts log bytes as they come, cut anywhere. Returns 0 or a failure, after which the object is of no use. */
int walb_wdiff_from_log_feed(walb_wdiff_from_log *w, const uint8_t *data, size_t len, walb_failure *f);

/* Writes index and super block. The log must end between packs. */
int walb_wdiff_from_log_finish(walb_wdiff_from_log *w, walb_wdiff_converted *result, walb_failure *f);

void walb_wdiff_from_log_free(walb_wdiff_from_log *w);
/* cffi-end */

#endif
