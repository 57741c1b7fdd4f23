#include "library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* relative to the folder of a Python */
#define PIP       "/../lib*/python3*/*-packages/nvidia/*/lib"
#define LINKS_MAX 8

/* Folders: a pattern of glob(3), appended to each part of an environment variable if one is
 * named. */
static const struct place {
    const char *variable, *pattern;
    const char *said; /* NULL: the same as the previous one */
} places[] = {
    {"CUDA_HOME", "/lib64", "$CUDA_HOME/lib64"},
    {"CUDA_PATH", "/lib64", "$CUDA_PATH/lib64"},
    {NULL, "/usr/local/cuda/lib64", "/usr/local/cuda*/lib64"},
    {NULL, "/usr/local/cuda-*/lib64", NULL},
    {NULL, "/opt/cuda/lib64", "/opt/cuda/lib64"},
    {"CONDA_PREFIX", "/lib", "$CONDA_PREFIX/lib"},
    {"VIRTUAL_ENV", "/lib*/python3*/*-packages/nvidia/*/lib",
     "the nvidia folders that pip makes for the Pythons of $VIRTUAL_ENV, $PYTHONPATH, $PATH, "
     "~/.local and ~/.pyenv"},
    {"PYTHONPATH", "/nvidia/*/lib", NULL},
    {"PATH", PIP, NULL},
    {"HOME", "/.local/lib*/python3*/*-packages/nvidia/*/lib", NULL},
    {"HOME", "/.pyenv/versions/*/lib*/python3*/*-packages/nvidia/*/lib", NULL},
};
#define PLACES (sizeof places / sizeof *places)

struct search {
    const struct library_wish *wish;
    struct library *out;
    char unopened[800]; /* why the first existing one cannot be opened; empty: none exists */
};

static bool try_path(struct search *s, const char *path)
{
    /* It stays loaded when closed: cuBLASLt takes 0.1 s to load, and must not be unloaded while its
     * context exists. */
    s->out->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (s->out->handle) snprintf(s->out->path, sizeof s->out->path, "%s", path);
    return s->out->handle;
}

static bool try_folder(struct search *s, const char *folder)
{
    for (const char *const *name = s->wish->names; *name; name++) {
        char path[LIBRARY_PATH_BYTES];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, *name) >= sizeof path) continue;
        if (access(path, F_OK)) continue;
        if (try_path(s, path)) return true;
        if (!s->unopened[0])
            snprintf(s->unopened, sizeof s->unopened, "%s cannot be opened: %s", path, dlerror());
    }
    return false;
}

/* Searches the folders that match the first `bytes` of `root` followed by `pattern`. */
static bool try_pattern(struct search *s, const char *root, int bytes, const char *pattern)
{
    char whole[LIBRARY_PATH_BYTES];
    glob_t found = {};
    bool open = false;
    if ((size_t)snprintf(whole, sizeof whole, "%.*s%s", bytes, root, pattern) >= sizeof whole)
        return false;
    if (glob(whole, 0, NULL, &found) == 0)
        for (size_t i = 0; !open && i < found.gl_pathc; i++)
            open = try_folder(s, found.gl_pathv[i]);
    globfree(&found);
    return open;
}

static bool try_place(struct search *s, const struct place *p)
{
    if (!p->variable) return try_pattern(s, "", 0, p->pattern);
    for (const char *at = getenv(p->variable); at && *at;) {
        const size_t bytes = strcspn(at, ":");
        if (*at == '/' && try_pattern(s, at, (int)bytes, p->pattern)) return true;
        at += bytes + (at[bytes] == ':');
    }
    return false;
}

/* A Python may be a link to that of a virtual environment, and that one a link to the system's:
 * searches next to each. */
static bool try_links(struct search *s, const char *folder, int bytes)
{
    char path[LIBRARY_PATH_BYTES], to[LIBRARY_PATH_BYTES];
    if ((size_t)snprintf(path, sizeof path, "%.*s/python3", bytes, folder) >= sizeof path)
        return false;
    for (int i = 0; i < LINKS_MAX; i++) {
        const ssize_t n = readlink(path, to, sizeof to - 1);
        if (n <= 0) return false;
        to[n] = 0;
        const size_t kept = to[0] == '/' ? 0 : (size_t)(strrchr(path, '/') - path) + 1;
        if (kept + (size_t)n >= sizeof path) return false;
        memcpy(path + kept, to, (size_t)n + 1);
        if (try_pattern(s, path, (int)(strrchr(path, '/') - path), PIP)) return true;
    }
    return false;
}

static bool try_pythons(struct search *s)
{
    for (const char *at = getenv("PATH"); at && *at;) {
        const size_t bytes = strcspn(at, ":");
        if (*at == '/' && try_links(s, at, (int)bytes)) return true;
        at += bytes + (at[bytes] == ':');
    }
    return false;
}

static bool search_all(struct search *s)
{
    for (const char *const *name = s->wish->names; *name; name++)
        if (try_path(s, *name)) return true;
    for (size_t i = 0; i < PLACES; i++)
        if (try_place(s, &places[i])) return true;
    return try_pythons(s);
}

static enum err found_nothing(const struct search *s, struct why *w)
{
    char names[200] = "", where[600] = "where the loader looks";
    for (const char *const *name = s->wish->names; *name; name++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? " or " : "", *name);
    }
    for (size_t i = 0; i < PLACES; i++) {
        const size_t used = strlen(where);
        if (places[i].said) snprintf(where + used, sizeof where - used, ", %s", places[i].said);
    }
    if (s->unopened[0])
        return why(w, ERR_DEVICE, "%s; let %s name another file", s->unopened, s->wish->key);
    return why(w, ERR_DEVICE, "there is no %s: no %s %s; install it, or let %s name its file",
               s->wish->what, names, where, s->wish->key);
}

enum err library_open(struct library *out, const struct library_wish *wish, struct why *w)
{
    struct search s = {wish, out, ""};
    *out = {};
    if (wish->path && wish->path[0]) {
        /* The loader treats a name as a path only if it has a '/'. */
        char path[LIBRARY_PATH_BYTES + 2];
        snprintf(path, sizeof path, "%s%s", strchr(wish->path, '/') ? "" : "./", wish->path);
        if (try_path(&s, path)) return ERR_OK;
        return why(w, ERR_DEVICE, "%s: %s cannot be opened: %s", wish->key, wish->path, dlerror());
    }
    return search_all(&s) ? ERR_OK : found_nothing(&s, w);
}

void library_close(struct library *l)
{
    if (l->handle) dlclose(l->handle);
    *l = {};
}

enum err library_find(const struct library *l, const struct library_function *functions,
                      size_t count, struct why *w)
{
    for (size_t i = 0; i < count; i++) {
        void *found = dlsym(l->handle, functions[i].name);
        if (!found) return why(w, ERR_DEVICE, "%s has no function %s", l->path, functions[i].name);
        memcpy(functions[i].at, &found, sizeof found);
    }
    return ERR_OK;
}
