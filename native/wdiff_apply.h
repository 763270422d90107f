/* Writing a merge to a volume's image (wdiff-format.md section 9).
 *
 * Several threads may work on one image, each with a worker of its own: they take ranges in address order, which never
 * overlap, and write them in any order. So the result depends on the input alone. */
#ifndef WALB_WDIFF_APPLY_H
#define WALB_WDIFF_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_merge.h"

/* cffi-begin */
#define WALB_DISCARD_ZERO 0
#define WALB_DISCARD_IGNORE 1
#define WALB_DISCARD_PASSDOWN 2

typedef struct walb_wdiff_apply walb_wdiff_apply;
typedef struct walb_wdiff_applier walb_wdiff_applier;

typedef struct {
    uint64_t n_normal, n_zero, n_discard;
    uint64_t written_bytes, zeroed_bytes, ignored_bytes;
} walb_wdiff_applied;

/* fd is the image, a file or block device of size_lb blocks, opened for writing; m makes normal pieces of at most 2048
 * blocks. NULL without memory. */
walb_wdiff_apply *walb_wdiff_apply_new(walb_wdiff_merge *m, int fd, uint64_t size_lb, int discard, walb_failure *f);
void walb_wdiff_apply_free(walb_wdiff_apply *a);

/* What all workers have done so far; *done_lb is the address below which the image is complete. */
void walb_wdiff_apply_stats(walb_wdiff_apply *a, walb_wdiff_applied *stats, uint64_t *done_lb);

/* What one thread needs, for at most n_workers of them. It must be freed before the image's walb_wdiff_apply. */
walb_wdiff_applier *walb_wdiff_applier_new(walb_wdiff_apply *a, size_t n_workers, walb_failure *f);
void walb_wdiff_applier_free(walb_wdiff_applier *w);

/* Takes the next range and does it: writes of about a MiB in all, or zeroing. Returns 1, 0 when nothing is left to take
 * (nothing is synced), or a failure, after which no worker takes more. A record that reaches behind size_lb is WALB_FAIL_RANGE. */
int walb_wdiff_apply_step(walb_wdiff_applier *w, walb_failure *f);
/* cffi-end */

#endif
