#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

extern char **environ;

/* Resets the child's signals as if a shell had started it: it must not inherit our mask or
 * handlers. */
static int spawn(const char *const *argv, const posix_spawn_file_actions_t *files, short flags,
                 pid_t *out)
{
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    int rc = posix_spawnattr_init(&attributes);
    if (rc) return rc;
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | flags));
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    rc = posix_spawn(out, SELF, files, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

enum err process_start(const char *const *argv, const char *output, pid_t *out, struct why *w)
{
    posix_spawn_file_actions_t files;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc) return why(w, ERR_MEMORY, "starting a process: %s", strerror(rc));
    rc = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output,
                                          O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (!rc) rc = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (!rc) rc = spawn(argv, &files, POSIX_SPAWN_SETPGROUP, out);
    posix_spawn_file_actions_destroy(&files);
    return rc ? why(w, ERR_IO, "starting a process that writes to %s: %s", output, strerror(rc))
              : ERR_OK;
}

/* Reads until the end of the input, and keeps as much as fits. */
static size_t read_all(int fd, char *to, size_t room)
{
    char more[4096];
    size_t count = 0;
    for (;;) {
        const bool fits = count + 1 < room;
        ssize_t n = read(fd, fits ? to + count : more, fits ? room - 1 - count : sizeof more);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return count;
        if (fits) count += (size_t)n;
    }
}

bool process_output(const char *const *argv, char *to, size_t room)
{
    int ends[2], status = -1;
    pid_t child;
    posix_spawn_file_actions_t files;
    to[0] = 0;
    if (pipe2(ends, O_CLOEXEC)) return false;
    int rc = posix_spawn_file_actions_init(&files);
    if (!rc) {
        rc = posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
        if (!rc)
            rc = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (!rc) rc = spawn(argv, &files, 0, &child);
        posix_spawn_file_actions_destroy(&files);
    }
    close(ends[1]);
    if (!rc) {
        to[read_all(ends[0], to, room)] = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    const bool good = !rc && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good) to[0] = 0;
    return good;
}
