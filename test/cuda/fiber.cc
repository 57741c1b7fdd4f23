#include "fiber.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_BYTES (64 << 10)

/* All __shared__ variables; the linker names the ends of the section. */
extern char fiber_shared_start[] __asm__("__start_fiber_shared") __attribute__((weak));
extern char fiber_shared_stop[] __asm__("__stop_fiber_shared") __attribute__((weak));

namespace fiber
{

thread *now;
dim3 block, block_size, grid_size;
char *dynamic_shared;

static thread threads[THREADS_MAX];
static warp warps[THREADS_MAX / LANES];
static char *stacks[THREADS_MAX];
alignas(128) static char shared[SHARED_BYTES_MAX];
static void (*body)(const void *);
static const void *closure;
static const char *kernel;
static unsigned count, alive, at_barrier; /* threads of the block; those that have not ended */
static size_t shared_used, shared_allowed;
static int barrier_line;
static void *host_stack;

/* Saves what a call must preserve on the present stack, and goes on where `to` was left. */
extern "C" void fiber_switch(void **save, void *to);
asm(R"(
.globl fiber_switch
fiber_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "fiber: kernel %s", kernel);
    if (now)
        fprintf(stderr, ", block (%u, %u, %u), thread %u", block.x, block.y, block.z, now->number);
    fputs(": ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

bool in_shared(const void *p, size_t bytes)
{
    const char *at = (const char *)p;
    return (at >= shared && at + bytes <= shared + shared_used) ||
           (at >= fiber_shared_start && at + bytes <= fiber_shared_stop);
}

void allow_shared(size_t bytes) { shared_allowed = bytes; }

static void yield() { fiber_switch(&now->stack_pointer, host_stack); }

static void release_block()
{
    at_barrier = 0;
    for (unsigned i = 0; i < count; i++)
        if (threads[i].wait == waits::for_the_block) threads[i].wait = waits::for_nothing;
}

/* A thread that has ended counts as arrived, as on sm_70 and later. */
void barrier(int line)
{
    if (at_barrier && line != barrier_line)
        fail("it waits at the barrier of line %d, others at that of line %d", line, barrier_line);
    barrier_line = line;
    if (++at_barrier == alive) {
        release_block();
        return;
    }
    now->wait = waits::for_the_block;
    yield();
}

warp *meet(const char *what, unsigned mask, const void *brought, size_t bytes)
{
    unsigned first = now->number / LANES * LANES;
    warp *w = &warps[now->number / LANES];
    if (mask != ~0u) fail("%s with mask 0x%x: only whole warps are known here", what, mask);
    if (w->alive != LANES) fail("%s, and other lanes of its warp have ended", what);
    if (w->arrived && strcmp(w->what, what))
        fail("it waits in %s, other lanes of its warp in %s", what, w->what);
    w->what = what;
    memcpy(w->in[lane()], brought, bytes);
    if (++w->arrived == LANES) {
        memcpy(w->out, w->in, sizeof w->out);
        w->arrived = 0;
        for (unsigned i = 0; i < LANES; i++) threads[first + i].wait = waits::for_nothing;
        return w;
    }
    now->wait = waits::for_its_warp;
    yield();
    return w;
}

static void ended()
{
    warp *w = &warps[now->number / LANES];
    now->done = true;
    w->alive--;
    alive--;
    if (now->copies) fail("it ends, and has not waited for %u of its copies", now->copies);
    if (w->arrived) fail("it ends, and other lanes of its warp wait in %s", w->what);
    if (at_barrier && at_barrier == alive) release_block();
}

static void entry()
{
    body(closure);
    ended();
    yield();
    abort();
}

static void prepare(unsigned i)
{
    void **top = (void **)(stacks[i] + STACK_BYTES);
    *--top = nullptr; /* where entry() would return to; keeps the stack aligned as after a call */
    *--top = (void *)entry;
    for (int r = 0; r < 6; r++) *--top = nullptr;
    struct thread *t = &threads[i];
    t->index =
        dim3(i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y);
    t->number = i;
    t->wait = waits::for_nothing;
    t->done = false;
    t->stack_pointer = top;
    t->groups = t->copies = 0;
}

/* Lets a thread run until it waits. False when it cannot. */
static bool run(unsigned i)
{
    if (threads[i].done || threads[i].wait != waits::for_nothing) return false;
    now = &threads[i];
    fiber_switch(&host_stack, now->stack_pointer);
    now = nullptr;
    return true;
}

static bool run_warp(unsigned w)
{
    bool ran = false, again = true;
    while (again) {
        again = false;
        for (unsigned i = 0; i < LANES; i++) again |= run(w * LANES + i);
        ran |= again;
    }
    return ran;
}

static void run_block()
{
    const char *schedule = getenv("FIBER_SCHEDULE");
    bool by_warp = schedule && !strcmp(schedule, "warps");
    bool reverse = schedule && !strcmp(schedule, "reverse");
    while (alive) {
        bool ran = false;
        if (by_warp)
            for (unsigned w = 0; w < count / LANES; w++) ran |= run_warp(w);
        else
            for (unsigned i = 0; i < count; i++) ran |= run(reverse ? count - 1 - i : i);
        if (!ran) {
            for (unsigned i = 0; i < count; i++)
                if (!threads[i].done) now = &threads[i];
            fail("it waits for threads that wait elsewhere");
        }
    }
}

static void begin_block(dim3 at)
{
    block = at;
    memset(shared, 0xff, shared_used);
    if (fiber_shared_start)
        memset(fiber_shared_start, 0xff, (size_t)(fiber_shared_stop - fiber_shared_start));
    alive = count;
    at_barrier = 0;
    for (unsigned w = 0; w < count / LANES; w++) warps[w].arrived = 0, warps[w].alive = LANES;
    for (unsigned i = 0; i < count; i++) prepare(i);
}

/* A page that is nobody's, as the tests put behind matrices (tensor.h). */
static void on_fault(int signal_number)
{
    if (now) fail("it touches memory that is nobody's");
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Would a GPU take it? Asked when it is queued. */
void look_at_launch(const struct launched &l)
{
    kernel = l.kernel;
    now = nullptr;
    const unsigned threads = l.size.x * l.size.y * l.size.z;
    if (threads == 0 || threads > THREADS_MAX || threads % LANES)
        fail("a block of %u threads: launch whole warps, at most %u", threads, THREADS_MAX);
    if (!l.grid.x || !l.grid.y || !l.grid.z || l.grid.y > 65535 || l.grid.z > 65535)
        fail("a grid of (%u, %u, %u) blocks", l.grid.x, l.grid.y, l.grid.z);
    if (l.shared_bytes > SHARED_BYTES_MAX ||
        (l.shared_bytes > SHARED_BYTES_UNASKED && l.shared_bytes > shared_allowed))
        fail("%zu bytes of shared memory, and %zu are allowed", l.shared_bytes, shared_allowed);
    shared_allowed = 0;
}

void run_grid(const struct launched &l, void (*what)(const void *), const void *with)
{
    static bool watching;
    if (!watching) signal(SIGSEGV, on_fault);
    watching = true;
    kernel = l.kernel;
    now = nullptr;
    count = l.size.x * l.size.y * l.size.z;
    body = what;
    closure = with;
    block_size = l.size;
    grid_size = l.grid;
    shared_used = l.shared_bytes;
    dynamic_shared = shared;
    for (unsigned i = 0; i < count; i++)
        if (!stacks[i]) stacks[i] = (char *)aligned_alloc(64, STACK_BYTES);
    for (unsigned z = 0; z < l.grid.z; z++)
        for (unsigned y = 0; y < l.grid.y; y++)
            for (unsigned x = 0; x < l.grid.x; x++) {
                begin_block(dim3(x, y, z));
                run_block();
            }
    look_at_guards();
}

} // namespace fiber
