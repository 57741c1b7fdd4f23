#include "node/weblist.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/wolfssl_all.h"
#include "test/folder.h"

/* Of localhost and 127.0.0.1, until 2120. Known to everybody: it is for this test alone. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBRjCB7qADAgECAgEHMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9z\n"
    "dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ\n"
    "bG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdrqLlZG9/YSckBVt\n"
    "T5KXq9mrYvPlgpusmd9xnKBIKPyKknUvAwY0MLsnN6ZYYRsMiZ+V+GKQJqZtweKF\n"
    "SuKHXaMvMC0wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQF\n"
    "MAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgWqLsM+C0SXo9PFVPzvz0RnczgBOTRJTJ\n"
    "J5/fsOGOrucCIA6zOl93RrJ3aMoetPLMcoDkp5o7s/jXHRKoLP26HMe6\n"
    "-----END CERTIFICATE-----\n";
static const char private_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIIf3LrPOaJx2xHeJjyIvw/n686SwvnlgRbmFKbgno37PoAoGCCqGSM49\n"
    "AwEHoUQDQgAEdrqLlZG9/YSckBVtT5KXq9mrYvPlgpusmd9xnKBIKPyKknUvAwY0\n"
    "MLsnN6ZYYRsMiZ+V+GKQJqZtweKFSuKHXQ==\n"
    "-----END EC PRIVATE KEY-----\n";

#define A    "aa00000000000000000000000000000000000000000000000000000000000000"
#define B    "bb00000000000000000000000000000000000000000000000000000000000000"
#define HEAD "HTTP/1.1 200 OK\r\nETag: \"one\"\r\n\r\n"

static struct weblists *lists;
static struct url urls[4];
static sem_t said;

/* ---- a server ---- */

static struct server {
    int fd;
    pthread_t thread;
    WOLFSSL_CTX *tls;
    _Atomic(const char *) answer; /* NULL: none, not even a handshake */
    atomic_int asked, unchanged;
} server;

static void serve(WOLFSSL *s)
{
    char request[4096] = "";
    int count = wolfSSL_read(s, request, sizeof request - 1);
    const char *answer = server.answer;
    if (count <= 0) return;
    server.asked++;
    if (strstr(request, "\r\nIf-None-Match: \"one\"\r\n")) {
        server.unchanged++;
        answer = "HTTP/1.1 304 Not Modified\r\n\r\n";
    }
    wolfSSL_write(s, answer, (int)strlen(answer));
    wolfSSL_shutdown(s);
}

static void *serve_all(void *arg)
{
    for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0; close(fd)) {
        if (!server.answer) {
            char none[64];
            while (recv(fd, none, sizeof none, 0) > 0) continue;
            continue;
        }
        WOLFSSL *s = wolfSSL_new(server.tls);
        wolfSSL_set_fd(s, fd);
        if (wolfSSL_accept(s) == WOLFSSL_SUCCESS) serve(s);
        wolfSSL_free(s);
    }
    return arg;
}

static uint16_t listen_at(int fd, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, bytes), 0);
    if (backlog) cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    return ntohs(at.sin_port);
}

static void add_url(size_t i, uint16_t port)
{
    char text[80];
    snprintf(text, sizeof text, "https://localhost:%u/peers.txt", port);
    cr_assert_eq(url_read(text, &urls[i], NULL), ERR_OK);
}

static void start(void)
{
    char path[80];
    folder_make();
    snprintf(path, sizeof path, "%s/authorities", folder);
    FILE *f = fopen(path, "w");
    fputs(certificate, f);
    fclose(f);
    setenv("SSL_CERT_FILE", path, 1);
    sem_init(&said, 0, 0);
    wolfSSL_Init();
    server.tls = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    cr_assert_eq(wolfSSL_CTX_use_certificate_buffer(server.tls, (const uint8_t *)certificate,
                                                    sizeof certificate - 1, WOLFSSL_FILETYPE_PEM),
                 WOLFSSL_SUCCESS);
    cr_assert_eq(wolfSSL_CTX_use_PrivateKey_buffer(server.tls, (const uint8_t *)private_key,
                                                   sizeof private_key - 1, WOLFSSL_FILETYPE_PEM),
                 WOLFSSL_SUCCESS);
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    add_url(0, listen_at(server.fd, 16));
    server.answer = HEAD A "@192.0.2.1:1\n";
    cr_assert_eq(pthread_create(&server.thread, NULL, serve_all, NULL), 0);
}

static void stop(void)
{
    weblists_close(lists);
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    wolfSSL_CTX_free(server.tls);
    folder_drop();
}

TestSuite(weblist, .init = start, .fini = stop, .timeout = 60);

/* ---- the lists ---- */

static void wake(void *ctx) { sem_post(&said); }

static void open_for(size_t count)
{
    struct why w = {0};
    struct weblist_config c = {.urls = urls,
                               .count = count,
                               .wake = wake,
                               .patience = span_s(50),
                               .retry_first = span_ms(5),
                               .retry_most = span_ms(20),
                               .again = span_ms(5)};
    cr_assert_eq(weblists_open(&lists, &c, &w), ERR_OK, "%s", w.text);
}

static struct weblist_answer next(void)
{
    struct weblist_answer a;
    while (!weblists_take(lists, &a)) sem_wait(&said);
    return a;
}

Test(weblist, reads_a_list_and_asks_whether_it_has_changed)
{
    server.answer = HEAD A "@192.0.2.1:1\nnonsense\n" B "@x.org:2\n";
    open_for(1);
    struct weblist_answer a = next();
    cr_assert_str_eq(a.why, "");
    cr_assert(a.first && !a.unchanged && a.failures == 0 && a.list);
    cr_assert(a.list->count == 2 && a.list->names_count == 1);
    cr_assert_eq(a.faults, 1);
    cr_assert(strstr(a.fault, "/peers.txt:2: 'nonsense' is not a peer"), "%s", a.fault);
    weblist_free(a.list);
    a = next();
    cr_assert_str_eq(a.why, "");
    cr_assert(!a.first && a.unchanged && !a.list);
    cr_assert_eq(server.unchanged, 1);
}

Test(weblist, asks_again_after_a_failure_and_says_what_is_new)
{
    server.answer = "HTTP/1.1 503 Busy\r\n\r\n";
    open_for(1);
    struct weblist_answer a = next();
    cr_assert(a.first && a.changed && a.failures == 1 && !a.list);
    cr_assert_str_eq(a.why, "it answers with status 503");
    a = next();
    cr_assert(!a.first && !a.changed && a.failures == 2);
    server.answer = HEAD "<html>\n";
    while (!strcmp(a.why, "it answers with status 503")) a = next();
    cr_assert(a.changed);
    cr_assert_str_eq(a.why, "it is no peer list: none of its lines is ID@host:port");
    server.answer = HEAD A "@192.0.2.1:1\n";
    while (a.why[0]) a = next();
    cr_assert(a.changed && a.failures == 0 && a.list);
    cr_assert_eq(a.list->count, 1);
    weblist_free(a.list);
}

Test(weblist, an_empty_list_is_a_list)
{
    server.answer = HEAD "# nobody\n";
    open_for(1);
    struct weblist_answer a = next();
    cr_assert(a.list && a.list->count == 0 && !a.why[0]);
    weblist_free(a.list);
}

Test(weblist, one_that_hangs_or_is_dead_delays_neither_others_nor_the_end)
{
    int hang = socket(AF_INET, SOCK_STREAM, 0), dead = socket(AF_INET, SOCK_STREAM, 0);
    add_url(1, listen_at(hang, 4)); /* connects, and no more */
    add_url(2, listen_at(dead, 0));
    open_for(3);
    bool good = false, refused = false;
    while (!good || !refused) {
        struct weblist_answer a = next();
        cr_assert_neq(a.index, 1);
        good = good || a.list;
        refused = refused || !strcmp(a.why, "no connection: Connection refused");
        weblist_free(a.list);
    }
    weblists_close(lists); /* or this test runs into its limit */
    lists = NULL;
    close(hang);
    close(dead);
}

Test(weblist, gives_up_after_its_patience)
{
    server.answer = NULL;
    struct weblist_config c = {
        .urls = urls, .count = 1, .wake = wake, .patience = span_ms(1200), .again = span_s(99)};
    cr_assert_eq(weblists_open(&lists, &c, NULL), ERR_OK);
    struct weblist_answer a = next();
    cr_assert_str_eq(a.why, "no TLS within 1 s");
}

Test(weblist, is_not_asked_while_the_worker_is_linked)
{
    open_for(1);
    weblist_free(next().list);
    weblists_alone(lists, false);
    usleep(100000); /* one may be under way */
    int before = server.asked;
    usleep(200000);
    cr_assert_eq(server.asked, before);
    weblists_alone(lists, true);
    while (server.asked == before) weblist_free(next().list);
}

Test(weblist, says_what_is_missing_where_there_are_no_authorities)
{
    setenv("SSL_CERT_FILE", "/nowhere/authorities", 1);
    open_for(1);
    struct weblist_answer a = next();
    cr_assert(strstr(a.why, "/nowhere/authorities"), "%s", a.why);
    cr_assert_eq(server.asked, 0);
}

Test(weblist, trusts_nobody_else)
{
    char path[80];
    snprintf(path, sizeof path, "%s/none", folder);
    FILE *f = fopen(path, "w");
    fputs("# no certificate\n", f);
    fclose(f);
    setenv("SSL_CERT_FILE", path, 1);
    open_for(1);
    struct weblist_answer a = next();
    cr_assert(strstr(a.why, "holds no certificate of an authority in PEM"), "%s", a.why);
    cr_assert_eq(server.asked, 0);
}
