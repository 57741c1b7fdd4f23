/* Whatever bytes an experiment file holds: it is refused with one sentence that fits a line, or it
 * is good, and then what is printed of it reads back to the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/experiment.h"

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "experiment_fuzz: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static struct experiment x, y;
    struct why w = {0};
    enum err e = experiment_parse("f", bytes_of(data, count), &x, &w);
    if (e) {
        check(e == ERR_USAGE || e == ERR_UNSUPPORTED, "refused with another error");
        check(!strncmp(w.text, "f:", 2), "refused without a place");
        for (const char *c = w.text; *c; c++)
            check((uint8_t)*c >= 0x20 && *c != 0x7f, "a control character in the sentence");
        return 0;
    }
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    experiment_print(&x, f);
    fclose(f);
    e = experiment_parse("f", bytes_of(text, bytes), &y, &w);
    size_t values = offsetof(struct experiment, places);
    check(!e && !memcmp(&x, &y, values), "what is printed does not read back to the same");
    free(text);
    return 0;
}
