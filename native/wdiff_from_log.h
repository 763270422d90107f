/* Log bytes to a wdiff (wdiff-format.md sections 6.1, 6.2): as they come, or from a log file by several threads. */
#ifndef WALB_WDIFF_FROM_LOG_H
#define WALB_WDIFF_FROM_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_builder.h"
#include "wlog_parse.h"

/* cffi-begin */
typedef struct walb_wdiff_from_log walb_wdiff_from_log;

/* One part of the builder's, by its number: log bytes in order. Their IOs are not in the builder's source. NULL without
 * memory. */
walb_wdiff_from_log *walb_wdiff_from_log_new(walb_wdiff_builder *b, uint64_t number, uint32_t pbs, uint32_t salt,
                                             uint64_t begin_lsid, walb_failure *f);
void walb_wdiff_from_log_free(walb_wdiff_from_log *w);

/* Converts log bytes as they come, cut anywhere. Returns 0 or a failure, after which the object is of no use. */
int walb_wdiff_from_log_feed(walb_wdiff_from_log *w, const uint8_t *data, size_t len, walb_failure *f);

/* Hands the rest to the builder. The log must end between packs; *end_lsid is where. */
int walb_wdiff_from_log_end(walb_wdiff_from_log *w, uint64_t *end_lsid, walb_failure *f);

typedef struct walb_log_walk walb_log_walk;

/* Packs of a log in a regular file from an offset on, cut into parts for threads; numbers of parts begin at first_number.
 * With is_strict a log must end with an end block; else it ends where the file ends or no pack of it follows. NULL without
 * memory. */
walb_log_walk *walb_log_walk_new(int fd, uint64_t offset, uint64_t file_bytes, uint32_t pbs, uint32_t salt,
                                 uint64_t begin_lsid, int is_strict, uint64_t first_number, walb_failure *f);
void walb_log_walk_free(walb_log_walk *w);

/* Converts parts until none is left; any number of threads. */
int walb_wdiff_from_log_parts(walb_wdiff_builder *b, walb_log_walk *w, walb_failure *f);

/* Where a walk without failure ended: behind the end block if has_end_block, and the number of the next part. */
typedef struct {
    uint64_t offset, lsid, next_number;
    int has_end_block;
} walb_log_walk_end;

void walb_log_walk_get_end(const walb_log_walk *w, walb_log_walk_end *end);
/* cffi-end */

#endif
