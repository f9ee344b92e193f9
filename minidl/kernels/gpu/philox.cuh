// Philox4x32-10, a generator without a state: random bits are a function of a key and a counter, so each thread makes
// its own, and the same seed gives the same bits whatever the launch looks like.
//
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

struct Bits { unsigned v[4]; };

__device__ __forceinline__ Bits philox(unsigned long long key, unsigned long long counter) {
    unsigned k0 = unsigned(key), k1 = unsigned(key >> 32);
    Bits c = {{unsigned(counter), unsigned(counter >> 32), 0, 0}};
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned low0 = 0xD2511F53u * c.v[0], high0 = __umulhi(0xD2511F53u, c.v[0]);
        const unsigned low1 = 0xCD9E8D57u * c.v[2], high1 = __umulhi(0xCD9E8D57u, c.v[2]);
        c = {{high1 ^ c.v[1] ^ k0, low1, high0 ^ c.v[3] ^ k1, low0}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// 24 bits as a number in [0, 1)
__device__ __forceinline__ float fraction(unsigned bits) { return float(bits >> 8) * 5.9604644775390625e-8f; }
