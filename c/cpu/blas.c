#include "cpu/blas.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"

/* Of OpenBLAS, without a declaration in its headers: forget the chosen core and choose again. */
void gotoblas_dynamic_quit(void);
void gotoblas_dynamic_init(void);

/* OpenBLAS starts a thread for every processor when the program is loaded, before main: here it never needs one. Its
 * own constructor has no priority; those that have one run earlier. What the user has set stays. */
__attribute__((constructor(101))) static void want_no_threads(void)
{
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

const char *blas_core_wanted(const char *core, bool avx512, bool avx2)
{
    static const char *const with_avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    static const char *const with_avx2[] = {"Haswell", "Zen"};
    for (size_t i = 0; i < sizeof with_avx512 / sizeof with_avx512[0]; i++)
        if (!strcasecmp(core, with_avx512[i])) return NULL;
    if (avx512) return "SkylakeX";
    for (size_t i = 0; i < sizeof with_avx2 / sizeof with_avx2[0]; i++)
        if (!strcasecmp(core, with_avx2[i])) return NULL;
    return avx2 ? "Haswell" : NULL;
}

static void setup(void)
{
    const char *set = getenv("OPENBLAS_CORETYPE");
    const char *wanted = blas_core_wanted(blas_core(), kernels_avx512_here(), kernels_avx2_here());
    if (wanted && !(set && *set)) {
        setenv("OPENBLAS_CORETYPE", wanted, 1);
        gotoblas_dynamic_quit();
        gotoblas_dynamic_init();
        unsetenv("OPENBLAS_CORETYPE"); /* a child process chooses for itself */
    }
    openblas_set_num_threads(1);
}

void blas_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, setup);
}

const char *blas_core(void) { return openblas_get_corename(); }

static blasint narrow(size_t n)
{
    assert(n <= INT_MAX);
    return (blasint)n;
}

void blas_product(const struct blas_product *p)
{
    cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans,
                p->b_transposed ? CblasTrans : CblasNoTrans, narrow(p->m), narrow(p->n),
                narrow(p->k), p->alpha, p->a, narrow(p->lda), p->b, narrow(p->ldb), p->beta, p->c,
                narrow(p->ldc));
}
