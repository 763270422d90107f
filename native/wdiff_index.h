/* The index of an indexed wdiff under construction: what of each IO is still visible (wdiff-format.md section 6.4). */
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

/* Writes the index records, sorted and aligned; *n_written is their number. */
int walb_wdiff_index_write(walb_wdiff_index *x, walb_output *out, uint32_t *n_written, walb_failure *f);

#endif
