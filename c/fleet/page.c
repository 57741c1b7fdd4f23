/* page.c -- the embedded files. Zig's compiler reads them by C23's #embed and recompiles when one
 * changes; clang 14, which builds for the sanitizers, takes base/embed.h. The build passes the path of
 * dygraphs (sources.lock). */
#include "fleet/page.h"

#include <string.h>

#include "base/embed.h"

#ifdef __has_embed
#pragma clang diagnostic ignored "-Wc23-extensions"
static const uint8_t style[] = {
#embed "report.css"
};
static const uint8_t script[] = {
#embed "report.js"
};
static const uint8_t dygraphs[] = {
#embed DYGRAPHS_SCRIPT
};
static const uint8_t dygraphs_style[] = {
#embed DYGRAPHS_STYLE
};
static const uint8_t license[] = {
#embed DYGRAPHS_LICENSE
};
#define FILE_BYTES(name) bytes_of(name, sizeof name)
#else
EMBED_FILE(page_file_style, "c/fleet/report.css");
EMBED_FILE(page_file_script, "c/fleet/report.js");
EMBED_FILE(page_file_dygraphs, DYGRAPHS_SCRIPT);
EMBED_FILE(page_file_dygraphs_style, DYGRAPHS_STYLE);
EMBED_FILE(page_file_license, DYGRAPHS_LICENSE);
#define FILE_BYTES(name) EMBED_BYTES(page_file_##name)
#endif

/* The part of the file before `end`, if that occurs. */
static struct bytes until(struct bytes file, const char *end)
{
    const uint8_t *at = memmem(file.data, file.count, end, strlen(end));
    return at ? bytes_of(file.data, (size_t)(at - file.data)) : file;
}

struct bytes page_style(void) { return FILE_BYTES(style); }
struct bytes page_script(void) { return FILE_BYTES(script); }
struct bytes page_dygraphs(void) { return until(FILE_BYTES(dygraphs), "//# sourceMappingURL"); }
struct bytes page_dygraphs_style(void)
{
    return until(FILE_BYTES(dygraphs_style), "/*# sourceMappingURL");
}
struct bytes page_dygraphs_license(void) { return FILE_BYTES(license); }
