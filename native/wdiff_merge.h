/* Merging wdiff files (wdiff-format.md section 7): the newest content of every range, lazily, in address order. Memory
 * depends on neither the number of records nor their sizes: a few KiB per input and one cache of images. */
#ifndef WALB_WDIFF_MERGE_H
#define WALB_WDIFF_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_format.h"

/* cffi-begin */
typedef struct walb_wdiff_merge walb_wdiff_merge;

/* A range of the result: blocks_lb blocks at address_lb, seen of `record` of input `source`. Normal pieces have at most
 * 2048 blocks. */
typedef struct {
    uint64_t address_lb;
    uint32_t blocks_lb, source;
    walb_wdiff_record record;
} walb_wdiff_piece;

/* Inputs are descriptors of whole files, oldest first; they stay the caller's. All must be of one uuid (an all-zero one is
 * unknown and fits every other). NULL on failure, f->source tells the input. */
walb_wdiff_merge *walb_wdiff_merge_new(const int *fds, size_t n, walb_failure *f);
void walb_wdiff_merge_free(walb_wdiff_merge *m);
void walb_wdiff_merge_uuid(const walb_wdiff_merge *m, uint8_t *uuid);

/* The next piece. Returns 1, 0 at the end, or a failure. */
int walb_wdiff_merge_next(walb_wdiff_merge *m, walb_wdiff_piece *piece, walb_failure *f);

/* The decoded bytes of a normal piece; valid until the next call. */
int walb_wdiff_merge_data(walb_wdiff_merge *m, const walb_wdiff_piece *piece, const uint8_t **data, walb_failure *f);
/* cffi-end */

/* True when the piece is all of a record that is all of its image, so that the stored bytes are the piece. */
int walb_wdiff_piece_is_whole(const walb_wdiff_piece *piece);

/* Reads the stored bytes of a whole piece, verified; dst has room for them. */
int walb_wdiff_merge_load(walb_wdiff_merge *m, const walb_wdiff_piece *piece, uint8_t *dst, walb_failure *f);

#endif
