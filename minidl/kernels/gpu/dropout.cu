// out[i] = whether a uniform random number, that of element i and the seed, is at least p: bound by instructions.
//
// The number is SplitMix64's i-th: Steele, Lea and Flood, OOPSLA 2014. The seed is read from device memory if there is
// an address, so that a captured launch draws anew in each repetition.

__device__ __forceinline__ unsigned long long mixed(unsigned long long bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
    return bits ^ (bits >> 31);
}

extern "C" __global__ void __launch_bounds__(256) dropout_mask(bool* __restrict__ out, long long size, double p,
    unsigned long long seed, const unsigned long long* __restrict__ seed_at) {
    const unsigned long long key = mixed(seed_at ? *seed_at : seed);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size; i += gridDim.x * (long long)blockDim.x) {
        const unsigned long long bits = mixed(key + (i + 1) * 0x9E3779B97F4A7C15ull);
        out[i] = (bits >> 40) * (1.0 / 16777216.0) >= p;
    }
}
