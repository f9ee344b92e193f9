// Cross entropy of softmax with its gradient, for integer targets: the losses of rows and their sum of weights.
//
// x (N, C, ...) as rows of classes; target (rows,); weight (classes,). A target that is no class makes its loss and
// gradient NaN, and it is noted in `fault` (): nobody waits for a check before the launch. See minidl/faults.py.
#include "columns.cuh"
#include "softmax/rows.cuh"

#ifndef TARGET
#define TARGET long long
#endif

// total = the sum of the weights of all targets but ignored ones. block (1, parts), grid (1, slices)
extern "C" __global__ void __launch_bounds__(256, 4) sum_weights(const TARGET* __restrict__ target,
    const MATH* __restrict__ weight, double* __restrict__ partial, unsigned* __restrict__ done,
    MATH* __restrict__ total, long long rows, int classes, long long ignore, double* __restrict__ fault) {
    const Slice slice = my_slice(rows);
    double sum[1] = {0};
    for (long long row = slice.first; row < slice.end; row += slice.step) {
        const long long t = target[row];
        if (t == ignore) continue;
        if (t >= 0 && t < classes) sum[0] += weight[t];
        else *fault = t;                         // whichever comes last
    }
    if (add_slices(sum, partial, done, 0, 1)) *total = MATH(sum[0]);
}

extern "C" __global__ void __launch_bounds__(256, 4) cross_entropy(const REAL* __restrict__ x,
    const TARGET* __restrict__ target, const MATH* __restrict__ weight, const MATH* __restrict__ total,
    REAL* __restrict__ losses, REAL* __restrict__ dx, long long rows, int classes, long long inner, long long ignore,
    MATH smoothing, int mean) {
    const Row row = my_row(rows, classes, inner);
    const long long t = row.exists ? (long long)target[row.number] : ignore;
    const bool counted = t != ignore, wrong = counted && (t < 0 || t >= classes);
    const MATH hard = counted && !wrong ? weight[t] * (1 - smoothing) : MATH(0);
    const bool works = wrong || hard != 0 || (counted && smoothing > 0);
    MATH largest, sum;
    exponentials(x, row, largest, sum);
    const MATH logarithm = log(sum), part = smoothing / classes;
    double shares = 0, smooth = 0;
    if (smoothing > 0) {                         // then for all lanes
        EACH_OF(row, i) {
            const MATH share = weight[i] * part;
            shares += share;
            if (share != 0) smooth += share * (widen(x[row.at(i)]) - largest - logarithm);
        }
        shares = sum_of_lanes(shares);
        smooth = sum_of_lanes(smooth);
    }
    if (!row.exists) return;
    const MATH scale = mean && *total != 0 ? 1 / *total : MATH(1), factor = (hard + MATH(shares)) / sum;
    if (threadIdx.x == 0) {
        const MATH of_target = hard != 0 ? hard * (widen(x[row.at(int(t))]) - largest - logarithm) : MATH(0);
        losses[row.number] = narrow<REAL>(wrong ? not_a_number() : works ? -of_target - MATH(smooth) : MATH(0));
    }
    EACH_OF(row, i) {
        const MATH share = smoothing > 0 ? weight[i] * part : MATH(0);               // 0, even of an infinite weight
        MATH slope = 0;
        if (works) slope = exp(widen(x[row.at(i)]) - largest) * factor - share - (i == t ? hard : MATH(0));
        dx[row.at(i)] = narrow<REAL>(wrong ? not_a_number() : slope * scale);
    }
}
