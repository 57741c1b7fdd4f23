/* sizes.h -- message sizes from SPEC.md's tables, for tests that compare them with the encoder. */
#ifndef SHOAL_TEST_SWARM_SIZES_H
#define SHOAL_TEST_SWARM_SIZES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of "15 + 16 n + 16 p" in "| 0x22 | PROPOSE | 15 + 16 n + 16 p | ..."; 0 when no line of
 * this type has a size. `wire`: the value of that word. */
static inline size_t sizes_in_spec(uint8_t type, size_t n, size_t p, size_t wire)
{
    char line[1024], head[16];
    size_t bytes = 0;
    FILE *f = fopen("SPEC.md", "r");
    snprintf(head, sizeof head, "| 0x%02x |", type);
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, head, strlen(head))) continue;
        for (char *cell = line + strlen(head); (cell = strstr(cell, "| ")); cell++) {
            if (cell[2] < '0' || cell[2] > '9') continue;
            char *at = cell + 2;
            while (*at != '|') { /* a sum of numbers, or of numbers times n or p */
                size_t term = strtoul(at, &at, 10);
                if (!strncmp(at, "wire", 4)) term = wire, at += 4;
                if (!strncmp(at, " n", 2)) term *= n, at += 2;
                if (!strncmp(at, " p", 2)) term *= p, at += 2;
                bytes += term;
                at += strspn(at, " +");
            }
            break;
        }
        if (bytes) break;
    }
    if (f) fclose(f);
    return bytes;
}

#endif
