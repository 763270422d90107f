/* Codecs of wdiff records by their number (wdiff-format.md section 5): none and snappy here, the others through one
 * function that the embedder installs. */
#ifndef WALB_WDIFF_CODEC_H
#define WALB_WDIFF_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
#define WALB_CODEC_NONE 0
#define WALB_CODEC_GZIP 1
#define WALB_CODEC_SNAPPY 2
#define WALB_CODEC_LZMA 3
#define WALB_CODEC_LZ4 4
#define WALB_CODEC_ZSTD 5

/* Compresses (level >= 0) or decodes (level -1) len bytes of src into dst, which has room for size bytes. Returns the
 * size of the result, or -1 when it does not fit or the input is malformed. */
typedef int64_t (*walb_codec_function)(int codec, int level, const uint8_t *src, size_t len, uint8_t *dst, size_t size);

/* Installs the other codecs; once, before any thread uses them. */
void walb_codec_install(walb_codec_function function);
/* cffi-end */

/* The function that Python installs; no C, only cffi reads it. */
#if 0
/* cffi-begin */
extern "Python" int64_t walb_python_codec(int, int, const uint8_t *, size_t, uint8_t *, size_t);
/* cffi-end */
#endif

/* Compresses into dst, which has room for len bytes. Returns the stored size when it is smaller than len, else 0: store
 * the data as they are, with codec none. */
size_t walb_codec_compress(int codec, int level, const uint8_t *src, size_t len, uint8_t *dst);

/* Decodes into exactly size bytes; returns 0 or -1. */
int walb_codec_decompress(int codec, const uint8_t *src, size_t len, uint8_t *dst, size_t size);

#endif
