// One step of an optimizer for all parameters of a network in one launch: bound by bytes.
//
// The table of addresses is an argument of the launch, so nothing is copied to the device before it. A block works on
// one stretch of STRETCH elements of one array. Numbers that change from step to step, the learning rate and the count
// of Adam's steps, are read from device memory if there are addresses, so that a captured launch obeys a schedule.
#include "real.cuh"

#define ARRAYS 64
#define SLOTS 5
constexpr int STRETCH = 4096;

// slot 0: the parameters, slot 1: their gradients, then the optimizer's state; null if there is none
struct Table {
    REAL* array[SLOTS][ARRAYS];
    long long size[ARRAYS];
    int first[ARRAYS + 1];                       // the number of the array's first stretch
    int count;
    const float* unless;                         // null, or a flag: nothing is written unless it is 0
};

struct Part { int array; long long begin, end; };

__device__ __forceinline__ Part my_part(const Table& table) {
    int low = 0, high = table.count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (table.first[middle] <= int(blockIdx.x)) low = middle; else high = middle - 1;
    }
    const long long begin = (long long)(int(blockIdx.x) - table.first[low]) * STRETCH;
    return {low, begin, min(begin + STRETCH, table.size[low])};
}

// f(elements) for each element of this block's part: elements[slot] is read first and written afterwards, if `wanted` and
// `kept` say so for its slot.
template <int USED, class F> __device__ __forceinline__ void update(const Table& table, unsigned kept, F f,
    unsigned wanted = ~0u) {
    if (table.unless && *table.unless != 0) return;
    const Part part = my_part(table);
    REAL* slot[USED];
    bool whole = true;
#pragma unroll
    for (int s = 0; s < USED; s++) {
        slot[s] = table.array[s][part.array];
        whole = whole && aligned<REAL, WIDTH>(slot[s]);
    }
    long long rest = part.begin;
    if (whole) {
        rest = part.begin + (part.end - part.begin) / WIDTH * WIDTH;
        for (long long at = part.begin + threadIdx.x * WIDTH; at < rest; at += blockDim.x * WIDTH) {
            Pack<REAL, WIDTH> packs[USED];
#pragma unroll
            for (int s = 0; s < USED; s++)
                if (slot[s] && (wanted >> s & 1)) packs[s] = load<WIDTH>(slot[s] + at, true);
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                MATH v[USED];
#pragma unroll
                for (int s = 0; s < USED; s++) v[s] = slot[s] && (wanted >> s & 1) ? widen(packs[s].v[i]) : MATH(0);
                f(v);
#pragma unroll
                for (int s = 0; s < USED; s++) packs[s].v[i] = narrow<REAL>(v[s]);
            }
#pragma unroll
            for (int s = 0; s < USED; s++)
                if (slot[s] && (kept >> s & 1)) store<WIDTH>(slot[s] + at, packs[s], true);
        }
    }
    for (long long at = rest + threadIdx.x; at < part.end; at += blockDim.x) {
        MATH v[USED];
#pragma unroll
        for (int s = 0; s < USED; s++) v[s] = slot[s] && (wanted >> s & 1) ? widen(slot[s][at]) : MATH(0);
        f(v);
#pragma unroll
        for (int s = 0; s < USED; s++)
            if (slot[s] && (kept >> s & 1)) slot[s][at] = narrow<REAL>(v[s]);
    }
}

extern "C" __global__ void __launch_bounds__(256) sgd(const Table table, double lr, const double* __restrict__ lr_at,
    MATH momentum, MATH weight_decay, int moving, int nesterov) {
    const MATH rate = MATH(lr_at ? *lr_at : lr);
    update<3>(table, 5, [=](MATH (&v)[3]) {                    // x, grad, velocity
        const MATH g = weight_decay != 0 ? v[1] + v[0] * weight_decay : v[1];
        if (moving) v[2] = v[2] * momentum + g;
        v[0] -= (moving ? nesterov ? g + v[2] * momentum : v[2] : g) * rate;
    });
}

// x <- shrink * x - rate * m / (root_scale * sqrt(v) + eps)
extern "C" __global__ void __launch_bounds__(256) adam(const Table table, double lr, const double* __restrict__ lr_at,
    double steps, const double* __restrict__ steps_at, double beta1, double beta2, MATH eps, double weight_decay,
    int decoupled) {
    __shared__ double corrected[2];
    const double learning_rate = lr_at ? *lr_at : lr;
    if (threadIdx.x == 0) {
        const double t = steps_at ? *steps_at : steps;
        corrected[0] = learning_rate / (1 - pow(beta1, t));
        corrected[1] = 1 / sqrt(1 - pow(beta2, t));
    }
    __syncthreads();
    const MATH rate = MATH(corrected[0]), root_scale = MATH(corrected[1]), b1 = MATH(beta1), b2 = MATH(beta2),
               c1 = MATH(1 - beta1), c2 = MATH(1 - beta2), decay = decoupled ? MATH(0) : MATH(weight_decay),
               shrink = decoupled ? MATH(1 - learning_rate * weight_decay) : MATH(1);
    update<4>(table, 13, [=](MATH (&v)[4]) {                   // x, grad, first moment, second moment
        const MATH x = v[0] * shrink, g = decay != 0 ? v[1] + x * decay : v[1];
        v[2] = v[2] * b1 + g * c1;
        v[3] = v[3] * b2 + g * g * c2;
        v[0] = x - v[2] / (sqrt(v[3]) * root_scale + eps) * rate;
    });
}

// x <- shrink * x - (grad_step * g + mean_step * m) / (root_scale * sqrt(v) + eps)
extern "C" __global__ void __launch_bounds__(256) nadam(const Table table, MATH grad_step, MATH mean_step, MATH b1, MATH c1,
    MATH b2, MATH c2, MATH root_scale, MATH eps, MATH decay, MATH shrink) {
    update<4>(table, 13, [=](MATH (&v)[4]) {                   // x, grad, first moment, second moment
        const MATH x = v[0] * shrink, g = decay != 0 ? v[1] + x * decay : v[1];
        v[2] = v[2] * b1 + g * c1;
        v[3] = v[3] * b2 + g * g * c2;
        v[0] = x - (g * grad_step + v[2] * mean_step) / (sqrt(v[3]) * root_scale + eps);
    });
}

extern "C" __global__ void __launch_bounds__(256) adagrad(const Table table, double lr, const double* __restrict__ lr_at,
    MATH eps, MATH weight_decay, MATH initial) {
    const MATH rate = MATH(lr_at ? *lr_at : lr);
    update<3>(table, 5, [=](MATH (&v)[3]) {                    // x, grad, sum of g * g
        const MATH g = weight_decay != 0 ? v[1] + v[0] * weight_decay : v[1];
        v[2] += g * g;
        v[0] -= g / (sqrt(v[2] + initial) + eps) * rate;
    });
}

extern "C" __global__ void __launch_bounds__(256) rmsprop(const Table table, double lr, const double* __restrict__ lr_at,
    MATH alpha, MATH rest, MATH eps, MATH weight_decay, MATH momentum, int moving, int centered) {
    const MATH rate = MATH(lr_at ? *lr_at : lr);
    update<5>(table, 29, [=](MATH (&v)[5]) {                   // x, grad, second moment, velocity, first moment
        const MATH g = weight_decay != 0 ? v[1] + v[0] * weight_decay : v[1];
        v[2] = v[2] * alpha + g * g * rest;
        MATH variance = v[2];
        if (centered) {
            v[4] = v[4] * alpha + g * rest;
            variance -= v[4] * v[4];
            variance = variance < 0 ? 0 : variance;            // rounding can make it negative
        }
        MATH move = g / (sqrt(variance) + eps);
        if (moving) move = v[3] = v[3] * momentum + move;
        v[0] -= move * rate;
    });
}

extern "C" __global__ void __launch_bounds__(256) lerp(const Table table, MATH weight) {
    update<2>(table, 1, [=](MATH (&v)[2]) { v[0] += (v[1] - v[0]) * weight; });              // x, target
}

// g <- g / scale; `found` becomes 1 if a result is not finite: all threads that write it write the same.
extern "C" __global__ void __launch_bounds__(256) unscale(const Table table, const float* __restrict__ scale, float* found) {
    const MATH inverse = MATH(1.0 / double(*scale));
    bool bad = false;
    update<1>(table, 1, [=, &bad](MATH (&v)[1]) {
        v[0] *= inverse;
        bad = bad || v[0] - v[0] != 0;
    });
    if (bad) *found = 1;
}

// The sum over a block of 256 threads, for its first thread.
__device__ __forceinline__ double added(double mine, double (&sums)[256]) {
    __syncthreads();
    sums[threadIdx.x] = mine;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (int(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    return sums[0];
}

// The sum of the squares of all elements: `partial` has a place for each stretch of all tables, of which this one begins
// at `first`. The last block of all to finish adds them in their order, and leaves a 0 in `done`.
extern "C" __global__ void __launch_bounds__(256) grad_norm(const __grid_constant__ Table table, double* partial, int first,
    int stretches, unsigned* done, double* total) {
    __shared__ double sums[256];
    __shared__ bool last;
    const Part part = my_part(table);
    const REAL* x = table.array[1][part.array];
    double sum = 0;
    for (long long at = part.begin + threadIdx.x; at < part.end; at += 256) sum += double(widen(x[at])) * double(widen(x[at]));
    sum = added(sum, sums);
    if (threadIdx.x == 0) {
        partial[first + blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(done, 1u) == unsigned(stretches) - 1;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    const volatile double* all = partial;
    sum = 0;
    for (int i = threadIdx.x; i < stretches; i += 256) sum += all[i];
    sum = added(sum, sums);
    if (threadIdx.x != 0) return;
    *total = sqrt(sum);
    *done = 0;
}

// x <- grad * min(1, most / (norm + eps)); as it is where the norm is not finite
extern "C" __global__ void __launch_bounds__(256) clip(const __grid_constant__ Table table, const double* __restrict__ length_at,
    double most, double eps) {
    const double length = *length_at, factor = most / (length + eps);
    const MATH scale = MATH(length - length == 0 && factor < 1 ? factor : 1);
    update<2>(table, 1, [=](MATH (&v)[2]) { v[0] = v[1] * scale; }, 2);
}
