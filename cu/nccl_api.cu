/* nccl_api.cu -- finds NCCL and its functions; see nccl_api.h. */
#include "nccl_api.h"

#include "cuda.h"

#if !defined(SHOAL_FIBER) && __has_include(<nccl.h>)
#include <nccl.h>
#include <type_traits>

/* A function's type with int for its enums, and for pointers to them. */
template <class T>
using plain = std::conditional_t<
    std::is_enum_v<T>, int,
    std::conditional_t<std::is_enum_v<std::remove_pointer_t<T>> && std::is_pointer_v<T>, int *, T>>;
template <class F> struct plain_function;
template <class R, class... A> struct plain_function<R(A...)> {
    using type = plain<R>(plain<A>...);
};
#define COMPARE(field, symbol, result, parameters)                                                 \
    static_assert(std::is_same_v<plain_function<decltype(symbol)>::type, result parameters>,       \
                  #symbol);
NCCL_FUNCTIONS(COMPARE)
static_assert(sizeof(ncclResult_t) == sizeof(int) && sizeof(ncclDataType_t) == sizeof(int) &&
                  sizeof(ncclRedOp_t) == sizeof(int),
              "its enums are ints");
static_assert(ncclSuccess == (int)NCCL_OK && ncclInProgress == (int)NCCL_IN_PROGRESS &&
                  ncclFloat32 == (int)NCCL_FLOAT && ncclSum == (int)NCCL_ADD,
              "its numbers are these");
#endif

enum err nccl_load(struct nccl *out, const char *path, struct why *w)
{
    const struct library_wish wish = {"NCCL", "machine.nccl", path, {"libnccl.so.2"}};
    const struct library_function functions[] = {
#define FUNCTION(field, symbol, result, parameters) {#symbol, (void (**)(void)) & out->field},
        NCCL_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };
    enum err e = library_open(&out->library, &wish, w);
    if (!e) e = library_find(&out->library, functions, sizeof functions / sizeof *functions, w);
    if (!e && out->get_version(&out->version) != NCCL_OK)
        e = why(w, ERR_DEVICE, "%s does not say its version", out->library.path);
    return e;
}

enum err cuda_nccl(int *version, const char *library, struct why *w)
{
    struct nccl n;
    enum err e = nccl_load(&n, library, w);
    if (!e) *version = n.version;
    return e;
}
