/* library.h -- finds and opens a shared library that may be installed in one of many places.
 *
 * If the user names a path, only that is tried. Otherwise the search covers the loader's paths,
 * then CUDA toolkits, then the packages that pip has installed for this user's Pythons, including
 * linked ones; in each place the names are tried in order. */
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
    const char *what; /* "cuBLASLt", for messages */
    const char *key;  /* the setting that names a path, "machine.cublaslt" */
    const char *path; /* its value; NULL or empty: search */
    /* "libcublasLt.so.13", ...: the best first, ended by NULL */
    const char *names[LIBRARY_NAMES_MAX + 1];
};

struct library {
    void *handle;
    char path[LIBRARY_PATH_BYTES]; /* what was opened: a path, or a name known to the loader */
};

/* ERR_DEVICE says in one sentence what was tried, why an existing one cannot be opened, and which
 * setting names another. */
enum err library_open(struct library *out, const struct library_wish *wish, struct why *w);
/* Closing one that is not open is fine. The library stays loaded, so that the next opening is
 * quick. */
void library_close(struct library *l);

struct library_function {
    const char *name;
    void (**at)(void);
};

/* Sets all functions, or says in ERR_DEVICE which one the library lacks. */
enum err library_find(const struct library *l, const struct library_function *functions,
                      size_t count, struct why *w);

#ifdef __cplusplus
}
#endif
#endif
