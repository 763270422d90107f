#include "murmur3.h"

#include "bytes.h"

#define C1 0x87c37b91114253d5u
#define C2 0x4cf5ad432745937fu

static inline uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline uint64_t spread(uint64_t k)
{
    k ^= k >> 33;
    k *= 0xff51afd7ed558ccdu;
    k ^= k >> 33;
    k *= 0xc4ceb9fe1a85ec53u;
    return k ^ k >> 33;
}

static inline uint64_t first_half(uint64_t k)
{
    return rotate(k * C1, 31) * C2;
}

static inline uint64_t second_half(uint64_t k)
{
    return rotate(k * C2, 33) * C1;
}

void walb_murmur3(const uint8_t *data, size_t len, uint32_t seed, uint8_t *digest)
{
    uint64_t h1 = seed, h2 = seed;
    uint8_t tail[16] = {0};
    size_t i;

    for (i = 0; i + 16 <= len; i += 16) {
        h1 ^= first_half(walb_get64(data + i));
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= second_half(walb_get64(data + i + 8));
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    /* The rest, padded with zeros: those contribute nothing. */
    memcpy(tail, data + i, len - i);
    h2 ^= second_half(walb_get64(tail + 8));
    h1 ^= first_half(walb_get64(tail));
    h1 ^= len;
    h2 ^= len;
    h1 += h2;
    h2 += h1;
    h1 = spread(h1);
    h2 = spread(h2);
    h1 += h2;
    h2 += h1;
    walb_put64(digest, h1);
    walb_put64(digest + 8, h2);
}

void walb_murmur3_xor(const uint8_t *data, size_t len, size_t chunk_bytes, uint32_t seed, uint8_t *digest)
{
    uint8_t one[16];
    size_t i;

    while (len > 0) {
        size_t n = len < chunk_bytes ? len : chunk_bytes;
        walb_murmur3(data, n, seed++, one);
        for (i = 0; i < sizeof one; i++)
            digest[i] ^= one[i];
        data += n;
        len -= n;
    }
}
