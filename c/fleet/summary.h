/* summary.h -- what came of a swarm on one machine, in numbers: from its workers' logs as they were
 * watched, and from the checkpoints that they left. */
#ifndef SHOAL_FLEET_SUMMARY_H
#define SHOAL_FLEET_SUMMARY_H

#include "fleet/fleet.h"

/* What summary.json says (README, "What the quickstart shows"). */
struct summary {
    uint64_t workers, epochs, inner_steps, tokens, joins, crashes;
    /* Of the state transfer to the latest joiner; bytes of all. */
    uint64_t join_epoch, join_bytes, join_servers;
    double network_lag_p99_ms; /* the worst worker's event loop */
    double tokens_per_second, train_loss_first, train_loss_last;
    double validation_loss_first, validation_loss, unigram_entropy; /* nats per token */
    double bytes_sent, bytes_data_parallel, sync_share;
    double planned_share; /* of the tokens that the epochs called for, done and kept */
    bool digests_equal;
    char digest[65];
    char sample[2048];
};

/* Adds up what the workers' logs say. */
void summary_of_logs(const struct fleet *f, struct summary *out);

/* Adds what lies on the disk: the corpus's entropy, a text of the model's, and whether the last
 * checkpoints of all who finished hold the same bits. ERR_IO, ERR_FORMAT, ERR_MEMORY. */
enum err summary_of_disk(const struct fleet *f, struct summary *out, struct why *w);

/* Adds what the logs say of the plan, and writes DIR/summary.json and DIR/report.html. */
enum err summary_write(const struct fleet *f, struct summary *s, struct why *w);

#endif
