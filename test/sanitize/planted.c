/* planted.c -- one bug of each kind that a sanitizer build must find, or its silence means
 * nothing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int shared;

static void *writer(void *arg)
{
    shared += (int)(size_t)arg;
    return NULL;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    if (!strcmp(kind, "address")) { /* reads one byte past a block */
        char *volatile block = malloc(8);
        block[0] = 1;
        printf("%d\n", block[8]);
        free(block);
    } else if (!strcmp(kind, "undefined")) { /* signed overflow */
        volatile int big = 2147483647;
        printf("%d\n", big + argc);
    } else if (!strcmp(kind, "thread")) { /* two threads, no lock */
        pthread_t a, b;
        pthread_create(&a, NULL, writer, (void *)1);
        pthread_create(&b, NULL, writer, (void *)2);
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        printf("%d\n", shared);
    } else {
        return 2;
    }
    return 0;
}
