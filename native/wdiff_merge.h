/* Merging wdiff files (wdiff-format.md section 7): the newest content of every range, lazily, in address order. Memory
 * depends on neither the number of records nor their sizes: a few KiB per input and one cache of images. */
#ifndef WALB_WDIFF_MERGE_H
#define WALB_WDIFF_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "image_cache.h"
#include "wdiff_read.h"

/* cffi-begin */
typedef struct walb_wdiff_merge walb_wdiff_merge;

/* A range of the result: blocks_lb blocks at address_lb, seen of `record` of input `source`. */
typedef struct {
    uint64_t address_lb;
    uint32_t blocks_lb, source;
    walb_wdiff_record record;
} walb_wdiff_piece;

/* Records and blocks by kind (normal, zero, discard), and stored bytes: of sorted files and streams the sum of data_size, of
 * indexed files all that lies between header and index (wdiff-format.md section 7.7). */
typedef struct {
    uint64_t n_records[3], blocks_lb[3], data_bytes;
} walb_wdiff_statistics;

/* Inputs are descriptors of whole files, oldest first; they stay the caller's. With is_one_log all must be of one uuid; the
 * merge has that of the newest (an all-zero one is unknown and fits every other). Normal pieces have at most max_io_lb blocks
 * (0: any number). NULL on failure, f->source tells the input. */
walb_wdiff_merge *walb_wdiff_merge_new(const int *fds, size_t n, int is_one_log, uint32_t max_io_lb, walb_failure *f);
/* The same for runs of a builder; pieces are not cut further. */
walb_wdiff_merge *walb_wdiff_merge_new_runs(const walb_wdiff_run *runs, size_t n, const uint8_t *uuid, walb_failure *f);
void walb_wdiff_merge_free(walb_wdiff_merge *m);
void walb_wdiff_merge_uuid(const walb_wdiff_merge *m, uint8_t *uuid);
/* What the inputs hold, complete when all pieces were taken. */
void walb_wdiff_merge_statistics(const walb_wdiff_merge *m, walb_wdiff_statistics *statistics);

/* The next piece. Returns 1, 0 at the end, or a failure. */
int walb_wdiff_merge_next(walb_wdiff_merge *m, walb_wdiff_piece *piece, walb_failure *f);

/* The decoded bytes of a normal piece; valid until the next call. */
int walb_wdiff_merge_data(walb_wdiff_merge *m, const walb_wdiff_piece *piece, const uint8_t **data, walb_failure *f);
/* cffi-end */

/* Adds one record to the counts. */
void walb_wdiff_count(walb_wdiff_statistics *s, int kind, uint64_t blocks_lb, uint64_t data_bytes);

/* What loading images needs besides the merge: one for each thread that does. */
typedef struct {
    walb_image_cache cache;
    uint8_t *stored;
    size_t room;
} walb_wdiff_loader;

void walb_wdiff_loader_free(walb_wdiff_loader *l);

/* walb_wdiff_merge_data with a loader of the caller's; good until its next call with the same loader. */
int walb_wdiff_merge_data_by(walb_wdiff_merge *m, walb_wdiff_loader *l, const walb_wdiff_piece *piece, const uint8_t **data,
                             walb_failure *f);

/* True when the piece is all of a record that is all of its image, so that the stored bytes are the piece. */
int walb_wdiff_piece_is_whole(const walb_wdiff_piece *piece);

/* Reads the stored bytes of a whole piece, verified; dst has room for them. */
int walb_wdiff_merge_load(walb_wdiff_merge *m, const walb_wdiff_piece *piece, uint8_t *dst, walb_failure *f);

#endif
