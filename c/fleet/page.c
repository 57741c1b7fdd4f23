/* page.c -- the embedded files. Zig's compiler reads them by C23's #embed and recompiles when one
 * changes; clang 14, which builds for the sanitizers, has .incbin, whose paths are relative to its
 * working directory, the tree's root. The build passes the path of dygraphs (sources.lock). */
#include "fleet/page.h"

#include <string.h>

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
#define FILE(name, path)                                                                           \
    extern const uint8_t page_##name[], page_##name##_end[];                                       \
    __asm__(".pushsection .rodata\n.globl page_" #name "\n.globl page_" #name "_end\npage_" #name  \
            ":\n.incbin \"" path "\"\npage_" #name "_end:\n.popsection\n")
FILE(style_file, "c/fleet/report.css");
FILE(script_file, "c/fleet/report.js");
FILE(dygraphs_file, DYGRAPHS_SCRIPT);
FILE(dygraphs_style_file, DYGRAPHS_STYLE);
FILE(license_file, DYGRAPHS_LICENSE);
#define FILE_BYTES(name)                                                                           \
    bytes_of(page_##name##_file, (size_t)(page_##name##_file_end - page_##name##_file))
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
