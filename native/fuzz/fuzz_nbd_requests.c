/* The requests of an NBD client: whatever comes, what is taken lies within the bytes received and within the device. */
#include "fuzz.h"
#include "nbd_requests.h"

enum { MAX_WRITES = 16, ANSWERS_BYTES = 20000 };

static void check_writes(uint64_t device_bytes, uint32_t max_record_lb, const uint8_t *data, size_t size)
{
    walb_log_write writes[MAX_WRITES];
    uint8_t replies[MAX_WRITES * WALB_NBD_REPLY_BYTES];
    walb_nbd_taken taken;
    uint64_t log_bytes = 0;
    uint32_t i;

    walb_nbd_take_writes(device_bytes, max_record_lb, data, size, writes, replies, MAX_WRITES, &taken);
    MUST(taken.n_writes <= MAX_WRITES && taken.request_bytes <= size);
    for (i = 0; i < taken.n_writes; i++) {
        const walb_log_write *w = &writes[i];
        MUST(w->size_lb > 0 && w->size_lb <= max_record_lb && !w->is_discard);
        MUST(w->data >= data && w->data + w->size_lb * 512 <= data + taken.request_bytes);
        MUST(w->offset_lb + w->size_lb <= device_bytes / 512);
        log_bytes += w->size_lb * 512;
    }
    MUST(log_bytes == taken.log_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t answers[ANSWERS_BYTES];
    walb_nbd_source source = {-1, 0, 0, 8192};
    walb_nbd_answered answered;

    if (size < 4)
        return 0;
    source.device_bytes = (uint64_t)data[0] << data[1] % 48;
    source.is_structured = data[2] % 2;
    check_writes(source.device_bytes, 1 + data[3] % 64, data + 4, size - 4);
    walb_nbd_answer_reads(&source, data + 4, size - 4, answers, ANSWERS_BYTES, &answered);
    MUST(answered.request_bytes == 0 && answered.answer_bytes == 0);
    return 0;
}
