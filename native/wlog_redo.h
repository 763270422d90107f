/* Redo of a log onto a data device (wlog-format.md sections 9, 11 and 14), and the search for stale packs. */
#ifndef WALB_WLOG_REDO_H
#define WALB_WLOG_REDO_H

#include <stddef.h>
#include <stdint.h>

#include "wlog_parse.h"

/* cffi-begin */
/* Writing to the data device failed: io_errno says why. */
#define WALB_LOG_IO_ERROR -30

/* Progress of a redo. data_fd -1 applies nothing: the log is only verified. Positions are at next_lsid (whole packs) and
 * read_lsid (the next block wanted, behind padding maybe); need_pb is how many blocks are wanted there at least. Records
 * that do not lie wholly below device_size_lb are skipped and counted. */
typedef struct {
    walb_log_pack pack;
    uint64_t next_lsid, read_lsid, limit_lsid, device_size_lb;
    uint64_t n_packs, normal_lb, discard_lb, padding_pb, n_outside;
    uint32_t pbs, salt, record, need_pb;
    int data_fd, io_errno, is_in_pack, ignores_discards;
    uint8_t block[4096];
} walb_log_redo;

/* limit_lsid: a pack that ends behind it is none of this log. */
void walb_log_redo_init(walb_log_redo *r, uint32_t pbs, uint32_t salt, uint64_t begin_lsid, uint64_t limit_lsid,
                        int data_fd, uint64_t device_size_lb, int ignores_discards);

/* Applies the records that are complete and verified in n_pb blocks of log which begin at r->read_lsid. Returns
 *   WALB_LOG_MORE      go on with the blocks at the new r->read_lsid, r->need_pb or more of them
 *   WALB_LOG_END       the end block
 *   WALB_LOG_BAD_DATA  data of record r->record are wrong; what precedes it is applied, r->block is the pack's header
 *   WALB_LOG_BAD_*     no pack at r->next_lsid
 *   WALB_LOG_IO_ERROR  */
int walb_log_redo_feed(walb_log_redo *r, const uint8_t *data, uint64_t n_pb);

/* Follows the packs of a log through n_pb blocks that begin at *lsid, by their headers: their data may be wrong. Returns
 * 1 when no pack begins at the new *lsid, 0 when that lies behind the blocks. */
int walb_log_follow(const uint8_t *data, uint64_t n_pb, uint32_t pbs, uint32_t salt, uint64_t *lsid);

/* Searches n_pb blocks, the first at lsid, for one that a later recovery could take for a pack of this log at its place
 * (section 16.5), from block *index on. Returns 1 and its index, or 0. */
int walb_log_find_stale(const uint8_t *data, uint64_t n_pb, uint64_t lsid, uint32_t pbs, uint32_t salt,
                        uint64_t *index);
/* cffi-end */

#endif
