#include "node/peerlist.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test/folder.h"

#define A  "aa00000000000000000000000000000000000000000000000000000000000000"
#define B  "bb00000000000000000000000000000000000000000000000000000000000000"
#define ME "ee00000000000000000000000000000000000000000000000000000000000000"

static const uint8_t me[CRYPTO_KEY_BYTES] = {0xee};
static struct peerlist list;
static struct peerlist_faults faults;
static char said[64][400];
static size_t said_count;

static void say(void *ctx, const char *text)
{
    cr_assert_eq(ctx, &list);
    snprintf(said[said_count++ % 64], sizeof said[0], "%s", text);
}

static void start(void)
{
    cr_assert_eq(peerlist_init(&list, NULL), ERR_OK);
    faults = (struct peerlist_faults){.say = say, .ctx = &list};
    said_count = 0;
}

static void stop(void) { peerlist_free(&list); }

static void parse(const char *text)
{
    peerlist_parse(&list, "peers.txt", bytes_of(text, strlen(text)), me, &faults);
}

static const char *shown(size_t i)
{
    static char text[ADDRESS_TEXT_BYTES];
    return address_print(&list.entries[i].address, text);
}

TestSuite(peerlist, .init = start, .fini = stop, .timeout = 30);

Test(peerlist, takes_lists_as_editors_leave_them)
{
    parse("\xef\xbb\xbf# peers\r\n"
          "\r\n"
          "   \t\r\n" A "@192.0.2.1:4433   # the first, at home\r\n"
          "\t" B "@[2001:db8::1]:1#the second\n"
          "  # an indented comment\n" ME "@192.0.2.9:4433");
    cr_assert_eq(faults.count, 0, "%s", faults.first.text);
    cr_assert_eq(list.count, 2, "my own line is left out");
    cr_assert_str_eq(shown(0), "192.0.2.1:4433");
    cr_assert_str_eq(shown(1), "[2001:db8::1]:1");
}

Test(peerlist, keeps_names_for_later_and_waits_for_none)
{
    parse(A "@node.example.org:4433\n" B "@other.invalid:1\n" B "@192.0.2.1:2\n");
    cr_assert_eq(faults.count, 0, "%s", faults.first.text);
    cr_assert_eq(list.count, 2);
    cr_assert_eq(list.entries[0].address.family, 0);
    cr_assert_str_eq(shown(1), "192.0.2.1:2", "an address that is known is used at once");
    cr_assert_eq(list.names_count, 2);
    cr_assert_str_eq(list.names[0].name.host, "node.example.org");
    cr_assert_eq(list.names[0].name.port, 4433);
    cr_assert_eq(list.names[1].id[0], 0xbb);
}

Test(peerlist, merges_what_is_there_twice_and_keeps_further_addresses)
{
    parse(A "@192.0.2.1:1\n" A "@192.0.2.1:1\n" A "@[::ffff:192.0.2.1]:1\n" A "@192.0.2.1:2\n" A
            "@x.org:1\n" A "@x.org:1\n" A "@192.0.2.1:2\n");
    cr_assert_eq(faults.count, 0, "%s", faults.first.text);
    cr_assert_eq(list.count, 1);
    cr_assert_eq(list.more_count, 1);
    cr_assert_eq(list.more[0].address.port, 2);
    cr_assert_eq(list.names_count, 1);
    cr_assert_eq(list.left_out, 0);
}

Test(peerlist, names_every_line_that_cannot_be_read)
{
    static const char *const wanted[] = {
        "peers.txt:2: 'nonsense' is not a peer: write ID@host:port, the ID as 64 hexadecimal "
        "digits",
        "peers.txt:4: 192.0.2.1:4433 has no ID: write ID@192.0.2.1:4433; `shoal peers "
        "192.0.2.1:4433` prints the IDs of those who are there",
        "peers.txt:5: '" A "' is not a peer",
        "peers.txt:6: 'here' is not an address: write host:port",
        "peers.txt:7: '0.0.0.0:4433' is no address that can be dialled",
        "peers.txt:8: 'x.org:0' is no address that can be dialled",
        "peers.txt:9: a list names no other lists: name https://x.org/peers by itself, in "
        "swarm.peers or --peers",
        "peers.txt:10: the line is too long for a peer",
        "peers.txt:11: '?[2J' is not a peer",
    };
    char text[4000];
    snprintf(text, sizeof text,
             A "@192.0.2.1:1\nnonsense\n\n192.0.2.1:4433\n" A "\n" A "@here\n" A "@0.0.0.0:4433\n" A
               "@x.org:0\nhttps://x.org/peers\n%0600d\n\x1b[2J\n" B "@192.0.2.2:2\n",
             7);
    parse(text);
    cr_assert_eq(list.count, 2, "the good ones are read");
    cr_assert_eq(faults.count, sizeof wanted / sizeof *wanted);
    cr_assert_eq(said_count, faults.count);
    for (size_t i = 0; i < said_count; i++)
        cr_assert(!strncmp(said[i], wanted[i], strlen(wanted[i])), "%s", said[i]);
}

Test(peerlist, says_that_a_list_is_utf_16)
{
    peerlist_parse(&list, "peers.txt",
                   bytes_of("\xff\xfe"
                            "a\0b\0",
                            6),
                   me, &faults);
    cr_assert_str_eq(faults.first.text, "peers.txt is a text in UTF-16: save it as UTF-8");
}

static void refuses(const char *source, enum err err, const char *text)
{
    struct why w = {0};
    stop();
    start();
    cr_assert_eq(peerlist_read(&list, &source, 1, me, &faults, &w), err, "%s", w.text);
    cr_assert(strstr(w.text, text), "%s", w.text);
    cr_assert_eq(said_count, 0, "one sentence is said once");
}

Test(peerlist, has_one_sentence_for_each_mistake_on_the_command_line)
{
    char fifo[sizeof folder + 16];
    folder_make();
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    refuses("1.2.3.4:4433", ERR_USAGE, "1.2.3.4:4433 has no ID: write ID@1.2.3.4:4433");
    refuses("node.example.org:4433", ERR_USAGE, "has no ID");
    refuses("http://x.org/p", ERR_USAGE,
            "http://x.org/p: over http anybody on the way can change a list: write https://");
    refuses("nowhere.txt", ERR_USAGE, "there is no file nowhere.txt, and it is not ID@host:port");
    refuses("a@192.0.2.1:1", ERR_USAGE, "the ID as 64 hexadecimal digits");
    refuses(folder, ERR_IO, "it is a folder");
    refuses(fifo, ERR_USAGE, "is no ordinary file: save the peer list in one");
    folder_drop();
}

Test(peerlist, adds_up_several_sources_and_all_their_mistakes)
{
    char path[sizeof folder + 16];
    struct why w = {0};
    folder_make();
    snprintf(path, sizeof path, "%s/p@q.txt", folder); /* a file all the same */
    FILE *f = fopen(path, "w");
    fputs(A "@192.0.2.1:1\nbad\n", f);
    fclose(f);
    const char *const sources[] = {path, B "@192.0.2.2:2", "nowhere.txt"};
    cr_assert_eq(peerlist_read(&list, sources, 3, me, &faults, &w), ERR_USAGE);
    cr_assert_str_eq(w.text, "2 entries of the peer lists cannot be read");
    cr_assert_eq(said_count, 2);
    cr_assert(strstr(said[0], "p@q.txt:2: 'bad'"), "%s", said[0]);
    cr_assert(strstr(said[1], "nowhere.txt"), "%s", said[1]);
    cr_assert_eq(list.count, 2);
    folder_drop();
}

Test(peerlist, counts_what_it_has_no_room_for)
{
    char line[160];
    for (unsigned i = 0; i < PEERLIST_MAX + 7; i++) {
        snprintf(line, sizeof line, "%064x@192.0.2.1:4433", i + 1);
        cr_assert_eq(peerlist_add(&list, line, me, NULL), ERR_OK);
    }
    cr_assert_eq(list.count, PEERLIST_MAX);
    cr_assert_eq(list.left_out, 7);
    snprintf(line, sizeof line, "%064x@192.0.2.1:4433", 5u);
    cr_assert_eq(peerlist_add(&list, line, me, NULL), ERR_OK);
    cr_assert_eq(list.left_out, 7, "one that is there already is not left out");
}

Test(peerlist, is_dialled_in_another_order_by_each)
{
    char line[160];
    struct rng one = rng_init(1), two = rng_init(2);
    uint8_t first[3];
    for (unsigned i = 1; i <= 100; i++) {
        snprintf(line, sizeof line, "%02x%062x@192.0.2.1:4433", i, 0);
        cr_assert_eq(peerlist_add(&list, line, me, NULL), ERR_OK);
    }
    first[0] = list.entries[0].id[0];
    peerlist_shuffle(&list, &one);
    first[1] = list.entries[0].id[0];
    unsigned sum = 0;
    for (size_t i = 0; i < list.count; i++) sum += list.entries[i].id[0];
    cr_assert_eq(sum, 5050, "nobody got lost");
    peerlist_shuffle(&list, &two);
    first[2] = list.entries[0].id[0];
    cr_assert(first[0] != first[1] && first[1] != first[2]);
}
