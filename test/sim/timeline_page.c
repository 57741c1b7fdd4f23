/* timeline_page.c -- the style and the script are embedded as in c/fleet/page.c: by #embed, or
 * base/embed.h where clang is too old for it. */
#include "timeline_page.h"

#include <stdint.h>
#include <stdio.h>

#include "base/embed.h"

#ifdef __has_embed
#pragma clang diagnostic ignored "-Wc23-extensions"
static const uint8_t style[] = {
#embed "timeline.css"
};
static const uint8_t script[] = {
#embed "timeline.js"
};
#define FILE_BYTES(name) bytes_of(name, sizeof name)
#else
EMBED_FILE(timeline_file_style, "test/sim/timeline.css");
EMBED_FILE(timeline_file_script, "test/sim/timeline.js");
#define FILE_BYTES(name) EMBED_BYTES(timeline_file_##name)
#endif

static void put_bytes(FILE *to, struct bytes b) { fwrite(b.data, 1, b.count, to); }

bool timeline_page(const char *path, const char *title, const json_t *data)
{
    FILE *to = fopen(path, "w");
    if (!to) return false;
    fprintf(to,
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
            "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
            "<title>%s</title>\n<style>\n",
            title);
    put_bytes(to, FILE_BYTES(style));
    fprintf(to,
            "</style></head>\n<body><header><h1>%s</h1><div id=about></div></header>\n"
            "<main id=page></main>\n<script type=\"application/json\" id=data>",
            title);
    /* "</script>" in a text would end the data. */
    json_dumpf(data, to, JSON_COMPACT | JSON_ESCAPE_SLASH | JSON_REAL_PRECISION(10));
    fprintf(to, "</script>\n<script>\n");
    put_bytes(to, FILE_BYTES(script));
    fprintf(to, "</script></body></html>\n");
    bool whole = !ferror(to);
    return fclose(to) == 0 && whole;
}
