#include "config/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/complain.h"
#include "config/value.h"

bool paths_join(const char *base, const char *path, char out[EXPERIMENT_PATH_BYTES])
{
    size_t n = *path == '/' ? 0 : strlen(base);
    while (n > 0 && *path) {
        size_t dots = strspn(path, "."), after = path[dots] == '/' ? dots + 1 : dots;
        if (dots < 1 || dots > 2 || (path[dots] && path[dots] != '/')) break;
        path += after;
        path += strspn(path, "/");
        while (dots == 2 && n > 0 && base[--n] != '/') continue;
    }
    while (n > 0 && base[n - 1] == '/') n--;
    const char *slash = *path == '/' || !*path ? "" : "/";
    if (n == 0 && !*path) path = "/";
    int wrote = snprintf(out, EXPERIMENT_PATH_BYTES, "%.*s%s%s", (int)n, base, slash, path);
    return wrote < EXPERIMENT_PATH_BYTES;
}

bool paths_relative(const char *folder, const char *path, char out[EXPERIMENT_PATH_BYTES])
{
    size_t same = 0, n = 0; /* bytes of whole path components that both begin with */
    if (!strcmp(folder, "/")) folder = "";
    for (size_t i = 0;; i++) {
        bool ends = (!folder[i] || folder[i] == '/') && (!path[i] || path[i] == '/');
        if (ends) same = i;
        if (!folder[i] || folder[i] != path[i]) break;
    }
    out[0] = 0;
    const char *rest = path + same + (path[same] == '/');
    for (const char *at = folder + same; *at; at++)
        if (*at == '/' && n + 4 < EXPERIMENT_PATH_BYTES)
            n += (size_t)snprintf(out + n, 4, *rest ? "../" : n ? "/.." : "..");
    int wrote = snprintf(out + n, EXPERIMENT_PATH_BYTES - n, "%s", *rest || n ? rest : ".");
    return n + (size_t)wrote < EXPERIMENT_PATH_BYTES;
}

enum err paths_of(const char *file, struct paths *out, struct why *w)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(file, '/');
    if (slash && (size_t)(slash - file) + 2 <= sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", slash == file ? 1 : (int)(slash - file), file);
    char *real = realpath(folder, NULL);
    bool fits = real && strlen(real) < sizeof out->file;
    if (fits) snprintf(out->file, sizeof out->file, "%s", real);
    free(real);
    if (!fits || !getcwd(out->working, sizeof out->working))
        return why(w, ERR_IO, "finding the folder of %s: %s", file,
                   real ? "its name is too long" : strerror(errno));
    return ERR_OK;
}

static void resolve(struct experiment *x, const struct schema_key *k, struct experiment_place at,
                    const struct paths *from, char path[EXPERIMENT_PATH_BYTES])
{
    /* zero-filled, because bytes after the end are compared, too */
    char whole[EXPERIMENT_PATH_BYTES] = "";
    const char *base = at.set ? from->working : from->file;
    if (!*path || *path == '/') return;
    if (paths_join(base, path, whole)) memcpy(path, whole, sizeof whole);
    else
        complain(x, k, at, ERR_USAGE,
                 "with the folder that it starts from, %s, it is longer than %d bytes: write an "
                 "absolute path, or move the experiment",
                 base, EXPERIMENT_PATH_BYTES - 1);
}

/* Is the key of another form of access than the experiment's? */
static bool of_other_access(const struct experiment *x, const char *path)
{
    if (!strcmp(path, "swarm.access.psk")) return x->swarm.access != ACCESS_PSK;
    return x->swarm.access != ACCESS_TICKET &&
           (!strcmp(path, "swarm.ticket") || !strcmp(path, "swarm.revoked"));
}

void paths_resolve(struct experiment *x, const struct paths *from)
{
    for (size_t i = 0; i < schema_count; i++) {
        const struct schema_key *k = &schema_keys[i];
        if (k->form != SCHEMA_FORM_PATH || k->type != SCHEMA_TEXT) continue;
        if (of_other_access(x, k->path)) continue;
        resolve(x, k, x->places[i], from, (char *)x + k->offset);
    }
    size_t peers = schema_index("swarm.peers");
    for (size_t i = 0; i < x->swarm.peers_count; i++)
        if (!value_is_peer(x->swarm.peers[i]) && !value_is_address(x->swarm.peers[i], 1) &&
            !strstr(x->swarm.peers[i], "://"))
            resolve(x, &schema_keys[peers], x->peers_places[i], from, x->swarm.peers[i]);
}
