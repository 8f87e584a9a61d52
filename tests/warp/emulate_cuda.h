// As much of CUDA as forward_warp.cu uses, one thread at a time on the CPU: what a kernel computes, not how it runs.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#define __global__
#define __device__

using std::floor;
using std::min;

struct Dim {
  unsigned x, y, z;
};
static Dim blockIdx, threadIdx, blockDim, gridDim;

template <class T>
T atomicAdd(T* address, T value) {
  const T old = *address;
  *address += value;
  return old;
}
inline long long __double2ll_rn(double value) { return std::llrint(value); }

// Calls a kernel with arguments given, as to cuLaunchKernel, by an array of pointers to them.
template <class... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
          for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
            kernel(*static_cast<std::remove_reference_t<Arguments>*>(arguments[I])...);
}
template <class... Arguments>
void call(void (*kernel)(Arguments...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<Arguments...>());
}

#include SOURCE

#define CASE(KERNEL) \
  if (!std::strcmp(name, #KERNEL)) return call(KERNEL, arguments);
#define CASES(KERNEL) CASE(KERNEL##_f32) CASE(KERNEL##_f64)

extern "C" void emulate(const char* name, const unsigned* blocks, const unsigned* threads, void** arguments) {
  gridDim = {blocks[0], blocks[1], blocks[2]};
  blockDim = {threads[0], threads[1], threads[2]};
  CASES(splat) CASES(normalise) CASES(splat_fixed) CASES(normalise_fixed) CASES(gather)
  CASE(nearest_rows_u8) CASE(nearest_columns_u8)
}
