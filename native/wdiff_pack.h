/* Packs of the sorted format as a byte stream, both ways: from a merge, and verified on arrival (wdiff-format.md sections
 * 3.2, 7.6, 10). No file header, no end pack. */
#ifndef WALB_WDIFF_PACK_H
#define WALB_WDIFF_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_merge.h"

/* cffi-begin */
typedef struct walb_wdiff_packer walb_wdiff_packer;

/* Packs what a merge gives, compressed with the codec and level; the merge stays the caller's. NULL without memory. */
walb_wdiff_packer *walb_wdiff_packer_new(walb_wdiff_merge *m, int codec, int level, walb_failure *f);
void walb_wdiff_packer_free(walb_wdiff_packer *p);

/* Writes the next bytes of the stream, at most room. Returns how many (0 only at the end), or a failure. */
int64_t walb_wdiff_packer_read(walb_wdiff_packer *p, uint8_t *dst, size_t room, walb_failure *f);

typedef struct walb_wdiff_pack_writer walb_wdiff_pack_writer;

/* Writes the same packs to a file from offset on, by position when can_seek, by n_threads threads that each call
 * walb_wdiff_write_packs once. The packs come in order. Codec none means that nothing in the file is compressed. */
walb_wdiff_pack_writer *walb_wdiff_pack_writer_new(walb_wdiff_merge *m, int codec, int level, int n_threads, int fd,
                                                   uint64_t offset, int can_seek, walb_failure *f);
void walb_wdiff_pack_writer_free(walb_wdiff_pack_writer *w);

/* Returns 0 when all is written, or a failure: WALB_FAIL_STOPPED when that of another thread ended the work. */
int walb_wdiff_write_packs(walb_wdiff_pack_writer *w, walb_failure *f);

/* Where the packs end in the file, and what they hold. */
uint64_t walb_wdiff_pack_writer_offset(const walb_wdiff_pack_writer *w);
void walb_wdiff_pack_writer_statistics(const walb_wdiff_pack_writer *w, walb_wdiff_statistics *statistics);

/* A verifier of packs that come in pieces of any length. */
typedef struct {
    walb_wdiff_pack pack;
    uint64_t offset, last_end_lb;
    uint32_t have, record, record_have, sum;
    uint8_t header[4096];
} walb_wdiff_verifier;

void walb_wdiff_verifier_init(walb_wdiff_verifier *v);

/* Returns 0 when everything so far may belong to a valid stream; offsets in messages count as in the file, whose header is
 * not part of the stream. */
int walb_wdiff_verify(walb_wdiff_verifier *v, const uint8_t *data, size_t len, walb_failure *f);

/* True between packs. */
int walb_wdiff_verifier_is_complete(const walb_wdiff_verifier *v);

/* Verifies and then appends to the descriptor. */
int walb_wdiff_receive(walb_wdiff_verifier *v, int fd, const uint8_t *data, size_t len, walb_failure *f);

/* The 4096 bytes that end a sorted file. */
void walb_wdiff_build_end(uint8_t *block);
/* cffi-end */

#endif
