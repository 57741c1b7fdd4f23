#include "net/http1.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ROOM 64

static struct http1 h;
static uint8_t room[ROOM];
static struct why w;

/* Hands the text over in pieces of `piece` bytes. */
static enum err take(const char *text, size_t count, size_t piece)
{
    enum err e = ERR_OK;
    http1_init(&h, room, sizeof room);
    for (size_t at = 0; at < count && !e; at += piece)
        e = http1_take(&h, bytes_of(text + at, count - at < piece ? count - at : piece), &w);
    return e;
}

/* The body comes out, however the answer is cut into pieces. */
static void reads(const char *text, uint32_t status, const char *body)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        cr_assert_eq(take(text, strlen(text), piece), ERR_OK, "%s: %s", text, w.text);
        cr_assert_eq(http1_end(&h, true, &w), ERR_OK, "%s: %s", text, w.text);
        cr_assert_eq(h.status, status);
        cr_assert_eq(h.body_count, strlen(body), "%s: %zu", text, h.body_count);
        cr_assert_arr_eq(room, body, strlen(body));
    }
}

static void refuses(const char *text, const char *story)
{
    for (size_t piece = 1; piece <= strlen(text); piece += 7) {
        w.text[0] = 0;
        enum err e = take(text, strlen(text), piece);
        if (!e) e = http1_end(&h, true, &w);
        cr_assert_eq(e, ERR_WIRE, "%s", text);
        cr_assert(strstr(w.text, story), "%s: %s", text, w.text);
    }
}

#define OK "HTTP/1.1 200 OK\r\n"

Test(http1, reads_a_body_of_any_form)
{
    reads(OK "Content-Length: 5\r\n\r\nhello", 200, "hello");
    reads(OK "content-length:5\t\r\nX: y\r\n\r\nhello and more", 200, "hello");
    reads(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    reads(OK "Content-Length: 0\r\n\r\n", 200, "");
    reads(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: x\r\n\r\n", 200,
          "hello");
    reads(OK "TRANSFER-ENCODING: Chunked\r\n\r\n0A \r\n0123456789\r\n000\r\n\r\n", 200,
          "0123456789");
    reads("HTTP/1.0 200\nContent-Length: 2\n\nhi", 200, "hi");
    reads(OK "\r\nuntil its end", 200, "until its end");
    reads("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi", 200, "hi");
    reads("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n", 304, "");
    reads("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!", 404, "");
    reads("HTTP/1.1 503 \r\nContent-Encoding: gzip\r\n\r\n", 503, "");
}

Test(http1, refuses_what_is_no_answer_or_could_be_read_in_two_ways)
{
    refuses("<html>\r\n", "its answer is not HTTP");
    refuses("SSH-2.0-OpenSSH\r\n", "not HTTP");
    refuses("HTTP/2 200\r\n\r\n", "not HTTP");
    refuses("HTTP/1.1 20 OK\r\n\r\n", "not HTTP");
    refuses("HTTP/1.1 2000 OK\r\n\r\n", "not HTTP");
    refuses("HTTP/1.1 099 OK\r\n\r\n", "not HTTP");
    refuses("HTTP/1.1 101 Upgrade\r\n\r\n", "not HTTP");
    refuses(OK "no colon\r\n\r\n", "not HTTP");
    refuses(OK "a : b\r\n\r\n", "not HTTP");
    refuses(OK "A: b\r\n folded\r\n\r\n", "not HTTP");
    refuses(OK ": b\r\n\r\n", "not HTTP");
    refuses(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi", "not HTTP");
    refuses(OK "Content-Length: 1, 1\r\n\r\nhi", "not HTTP");
    refuses(OK "Content-Length: -1\r\n\r\n", "not HTTP");
    refuses(OK "Content-Length: 99999999999999999999\r\n\r\n", "not HTTP");
    refuses(OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP");
    refuses(OK "Transfer-Encoding: gzip, chunked\r\n\r\n", "not HTTP");
    refuses(OK "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "not HTTP");
    refuses(OK "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "not HTTP");
    refuses(OK "Transfer-Encoding: chunked\r\n\r\n\r\n", "not HTTP");
    refuses(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "not HTTP");
    refuses("HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n", "not HTTP");
    refuses("HTTP/1.1 302 Found\r\nLocation: /\x1b[2J\r\n\r\n", "not HTTP");
    refuses(OK "Content-Encoding: gzip\r\n\r\n", "it sends the list compressed, unasked");
}

Test(http1, refuses_more_than_there_is_room_for)
{
    char text[HTTP1_HEAD_BYTES + 5000] = OK;
    refuses(OK "Content-Length: 65\r\n\r\n", "it sends more than 0 KiB");
    refuses(OK "Transfer-Encoding: chunked\r\n\r\n41\r\n", "it sends more than");
    refuses(OK "\r\n01234567890123456789012345678901234567890123456789012345678901234",
            "more than");
    memset(text + strlen(text), 'a', 5000);
    cr_assert_eq(take(text, strlen(text), 1000), ERR_WIRE);
    cr_assert_str_eq(w.text, "the head of its answer is too long", "a line");
    size_t count = (size_t)snprintf(text, sizeof text, OK);
    while (count < HTTP1_HEAD_BYTES + 100)
        count += (size_t)snprintf(text + count, 100, "Field: 0123456789012345678901234567890\r\n");
    cr_assert_eq(take(text, count, 1000), ERR_WIRE);
    cr_assert_str_eq(w.text, "the head of its answer is too long", "all lines");
}

Test(http1, knows_an_answer_that_was_cut)
{
    static const char *const cut[] = {"",
                                      "HTTP/1.1 2",
                                      OK,
                                      OK "Content-Length: 5\r\n\r\nhell",
                                      OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                      OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        cr_assert_eq(take(cut[i], strlen(cut[i]), 9), ERR_OK);
        cr_assert_eq(http1_end(&h, true, &w), ERR_WIRE, "%s", cut[i]);
        cr_assert_str_eq(w.text, "its answer ends in the middle");
    }
    cr_assert_eq(take(OK "\r\nhello", strlen(OK "\r\nhello"), 9), ERR_OK);
    cr_assert_eq(http1_end(&h, false, &w), ERR_WIRE, "the connection was lost: there may be more");
}

Test(http1, keeps_location_and_etag)
{
    static const char text[] =
        "HTTP/1.1 301 Moved\r\nlocation: https://x.org/y\r\nETag: W/\"a-b\"\r\n\r\n";
    cr_assert_eq(take(text, strlen(text), 5), ERR_OK);
    cr_assert_eq(h.state, HTTP1_DONE);
    cr_assert_str_eq(h.location, "https://x.org/y");
    cr_assert_str_eq(h.etag, "W/\"a-b\"");
    char odd[2000] = OK "ETag: ";
    memset(odd + strlen(odd), 'a', 600);
    strcat(odd, "\r\nContent-Length: 0\r\n\r\n");
    cr_assert_eq(take(odd, strlen(odd), 100), ERR_OK);
    cr_assert_str_eq(h.etag, "", "one that is too long is none");
}
