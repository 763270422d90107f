/* Log packs (wlog-format.md sections 5 to 8): one header block, and the incremental parser of a log stream.
 *
 * All input is hostile: lengths in it are believed only after every check of section 8, and no memory is taken. */
#ifndef WALB_WLOG_PARSE_H
#define WALB_WLOG_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
#define WALB_LOG_EXIST 1
#define WALB_LOG_PADDING 2
#define WALB_LOG_DISCARD 4

/* Results of the parsers. */
#define WALB_LOG_MORE 0
#define WALB_LOG_PACK 1
#define WALB_LOG_DATA 2
#define WALB_LOG_RECORD 3
#define WALB_LOG_PACK_END 4
#define WALB_LOG_END 5

/* The block is no pack of this log at this lsid. In a ring or a cut file, this is where the log ends. */
#define WALB_LOG_BAD_TYPE -1
#define WALB_LOG_BAD_CHECKSUM -2
#define WALB_LOG_BAD_LSID -3
#define WALB_LOG_BAD_EMPTY -4
#define WALB_LOG_BAD_COUNT -5
#define WALB_LOG_BAD_RANGE -6
#define WALB_LOG_BAD_RECORD -7
/* The header verifies but contradicts itself. */
#define WALB_LOG_BAD_LAYOUT -8
#define WALB_LOG_BAD_OFFSET -9
/* The data of a record do not match its checksum. */
#define WALB_LOG_BAD_DATA -10
/* The physical block size given by the caller is not 512, 1024, 2048 or 4096. */
#define WALB_LOG_BAD_PBS -11

typedef struct {
    uint64_t offset_lb, lsid;
    uint32_t size_lb, csum;
    uint16_t flags, lsid_local;
} walb_log_record;

/* total_pb counts the data blocks after the header. */
typedef struct {
    uint64_t lsid;
    uint32_t total_pb, n_records, n_padding;
    walb_log_record records[127];
} walb_log_pack;

/* Decodes and checks one header block of pbs bytes. Returns 0, WALB_LOG_END for the block that ends a stream, or one of
 * WALB_LOG_BAD_*; out is meaningful after 0 only. */
int walb_log_pack_parse(const uint8_t *block, uint32_t pbs, uint32_t salt, uint64_t expected_lsid, walb_log_pack *out);

/* What a negative result means, for a message. */
const char *walb_log_error(int code);

/* Parser of a stream that comes in pieces of any length. block is the last header block as it came, next_lsid where
 * the next pack begins; the other fields are private. */
typedef struct {
    walb_log_pack pack;
    uint64_t next_lsid;
    uint32_t pbs, salt;
    int state;
    uint32_t record, sum;
    uint64_t have, skip;
    uint8_t block[4096];
} walb_log_stream;

typedef struct {
    const uint8_t *data;
    size_t len;
    uint32_t record;
    uint64_t data_offset;
} walb_log_event;

void walb_log_stream_init(walb_log_stream *s, uint32_t pbs, uint32_t salt, uint64_t begin_lsid);

/* Goes on to the next event; call it until it returns WALB_LOG_MORE or ends. *pos moves over the input used up.
 *   WALB_LOG_MORE      the input is used up
 *   WALB_LOG_PACK      a header was accepted: s->pack
 *   WALB_LOG_DATA      ev->data, ev->len: a piece of the data of normal record ev->record, at byte ev->data_offset of it
 *   WALB_LOG_RECORD    normal record ev->record is complete and its checksum right, or it is a discard
 *   WALB_LOG_PACK_END  all of the pack was used up: s->next_lsid moved
 *   WALB_LOG_END       the end block; *pos is behind it
 *   WALB_LOG_BAD_*     the stream is wrong here
 * The last two are final: further calls return the same. Padding and the rest of a record's last block are skipped. */
int walb_log_next(walb_log_stream *s, const uint8_t **pos, const uint8_t *end, walb_log_event *ev);

/* Verifies a piece of a stream (len is a number of whole blocks) up to the first pack that would end behind limit_lsid.
 * Returns WALB_LOG_MORE, WALB_LOG_END or an error; *used is how many bytes verified or lie in a pack that does so far.
 * A pack left out for the limit is not remembered: give its bytes again. */
int walb_log_verify(walb_log_stream *s, const uint8_t *data, size_t len, uint64_t limit_lsid, size_t *used);

/* True between packs: everything given so far was whole packs. */
int walb_log_at_boundary(const walb_log_stream *s);
/* cffi-end */

#define WALB_LOG_PACK_HEADER_BYTES 24
#define WALB_LOG_RECORD_BYTES 32
#define WALB_LOG_SECTOR_TYPE_PACK 3
#define WALB_LOG_MAX_NORMAL_LB 65535

/* Physical block sizes that exist (wlog-format.md section 1): a multiple of 512 that divides 4096. */
static inline int walb_log_is_pbs(uint32_t pbs)
{
    return pbs == 512 || pbs == 1024 || pbs == 2048 || pbs == 4096;
}

static inline uint32_t walb_log_max_records(uint32_t pbs)
{
    return (pbs - WALB_LOG_PACK_HEADER_BYTES) / WALB_LOG_RECORD_BYTES;
}

/* Blocks of the log that the data of size_lb logical blocks take. */
static inline uint32_t walb_log_lb_to_pb(uint32_t size_lb, uint32_t pbs)
{
    uint32_t lb_per_pb = pbs / 512;
    return size_lb / lb_per_pb + (size_lb % lb_per_pb != 0);
}

#endif
