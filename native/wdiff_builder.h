/* Building a wdiff from IOs in order of arrival (wdiff-format.md sections 6.2 to 6.4): images are stored as they come, what
 * of them is still visible is kept as records in memory and, when those become many, set down as a sorted run in a
 * temporary file. The end of an indexed file is the index of all runs; a sorted file is the merge of the runs.
 *
 * Several threads may build parts: each part has a number, and what the parts store is put down in the order of the
 * numbers. So the result depends on the input alone. */
#ifndef WALB_WDIFF_BUILDER_H
#define WALB_WDIFF_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_read.h"

/* cffi-begin */
typedef struct walb_wdiff_builder walb_wdiff_builder;

/* images_fd: images are appended from images_offset on, by position when can_seek; run_fd: an empty temporary file for
 * runs of run_records records, -1 for none (memory then follows the number of visible records). Normal IOs are cut to slices of slice_lb blocks (0:
 * not), from their own start or, with is_aligned, at multiples of that. NULL without memory. */
walb_wdiff_builder *walb_wdiff_builder_new(int images_fd, uint64_t images_offset, int can_seek, int run_fd,
                                           size_t run_records, uint32_t slice_lb, int is_aligned, walb_failure *f);
void walb_wdiff_builder_free(walb_wdiff_builder *b);

/* The file that the next parts come from: data that do not become smaller are not stored but left there, and read from
 * there when the runs are merged. -1: store all. No part may be under way. */
int walb_wdiff_builder_source(walb_wdiff_builder *b, int source_fd, walb_failure *f);

/* Ends the building for all threads: a part that waits for its turn fails with WALB_FAIL_STOPPED. */
void walb_wdiff_builder_stop(walb_wdiff_builder *b);

uint64_t walb_wdiff_builder_n_ios(const walb_wdiff_builder *b);

/* Ends the last run and gives all, for walb_wdiff_merge_new_runs; they and the three files must live as long as the merge. */
int walb_wdiff_builder_runs(walb_wdiff_builder *b, const walb_wdiff_run **runs, size_t *n, walb_failure *f);

/* Appends index and super block of an indexed file, whose normal records have at most piece_lb blocks (a power of two);
 * *file_bytes is then its size. */
int walb_wdiff_builder_finish_indexed(walb_wdiff_builder *b, uint32_t piece_lb, uint32_t *n_records, uint64_t *file_bytes,
                                      walb_failure *f);
/* cffi-end */

typedef struct walb_wdiff_part walb_wdiff_part;

/* A part under construction; it can be used for one number after another. */
walb_wdiff_part *walb_wdiff_part_new(walb_wdiff_builder *b, walb_failure *f);
void walb_wdiff_part_free(walb_wdiff_part *p);
void walb_wdiff_part_begin(walb_wdiff_part *p, uint64_t number);
/* Sets down what is left of the part and gives the turn to the next number. */
int walb_wdiff_part_end(walb_wdiff_part *p, walb_failure *f);
/* Sets down what came so far; waits for the part's turn. */
int walb_wdiff_part_flush(walb_wdiff_part *p, walb_failure *f);
/* True when so many records came that they should be set down. */
int walb_wdiff_part_is_full(const walb_wdiff_part *p);

/* Begins a normal IO. Its data follow in pieces; source_offset is where they lie in the source, csum their checksum with
 * salt 0 when it is known for all of them (has_csum). finds_zeros: slices of zeros become records without data. */
typedef struct {
    uint64_t address_lb, source_offset;
    uint32_t blocks_lb, csum;
    int has_csum, finds_zeros;
} walb_wdiff_io;

void walb_wdiff_part_io(walb_wdiff_part *p, const walb_wdiff_io *io);
int walb_wdiff_part_data(walb_wdiff_part *p, const uint8_t *data, size_t len, walb_failure *f);
int walb_wdiff_part_discard(walb_wdiff_part *p, uint64_t address_lb, uint32_t blocks_lb, walb_failure *f);

#endif
