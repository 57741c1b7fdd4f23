/* session_test.c -- what `train` and a worker open, save and take up again, on a corpus of a few
 * words. */
#include "node/session.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "node/events.h"
#include "test/model/small.h"

static struct corpus *corpus;
static struct experiment x;
static struct session s;
static struct why w;
static char dir[64], from[64];

static void begin(void)
{
    corpus = make_corpus();
    x = experiment_small();
    snprintf(x.data.corpus, sizeof x.data.corpus, "%s/corpus", folder);
    snprintf(dir, sizeof dir, "%s/run", folder);
    x.outer.every = 10;
    x.checkpoint.keep = 2;
    x.checkpoint.every = 10;
    x.evaluate.tokens = 64;
    x.machine.device = DEVICE_CPU;
    x.machine.threads = 1;
    strcpy(x.metrics.log, "log.jsonl");
}

static void end(void) { drop_corpus(corpus); }

TestSuite(session, .init = begin, .fini = end);

static void init(bool of_swarm, bool fresh, const char *start)
{
    const struct session_config c = {.command = of_swarm ? "run" : "train",
                                     .dir = dir,
                                     .from = start,
                                     .of_swarm = of_swarm,
                                     .fresh = fresh};
    session_init(&s, &x, &c);
}

/* From nothing to where it can train; returns the step that it goes on from. */
static uint64_t opened(bool fresh, const char *start)
{
    bool found;
    init(false, fresh, start);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(session_open(&s, nobody, 0, TRAINER_VECTORS, &w), ERR_OK, "%s", w.text);
    struct checkpoint c = session_describe(&s, 0);
    cr_assert_eq(session_resume(&s, &c, &found, &w), ERR_OK, "%s", w.text);
    return found ? c.step : 0;
}

static uint64_t trained(uint64_t step, uint64_t last)
{
    struct trainer_report r;
    for (; step < last; step++)
        cr_assert_eq(trainer_step(s.trainer, (double)step, &r, &w), ERR_OK, "%s", w.text);
    return step;
}

static void save(uint64_t step)
{
    const struct checkpoint c = session_describe(&s, step);
    cr_assert_eq(session_save(&s, &c, &w), ERR_OK, "%s", w.text);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/checkpoints/%s", dir, name);
    return path;
}

static bool there(const char *name) { return file_exists(path_of(name)); }

Test(session, all_lies_in_the_folder_that_is_named)
{
    char wanted[96];
    init(true, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "%s", w.text);
    snprintf(wanted, sizeof wanted, "%s/node.key", dir);
    cr_assert_str_eq(x.swarm.identity, wanted);
    snprintf(wanted, sizeof wanted, "%s/log.jsonl", dir);
    cr_assert_str_eq(x.metrics.log, wanted);
    cr_assert(there("lock"));
    session_close(&s);
}

Test(session, a_log_that_is_not_wanted_stays_unwanted)
{
    x.metrics.log[0] = 0;
    init(false, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "%s", w.text);
    cr_assert_str_eq(x.metrics.log, "");
    session_close(&s);
}

Test(session, a_folder_whose_name_is_too_long_is_refused)
{
    static char name[EXPERIMENT_PATH_BYTES];
    memset(name, 'x', sizeof name - 1);
    const struct session_config c = {.command = "run", .dir = name};
    session_init(&s, &x, &c);
    cr_assert_eq(session_claim(&s, &w), ERR_USAGE);
    cr_assert(strstr(w.text, "too long"));
    session_close(&s);
}

Test(session, one_process_has_the_folder_at_a_time)
{
    init(false, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "%s", w.text);
    const pid_t other = fork();
    if (!other) {
        init(false, false, NULL);
        _exit(session_claim(&s, &w) == ERR_STOPPED ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(other, &status, 0), other);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    session_close(&s);
    init(false, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "closed, it is free again");
    session_close(&s);
}

Test(session, what_is_resumed_goes_on_with_the_same_bits)
{
    cr_assert_eq(opened(false, NULL), 0);
    const size_t bytes = trainer_layout(s.trainer)->parameters * sizeof(float);
    trained(0, 6);
    float *whole = malloc(bytes);
    memcpy(whole, trainer_host(s.trainer, TRAINER_PARAMETERS), bytes);
    session_close(&s);

    opened(false, NULL);
    save(trained(0, 3));
    session_close(&s);
    cr_assert_eq(opened(false, NULL), 3);
    cr_assert_eq(s.state->steps, 3);
    trained(3, 6);
    cr_assert_arr_eq(trainer_host(s.trainer, TRAINER_PARAMETERS), whole, bytes);
    free(whole);
    session_close(&s);
}

Test(session, the_last_checkpoint_is_written_only_where_something_changed)
{
    opened(false, NULL);
    struct checkpoint c = session_describe(&s, 0);
    cr_assert_eq(session_save_last(&s, &c, &w), ERR_OK);
    cr_assert_not(there("step-000000000000.ckpt"), "the seed's parameters need none");
    save(trained(0, 2));
    cr_assert_eq(unlink(path_of("step-000000000002.ckpt")), 0);
    c = session_describe(&s, 2);
    cr_assert_eq(session_save_last(&s, &c, &w), ERR_OK);
    cr_assert_not(there("step-000000000002.ckpt"), "it was written already");
    c = session_describe(&s, trained(2, 3));
    cr_assert_eq(session_save_last(&s, &c, &w), ERR_OK);
    cr_assert(there("step-000000000003.ckpt"));
    session_close(&s);
}

Test(session, fresh_moves_what_is_there_aside)
{
    opened(false, NULL);
    save(trained(0, 2));
    session_close(&s);
    cr_assert_eq(opened(true, NULL), 0);
    cr_assert(!there("step-000000000002.ckpt") && there("before-1/step-000000000002.ckpt"));
    session_close(&s);
}

Test(session, a_start_from_a_checkpoint_is_another_run_that_its_own_checkpoints_remember)
{
    uint8_t seed[CRYPTO_DIGEST_BYTES], started[CRYPTO_DIGEST_BYTES];
    opened(false, NULL);
    memcpy(seed, s.setup.run_id, sizeof seed);
    save(trained(0, 2));
    session_close(&s);
    snprintf(from, sizeof from, "%s", dir);
    snprintf(dir, sizeof dir, "%s/later", folder);
    cr_assert_eq(opened(false, from), 0, "steps begin at zero");
    memcpy(started, s.setup.run_id, sizeof started);
    cr_assert(memcmp(seed, started, sizeof seed));
    save(trained(0, 1));
    session_close(&s);
    cr_assert_eq(opened(false, NULL), 1);
    cr_assert_arr_eq(s.setup.run_id, started, sizeof started);
    session_close(&s);
    cr_assert_eq(opened(true, NULL), 0);
    cr_assert_arr_eq(s.setup.run_id, seed, sizeof seed, "begun anew, it is the seed's run");
    session_close(&s);
}

Test(session, a_swarms_folder_is_not_for_one_alone)
{
    float *both;
    opened(false, NULL);
    struct checkpoint c = session_describe(&s, 4);
    both = calloc(2 * c.parameters, sizeof *both);
    c.sections[CHECKPOINT_ANCHOR] = both;
    c.sections[CHECKPOINT_MOMENTUM] = both + c.parameters;
    cr_assert_eq(session_save(&s, &c, &w), ERR_OK, "%s", w.text);
    session_close(&s);
    free(both);
    init(false, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_USAGE);
    cr_assert(strstr(w.text, "checkpoints of a swarm"), "%s", w.text);
    session_close(&s);
    init(true, false, NULL);
    cr_assert_eq(session_claim(&s, &w), ERR_OK, "for a worker it is: %s", w.text);
    session_close(&s);
}

Test(session, a_checkpoint_that_cannot_be_written_is_an_error_only_where_it_is_required)
{
    opened(false, NULL);
    const struct checkpoint c = session_describe(&s, 1);
    snprintf(x.checkpoint.dir, sizeof x.checkpoint.dir, "%s/nowhere", folder);
    cr_assert_eq(session_save(&s, &c, &w), ERR_OK);
    cr_assert(s.unsaved);
    x.checkpoint.required = true;
    cr_assert_eq(session_save(&s, &c, &w), ERR_IO);
    snprintf(x.checkpoint.dir, sizeof x.checkpoint.dir, "%s/checkpoints", dir);
    cr_assert_eq(session_save(&s, &c, &w), ERR_OK, "%s", w.text);
    cr_assert_not(s.unsaved, "the latest one counts");
    session_close(&s);
}

Test(session, an_evaluation_is_in_the_log)
{
    double loss;
    uint64_t tokens, count;
    uint8_t *text;
    opened(false, NULL);
    cr_assert_eq(event_log_open(&s.log, x.metrics.log, -1, &w), ERR_OK, "%s", w.text);
    cr_assert_eq(session_evaluate(&s, EVENTS_ALONE, 7, &loss, &tokens, &w), ERR_OK, "%s", w.text);
    cr_assert(loss > 4 && loss < 7, "near ln 272 before the first step, not %g", loss);
    session_close(&s);
    cr_assert_eq(file_read(x.metrics.log, 4096, &text, &count, &w), ERR_OK, "%s", w.text);
    text[count - 1] = 0;
    cr_assert(strstr((char *)text, "\"event\":\"evaluate\",\"step\":7,"), "%s", (char *)text);
    free(text);
}
