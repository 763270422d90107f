#include "snappy.h"

#include <string.h>

/* Matches are searched within blocks of this size, so that offsets and table entries fit 16 bits. */
#define BLOCK_BYTES 65536
#define MAX_TABLE_BITS 14
#define MIN_TABLE_BITS 8
/* Bytes before the end of a block where no match is begun: every look-ahead stays inside. */
#define MARGIN 16
/* After this many misses the step between probes grows by one. */
#define MISSES_PER_STEP 32
/* What a new block begins with at most after a block without matches: the content may have become better. */
#define MAX_FIRST_STEP 16

typedef struct {
    uint8_t *pos, *end;
} output;

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static int put_length(output *out, size_t len)
{
    do {
        if (out->pos == out->end)
            return -1;
        *out->pos++ = (uint8_t)(len >= 0x80 ? len | 0x80 : len);
        len >>= 7;
    } while (len > 0);
    return 0;
}

/* src_end is the end of the whole input: short literals are copied in one fixed-size step when both sides have room. */
static int put_literal(output *out, const uint8_t *src, size_t len, const uint8_t *src_end)
{
    size_t n = len - 1, room = (size_t)(out->end - out->pos);

    if (len == 0)
        return 0;
    if (len <= 16 && room > 16 && src_end - src >= 16) {
        *out->pos++ = (uint8_t)(n << 2);
        memcpy(out->pos, src, 16);
        out->pos += len;
        return 0;
    }
    if (room < 5 || room - 5 < len)
        return -1;
    if (n < 60) {
        *out->pos++ = (uint8_t)(n << 2);
    } else {
        int extra = n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x1000000 ? 3 : 4, i;
        *out->pos++ = (uint8_t)((59 + extra) << 2);
        for (i = 0; i < extra; i++)
            *out->pos++ = (uint8_t)(n >> 8 * i);
    }
    memcpy(out->pos, src, len);
    out->pos += len;
    return 0;
}

static int put_copy(output *out, size_t offset, size_t len)
{
    while (len > 0) {
        /* The last piece must have at least 4 bytes. */
        size_t n = len < 65 ? len : len < 68 ? 60 : 64;
        if (out->end - out->pos < 3)
            return -1;
        if (n >= 4 && n <= 11 && offset < 2048) {
            *out->pos++ = (uint8_t)(1 | (n - 4) << 2 | offset >> 8 << 5);
            *out->pos++ = (uint8_t)offset;
        } else {
            *out->pos++ = (uint8_t)(2 | (n - 1) << 2);
            *out->pos++ = (uint8_t)offset;
            *out->pos++ = (uint8_t)(offset >> 8);
        }
        len -= n;
    }
    return 0;
}

/* Length of the common prefix of a and b; b < end bounds it. */
static size_t common_length(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    const uint8_t *start = b;

    while (end - b >= 8) {
        uint64_t difference = load64(a) ^ load64(b);
        if (difference != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return (size_t)(b - start) + (size_t)(__builtin_ctzll(difference) >> 3);
#else
            return (size_t)(b - start) + (size_t)(__builtin_clzll(difference) >> 3);
#endif
        }
        a += 8;
        b += 8;
    }
    while (b < end && *a == *b) {
        a++;
        b++;
    }
    return (size_t)(b - start);
}

/* Compresses one block; *literal is where the bytes not yet written begin, possibly in an earlier block. */
static int compress_block(output *out, const uint8_t *base, const uint8_t *end, const uint8_t **literal,
                          const uint8_t *src_end, uint32_t *misses)
{
    uint16_t table[1 << MAX_TABLE_BITS];
    const uint8_t *p = base + 1, *last = end - MARGIN;
    int bits = MIN_TABLE_BITS, shift;

    while (bits < MAX_TABLE_BITS && (size_t)1 << bits < (size_t)(end - base))
        bits++;
    shift = 32 - bits;
    memset(table, 0, sizeof table[0] << bits);
    while (p <= last) {
        uint32_t word = load32(p), slot = (word * 0x9e3779b1u) >> shift;
        const uint8_t *candidate = base + table[slot];
        size_t len;

        table[slot] = (uint16_t)(p - base);
        if (load32(candidate) != word) {
            p += (*misses)++ / MISSES_PER_STEP;
            continue;
        }
        len = 4 + common_length(candidate + 4, p + 4, end);
        if (put_literal(out, *literal, (size_t)(p - *literal), src_end) != 0 ||
            put_copy(out, (size_t)(p - candidate), len) != 0)
            return -1;
        *misses = MISSES_PER_STEP;
        p += len;
        *literal = p;
        if (p <= last)
            table[(load32(p - 1) * 0x9e3779b1u) >> shift] = (uint16_t)(p - 1 - base);
    }
    return 0;
}

size_t walb_snappy_compress(const uint8_t *src, size_t len, uint8_t *dst, size_t limit)
{
    output out = {dst, dst + limit};
    const uint8_t *literal = src, *src_end = src + len;
    uint32_t misses = MISSES_PER_STEP;
    size_t at;

    if (len > UINT32_MAX || put_length(&out, len) != 0)
        return 0;
    for (at = 0; at < len; at += BLOCK_BYTES) {
        size_t n = len - at < BLOCK_BYTES ? len - at : BLOCK_BYTES;
        if (misses > MAX_FIRST_STEP * MISSES_PER_STEP)
            misses = MAX_FIRST_STEP * MISSES_PER_STEP;
        if (n > MARGIN && compress_block(&out, src + at, src + at + n, &literal, src_end, &misses) != 0)
            return 0;
    }
    if (put_literal(&out, literal, (size_t)(src_end - literal), src_end) != 0)
        return 0;
    return (size_t)(out.pos - dst);
}

/* Reads the length in front of a block; returns the bytes it took, 0 when malformed. */
static size_t get_length(const uint8_t *src, size_t len, uint64_t *value)
{
    size_t i;

    *value = 0;
    for (i = 0; i < len && i < 5; i++) {
        *value |= (uint64_t)(src[i] & 0x7f) << 7 * i;
        if (src[i] < 0x80)
            return i + 1;
    }
    return 0;
}

/* Copies len bytes from offset bytes back; source and destination may overlap, which repeats the pattern. */
static void copy_back(uint8_t *pos, size_t offset, size_t len, const uint8_t *end)
{
    const uint8_t *from = pos - offset;

    if (offset >= 16 && len <= 64 && end - pos >= 64) {
        size_t i;
        for (i = 0; i < len; i += 16)
            memcpy(pos + i, from + i, 16);
    } else if (offset >= len) {
        memcpy(pos, from, len);
    } else if (offset == 1) {
        memset(pos, *from, len);
    } else {
        while (len-- > 0)
            *pos++ = *from++;
    }
}

int walb_snappy_decompress(const uint8_t *src, size_t len, uint8_t *dst, size_t size)
{
    const uint8_t *in = src, *in_end = src + len;
    uint8_t *pos = dst, *end = dst + size;
    uint64_t claimed;

    in += get_length(src, len, &claimed);
    if (in == src || claimed != size)
        return -1;
    while (in < in_end) {
        uint32_t tag = *in++;
        size_t left = (size_t)(in_end - in), n, offset;

        if ((tag & 3) == 0) {
            n = tag >> 2;
            if (n >= 60) {
                size_t extra = n - 59, i;
                if (left < extra)
                    return -1;
                for (i = 0, n = 0; i < extra; i++)
                    n |= (size_t)*in++ << 8 * i;
                left -= extra;
            }
            n++;
            if (n > left || n > (size_t)(end - pos))
                return -1;
            if (n <= 16 && left >= 16 && end - pos >= 16)
                memcpy(pos, in, 16);
            else
                memcpy(pos, in, n);
            in += n;
            pos += n;
            continue;
        }
        if ((tag & 3) == 1) {
            if (left < 1)
                return -1;
            n = 4 + (tag >> 2 & 7);
            offset = (size_t)(tag >> 5) << 8 | in[0];
            in += 1;
        } else if ((tag & 3) == 2) {
            if (left < 2)
                return -1;
            n = 1 + (tag >> 2);
            offset = (size_t)in[0] | (size_t)in[1] << 8;
            in += 2;
        } else {
            if (left < 4)
                return -1;
            n = 1 + (tag >> 2);
            offset = load32(in);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
            offset = __builtin_bswap32((uint32_t)offset);
#endif
            in += 4;
        }
        if (offset == 0 || offset > (size_t)(pos - dst) || n > (size_t)(end - pos))
            return -1;
        copy_back(pos, offset, n, end);
        pos += n;
    }
    return pos == end ? 0 : -1;
}
