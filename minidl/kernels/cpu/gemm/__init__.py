"""Matrix products: packing, the blocked product of two matrices, and indirect GEMM."""
