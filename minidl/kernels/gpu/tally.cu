// The sums of a training step: loss, correct and counted labels; and after how many steps the loss was not finite.
//
// A thread decides for the rows of logits of some labels. Blocks add their counts by atomics: sums of whole numbers are
// the same in any order. The first thread of all alone adds the loss.
#include "real.cuh"

#ifndef LOSS
#define LOSS float
#endif

enum { SUM_OF_LOSS, CORRECT, COUNTED, STEPS, FAULTY };

__device__ __forceinline__ int decided(const REAL* __restrict__ row, int classes) {
    if (classes == 1) return widen(row[0]) > 0;
    int best = 0;
    MATH largest = widen(row[0]);
#pragma unroll 2                                 // with more, ptxas spills for sm_100
    for (int c = 1; c < classes; c++) {
        const MATH v = widen(row[c]);
        if (v > largest || (v != v && largest == largest)) {             // the first NaN wins, as in argmax
            largest = v;
            best = c;
        }
    }
    return best;
}

extern "C" __global__ void __launch_bounds__(256) tally(double* sums, const LOSS* __restrict__ loss, double count,
    const REAL* __restrict__ logits, const long long* __restrict__ labels, long long size, int classes,
    long long ignore_index, bool scaled) {
    __shared__ int correct, counted;
    if (threadIdx.x == 0) correct = counted = 0;
    __syncthreads();
    int right = 0, all = 0;
    for (long long i = first_element(); i < size; i += step()) {
        all += labels[i] != ignore_index;
        right += labels[i] == decided(logits + i * classes, classes);
    }
    atomicAdd(&correct, right);
    atomicAdd(&counted, all);
    __syncthreads();
    if (threadIdx.x != 0) return;
    atomicAdd(&sums[CORRECT], double(correct));
    atomicAdd(&sums[COUNTED], double(counted));
    if (blockIdx.x != 0) return;
    const double value = widen(*loss);
    const bool finite = value - value == 0;
    if (finite || !scaled) sums[SUM_OF_LOSS] += value * count;
    if (!finite && !scaled && sums[STEPS] < sums[FAULTY]) sums[FAULTY] = sums[STEPS];
}
