#include "node/known.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test/folder.h"

static const uint8_t run[CRYPTO_DIGEST_BYTES] = {0x5a, 0xa5}, other[CRYPTO_DIGEST_BYTES] = {1},
                     self[CRYPTO_KEY_BYTES] = {0xee};
static char path[64], warning[320];
static struct known *known;
static instant now = {1};

static void open_run(const uint8_t *id)
{
    struct why w = {0};
    cr_assert_eq(known_open(&known, path, id, self, warning, &w), ERR_OK, "%s", w.text);
}

static void start(void)
{
    folder_make();
    snprintf(path, sizeof path, "%s/node.key.peers", folder);
    open_run(run);
    cr_assert_str_eq(warning, "", "no file is no fault");
}

static void close_known(void)
{
    struct why w = {0};
    cr_assert_eq(known_close(known, &w), ERR_OK, "%s", w.text);
    known = NULL;
}

static void stop(void)
{
    known_close(known, NULL);
    folder_drop();
}

static struct node_peer peer(uint8_t id, uint16_t port)
{
    return (struct node_peer){.id = {id},
                              .address = {.family = 4, .ip = {192, 0, 2, id}, .port = port},
                              .health = HEALTH_ALIVE};
}

static void see(struct node_peer p)
{
    struct node_peer all[] = {{.id = {0xee}, .self = true, .address = peer(0xee, 9).address}, p};
    cr_assert(known_see(known, all, 2, now, NULL));
}

/* What the file says now; "" without one. */
static const char *text(void)
{
    static char copy[8000];
    uint8_t *all;
    size_t count;
    copy[0] = 0;
    if (!file_exists(path)) return copy;
    cr_assert_eq(file_read(path, sizeof copy - 1, &all, &count, NULL), ERR_OK);
    memcpy(copy, all, count + 1);
    free(all);
    return copy;
}

TestSuite(known, .init = start, .fini = stop, .timeout = 30);

Test(known, remembers_those_met_the_last_ones_first)
{
    see(peer(1, 1));
    see(peer(2, 2));
    see(peer(1, 3));                                            /* it moved */
    see((struct node_peer){.id = {4}, .health = HEALTH_ALIVE}); /* nobody knows where it is */
    see((struct node_peer){.id = {6}, .address = {.family = 4, .port = 6}, .health = HEALTH_ALIVE});
    struct node_peer dead = peer(5, 5);
    dead.health = HEALTH_DEAD;
    see(dead);
    close_known();
    cr_assert(!strncmp(text(), "# shoal: peers met in run 5aa5000000000000", 42), "%s", text());
    open_run(run);
    size_t count;
    const struct peer_address *rows = known_peers(known, &count);
    cr_assert_eq(count, 2);
    cr_assert(rows[0].id[0] == 1 && rows[0].address.port == 3);
    cr_assert(rows[1].id[0] == 2 && rows[1].address.port == 2);
    cr_assert_str_eq(warning, "");
}

Test(known, is_a_peer_list_like_any_other)
{
    see(peer(1, 1));
    close_known();
    struct peerlist list;
    struct peerlist_faults faults = {0};
    const char *source = path;
    cr_assert_eq(peerlist_init(&list, NULL), ERR_OK);
    cr_assert_eq(peerlist_read(&list, &source, 1, self, &faults, NULL), ERR_OK);
    cr_assert(list.count == 1 && list.entries[0].id[0] == 1);
    peerlist_free(&list);
}

Test(known, writes_at_most_every_thirty_seconds)
{
    see(peer(1, 1));
    while (!file_exists(path)) usleep(1000);
    now = instant_after(now, span_s(10));
    for (int i = 0; i < 500; i++) { /* time enough for a thread that should not be there */
        see(peer(2, 2));
        usleep(1000);
    }
    cr_assert_not(strstr(text(), "192.0.2.2"), "%s", text());
    now = instant_after(now, span_s(KNOWN_PERIOD_S));
    while (!strstr(text(), "192.0.2.2")) {
        see(peer(2, 2));
        usleep(1000);
    }
}

Test(known, writes_nothing_when_nobody_new_is_met)
{
    struct stat before, after;
    see(peer(1, 1));
    close_known();
    cr_assert_eq(stat(path, &before), 0);
    open_run(run);
    see(peer(1, 1));
    now = instant_after(now, span_s(100));
    see(peer(1, 1));
    close_known();
    cr_assert_eq(stat(path, &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino);
}

Test(known, is_of_one_run)
{
    size_t count;
    see(peer(1, 1));
    close_known();
    open_run(other);
    cr_assert_str_eq(warning, "");
    (void)known_peers(known, &count);
    cr_assert_eq(count, 0);
}

static void damaged(const char *content, const char *says)
{
    close_known();
    FILE *f = fopen(path, "w");
    fputs(content, f);
    fclose(f);
    open_run(run);
    size_t count;
    (void)known_peers(known, &count);
    cr_assert_eq(count, 0);
    cr_assert(strstr(warning, says), "%s", warning);
}

Test(known, reports_a_damaged_file_and_goes_on)
{
    char line[200];
    damaged("\x7f"
            "ELF",
            "is not a list of peers that were met");
    damaged("", "is not a list of peers that were met");
    snprintf(line, sizeof line, "# shoal: peers met in run 5aa5%028d\n%064d@192.0.2.1:1\ncut of", 0,
             1);
    damaged(line, "node.key.peers:3: 'cut of' is not a peer");
    see(peer(1, 1));
    close_known();
    cr_assert(strstr(text(), "192.0.2.1:1"), "the next write mends it");
}

Test(known, says_once_when_it_cannot_write)
{
    struct why w = {0};
    struct node_peer p = peer(1, 1);
    close_known();
    strcat(path, "/no/folder");
    open_run(run);
    cr_assert(known_see(known, &p, 1, now, &w), "the thread is at it");
    while (known_see(known, &p, 1, now, &w)) usleep(1000);
    cr_assert(strstr(w.text, "the peers met so far are not kept"), "%s", w.text);
    for (int i = 0; i < 5; i++) {
        now = instant_after(now, span_s(100));
        cr_assert(known_see(known, &p, 1, now, &w), "once");
        usleep(10000);
    }
    cr_assert_neq(known_close(known, &w), ERR_OK);
    known = NULL;
}

Test(known, those_met_come_before_all_others)
{
    struct peerlist list;
    struct peer_address met[] = {{.id = {7}, .address = peer(7, 7).address},
                                 {.id = {1}, .address = peer(1, 99).address}};
    char line[160];
    cr_assert_eq(peerlist_init(&list, NULL), ERR_OK);
    for (unsigned i = 1; i <= 2; i++) {
        snprintf(line, sizeof line, "%02x%062x@192.0.2.1:4433", i, 0);
        cr_assert_eq(peerlist_add(&list, line, self, NULL), ERR_OK);
    }
    peerlist_put_first(&list, met, 2);
    cr_assert_eq(list.count, 3);
    cr_assert(list.entries[0].id[0] == 7 && list.entries[1].id[0] == 1);
    cr_assert(list.more_count == 1 && list.more[0].address.port == 99, "a further address");
    peerlist_free(&list);
}
