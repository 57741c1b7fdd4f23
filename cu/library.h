/* library.h -- a shared library that a machine may have in one of many places, opened at run time.
 *
 * A path that the user names is the only one that is tried. Without one it is looked for where the
 * loader looks, then in CUDA toolkits, then in what pip has installed for the Pythons of this user,
 * those behind links too; in each by one name after the other. */
#ifndef SHOAL_CU_LIBRARY_H
#define SHOAL_CU_LIBRARY_H

#include <stddef.h>

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LIBRARY_PATH_BYTES 512
#define LIBRARY_NAMES_MAX  4

struct library_wish {
    const char *what; /* "cuBLASLt", for sentences */
    const char *key;  /* the setting that names a path, "machine.cublaslt" */
    const char *path; /* its value; NULL or empty: search */
    const char *names[LIBRARY_NAMES_MAX + 1]; /* "libcublasLt.so.13", ...: the best first, NULL */
};

struct library {
    void *handle;
    char path[LIBRARY_PATH_BYTES]; /* what was opened: a path, or a name that the loader knows */
};

/* ERR_DEVICE says in one sentence what was tried, why one that is there cannot be opened, and which
 * setting names another. */
enum err library_open(struct library *out, const struct library_wish *wish, struct why *w);
/* One that is not open is fine. The library stays in the process, so that the next opening is
 * quick. */
void library_close(struct library *l);

struct library_function {
    const char *name;
    void (**at)(void);
};

/* Sets all of them, or says in ERR_DEVICE which one the library does not have. */
enum err library_find(const struct library *l, const struct library_function *functions,
                      size_t count, struct why *w);

#ifdef __cplusplus
}
#endif
#endif
