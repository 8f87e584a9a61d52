// As much of CUDA as forward_warp.cu uses, on one thread of the CPU: what a kernel computes, not how it runs.
//
// A kernel whose threads speak to each other runs as fibers, a few blocks at once: a warp drawn by chance goes on until
// each of its lanes waits for the others, for another warp, or was interrupted at an atomic. So the order in which warps
// get there is another one with each seed, and what waits for too little computes something else.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)

using std::floor;
using std::max;
using std::min;

struct Dim {
  unsigned x, y, z;
};
static Dim blockIdx, threadIdx, blockDim, gridDim;
static unsigned first_z;

// Fibers.

constexpr unsigned BLOCKS_AT_ONCE = 3;
static std::mt19937 chance;
static long additions;

struct Lane {
  ucontext_t context;
  std::vector<char> stack;
  Dim block, thread;
  long exchanges = 0;
  bool running = false;
  char said[2][16];
};
using Lanes = std::vector<std::unique_ptr<Lane>>;
static ucontext_t scheduler;
static Lanes* warp;
static Lane* self;

inline void pause() {
  if (!self) return;
  swapcontext(&self->context, &scheduler);
}

// What the lane `from` says, when all lanes have spoken.
template <class T>
T exchange(T value, int from) {
  std::memcpy(self->said[++self->exchanges % 2], &value, sizeof value);
  const auto behind = [](const std::unique_ptr<Lane>& lane) { return lane->exchanges < self->exchanges; };
  while (std::any_of(warp->begin(), warp->end(), behind)) pause();
  std::memcpy(&value, (*warp)[from]->said[self->exchanges % 2], sizeof value);
  return value;
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return exchange(value, lane);
}
template <class T>
T __shfl_up_sync(unsigned, T value, int by) {
  return exchange(value, max(int(threadIdx.x) - by, 0));
}
template <class T>
T __shfl_down_sync(unsigned, T value, int by) {
  return exchange(value, min(int(threadIdx.x) + by, 31));
}
inline void __syncwarp() { exchange(0, 0); }
inline void __nanosleep(unsigned) {}

inline int load_relaxed(const int* address) {
  pause();
  return *address;
}
inline int load_acquire(const int* address) { return load_relaxed(address); }
inline void increment_release(int* address) { ++*address; }
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, T value) {
  *address = value;
}

template <class T, class Change>
T change(T* address, Change changed) {
  if (self && chance() % 16 == 0) pause();
  const T old = *address;
  *address = changed(old);
  return old;
}
template <class T>
T atomicAdd(T* address, T value) {
  additions += std::is_floating_point<T>::value;
  return change(address, [&](T old) { return old + value; });
}
template <class T>
T atomicMax(T* address, T value) {
  return change(address, [&](T old) { return max(old, value); });
}
inline long long __double2ll_rn(double value) { return std::llrint(value); }

// Calls a kernel with arguments given, as to cuLaunchKernel, by an array of pointers to them.

struct Task {
  virtual void run() = 0;
};
static Task* task;

inline void begin() {
  task->run();
  self->running = false;
  self->exchanges = 1L << 40;  // nobody waits for it
  for (;;) pause();
}

inline void start(Lane& lane, Dim block, Dim thread) {
  lane.stack.resize(32 << 10);
  lane.block = block, lane.thread = thread, lane.running = true;
  getcontext(&lane.context);
  lane.context.uc_stack.ss_sp = lane.stack.data();
  lane.context.uc_stack.ss_size = lane.stack.size();
  makecontext(&lane.context, begin, 0);
}

inline void resume(Lanes& lanes) {
  warp = &lanes;
  for (auto& lane : lanes) {
    if (!lane->running) continue;
    self = lane.get();
    blockIdx = lane->block, threadIdx = lane->thread;
    swapcontext(&scheduler, &lane->context);
  }
  self = nullptr;
}

template <class Visit>
void for_each_block(Visit visit) {
  for (unsigned z = first_z; z < gridDim.z; ++z)
    for (unsigned y = 0; y < gridDim.y; ++y)
      for (unsigned x = 0; x < gridDim.x; ++x) visit(Dim{x, y, z});
}

inline void run_together(std::vector<Lanes>& warps) {
  while (!warps.empty()) {
    const size_t drawn = chance() % warps.size();
    resume(warps[drawn]);
    const auto runs = [](const std::unique_ptr<Lane>& lane) { return lane->running; };
    if (std::none_of(warps[drawn].begin(), warps[drawn].end(), runs)) warps.erase(warps.begin() + drawn);
  }
}

inline void run_in_fibers() {
  std::vector<Lanes> warps;
  unsigned blocks = 0;
  for_each_block([&](Dim block) {
    for (unsigned y = 0; y < blockDim.y; ++y) {
      warps.emplace_back();
      for (unsigned x = 0; x < blockDim.x; ++x) {
        warps.back().push_back(std::make_unique<Lane>());
        start(*warps.back().back(), block, {x, y, 0});
      }
    }
    if (++blocks % BLOCKS_AT_ONCE == 0) run_together(warps);
  });
  run_together(warps);
}

inline void run_one_by_one() {
  for_each_block([&](Dim block) {
    blockIdx = block;
    for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)
      for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) task->run();
  });
}

template <class... Arguments>
struct Kernel : Task {
  void (*kernel)(Arguments...);
  void** arguments;
  template <size_t... I>
  void call(std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<Arguments>*>(arguments[I])...);
  }
  void run() override { call(std::index_sequence_for<Arguments...>()); }
};

template <class... Arguments>
void call(void (*function)(Arguments...), void** arguments, void (*run)()) {
  Kernel<Arguments...> kernel;
  kernel.kernel = function, kernel.arguments = arguments;
  task = &kernel;
  run();
}

#include SOURCE

// The CUDA driver's entry points that cuda.py calls. Handles are what the tests can see: a function is its name.

using Launch = void (*)(void**);
#define ENTRY(KERNEL, RUN) \
  {#KERNEL, [](void** arguments) { call(KERNEL, arguments, RUN); }}
#define ENTRIES(KERNEL, RUN) ENTRY(KERNEL##_f32, RUN), ENTRY(KERNEL##_f64, RUN)
static const std::map<std::string, Launch> kernels = {
    ENTRIES(reach, run_in_fibers), ENTRIES(forward, run_in_fibers), ENTRIES(splat_fixed, run_one_by_one),
    ENTRIES(normalise_fixed, run_one_by_one), ENTRIES(gather, run_one_by_one),
    ENTRY(nearest_rows_u8, run_one_by_one), ENTRY(nearest_columns_u8, run_one_by_one),
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
