/* The incremental log parser, cut into pieces, against the same log in one piece. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int signs;

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
