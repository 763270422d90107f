#include "wdiff_codec.h"

#include <string.h>

#include "snappy.h"

static walb_codec_function others;

void walb_codec_install(walb_codec_function function)
{
    others = function;
}

size_t walb_codec_compress(int codec, int level, const uint8_t *src, size_t len, uint8_t *dst)
{
    int64_t size;

    if (codec == WALB_CODEC_NONE || len == 0)
        return 0;
    if (codec == WALB_CODEC_SNAPPY)
        return walb_snappy_compress(src, len, dst, len - 1);
    size = others ? others(codec, level, src, len, dst, len - 1) : -1;
    return size > 0 ? (size_t)size : 0;
}

int walb_codec_decompress(int codec, const uint8_t *src, size_t len, uint8_t *dst, size_t size)
{
    if (codec == WALB_CODEC_SNAPPY)
        return walb_snappy_decompress(src, len, dst, size);
    if (codec != WALB_CODEC_NONE)
        return others && others(codec, -1, src, len, dst, size) == (int64_t)size ? 0 : -1;
    if (len != size)
        return -1;
    memcpy(dst, src, len);
    return 0;
}
