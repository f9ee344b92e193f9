// What happens to the sums of a tile on their way to memory: bias, ReLU, rounding.
#pragma once

// A result of rows of `columns` elements. `bias` is that of the columns, or null.
struct Result {
    REAL* out;
    const REAL* bias;
    int columns;
    bool relu;

    __device__ __forceinline__ MATH finished(MATH sum, int column) const {
        if (bias) sum += widen(bias[column]);
        return relu && sum < 0 ? 0 : sum;        // NaN stays NaN
    }
    // COUNT neighbours of the row that begins at `row`, from `column` on; with WIDE, all or none of them exist.
    template <int COUNT> __device__ __forceinline__ void write(REAL* row, int column, const MATH* sum) const {
        if (WIDE) {
            if (column >= columns) return;
            Pack<REAL, COUNT> pack;
#pragma unroll
            for (int e = 0; e < COUNT; e++) pack.v[e] = narrow<REAL>(finished(sum[e], column + e));
            store<COUNT>(row + column, pack, true);
            return;
        }
#pragma unroll
        for (int e = 0; e < COUNT; e++)
            if (column + e < columns) row[column + e] = narrow<REAL>(finished(sum[e], column + e));
    }
};
