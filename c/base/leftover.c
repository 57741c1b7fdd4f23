#include "base/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char mark[] = ".tmp-";

/* The name that the temporary file `name` would have got. */
static bool stem_of(const char *name, char out[NAME_MAX + 1])
{
    const char *at = NULL;
    for (const char *next = name; (next = strstr(next, mark)); next++) at = next;
    if (!at || at - name > NAME_MAX) return false;
    const char *digits = at + sizeof mark - 1;
    if (!*digits || digits[strspn(digits, "0123456789")]) return false;
    memcpy(out, name, (size_t)(at - name));
    out[at - name] = 0;
    return true;
}

size_t leftover_remove(const char *dir, bool (*ours)(const char *name))
{
    DIR *d = opendir(dir);
    char stem[NAME_MAX + 1];
    size_t count = 0;
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));)
        if (stem_of(e->d_name, stem) && ours(stem)) count += !unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return count;
}
