/* The writes that are in the log and not yet on the data device, oldest first: reads must see them. */
#ifndef WALB_PENDING_WRITES_H
#define WALB_PENDING_WRITES_H

#include <stdint.h>

#include "wlog_build.h"

/* cffi-begin */
typedef struct walb_pending walb_pending;

/* NULL when memory is short. */
walb_pending *walb_pending_new(void);
void walb_pending_free(walb_pending *p);

/* Adds the newest writes, whose data must stay until they are dropped. Returns 0 or -ENOMEM. */
int walb_pending_add(walb_pending *p, const walb_log_write *writes, uint32_t n_writes);
/* Drops the oldest. */
void walb_pending_drop(walb_pending *p, uint32_t n_writes);
uint32_t walb_pending_count(const walb_pending *p);

/* Whether any touches the range. */
int walb_pending_touches(const walb_pending *p, uint64_t offset_lb, uint64_t size_lb);
/* Copies what the writes hold of the range into data, and 1 into is_held (one byte a logical block) where they do. */
void walb_pending_copy(const walb_pending *p, uint64_t offset_lb, uint32_t size_lb, uint8_t *data, uint8_t *is_held);
/* Puts (begin, end) of each write that touches the range into spans, which has room for all. Returns how many. */
uint32_t walb_pending_spans(const walb_pending *p, uint64_t offset_lb, uint64_t size_lb, uint64_t *spans);
/* Copies the logical blocks that are held from held to data. */
void walb_pending_overlay(uint8_t *data, const uint8_t *held, const uint8_t *is_held, uint32_t size_lb);
/* cffi-end */

#endif
