// Runs CUDA C on the CPU, slowly and strictly: `g++ -include emulate.h -x c++ kernel.cu` gives a library whose kernels
// work on host memory. No GPU, no driver, no CUDA headers are needed.
//
// Blocks run one after another in random order. Each thread of a block is a fiber: it runs until it waits at a barrier
// or for its warp, then another, drawn at random, goes on. So a missing barrier shows as a wrong number for some seed.
// Shared memory is filled with ones, which are NaN, before each block. These end the launch with a message that names
// block and thread: a barrier that only some threads reach, or at which they stand in different lines; a warp function
// whose lanes differ in line or never all come; an address outside of the arrays (fence.py puts pages around them); an
// index outside of a fixed array, a misaligned vector, integer overflow (by -fsanitize-trap); a loop without end.
// Asynchronous copies to shared memory happen only when they are waited for, as late as is legal.
#pragma once
#include <math.h>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>
#include <sys/mman.h>
#include <sys/time.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static __attribute__((section("cuda_shared")))
#define __constant__ static const
#define __align__(n) __attribute__((aligned(n)))

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

extern "C" char __start_cuda_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_cuda_shared[] __attribute__((weak, visibility("hidden")));

namespace emulate {

constexpr size_t PAGE = 4096, STACK = 256 * 1024, DYNAMIC = 256 * 1024;
constexpr int SECONDS = 120;                     // of CPU time for a launch
enum State { FRESH, READY, AT_BARRIER, IN_WARP, DONE };
struct Place { const char* file; int line; };
inline bool operator!=(Place a, Place b) { return a.line != b.line || strcmp(a.file, b.file); }
struct Copy { void* to; const void* from; int bytes, group; bool zero; };
struct Thread {
    dim3 index;
    unsigned number = 0;
    State state = FRESH;
    Place place{"", 0};                          // where it waits
    unsigned mask = 0;                           // with which lanes
    void* sent = nullptr;                        // and what it gives them
    int predicate = 0;                           // what it brings to __syncthreads_or and its like
    char* stack = nullptr;
    std::vector<Copy> copies;                    // asynchronous copies that nobody has waited for yet
    int group = 0;
#if defined(__x86_64__)
    void* context = nullptr;
#else
    ucontext_t context;
#endif
};

static dim3 grid, block, here;                   // gridDim, blockDim, blockIdx
static Thread* now;                              // the thread that runs
static std::vector<Thread> threads;
static std::vector<unsigned> ready;
inline std::vector<char*> stacks;                // of all sources: the linker makes one of an inline variable. A stack
                                                 // is two of the 65,530 mappings that Linux grants a process
static char* dynamic_end;                        // of dynamic shared memory: the page after it cannot be touched
static size_t dynamic_size;
static unsigned alive, at_barrier;
static int votes;                                // how many threads brought a predicate to the latest barrier
static void (*body)(void**);
static void** arguments;
static char message[768];
static bool failed;
static unsigned long long dice;

template <class T> void shuffle_all(std::vector<T>& all) {                     // Fisher and Yates, with xorshift64*
    for (size_t n = all.size(); n > 1; n--) {
        dice ^= dice >> 12, dice ^= dice << 25, dice ^= dice >> 27;
        std::swap(all[n - 1], all[(dice * 0x2545f4914f6cdd1dULL >> 33) % n]);
    }
}

#if defined(__x86_64__)
static void* outside;
extern "C" void emulate_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
.text
.globl emulate_switch
.hidden emulate_switch
.type emulate_switch,@function
emulate_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
inline void leave() { emulate_switch(&now->context, outside); }
inline void enter(Thread& t) { now = &t; emulate_switch(&outside, t.context); }
inline void prepare(Thread& t, void (*start)()) {
    void** top = (void**)(t.stack + STACK);
    for (int i = 1; i <= 8; i++) top[-i] = nullptr;
    top[-2] = (void*)start;                      // `ret` jumps there, with the stack as after a call
    t.context = top - 8;
}
#else
static ucontext_t outside;
inline void leave() { swapcontext(&now->context, &outside); }
inline void enter(Thread& t) { now = &t; swapcontext(&outside, &t.context); }
inline void prepare(Thread& t, void (*start)()) {
    getcontext(&t.context);
    t.context.uc_stack.ss_sp = t.stack;
    t.context.uc_stack.ss_size = STACK;
    t.context.uc_link = nullptr;
    makecontext(&t.context, start, 0);
}
#endif

inline void fail(const char* format, ...) {      // ends the launch; does not return when a thread calls it
    int n = now ? snprintf(message, sizeof message, "block (%u, %u, %u), thread (%u, %u, %u): ", here.x, here.y, here.z,
                           now->index.x, now->index.y, now->index.z) : 0;
    va_list list;
    va_start(list, format);
    vsnprintf(message + n, sizeof message - n, format, list);
    va_end(list);
    failed = true;
    if (now) leave();
}

inline void start() {
    body(arguments);
    now->state = DONE;
    leave();
}

inline void wait(State state, Place place) {
    now->state = state;
    now->place = place;
    leave();
}

inline int barrier(Place place, int predicate = 0) {                           // how many threads brought a predicate
    at_barrier++;
    now->predicate = predicate != 0;
    wait(AT_BARRIER, place);
    return votes;
}

// All lanes of `mask` meet here. The last to come runs compute(lanes), lanes[i] = what lane i sent or null; all go on.
template <class Sent, class Compute>
void together(unsigned mask, Place place, Sent& sent, Compute compute) {
    unsigned first = now->number / 32 * 32, lane = now->number % 32;
    if (!(mask >> lane & 1))
        fail("%s:%d: lane %u calls a warp function without being in its mask %#x", place.file, place.line, lane, mask);
    now->sent = &sent;
    now->mask = mask;
    void* lanes[32] = {};
    for (unsigned i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        if (first + i >= threads.size() || threads[first + i].state == DONE)
            fail("%s:%d: lane %u of the mask %#x does not exist or has returned", place.file, place.line, i, mask);
        Thread& other = threads[first + i];
        if (&other != now && other.state != IN_WARP) return wait(IN_WARP, place);          // not all are here yet
        if (&other != now && (other.place != place || other.mask != mask))
            fail("%s:%d: lane %u waits at %s:%d for the lanes %#x", place.file, place.line, i, other.place.file,
                 other.place.line, other.mask);
        lanes[i] = other.sent;
    }
    compute((Sent**)lanes);
    for (unsigned i = 0; i < 32; i++)
        if (lanes[i] && i != lane) { threads[first + i].state = READY; ready.push_back(first + i); }
}

template <class T> T shuffle(unsigned mask, T value, Place place, int (*source)(int lane, int by), int by) {
    struct Sent { T value, got; int from; } sent{value, value, source(now->number % 32, by)};
    together(mask, place, sent, [](Sent** lanes) {
        for (int i = 0; i < 32; i++)
            if (lanes[i] && lanes[i]->from >= 0 && lanes[i]->from < 32 && lanes[lanes[i]->from])
                lanes[i]->got = lanes[lanes[i]->from]->value;
    });
    return sent.got;
}

inline unsigned ballot(unsigned mask, bool predicate, Place place) {
    struct Sent { bool predicate; unsigned got; } sent{predicate, 0};
    together(mask, place, sent, [](Sent** lanes) {
        unsigned all = 0;
        for (int i = 0; i < 32; i++) if (lanes[i] && lanes[i]->predicate) all |= 1u << i;
        for (int i = 0; i < 32; i++) if (lanes[i]) lanes[i]->got = all;
    });
    return sent.got;
}

inline void async_copy(void* to, const void* from, int bytes, bool zero) {
    if ((size_t)to % bytes || (size_t)from % bytes) fail("an asynchronous copy of %d bytes is not aligned to them", bytes);
    now->copies.push_back({to, from, bytes, now->group, zero});
}
inline void async_commit() { now->group++; }
inline void async_wait(int pending) {
    auto& copies = now->copies;
    size_t n = 0;
    for (Copy c : copies)
        if (c.group >= now->group - pending) copies[n++] = c;
        else if (c.zero) memset(c.to, 0, c.bytes);
        else memcpy(c.to, c.from, c.bytes);
    copies.resize(n);
}

inline void on_signal(int signal, siginfo_t* info, void*) {
    if (!now) { std::signal(signal, SIG_DFL); raise(signal); return; }
    char* address = (char*)info->si_addr;
    if (signal == SIGVTALRM) fail("the launch has run for %d seconds: a loop without end?", SECONDS);
    else if (signal != SIGSEGV && signal != SIGBUS)
        fail("an index outside of a fixed array, a misaligned address, or an overflow (signal %d)", signal);
    else if (address >= dynamic_end && address < dynamic_end + PAGE)
        fail("%zu bytes after the end of the %zu bytes of dynamic shared memory", address - dynamic_end, dynamic_size);
    else fail("no memory at address %#zx", (size_t)address);
}

inline char* mapped(size_t size, size_t fence) {                               // memory, with a page at `fence` closed
    char* memory = (char*)mmap(nullptr, size + PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(memory + fence, PAGE, PROT_NONE);
    return memory;
}
inline char* dynamic_shared() { return dynamic_end - (dynamic_size + 15) / 16 * 16; }

inline void run_block() {
    for (char* p = __start_cuda_shared; p != __stop_cuda_shared; p++) *p = -1;            // NaN
    memset(dynamic_shared(), -1, dynamic_size);
    alive = threads.size();
    at_barrier = 0;
    ready.clear();
    for (unsigned i = 0; i < threads.size(); i++) {
        Thread& t = threads[i];
        t.state = FRESH;
        t.copies.clear();
        t.group = 0;
        ready.push_back(i);
    }
    shuffle_all(ready);
    while (alive) {
        while (!ready.empty()) {
            Thread& t = threads[ready.back()];
            ready.pop_back();
            if (t.state == FRESH) {
                t.stack = stacks.back();
                stacks.pop_back();
                prepare(t, start);
            }
            t.state = READY;
            enter(t);
            now = nullptr;
            if (failed) return;
            if (t.state == DONE) {
                stacks.push_back(t.stack);
                t.stack = nullptr;
                alive--;
            }
        }
        if (!alive) return;
        Thread *one = nullptr, *other = nullptr;
        for (Thread& t : threads) {
            if (t.state == DONE) continue;
            if (!one) one = &t;
            if (t.state != one->state || t.place != one->place) other = &t;
        }
        if (other || at_barrier != alive) {
            if (!other) other = one;
            return fail("block (%u, %u, %u) is stuck: thread %u waits at %s:%d%s and thread %u at %s:%d%s", here.x, here.y,
                        here.z, one->number, one->place.file, one->place.line, one->state == IN_WARP ? " for its warp" : "",
                        other->number, other->place.file, other->place.line,
                        other->state == IN_WARP ? " for its warp" : "");
        }
        votes = 0;
        for (unsigned i = 0; i < threads.size(); i++)
            if (threads[i].state == AT_BARRIER) {
                ready.push_back(i);
                votes += threads[i].predicate;
            }
        at_barrier = 0;
        shuffle_all(ready);
    }
}

inline void prepare_threads() {
    unsigned n = block.x * block.y * block.z;
    threads.assign(n, {});
    for (unsigned i = 0; i < n; i++) {
        threads[i].number = i;
        threads[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    }
    while (stacks.size() < n) stacks.push_back(mapped(STACK, 0) + PAGE);
    if (!dynamic_end) dynamic_end = mapped(DYNAMIC, DYNAMIC) + DYNAMIC;
}

struct Watch {                                   // catches faults and loops without end while it exists
    static constexpr int COUNT = 5;
    int signals[COUNT] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGVTALRM};
    struct sigaction before[COUNT];
    stack_t stack_before;
    Watch() {
        static char alternate[65536];
        stack_t own{alternate, 0, sizeof alternate};
        sigaltstack(&own, &stack_before);
        struct sigaction action{};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
        for (int i = 0; i < COUNT; i++) sigaction(signals[i], &action, &before[i]);
        alarm(SECONDS);
    }
    ~Watch() {
        alarm(0);
        for (int i = 0; i < COUNT; i++) sigaction(signals[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
    static void alarm(int seconds) {
        itimerval timer{{0, 0}, {seconds, 0}};
        setitimer(ITIMER_VIRTUAL, &timer, nullptr);
    }
};

inline const char* run(void (*kernel)(void**), const unsigned* shape, size_t shared, unsigned seed, void** args) {
    grid = {shape[0], shape[1], shape[2]};
    block = {shape[3], shape[4], shape[5]};
    body = kernel, arguments = args, failed = false, now = nullptr, dynamic_size = shared;
    dice = seed * 0x9e3779b97f4a7c15ULL + 1;
    prepare_threads();
    Watch watch;
    std::vector<size_t> blocks((size_t)grid.x * grid.y * grid.z);
    for (size_t i = 0; i < blocks.size(); i++) blocks[i] = i;
    shuffle_all(blocks);
    for (size_t b : blocks) {
        here = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
        run_block();
        if (failed) break;
    }
    if (failed)                                  // threads that will never end still hold their stacks
        for (Thread& t : threads) if (t.stack) stacks.push_back(t.stack);
    return failed ? message : nullptr;
}
}  // namespace emulate

#define PLACE (emulate::Place{__FILE__, __LINE__})
#define threadIdx (emulate::now->index)
#define blockIdx (emulate::here)
#define blockDim (emulate::block)
#define gridDim (emulate::grid)
#define warpSize 32
#define __syncthreads() emulate::barrier(PLACE)
#define __syncthreads_or(p) (emulate::barrier(PLACE, p) != 0)
#define __syncthreads_and(p) (emulate::barrier(PLACE, !(p)) == 0)
#define __syncthreads_count(p) emulate::barrier(PLACE, p)
#define __syncwarp(...) do { int nothing = 0; emulate::together(0xffffffffu, PLACE, nothing, [](int**) {}); } while (0)
#define __shfl_xor_sync(m, v, by) emulate::shuffle(m, v, PLACE, [](int lane, int b) { return lane ^ b; }, by)
#define __shfl_down_sync(m, v, by) emulate::shuffle(m, v, PLACE, [](int lane, int b) { return lane + b; }, by)
#define __shfl_up_sync(m, v, by) emulate::shuffle(m, v, PLACE, [](int lane, int b) { return lane - b; }, by)
#define __shfl_sync(m, v, from) emulate::shuffle(m, v, PLACE, [](int, int b) { return b; }, from)
#define __ballot_sync(m, p) emulate::ballot(m, p, PLACE)
#define __any_sync(m, p) (emulate::ballot(m, p, PLACE) != 0)
#define __all_sync(m, p) (emulate::ballot(m, !(p), PLACE) == 0)

#include "instructions.h"
