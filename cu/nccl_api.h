/* nccl_api.h -- the functions we use of NCCL, NVIDIA's library for reductions over several GPUs,
 * loaded at run time.
 *
 * Our own declarations, so that it is not needed when shoal is built; if its header is present, the
 * compiler compares them (nccl_api.cu). Version 2.13 or later. */
#ifndef SHOAL_CU_NCCL_API_H
#define SHOAL_CU_NCCL_API_H

#include <stddef.h>

#include "base/err.h"
#include "device.h"
#include "library.h"

typedef struct ncclComm *nccl_comm; /* one GPU's communicator in a group */

enum { NCCL_OK = 0, NCCL_IN_PROGRESS = 7 }; /* of ncclResult_t */
enum { NCCL_FLOAT = 7 };                    /* of ncclDataType_t */
enum { NCCL_ADD = 0 };                      /* of ncclRedOp_t */

/* Field, symbol, result, parameters: enums are int. */
#define NCCL_FUNCTIONS(F)                                                                          \
    F(get_version, ncclGetVersion, int, (int *version))                                            \
    F(get_error_string, ncclGetErrorString, const char *, (int result))                            \
    F(get_last_error, ncclGetLastError, const char *, (nccl_comm))                                 \
    F(comm_init_all, ncclCommInitAll, int, (nccl_comm *, int count, const int *devices))           \
    F(comm_get_async_error, ncclCommGetAsyncError, int, (nccl_comm, int *result))                  \
    F(comm_destroy, ncclCommDestroy, int, (nccl_comm))                                             \
    F(comm_abort, ncclCommAbort, int, (nccl_comm))                                                 \
    F(group_start, ncclGroupStart, int, ())                                                        \
    F(group_end, ncclGroupEnd, int, ())                                                            \
    F(all_reduce, ncclAllReduce, int,                                                              \
      (const void *from, void *to, size_t count, int type, int operation, nccl_comm,               \
       cudaStream_t))                                                                              \
    F(broadcast, ncclBroadcast, int,                                                               \
      (const void *from, void *to, size_t count, int type, int root, nccl_comm, cudaStream_t))

struct nccl {
#define FIELD(field, symbol, result, parameters) result(*field) parameters;
    NCCL_FUNCTIONS(FIELD)
#undef FIELD
    int version; /* 22809: 2.28.9 */
    struct library library;
};

/* Loads it: the file `path`; if empty, searches for it. It stays loaded until the process ends,
 * since it may have threads. ERR_DEVICE naming what was tried. */
enum err nccl_load(struct nccl *out, const char *path, struct why *w);

#endif
