/* A log file: its header; the incremental log parser, cut into pieces, against the same log in one piece. */
#include "fuzz.h"
#include "log_input.h"

typedef struct {
    uint64_t bytes, next_lsid;
    uint32_t records, sum;
    int result;
} outcome;

static outcome parse(const log_input *in, size_t step)
{
    walb_log_stream stream;
    outcome out = {0, 0, 0, 0, WALB_LOG_MORE};
    size_t at;

    walb_log_stream_init(&stream, in->pbs, in->salt, in->begin_lsid);
    for (at = 0; at < in->size && out.result == WALB_LOG_MORE; at += step) {
        const uint8_t *pos = in->log + at, *end = in->log + (in->size - at < step ? in->size : at + step);
        walb_log_event ev;
        do {
            out.result = walb_log_next(&stream, &pos, end, &ev);
            MUST(pos <= end);
            if (out.result == WALB_LOG_DATA) {
                MUST(ev.data + ev.len == pos && ev.len > 0 && ev.record < stream.pack.n_records);
                out.bytes += ev.len;
                out.sum += ev.data[0];
            }
            out.records += out.result == WALB_LOG_RECORD;
        } while (out.result > 0 && out.result != WALB_LOG_END);
        MUST(out.result != WALB_LOG_MORE || pos == end);
    }
    out.next_lsid = stream.next_lsid;
    return out;
}

/* An accepted header is the one that is built of what it says. */
static void check_header(const uint8_t *data)
{
    uint8_t block[WALB_LOG_FILE_HEADER_BYTES];
    walb_log_file_header h, again;
    walb_failure f;

    memcpy(block, data, sizeof block);
    if (walb_log_file_header_parse(block, &h, &f) != 0) {
        walb_put32(block + 8, 0);
        walb_put32(block + 8, walb_csum(block, sizeof block, 0));
        if (walb_log_file_header_parse(block, &h, &f) != 0) {
            MUST(memcmp(f.text, "offset ", 7) == 0);
            return;
        }
    }
    MUST(walb_log_is_pbs(h.pbs) && h.begin_lsid < h.end_lsid);
    walb_log_file_header_build(block, &h);
    MUST(walb_log_file_header_parse(block, &again, &f) == 0 && memcmp(&h, &again, sizeof h) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int signs;

    if (size >= WALB_LOG_FILE_HEADER_BYTES)
        check_header(data);
    for (signs = 0; signs < 2; signs++) {
        log_input in;
        outcome whole, pieces;
        if (!take_log_input(&in, data, size, signs))
            return 0;
        whole = parse(&in, in.size);
        pieces = parse(&in, 1 + data[24] * 7);
        MUST(whole.bytes == pieces.bytes && whole.records == pieces.records && whole.next_lsid == pieces.next_lsid &&
             whole.result == pieces.result);
        free(in.log);
    }
    return 0;
}
