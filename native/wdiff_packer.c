#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "wdiff_codec.h"
#include "wdiff_pack.h"

/* A pack is closed when the next record might exceed this: far below what the format allows, so that a pack stays in the
 * processor's cache from reading to sending. */
#define PACK_DATA_BYTES ((size_t)2 << 20)

struct walb_wdiff_packer {
    walb_wdiff_merge *merge;
    int codec, level;
    /* The piece that did not fit the last pack. */
    walb_wdiff_piece piece;
    int has_piece, is_ended;
    /* The pack being sent: bytes from sent to size. */
    size_t sent, size;
    uint8_t bytes[WALB_WDIFF_PACK_HEADER_BYTES + PACK_DATA_BYTES];
};

walb_wdiff_packer *walb_wdiff_packer_new(walb_wdiff_merge *m, int codec, int level, walb_failure *f)
{
    walb_wdiff_packer *p = malloc(sizeof *p);

    if (!p) {
        walb_fail_memory(f);
        return NULL;
    }
    p->merge = m;
    p->codec = codec;
    p->level = level;
    p->has_piece = p->is_ended = 0;
    p->sent = p->size = 0;
    return p;
}

void walb_wdiff_packer_free(walb_wdiff_packer *p)
{
    free(p);
}

/* How hard a codec tries: 0 none, 1 fast, 2 strong. */
static int strength(int codec)
{
    return codec == WALB_CODEC_NONE ? 0 : codec == WALB_CODEC_SNAPPY || codec == WALB_CODEC_LZ4 ? 1 : 2;
}

/* Data that did not become smaller once will not do so now, and data compressed at least as well as wanted gain nothing:
 * both go out as they are stored. */
static int is_passed_through(const walb_wdiff_packer *p, const walb_wdiff_piece *piece)
{
    const walb_wdiff_record *r = &piece->record;

    return walb_wdiff_piece_is_whole(piece) && r->stored_bytes <= r->image_lb * WALB_LB_BYTES &&
           (r->codec == WALB_CODEC_NONE || r->codec == p->codec || strength(r->codec) >= strength(p->codec));
}

/* Puts the data of a normal piece at dst and completes its record. */
static int put_data(walb_wdiff_packer *p, const walb_wdiff_piece *piece, uint8_t *dst, walb_wdiff_record *r, walb_failure *f)
{
    size_t len = (size_t)piece->blocks_lb * WALB_LB_BYTES, stored;
    const uint8_t *data;
    int result;

    if (is_passed_through(p, piece)) {
        r->codec = piece->record.codec;
        r->stored_bytes = piece->record.stored_bytes;
        r->checksum = piece->record.checksum;
        return walb_wdiff_merge_load(p->merge, piece, dst, f);
    }
    result = walb_wdiff_merge_data(p->merge, piece, &data, f);
    if (result != 0)
        return result;
    stored = walb_codec_compress(p->codec, p->level, data, len, dst);
    r->codec = (uint8_t)(stored > 0 ? p->codec : WALB_CODEC_NONE);
    if (stored == 0) {
        memcpy(dst, data, len);
        stored = len;
    }
    r->stored_bytes = (uint32_t)stored;
    r->checksum = walb_csum(dst, stored, 0);
    return 0;
}

/* Builds the next pack; leaves size 0 at the end. */
static int build_pack(walb_wdiff_packer *p, walb_failure *f)
{
    uint8_t *data = p->bytes + WALB_WDIFF_PACK_HEADER_BYTES;
    size_t used = 0;
    uint32_t n = 0;

    p->sent = p->size = 0;
    while (n < WALB_WDIFF_MAX_RECORDS) {
        walb_wdiff_record r = {0};
        int result = 1;
        if (!p->has_piece)
            result = walb_wdiff_merge_next(p->merge, &p->piece, f);
        if (result < 0)
            return result;
        if (result == 0)
            break;
        r.kind = p->piece.record.kind;
        r.address_lb = p->piece.address_lb;
        r.blocks_lb = p->piece.blocks_lb;
        p->has_piece = r.kind == WALB_WDIFF_NORMAL && used + (size_t)r.blocks_lb * WALB_LB_BYTES > PACK_DATA_BYTES;
        if (p->has_piece)
            break;
        result = r.kind == WALB_WDIFF_NORMAL ? put_data(p, &p->piece, data + used, &r, f) : 0;
        if (result != 0)
            return result;
        walb_wdiff_build_record(p->bytes, n++, &r, (uint32_t)used);
        used += r.stored_bytes;
    }
    if (n == 0) {
        p->is_ended = 1;
        return 0;
    }
    walb_wdiff_build_pack(p->bytes, n, (uint32_t)used, 0);
    p->size = WALB_WDIFF_PACK_HEADER_BYTES + used;
    return 0;
}

int64_t walb_wdiff_packer_read(walb_wdiff_packer *p, uint8_t *dst, size_t room, walb_failure *f)
{
    size_t done = 0, n;

    while (done < room) {
        if (p->sent == p->size && !p->is_ended) {
            int result = build_pack(p, f);
            if (result != 0)
                return result;
        }
        if (p->is_ended)
            break;
        n = p->size - p->sent < room - done ? p->size - p->sent : room - done;
        memcpy(dst + done, p->bytes + p->sent, n);
        p->sent += n;
        done += n;
    }
    return (int64_t)done;
}
