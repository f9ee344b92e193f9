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

// Writes the tile that begins at (m0, n0); row(m) is where row m begins, or null.
template <class Row> __device__ __forceinline__ void write_tile(const Result& result, int m0, int n0, const MATH (&sum)[64], Row row) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        REAL* to = row(m0 + tile_row(i));
        if (!to) continue;
        result.write<4>(to, n0 + tile_column(0), &sum[8 * i]);
        result.write<4>(to, n0 + tile_column(4), &sum[8 * i + 4]);
    }
}
