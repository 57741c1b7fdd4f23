/* summary.h -- the results of a swarm on one machine, in numbers: from its workers' logs and their
 * checkpoints. */
#ifndef SHOAL_FLEET_SUMMARY_H
#define SHOAL_FLEET_SUMMARY_H

#include "fleet/fleet.h"

/* Contents of summary.json (README, "What the quickstart shows"). */
struct summary {
    uint64_t workers, epochs, inner_steps, tokens, joins, crashes;
    /* Of the state transfer to the latest joiner; bytes in total. */
    uint64_t join_epoch, join_bytes, join_servers;
    double network_lag_p99_ms; /* of the worst worker's event loop */
    double tokens_per_second, train_loss_first, train_loss_last;
    double validation_loss_first, validation_loss, unigram_entropy; /* nats per token */
    double bytes_sent, bytes_data_parallel, sync_share;
    double planned_share; /* share of the epochs' required tokens that was processed and kept */
    bool digests_equal;
    char digest[65];
    char sample[2048];
};

/* Sums up the workers' logs. */
void summary_of_logs(const struct fleet *f, struct summary *out);

/* Adds what is on the disk: the corpus's entropy, a sample of the model, and whether the last
 * checkpoints of all finished workers hold the same bits. ERR_IO, ERR_FORMAT, ERR_MEMORY. */
enum err summary_of_disk(const struct fleet *f, struct summary *out, struct why *w);

/* Adds the planned tokens from the logs, and writes DIR/summary.json and DIR/report.html. */
enum err summary_write(const struct fleet *f, struct summary *s, struct why *w);

#endif
