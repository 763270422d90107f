#include "checksum.h"

#include <string.h>

static uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t walb_csum_partial(const uint8_t *data, size_t len, uint32_t sum)
{
    size_t words = len / 4, i;
    for (i = 0; i < words; i++)
        sum += load_le32(data + 4 * i);
    if (len % 4 != 0) {
        uint8_t tail[4] = {0, 0, 0, 0};
        memcpy(tail, data + 4 * words, len % 4);
        sum += load_le32(tail);
    }
    return sum;
}

uint32_t walb_csum_piece(const uint8_t *data, size_t len, uint64_t offset, uint32_t sum)
{
    for (; len > 0 && offset % 4 != 0; len--, offset++)
        sum += (uint32_t)*data++ << 8 * (offset % 4);
    return walb_csum_partial(data, len, sum);
}

uint32_t walb_csum(const uint8_t *data, size_t len, uint32_t salt)
{
    return 0u - walb_csum_partial(data, len, salt);
}

int walb_is_zero(const uint8_t *data, size_t len)
{
    /* Compares the buffer with itself shifted by 16 bytes: memcmp is vectorised by every libc and stops early. */
    size_t head = len < 16 ? len : 16, i;
    for (i = 0; i < head; i++)
        if (data[i] != 0)
            return 0;
    return len <= 16 || memcmp(data, data + 16, len - 16) == 0;
}

/* Reflected polynomial 0x1EDC6F41. Eight tables, so that eight bytes are folded per step without hardware help. */
static uint32_t crc_table[8][256];

__attribute__((constructor)) static void make_crc_tables(void)
{
    uint32_t n, k;
    for (n = 0; n < 256; n++) {
        uint32_t c = n;
        for (k = 0; k < 8; k++)
            c = c & 1 ? 0x82f63b78u ^ (c >> 1) : c >> 1;
        crc_table[0][n] = c;
    }
    for (n = 0; n < 256; n++)
        for (k = 1; k < 8; k++)
            crc_table[k][n] = crc_table[0][crc_table[k - 1][n] & 0xff] ^ (crc_table[k - 1][n] >> 8);
}

static uint32_t crc32c_soft(const uint8_t *p, size_t len, uint32_t c)
{
    while (len >= 8) {
        uint32_t lo = c ^ load_le32(p), hi = load_le32(p + 4);
        c = crc_table[7][lo & 0xff] ^ crc_table[6][(lo >> 8) & 0xff] ^ crc_table[5][(lo >> 16) & 0xff] ^
            crc_table[4][lo >> 24] ^ crc_table[3][hi & 0xff] ^ crc_table[2][(hi >> 8) & 0xff] ^
            crc_table[1][(hi >> 16) & 0xff] ^ crc_table[0][hi >> 24];
        p += 8;
        len -= 8;
    }
    for (; len > 0; len--)
        c = crc_table[0][(c ^ *p++) & 0xff] ^ (c >> 8);
    return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

/* The crc32 instruction takes 3 cycles but a new one can start in each: three thirds of a piece are summed side by side
 * and then joined. Joining needs the sum a third would have after THIRD more zero bytes, which is linear in the sum:
 * crc_shift holds it for each value of each of its four bytes. */
#define THIRD 4096
static uint32_t crc_shift[4][256];

__attribute__((target("sse4.2"))) static uint64_t crc_zeros(uint64_t c, size_t len)
{
    for (; len > 0; len -= 8)
        c = _mm_crc32_u64(c, 0);
    return c;
}

__attribute__((constructor)) static void make_crc_shift(void)
{
    uint32_t byte, bit, n;
    if (!__builtin_cpu_supports("sse4.2"))
        return;
    for (byte = 0; byte < 4; byte++)
        for (bit = 0; bit < 8; bit++) {
            uint32_t shifted = (uint32_t)crc_zeros(1u << (8 * byte + bit), THIRD);
            for (n = 0; n < 256; n++)
                if (n >> bit & 1)
                    crc_shift[byte][n] ^= shifted;
        }
}

static uint32_t shift_third(uint32_t c)
{
    return crc_shift[0][c & 0xff] ^ crc_shift[1][c >> 8 & 0xff] ^ crc_shift[2][c >> 16 & 0xff] ^ crc_shift[3][c >> 24];
}

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_hard(const uint8_t *p, size_t len, uint32_t crc)
{
    uint64_t c = crc;
    for (; len >= 3 * THIRD; p += 3 * THIRD, len -= 3 * THIRD) {
        uint64_t second = 0, third = 0;
        size_t i;
        for (i = 0; i < THIRD; i += 8) {
            c = _mm_crc32_u64(c, load_u64(p + i));
            second = _mm_crc32_u64(second, load_u64(p + THIRD + i));
            third = _mm_crc32_u64(third, load_u64(p + 2 * THIRD + i));
        }
        c = shift_third(shift_third((uint32_t)c) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    for (; len >= 8; p += 8, len -= 8)
        c = _mm_crc32_u64(c, load_u64(p));
    for (; len > 0; len--)
        c = _mm_crc32_u8((uint32_t)c, *p++);
    return (uint32_t)c;
}

uint32_t walb_crc32c(const uint8_t *data, size_t len, uint32_t crc)
{
    crc = ~crc;
    return ~(__builtin_cpu_supports("sse4.2") ? crc32c_hard(data, len, crc) : crc32c_soft(data, len, crc));
}
#else
uint32_t walb_crc32c(const uint8_t *data, size_t len, uint32_t crc)
{
    return ~crc32c_soft(data, len, ~crc);
}
#endif
