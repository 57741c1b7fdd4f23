#include "fleet/fleet.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "fleet/claim.h"
#include "test/folder.h"

static struct fleet *f;
static struct experiment *x;
static struct why w;

static void begin(void)
{
    folder_make();
    f = calloc(1, sizeof *f);
    x = calloc(1, sizeof *x);
    x->seed = 5;
    f->experiment = x;
    snprintf(f->dir, sizeof f->dir, "%s/swarm", folder);
}

static void end(void)
{
    for (size_t i = 0; i < f->count; i++) watch_fini(&f->workers[i].watch);
    free(f);
    free(x);
    folder_drop();
}

TestSuite(fleet, .init = begin, .fini = end);

static void settle(bool repeatable)
{
    cr_assert_eq(fleet_settle(f, repeatable, &w), ERR_OK, "%s", w.text);
}

Test(fleet, each_worker_has_a_folder_a_key_and_a_port_of_its_own)
{
    for (int i = 0; i < 3; i++) settle(false);
    cr_assert_eq(f->count, 3);
    for (size_t i = 0; i < 3; i++) {
        char key[FLEET_PATH_BYTES];
        snprintf(key, sizeof key, "%s/worker-%zu/node.key", f->dir, i);
        cr_assert(file_exists(key));
        for (size_t k = 0; k < i; k++) {
            cr_assert_str_neq(f->workers[i].id, f->workers[k].id);
            cr_assert_str_neq(f->workers[i].address, f->workers[k].address);
        }
    }
}

Test(fleet, a_repeatable_identity_follows_from_seed_and_number)
{
    settle(true);
    settle(true);
    char first[65], second[65];
    strcpy(first, f->workers[0].id);
    strcpy(second, f->workers[1].id);
    cr_assert_str_neq(first, second);
    folder_drop();
    folder_make();
    snprintf(f->dir, sizeof f->dir, "%s/again", folder);
    f->count = 0;
    settle(true);
    cr_assert_str_eq(f->workers[0].id, first);
    x->seed = 6;
    f->count = 0;
    snprintf(f->dir, sizeof f->dir, "%s/other", folder);
    settle(true);
    cr_assert_str_neq(f->workers[0].id, first);
}

Test(fleet, a_worker_that_comes_back_keeps_its_key)
{
    char id[65];
    settle(false);
    strcpy(id, f->workers[0].id);
    f->count = 0;
    settle(true);
    cr_assert_str_eq(f->workers[0].id, id, "even where a new one would be repeatable");
}

Test(fleet, the_peer_list_names_all_who_are_settled)
{
    settle(false);
    settle(false);
    cr_assert_eq(fleet_write_peers(f, &w), ERR_OK, "%s", w.text);
    char path[FLEET_PATH_BYTES], wanted[320];
    uint8_t *text;
    size_t count;
    snprintf(path, sizeof path, "%s/peers.txt", f->dir);
    cr_assert_eq(file_read(path, 4096, &text, &count, &w), ERR_OK, "%s", w.text);
    const int n = snprintf(wanted, sizeof wanted, "%s@%s\n%s@%s\n", f->workers[0].id,
                           f->workers[0].address, f->workers[1].id, f->workers[1].address);
    cr_assert_eq(count, (size_t)n);
    cr_assert_arr_eq(text, wanted, count);
    free(text);
}

/* A child that ends in this way, as worker `i`. */
static enum fleet_end ended(size_t i, int code, int signal)
{
    struct fleet_worker *k = &f->workers[i];
    k->crashed = false;
    k->pid = fork();
    if (!k->pid) {
        if (signal) raise(signal);
        _exit(code);
    }
    cr_assert_gt(k->pid, 0);
    for (int tries = 0; tries < 1000; tries++, usleep(10000)) {
        const enum fleet_end end = fleet_reap(f, i);
        if (end != FLEET_RUNS) return end;
    }
    return FLEET_RUNS;
}

Test(fleet, how_a_worker_ended_is_told_once)
{
    settle(false);
    const struct fleet_worker *k = &f->workers[0];
    cr_assert_eq(ended(0, 0, 0), FLEET_ENDED);
    cr_assert_eq(fleet_reap(f, 0), FLEET_RUNS, "it is not told again");
    cr_assert(!k->crashed && k->ended > 0 && !fleet_running(f));
    cr_assert_eq(ended(0, 3, 0), FLEET_ENDED, "a signal asked it to, and it saved");
    cr_assert_not(f->unsaved);
    cr_assert_eq(ended(0, 4, 0), FLEET_UNSAVED);
    cr_assert(f->unsaved && !k->crashed);
    cr_assert_eq(ended(0, 1, 0), FLEET_CRASHED);
    cr_assert_eq(ended(0, 0, SIGKILL), FLEET_CRASHED);
    cr_assert(k->crashed);
}

Test(fleet, a_folder_is_one_swarms_at_a_time)
{
    settle(false);
    cr_assert_eq(claim_folder(f->dir, x, false, &w), ERR_OK, "%s", w.text);
    const pid_t other = fork();
    if (!other) _exit(claim_folder(f->dir, x, false, &w) == ERR_STOPPED ? 0 : 1);
    int status;
    cr_assert_eq(waitpid(other, &status, 0), other);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
