// out = x * scale where mask, else 0, whatever x is there: bound by bytes.
#include "real.cuh"

extern "C" __global__ void __launch_bounds__(256) select_elements(const bool* __restrict__ mask,
    const REAL* __restrict__ x, REAL* __restrict__ out, long long size, MATH scale) {
    elementwise(size, [=](bool chosen, MATH v) { return chosen ? v * scale : 0; }, out, mask, x);
}
