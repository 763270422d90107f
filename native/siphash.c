#include "siphash.h"

#include "bytes.h"

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND(v0, v1, v2, v3)                                                                                                 \
    do {                                                                                                                       \
        v0 += v1, v2 += v3;                                                                                                    \
        v1 = ROTATE(v1, 13) ^ v0, v3 = ROTATE(v3, 16) ^ v2;                                                                    \
        v0 = ROTATE(v0, 32);                                                                                                   \
        v2 += v1, v0 += v3;                                                                                                    \
        v1 = ROTATE(v1, 17) ^ v2, v3 = ROTATE(v3, 21) ^ v0;                                                                    \
        v2 = ROTATE(v2, 32);                                                                                                   \
    } while (0)

/* The four constants of SipHash with the key in them. */
static const uint64_t START[4] = {
    0x736f6d6570736575u ^ 0x0706050403020100u,
    0x646f72616e646f6du ^ 0x0f0e0d0c0b0a0908u,
    0x6c7967656e657261u ^ 0x0706050403020100u,
    0x7465646279746573u ^ 0x0f0e0d0c0b0a0908u,
};

static void take_word(uint64_t *v, uint64_t word)
{
    v[3] ^= word;
    ROUND(v[0], v[1], v[2], v[3]);
    ROUND(v[0], v[1], v[2], v[3]);
    v[0] ^= word;
}

static void finish(uint64_t *v, uint64_t last_word, uint8_t *digest)
{
    int i;

    take_word(v, last_word);
    v[2] ^= 0xff;
    for (i = 0; i < 4; i++)
        ROUND(v[0], v[1], v[2], v[3]);
    walb_put64(digest, v[0] ^ v[1]);
    walb_put64(digest + 8, v[2] ^ v[3]);
}

void walb_siphash_init(walb_siphash *s)
{
    memset(s, 0, sizeof *s);
    memcpy(s->v, START, sizeof START);
}

void walb_siphash_update(walb_siphash *s, const uint8_t *data, size_t len)
{
    size_t have = s->length % 8, n;
    uint64_t v[4];

    s->length += len;
    if (have > 0) {
        n = 8 - have < len ? 8 - have : len;
        memcpy(s->rest + have, data, n);
        if (have + n < 8)
            return;
        take_word(s->v, walb_get64(s->rest));
        data += n;
        len -= n;
    }
    memcpy(v, s->v, sizeof v);
    for (; len >= 8; data += 8, len -= 8)
        take_word(v, walb_get64(data));
    memcpy(s->v, v, sizeof v);
    if (len > 0)
        memcpy(s->rest, data, len);
}

void walb_siphash_digest(const walb_siphash *s, uint8_t *digest)
{
    uint8_t last[8] = {0};
    uint64_t v[4];

    memcpy(v, s->v, sizeof v);
    memcpy(last, s->rest, s->length % 8);
    last[7] = (uint8_t)s->length;
    finish(v, walb_get64(last), digest);
}

void walb_siphash_lanes_init(walb_siphash_lanes *s)
{
    int i, lane;

    for (i = 0; i < 4; i++)
        for (lane = 0; lane < WALB_SIPHASH_LANES; lane++)
            s->v[i][lane] = START[i];
    s->length = 0;
}

/* One message leaves most of the processor idle: each step waits for the one before. Eight side by side do not wait, and
 * the compiler turns the vectors into what the processor has. */
typedef uint64_t lanes __attribute__((vector_size(8 * WALB_SIPHASH_LANES)));

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

FOR_EACH_PROCESSOR void walb_siphash_lanes_update(walb_siphash_lanes *s, const uint8_t *data, size_t stride, size_t len)
{
    lanes v0, v1, v2, v3, word;
    size_t at;
    int lane;

    memcpy(&v0, s->v[0], sizeof v0);
    memcpy(&v1, s->v[1], sizeof v1);
    memcpy(&v2, s->v[2], sizeof v2);
    memcpy(&v3, s->v[3], sizeof v3);
    for (at = 0; at + 8 <= len; at += 8) {
        for (lane = 0; lane < WALB_SIPHASH_LANES; lane++)
            word[lane] = walb_get64(data + (size_t)lane * stride + at);
        v3 ^= word;
        ROUND(v0, v1, v2, v3);
        ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    memcpy(s->v[0], &v0, sizeof v0);
    memcpy(s->v[1], &v1, sizeof v1);
    memcpy(s->v[2], &v2, sizeof v2);
    memcpy(s->v[3], &v3, sizeof v3);
    s->length += len;
}

void walb_siphash_lanes_digest(const walb_siphash_lanes *s, uint8_t *digests)
{
    int i, lane;

    for (lane = 0; lane < WALB_SIPHASH_LANES; lane++) {
        uint64_t v[4];
        for (i = 0; i < 4; i++)
            v[i] = s->v[i][lane];
        finish(v, (s->length & 0xff) << 56, digests + 16 * lane);
    }
}
