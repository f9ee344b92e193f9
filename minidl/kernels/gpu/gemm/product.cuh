// A matrix product c = a @ b in tiles of BM x BN, with tensor cores if TENSOR is 1.
//
// A reader says where the elements of an operand lie, so that the matrix of windows of a convolution need not exist. A
// line is a row of a, or a column of b:
//
//     static constexpr bool ALONG_K     whether neighbours in memory are neighbours along k; else they are along lines
//     Line line(int n)                  what is worth working out once for a line
//     const REAL* at(Line, int k)       the address of an element, or null for a zero
//     const REAL* base()                any address of the operand
//
// With WIDE, groups of four neighbours, and with TENSOR, those of 16 bytes, are neighbours in memory too, aligned there,
// and zero together.
//
// Both kinds of tile define DEPTH, the inner length of a round; SUMS, how many sums a thread holds; TILE_THREADS; RESIDENT,
// for the launch bounds; multiply_tile; and write_tile.
#pragma once
#include "real.cuh"

#ifndef BM
#define BM 64
#endif
#ifndef BN
#define BN 64
#endif
#ifndef WIDE
#define WIDE 0
#endif
#ifndef TENSOR
#define TENSOR 0
#endif

#include "gemm/epilogue.cuh"
#include "gemm/readers.cuh"
#include "gemm/slices.cuh"
#if TENSOR
#include "gemm/tensor_tile.cuh"
#else
#include "gemm/tile.cuh"
#endif
