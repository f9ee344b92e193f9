// The element type REAL of the arrays of a source, the type MATH in which it computes, and loops over whole arrays.
//
// float and double compute as they are stored; half and bfloat16 are stored only, and computed in float.
#pragma once
#include "runtime/instructions.cuh"

#ifndef INFINITY                                 // NVRTC includes no header of its own
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

#ifndef REAL
#define REAL float
#endif
#ifndef MATH
#define MATH float
#endif

__device__ __forceinline__ bool widen(bool x) { return x; }

// NVRTC knows no INFINITY and no NAN.
__device__ __forceinline__ MATH infinity() { return __int_as_float(0x7f800000); }
__device__ __forceinline__ MATH not_a_number() { return __int_as_float(0x7fffffff); }

// WIDTH neighbours, which one instruction loads or stores: 16 bytes of REAL.
constexpr int WIDTH = 16 / sizeof(REAL);

// N neighbours, as one or more vectors of at most 16 bytes.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T v[N]; };

template <class T, int N> __device__ __forceinline__ bool aligned(const T* p) {
    return reinterpret_cast<unsigned long long>(p) % sizeof(Pack<T, N>) == 0;
}

// N neighbours at p; `whole` says that all arrays are aligned, so that one load does.
template <int N, class T> __device__ __forceinline__ Pack<T, N> load(const T* p, bool whole) {
    if (N > 1 && whole) return *reinterpret_cast<const Pack<T, N>*>(p);
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++) pack.v[i] = p[i];
    return pack;
}

template <int N, class T> __device__ __forceinline__ void store(T* p, const Pack<T, N>& pack, bool whole) {
    if (N > 1 && whole) {
        *reinterpret_cast<Pack<T, N>*>(p) = pack;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++) p[i] = pack.v[i];
}

// The number of this thread among all threads of the launch, and how many there are.
__device__ __forceinline__ long long first_element() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long step() { return (long long)gridDim.x * blockDim.x; }

// out[i] = f(in[i]...) for each i below `size`, WIDTH at a time where all arrays are aligned.
template <class F, class Out, class... In>
__device__ __forceinline__ void elementwise(long long size, F f, Out* out, const In*... in) {
    long long done = 0;
    if (aligned<Out, WIDTH>(out) && (aligned<In, WIDTH>(in) && ...)) {
        auto one = [&](long long at, const Pack<In, WIDTH>... packs) {
            Pack<Out, WIDTH> result;
#pragma unroll
            for (int k = 0; k < WIDTH; k++) result.v[k] = narrow<Out>(f(widen(packs.v[k])...));
            store<WIDTH>(out + at, result, true);
        };
        done = size / WIDTH * WIDTH;
        for (long long at = first_element() * WIDTH; at < done; at += step() * WIDTH) one(at, load<WIDTH>(in + at, true)...);
    }
    for (long long at = done + first_element(); at < size; at += step()) out[at] = narrow<Out>(f(widen(in[at])...));
}
