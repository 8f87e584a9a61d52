// The forward warp and its gradient on the CPU, behind a plain C ABI; `reference.py` is the arbiter of what it computes.
//
// Both directions walk the source rows in order and work on a ring of target rows, in which the channels of a pixel lie
// side by side with the coverage: a "cell". Forward, a row of cells is divided by its coverage and written out as soon as
// no later source row reaches it; backward, it is filled when the first source row needs it. So cells stay in cache
// wherever the flow is local; where it is not, pixels are sorted by target rows first.
//
// Every target cell sums its sources in raster order, and every source pixel gathers alone: neither how the rows are
// divided among threads shows in the result, nor the sorting, nor the instruction set that this file is compiled for.

#include <atomic>

#include "backward.h"
#include "forward.h"

#include "export.h"

namespace {

// How a batch is divided: into bands of rows, and into tasks of a band each. `in_turn` keeps a band's pictures on one
// thread, in order, because they add to the same gradient.
struct Division {
  int64_t tasks;
  int bands;
  bool in_turn;

  Division(const Size& size, bool in_turn, int threads) : in_turn(in_turn) {
    const bool whole = !in_turn && size.batch >= 4 * int64_t(threads);  // pictures enough; none is walked twice
    const int rows = in_turn ? 4 : 16;                                  // at least, in a band
    bands = whole ? 1 : std::max(1, std::min(threads, size.height / rows));
    tasks = in_turn ? bands : size.batch * bands;
  }
};

// Calls visit(i) on several threads; returns 1 when memory ran out, else 0.
template <class Visit>
int share(int64_t count, int threads, Visit visit) {
  std::atomic<bool> failed{false};
  const auto guarded = [&](int64_t i) NOT_INLINE {
    try {
      visit(i);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  };
  if (threads == 1) {  // even a region of one thread takes as long as a small picture
    for (int64_t i = 0; i < count; ++i) guarded(i);
    return failed;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t i = 0; i < count; ++i) guarded(i);
  return failed;
}

// Runs a job on every picture, in every band, for at most COLORS channels at a time.
template <class T, class Job>
int run_parallel(const Job& job, bool in_turn, int threads) try {
  const Size& size = job.size;
  const Division division(size, in_turn, threads);
  Reach reach(size.batch * size.height);
  const auto measure = [&](int64_t n, Rows rows) {
    const T* dy = job.flow + (2 * n + 1) * size.plane();
    for (int y = rows.begin; y < rows.end; ++y)
      reach.measure(dy + ptrdiff_t(y) * size.width, n, y, size.height, size.width);
  };
  const auto band = [&](int64_t b) {
    return Rows{int(b * size.height / division.bands), int((b + 1) * size.height / division.bands)};
  };
  if (division.bands > 1)
    share(size.batch * division.bands, threads, [&](int64_t i) { measure(i / division.bands, band(i % division.bands)); });
  return share(division.tasks, threads, [&](int64_t task) {
    const int64_t first = in_turn ? 0 : task / division.bands, end = in_turn ? size.batch : first + 1;
    for (int64_t n = first; n < end; ++n) {
      if (division.bands == 1) measure(n, band(0));
      int channel = 0;
      do job.run(n, channel, band(task % division.bands), reach);
      while ((channel += COLORS) < size.channels);
    }
  });
} catch (const std::bad_alloc&) {
  return 1;
}

}  // namespace

#define DEFINE_ENTRY_POINTS(T, SUFFIX)                                                                                 \
  EXPORT int deform_forward_warp_##SUFFIX(const T* image, const T* flow, T* warped, T* coverage, int64_t batch,        \
                                          int64_t image_batch, int channels, int height, int width, double eps,        \
                                          int threads) {                                                               \
    const Size size{batch, image_batch, channels, height, width};                                                      \
    return run_parallel<T>(Forward<T>{size, image, flow, warped, coverage, T(eps)}, false, threads);                   \
  }                                                                                                                    \
  EXPORT int deform_forward_warp_backward_##SUFFIX(                                                                    \
      const T* grad_warped, const T* grad_coverage, const T* image, const T* flow, const T* warped, const T* coverage, \
      T* grad_image, T* grad_flow, int64_t batch, int64_t image_batch, int channels, int height, int width,            \
      double eps, int threads) {                                                                                       \
    const Size size{batch, image_batch, channels, height, width};                                                      \
    const Backward<T> job{size, grad_warped, grad_coverage, image, flow, warped, coverage, grad_image, grad_flow, T(eps)}; \
    return run_parallel<T>(job, image_batch == 1 && batch > 1, threads);                                               \
  }

DEFINE_ENTRY_POINTS(float, f32)
DEFINE_ENTRY_POINTS(double, f64)

// The x86-64 level (2, 3 or 4) of which this processor has what the libraries use; 0 on others.
EXPORT int deform_x86_level() {
#if defined(__GNUC__) && defined(__x86_64__)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return !v3 ? 2 : !v4 ? 3 : 4;
#else
  return 0;
#endif
}
