/* Writing a merge to a volume's image (wdiff-format.md section 9). */
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

typedef struct {
    uint64_t n_normal, n_zero, n_discard;
    uint64_t written_bytes, zeroed_bytes, ignored_bytes;
} walb_wdiff_applied;

/* fd is the image, a file or block device of size_lb blocks, opened for writing. NULL without memory. */
walb_wdiff_apply *walb_wdiff_apply_new(walb_wdiff_merge *m, int fd, uint64_t size_lb, int discard, walb_failure *f);
void walb_wdiff_apply_free(walb_wdiff_apply *a);

/* Goes on for about one write of a few MiB. Returns 1, 0 when all is written (not synced), or a failure; *done_lb is the
 * address below which the image is complete. A record that reaches behind size_lb is WALB_FAIL_RANGE. */
int walb_wdiff_apply_step(walb_wdiff_apply *a, uint64_t *done_lb, walb_failure *f);

void walb_wdiff_apply_stats(const walb_wdiff_apply *a, walb_wdiff_applied *stats);
/* cffi-end */

#endif
