/* embed.h -- a file as bytes of the program, for a compiler without C23's #embed: by .incbin, whose
 * paths are relative to its working directory, the tree's root. */
#ifndef SHOAL_BASE_EMBED_H
#define SHOAL_BASE_EMBED_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* `name` is a symbol of the whole program. */
#define EMBED_FILE(name, path)                                                                     \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n.globl " #name "\n.globl " #name "_end\n" #name                 \
            ":\n.incbin \"" path "\"\n" #name "_end:\n.popsection\n")

#define EMBED_BYTES(name) bytes_of(name, (size_t)(name##_end - name))

#endif
