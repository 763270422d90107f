/* The index of a wdiff under construction: what of each IO is still visible (wdiff-format.md sections 6.3 and 6.4), and its
 * records as an indexed file has them. */
#ifndef WALB_WDIFF_INDEX_H
#define WALB_WDIFF_INDEX_H

#include "file_io.h"
#include "wdiff_format.h"

/* Records in order of arrival, later ones over earlier ones. From time to time what is hidden is dropped, so that memory
 * follows the visible part and not the number of IOs. */
typedef struct {
    walb_wdiff_record *records;
    size_t n, capacity, clean;
} walb_wdiff_index;

void walb_wdiff_index_free(walb_wdiff_index *x);
int walb_wdiff_index_add(walb_wdiff_index *x, const walb_wdiff_record *r, walb_failure *f);

/* Replaces the records by their visible parts, in address order. */
int walb_wdiff_index_clean_up(walb_wdiff_index *x, walb_failure *f);

/* Index records of a file, aligned pieces of at most piece_lb blocks (those without data may be longer); n counts them. */
typedef struct {
    walb_output out;
    uint32_t piece_lb;
    uint64_t n;
} walb_wdiff_index_output;

/* Writes from the offset on, or at the descriptor's position when it is negative. */
int walb_wdiff_index_output_open(walb_wdiff_index_output *o, int fd, int64_t offset, uint32_t piece_lb, walb_failure *f);
int walb_wdiff_index_output_put(walb_wdiff_index_output *o, const walb_wdiff_record *visible, walb_failure *f);
int walb_wdiff_index_output_flush(walb_wdiff_index_output *o, walb_failure *f);
void walb_wdiff_index_output_close(walb_wdiff_index_output *o);

/* Puts all records, sorted. */
int walb_wdiff_index_write(walb_wdiff_index *x, walb_wdiff_index_output *o, walb_failure *f);

#endif
