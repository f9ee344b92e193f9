// Dropout: kept[i] with probability 1 - p, and out[i] = x[i] * scale where kept, else 0. Bound by bytes.
//
// Element i has number i % 4 of the four that the counter i / 4 gives. The seed is read from device memory if there is
// an address, so that each replay of a captured launch drops others. Without x, only the mask is drawn.
#include "philox.cuh"
#include "real.cuh"

template <int N> __device__ __forceinline__ void drop(const REAL* x, REAL* out, bool* kept, long long at, Bits bits,
    float p, MATH scale, bool whole) {
    Pack<bool, N> chosen;
    Pack<REAL, N> result;
#pragma unroll
    for (int i = 0; i < N; i++) chosen.v[i] = fraction(bits.v[i]) >= p;
    store<N>(kept + at, chosen, whole);
    if (!x) return;
    const Pack<REAL, N> in = load<N>(x + at, whole);
#pragma unroll
    for (int i = 0; i < N; i++) result.v[i] = narrow<REAL>(chosen.v[i] ? widen(in.v[i]) * scale : MATH(0));
    store<N>(out + at, result, whole);
}

extern "C" __global__ void __launch_bounds__(256) dropout(const REAL* __restrict__ x, REAL* __restrict__ out,
    bool* __restrict__ kept, long long size, unsigned long long seed, const unsigned long long* __restrict__ seed_at,
    float p, MATH scale) {
    const unsigned long long key = seed_at ? *seed_at : seed;
    const bool whole = aligned<bool, 4>(kept) && aligned<REAL, 4>(x) && aligned<REAL, 4>(out);
    for (long long four = first_element(); four * 4 < size; four += step()) {
        const Bits bits = philox(key, four);
        const long long at = four * 4;
        if (at + 4 <= size) {
            drop<4>(x, out, kept, at, bits, p, scale, whole);
        } else {
            Bits one = bits;
            for (int i = 0; at + i < size; i++) {
                one.v[0] = i == 0 ? bits.v[0] : i == 1 ? bits.v[1] : bits.v[2];
                drop<1>(x, out, kept, at + i, one, p, scale, false);
            }
        }
    }
}
