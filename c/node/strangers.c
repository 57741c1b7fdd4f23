#include "node/strangers.h"

#define PERIOD span_s(60)

void strangers_counts(const struct endpoint_counters *n,
                      struct strangers_count out[STRANGERS_COUNTS])
{
    const struct strangers_count all[STRANGERS_COUNTS] = {
        {"links", n->strangers},      {"handshakes", n->handshakes_failed},
        {"retries", n->retries_sent}, {"refused", n->refused},
        {"evicted", n->evicted},      {"garbage", n->garbage_datagrams},
        {"resets", n->resets_sent}};
    memcpy(out, all, sizeof all);
}

void strangers_tell(struct strangers *s, const struct endpoint_counters *n, instant now,
                    struct event_log *j)
{
    struct strangers_count counts[STRANGERS_COUNTS];
    uint64_t sum = 0;
    strangers_counts(n, counts);
    for (size_t i = 0; i < STRANGERS_COUNTS; i++) sum += counts[i].value;
    if (sum == s->told || !instant_reached(now, s->again)) return;
    s->told = sum;
    s->again = instant_after(now, PERIOD);
    event_log_begin(j, "strangers");
    for (size_t i = 0; i < STRANGERS_COUNTS; i++) event_log_u64(j, counts[i].name, counts[i].value);
    event_log_end(j);
}
