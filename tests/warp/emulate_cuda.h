// As much of CUDA as forward_warp.cu uses, on one thread of the CPU: what a kernel computes, not how it runs. Its threads
// run one by one, in an order drawn by chance.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__

using std::floor;

struct Dim {
  unsigned x, y, z;
};
static Dim blockIdx, threadIdx, blockDim, gridDim;
static unsigned first_z;
static std::mt19937 chance;
static long additions;

template <class T>
T atomicAdd(T* address, T value) {
  additions += std::is_floating_point<T>::value;
  const T old = *address;
  *address = old + value;
  return old;
}
inline long long __double2ll_rn(double value) { return std::llrint(value); }

// Calls a kernel's threads with arguments given, as to cuLaunchKernel, by an array of pointers to them.

template <class... Arguments, size_t... I>
void run_thread(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<Arguments>*>(arguments[I])...);
}

inline std::vector<Dim> every(Dim sizes, unsigned first_z) {
  std::vector<Dim> all;
  for (unsigned z = first_z; z < sizes.z; ++z)
    for (unsigned y = 0; y < sizes.y; ++y)
      for (unsigned x = 0; x < sizes.x; ++x) all.push_back({x, y, z});
  return all;
}

template <class... Arguments>
void run(void (*kernel)(Arguments...), void** arguments) {
  std::vector<std::pair<Dim, Dim>> threads;
  for (const Dim block : every(gridDim, first_z))
    for (const Dim thread : every(blockDim, 0)) threads.push_back({block, thread});
  std::shuffle(threads.begin(), threads.end(), chance);
  for (const auto& thread : threads) {
    blockIdx = thread.first, threadIdx = thread.second;
    run_thread(kernel, arguments, std::index_sequence_for<Arguments...>());
  }
}

#include SOURCE

// The CUDA driver's entry points that cuda.py calls. Handles are what the tests can see: a function is its name.

using Launch = void (*)(void**);
#define ENTRY(KERNEL) \
  {#KERNEL, [](void** arguments) { run(KERNEL, arguments); }}
#define ENTRIES(KERNEL) ENTRY(KERNEL##_f32), ENTRY(KERNEL##_f64)
static const std::map<std::string, Launch> kernels = {
    ENTRIES(splat),  ENTRIES(normalise),     ENTRIES(splat_fixed),      ENTRIES(normalise_fixed),
    ENTRIES(gather), ENTRY(nearest_rows_u8), ENTRY(nearest_columns_u8),
};
constexpr int INVALID_IMAGE = 200, NOT_FOUND = 500, NO_CONTEXT = 201;
static void* current_context;
static void* last_stream;

extern "C" int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
extern "C" int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &current_context, 0; }
extern "C" int cuCtxSetCurrent(void* context) { return current_context = context, 0; }
extern "C" int cuModuleLoadData(const void** module, const char* image) {
  return *module = image, std::strncmp(image, "\x7f" "ELF", 4) ? INVALID_IMAGE : current_context ? 0 : NO_CONTEXT;
}
extern "C" int cuModuleGetFunction(const void** function, const void* module, const char* name) {
  const auto found = kernels.find(name);
  return *function = &*found, module && found != kernels.end() ? 0 : NOT_FOUND;
}
extern "C" int cuLaunchKernel(const std::pair<const std::string, Launch>* function, unsigned grid_x, unsigned grid_y,
                              unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned,
                              void* stream, void** arguments, void**) {
  if (!current_context) return NO_CONTEXT;
  gridDim = {grid_x, grid_y, grid_z}, blockDim = {block_x, block_y, block_z}, last_stream = stream;
  return function->second(arguments), 0;
}
extern "C" int cuGetErrorString(int, const char** text) { return *text = "an error", 0; }

// For the tests.

extern "C" void seed(unsigned value) { chance.seed(value); }
extern "C" long added_numbers() { return additions; }
extern "C" void* stream_used() { return last_stream; }
extern "C" void begin_at(unsigned z) { first_z = z; }  // leaves out what blocks before do
extern "C" void lose_context() { current_context = nullptr; }
