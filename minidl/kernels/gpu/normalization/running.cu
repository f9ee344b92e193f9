// running <- (1 - momentum) * running + momentum * moment, of the mean and of the variance of batch norm, which is
// multiplied by `correction`; batches <- batches + 1. Without a momentum it is 1 / batches. One block; results may take
// the place of what they come from.
#include "real.cuh"

extern "C" __global__ void __launch_bounds__(256) move_moments(const REAL* running_mean, const REAL* running_var,
    const long long* batches, const MATH* mean, const MATH* var, REAL* new_mean, REAL* new_var, long long* new_batches,
    int c, int has_momentum, MATH momentum, MATH correction) {
    const long long count = *batches + 1;
    const MATH part = has_momentum ? momentum : 1 / MATH(count), rest = 1 - part;
    __syncthreads();                             // all have read the count
    if (threadIdx.x == 0) *new_batches = count;
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        new_mean[i] = narrow<REAL>(widen(running_mean[i]) * rest + mean[i] * part);
        new_var[i] = narrow<REAL>(widen(running_var[i]) * rest + var[i] * (part * correction));
    }
}
