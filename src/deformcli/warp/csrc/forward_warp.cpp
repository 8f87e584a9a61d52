// The forward warp and its gradient on the CPU, behind a plain C ABI; `reference.py` is the arbiter of what it computes.
//
// Both directions walk the source rows in order and work on a ring of target rows, in which the channels of a pixel lie
// side by side with one more for the coverage: a "cell". A pixel's four corners are two pairs of neighbouring cells.
// Forward, a row of cells is divided by its coverage and written out as soon as no later source row reaches it;
// backward, it is filled when the first source row needs it. So cells stay in cache wherever the flow is local.
//
// Every target cell sums its sources in raster order, and every source pixel gathers alone: how the rows are divided
// among threads never shows in the result.

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#define ALIGNED(pointer) __builtin_assume_aligned(pointer, 16)
#define PREFETCH(pointer) __builtin_prefetch(pointer, 1)
#else
#define INLINE inline
#define INLINE_LAMBDA
#define ALIGNED(pointer) (pointer)
#define PREFETCH(pointer) (void)(pointer)
#endif

namespace {

constexpr int NOWHERE = INT_MIN;   // the row in which a pixel lands whose flow is not finite or leads outside
constexpr int MOST_CHANNELS = 7;   // in one pass; more channels take several
constexpr int LEAST_BAND_ROWS = 16;
constexpr int AHEAD = 16;                 // pixels between asking for a cell and using it,
constexpr size_t CACHED_BYTES = 1 << 21;  // where the cells take more than this

// Four numbers that the compiler keeps in one vector register, or in two smaller ones.
#if defined(__GNUC__)
template <class T>
struct QuadType {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
};
template <class T>
using Quad = typename QuadType<T>::type;
#else
template <class T>
struct Quad {
  T lane[4];
  T operator[](int i) const { return lane[i]; }
  T& operator[](int i) { return lane[i]; }
  friend Quad operator+(Quad a, Quad b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]}; }
  friend Quad operator-(Quad a, Quad b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]}; }
  friend Quad operator*(Quad a, Quad b) { return {a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]}; }
  friend Quad operator/(Quad a, Quad b) { return {a[0] / b[0], a[1] / b[1], a[2] / b[2], a[3] / b[3]}; }
};
#endif

template <class T>
Quad<T> all(T value) {
  return Quad<T>{value, value, value, value};
}

template <class T>
Quad<T> load(const T* from, int count = 4) {
  Quad<T> quad{};
  if (count == 4) std::memcpy(&quad, from, sizeof quad);
  else std::memcpy(&quad, from, count * sizeof(T));
  return quad;
}

template <class T>
void store(Quad<T> quad, T* to, int count = 4) {
  if (count == 4) std::memcpy(to, &quad, sizeof quad);
  else std::memcpy(to, &quad, count * sizeof(T));
}

// Parts of cells. What `std::vector` allocates is aligned to 16 bytes, and cells are whole quads.
template <class T>
INLINE Quad<T> load_cell(const T* cell) {
  Quad<T> quad;
  std::memcpy(&quad, ALIGNED(cell), sizeof quad);
  return quad;
}

template <class T>
INLINE void store_cell(Quad<T> quad, T* cell) {
  std::memcpy(ALIGNED(cell), &quad, sizeof quad);
}

template <class T>
Quad<T> inverse_or_zero(Quad<T> weight, T eps) {
#if defined(__GNUC__)
  return weight > 0 ? 1 / (weight + eps) : all(T(0));
#else
  Quad<T> result;
  for (int i = 0; i < 4; ++i) result[i] = weight[i] > 0 ? 1 / (weight[i] + eps) : T(0);
  return result;
#endif
}

// Lanes I and J of both, alternating. (Compilers see one instruction in the builtin, and often do not in subscripts.)
template <int I, int J, class Q>
Q interleave(Q a, Q b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, I, I + 4, J, J + 4);
#elif defined(__GNUC__)
  return __builtin_shuffle(a, b, decltype(a < b){I, I + 4, J, J + 4});
#else
  return {a[I], b[I], a[J], b[J]};
#endif
}

template <int I, class Q>
Q broadcast(Q a) {
#if defined(__clang__)
  return __builtin_shufflevector(a, a, I, I, I, I);
#elif defined(__GNUC__)
  return __builtin_shuffle(a, decltype(a < a){I, I, I, I});
#else
  return {a[I], a[I], a[I], a[I]};
#endif
}

// Rows become columns.
template <class T>
INLINE void transpose(Quad<T>* q) {
  const Quad<T> a = interleave<0, 1>(q[0], q[2]), b = interleave<2, 3>(q[0], q[2]);
  const Quad<T> c = interleave<0, 1>(q[1], q[3]), d = interleave<2, 3>(q[1], q[3]);
  q[0] = interleave<0, 1>(a, c);
  q[1] = interleave<2, 3>(a, c);
  q[2] = interleave<0, 1>(b, d);
  q[3] = interleave<2, 3>(b, d);
}

// Four neighbouring pixels: a quad per channel, or, turned, for every four channels a quad per pixel.
template <class T, int CHANNELS>
struct Tile {
  static constexpr int QUADS = CHANNELS / 4 + 1;  // of a cell: CHANNELS, the coverage, and zeros up to a whole quad
  static constexpr int SIZE = 4 * QUADS;
  Quad<T> quad[SIZE];

  INLINE void turn() {
    for (int q = 0; q < QUADS; ++q) transpose<T>(quad + 4 * q);
  }
  INLINE void load_planes(const T* planes, ptrdiff_t plane, int count, Quad<T> coverage) {
    for (int c = 0; c < CHANNELS; ++c) quad[c] = load(planes + c * plane, count);
    quad[CHANNELS] = coverage;
    for (int c = CHANNELS + 1; c < SIZE; ++c) quad[c] = all(T(0));
  }
  // False when a colour is NaN or infinite, and perhaps when some are near the largest number.
  INLINE bool finite() const {
    Quad<T> sum = all(T(0));
    for (int c = 0; c < CHANNELS; ++c) sum = sum + quad[c];
    sum = sum - sum;
    return (sum[0] + sum[1]) + (sum[2] + sum[3]) == 0;
  }
};

// Calls visit(first, count) for every four pixels of a row, and for what is left; compilers see the four.
template <class Visit>
INLINE void for_each_tile(int width, Visit visit) {
  int i = 0;
  for (; i + 4 <= width; i += 4) visit(i, 4);
  if (i < width) visit(i, width - i);
}

struct Size {
  int64_t batch, image_batch;
  int channels, height, width;
  ptrdiff_t plane() const { return ptrdiff_t(height) * width; }
};

struct Rows {
  int begin, end;
};

// Where the pixels of one source row land: the upper left cell, counted from the spare column, and four weights a
// pixel: of the columns and rows around the target (left, right, upper, lower), or their products, of the CORNERS.
template <class T, bool CORNERS>
struct Landing {
  std::vector<int> x, y;
  std::vector<T> weights;
  explicit Landing(int width) : x(width), y(width), weights(size_t(width) * 4) {}

  // Floor and fraction are of the displacement, not of the position: the fraction keeps all its bits.
  void compute(const T* dx, const T* dy, int row, int height, int width) {
    int* __restrict to_column = x.data();
    int* __restrict to_row = y.data();
    T* __restrict out = weights.data();
    const T r = T(row), h = T(height), w = T(width);
    for (int i = 0; i < width; ++i) {
      T u = dx[i], v = dy[i];
      const T to_x = T(i) + u, to_y = r + v;
      const bool inside = (to_x > -1) & (to_x < w) & (to_y > -1) & (to_y < h);  // false for NaN
      u = inside ? u : T(0);
      v = inside ? v : T(0);
      const T floor_u = std::floor(u), floor_v = std::floor(v);
      const T right = u - floor_u, lower = v - floor_v, left = 1 - right, upper = 1 - lower;
      to_column[i] = i + int(floor_u) + 1;
      to_row[i] = inside ? row + int(floor_v) : NOWHERE;
      out[4 * i] = CORNERS ? left * upper : left;
      out[4 * i + 1] = CORNERS ? right * upper : right;
      out[4 * i + 2] = CORNERS ? left * lower : upper;
      out[4 * i + 3] = CORNERS ? right * lower : lower;
    }
  }
};

// Per source row, the first and last target row that any of its pixels has as its upper one.
struct Reach {
  std::vector<int> first, last;
  explicit Reach(ptrdiff_t rows) : first(rows), last(rows) {}
};

template <class T>
void measure_row(const T* dy, int row, int height, int width, int& first, int& last) {
  const T r = T(row), h = T(height);
  unsigned low = UINT_MAX;  // of row + 1, so that NOWHERE is large
  int high = NOWHERE;
  int y[256];
  for (int begin = 0; begin < width; begin += 256) {  // in two loops, which compilers turn into vector code
    const int count = std::min(256, width - begin);
    for (int i = 0; i < count; ++i) {
      T v = dy[begin + i];
      const bool inside = (r + v > -1) & (r + v < h);
      v = inside ? v : T(0);
      y[i] = inside ? row + int(std::floor(v)) : NOWHERE;
    }
    for (int i = 0; i < count; ++i) {
      low = std::min(low, unsigned(y[i]) + 1u);
      high = std::max(high, y[i]);
    }
  }
  first = high == NOWHERE ? INT_MAX : int(low) - 1;
  last = high;
}

// The target rows in flight while a range of source rows is walked.
template <class T>
class Ring {
 public:
  // `next` becomes, per source row, the first target row that it or a later one still reaches within `targets`.
  Ring(const int* first, const int* last, Rows sources, Rows targets, int row_length, std::vector<int>& next)
      : origin_(targets.begin), rows_(targets.end - targets.begin) {
    next.assign(sources.end - sources.begin + 1, targets.end);
    for (int s = sources.end - 1; s >= sources.begin; --s)
      next[s - sources.begin] = std::min(next[s - sources.begin + 1], std::max(first[s], targets.begin));
    int slots = 2, reached = targets.begin;
    for (int s = sources.begin; s < sources.end; ++s) {
      if (last[s] != INT_MIN) reached = std::max(reached, std::min(last[s] + 1, targets.end - 1));
      slots = std::max(slots, reached - next[s - sources.begin] + 1);
    }
    cells_.resize(size_t(slots) * row_length);
    for (size_t i = 0; i < rows_.size(); ++i) rows_[i] = cells_.data() + ptrdiff_t(i % slots) * row_length;
  }
  // Pointers to the rows of cells by target row.
  T* const* rows() { return rows_.data() - origin_; }
  bool cached() const { return cells_.size() * sizeof(T) <= CACHED_BYTES; }

 private:
  int origin_;
  std::vector<T*> rows_;
  std::vector<T> cells_;
};

// Adds one pixel, `pixel[0]` and, beyond four channels, `pixel[4]`, to the four cells around its target.
template <class T, int QUADS>
INLINE void splat(const Quad<T>* pixel, const T* weights, T* upper, T* lower) {
  constexpr int SIZE = 4 * QUADS;
  const Quad<T> w = load(weights);
  for (int q = 0; q < SIZE; q += 4, upper += 4, lower += 4) {
    const Quad<T> a = load_cell(upper) + pixel[q] * broadcast<0>(w);
    const Quad<T> b = load_cell(upper + SIZE) + pixel[q] * broadcast<1>(w);
    const Quad<T> c = load_cell(lower) + pixel[q] * broadcast<2>(w);
    const Quad<T> d = load_cell(lower + SIZE) + pixel[q] * broadcast<3>(w);
    store_cell<T>(a, upper);
    store_cell<T>(b, upper + SIZE);
    store_cell<T>(c, lower);
    store_cell<T>(d, lower + SIZE);
  }
}

// The same for a pixel of NaN or Inf: a cell of weight 0 is left alone, which 0 * NaN would reach.
template <class T, int QUADS>
void splat_strange(const Quad<T>* pixel, const T* weights, T* upper, T* lower) {
  for (int corner = 0; corner < 4; ++corner) {
    if (!(weights[corner] > 0)) continue;
    T* cell = (corner / 2 ? lower : upper) + corner % 2 * 4 * QUADS;
    for (int q = 0; q < 4 * QUADS; q += 4)
      store_cell<T>(load_cell(cell + q) + pixel[q] * all(weights[corner]), cell + q);
  }
}

template <class T>
struct Forward {
  Size size;
  const T *image, *flow;
  T *warped, *coverage;
  T eps;

  // Divides a finished row by its coverage and writes it out.
  template <int CHANNELS>
  void finish_row(T* cells, int64_t n, int channel, int target) const {
    constexpr int SIZE = Tile<T, CHANNELS>::SIZE;
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(target) * size.width;
    T* out = warped + (n * size.channels + channel) * plane + offset;
    T* out_coverage = coverage + n * plane + offset;
    for_each_tile(size.width, [&](int i, int count) INLINE_LAMBDA {
      Tile<T, CHANNELS> tile;
      for (int k = 0; k < 4; ++k)
        for (int q = 0; q < SIZE; q += 4) tile.quad[q + k] = load_cell(cells + ptrdiff_t(i + k + 1) * SIZE + q);
      tile.turn();
      const Quad<T> weight = tile.quad[CHANNELS], inverse = inverse_or_zero<T>(weight, eps);
      for (int c = 0; c < CHANNELS; ++c) store<T>(tile.quad[c] * inverse, out + c * plane + i, count);
      store<T>(weight, out_coverage + i, count);
    });
  }

  // Adds one source row to the rows of cells.
  template <int CHANNELS>
  void splat_row(const T* colors, const Landing<T, true>& landing, Rows targets, T* const* rows, bool cached) const {
    constexpr int QUADS = Tile<T, CHANNELS>::QUADS, SIZE = 4 * QUADS;
    const unsigned span = targets.end - targets.begin - 1;  // the upper row of a pixel is never the last
    const ptrdiff_t plane = size.plane();
    const auto visit = [&](int i, auto add) {
      const int y = landing.y[i];
      if (unsigned(y) - unsigned(targets.begin) >= span) return;
      const ptrdiff_t at = ptrdiff_t(landing.x[i]) * SIZE;
      add(rows[y] + at, rows[y + 1] + at);
    };
    const auto ask = [](const T* upper, const T* lower) {
      PREFETCH(upper);
      PREFETCH(lower);
    };
    for_each_tile(size.width, [&](int i, int count) INLINE_LAMBDA {
      Tile<T, CHANNELS> tile;
      tile.load_planes(colors + i, plane, count, all(T(1)));
      const bool plain = tile.finite() && count == 4;
      tile.turn();
      for (int k = 0; k < (cached ? 0 : std::min(4, size.width - AHEAD - i)); ++k) visit(i + AHEAD + k, ask);
      const T* weights = landing.weights.data() + 4 * ptrdiff_t(i);
      for (int k = 0; k < 4 && plain; ++k)
        visit(i + k, [&](T* upper, T* lower) { splat<T, QUADS>(tile.quad + k, weights + 4 * k, upper, lower); });
      for (int k = 0; k < count && !plain; ++k)
        visit(i + k, [&](T* upper, T* lower) {
          splat_strange<T, QUADS>(tile.quad + k, weights + 4 * k, upper, lower);
        });
    });
  }

  template <int CHANNELS>
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    constexpr int SIZE = Tile<T, CHANNELS>::SIZE;
    const int width = size.width, row_length = (width + 5) * SIZE;  // spare columns on either side take what falls off
    const Rows targets{band.begin - 1, band.end + 1};               // and so does a spare row
    const int *first = reach.first.data() + n * size.height, *last = reach.last.data() + n * size.height;
    std::vector<int> next;
    Ring<T> ring(first, last, {0, size.height}, targets, row_length, next);
    Landing<T, true> landing(width);

    const ptrdiff_t plane = size.plane();
    const T* planes = image + ((size.image_batch == 1 ? 0 : n) * size.channels + channel) * plane;
    int done = targets.begin;
    const auto finish_until = [&](int end) {
      for (; done < end; ++done) {
        T* cells = ring.rows()[done];
        if (done >= band.begin && done < band.end) finish_row<CHANNELS>(cells, n, channel, done);
        std::fill(cells, cells + row_length, T(0));
      }
    };
    for (int s = 0; s < size.height; ++s) {
      finish_until(std::min(next[s], band.end));
      if (last[s] < targets.begin || first[s] >= band.end) continue;
      const T* dx = flow + 2 * n * plane + ptrdiff_t(s) * width;
      landing.compute(dx, dx + plane, s, size.height, width);
      splat_row<CHANNELS>(planes + ptrdiff_t(s) * width, landing, targets, ring.rows(), ring.cached());
    }
    finish_until(band.end);
  }
};

template <class T>
struct Backward {
  Size size;
  const T *grad_warped, *grad_coverage, *image, *flow, *warped, *coverage;
  T *grad_image, *grad_flow;
  T eps;

  // The gradient with respect to a row's sums and, as coverage, to its weights; zero in holes.
  template <int CHANNELS>
  void fill_row(T* cells, int64_t n, int channel, int target) const {
    constexpr int SIZE = Tile<T, CHANNELS>::SIZE;
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(target) * size.width;
    const T* grad = grad_warped + (n * size.channels + channel) * plane + offset;
    const T* value = warped + (n * size.channels + channel) * plane + offset;
    const T* weight = coverage + n * plane + offset;
    const T* grad_weight = grad_coverage + n * plane + offset;
    const T share = T(channel == 0);  // the coverage's own gradient counts once, in the first pass
    for_each_tile(size.width, [&](int i, int count) INLINE_LAMBDA {
      const Quad<T> inverse = inverse_or_zero<T>(load(weight + i, count), eps);
      Quad<T> pull = load(grad_weight + i, count) * all(share);
      Tile<T, CHANNELS> tile;
      tile.load_planes(grad + i, plane, count, pull);
      for (int c = 0; c < CHANNELS; ++c) {
        tile.quad[c] = tile.quad[c] * inverse;
        pull = pull - tile.quad[c] * load(value + c * plane + i, count);
      }
      tile.quad[CHANNELS] = pull;
      tile.turn();
      for (int k = 0; k < count; ++k)
        for (int q = 0; q < SIZE; q += 4) store_cell<T>(tile.quad[q + k], cells + ptrdiff_t(i + k + 1) * SIZE + q);
    });
  }

  // Gathers, four pixels at a time, for a source row: the bilinear means of their cells, and the colours times the
  // means' slopes. A gradient that is not needed is null.
  template <int CHANNELS>
  void gather_row(const Landing<T, false>& landing, T* const* rows, int64_t n, int channel, int source) const {
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(source) * size.width;
    const bool shared = size.image_batch == 1;
    const ptrdiff_t image_offset = ((shared ? 0 : n) * size.channels + channel) * plane + offset;
    const ptrdiff_t flow_offset = 2 * n * plane + offset;
    const bool add_image = shared && n > 0, add_flow = channel > 0;
    for_each_tile(size.width, [&](int i, int count) INLINE_LAMBDA {
      Tile<T, CHANNELS> colors, means, slopes_x, slopes_y;
      colors.load_planes(image + image_offset + i, plane, count, all(T(1)));
      for (int k = 0; k < 4; ++k) {
        const int y = k < count ? landing.y[i + k] : NOWHERE;
        if (y != NOWHERE) {
          gather(landing, i + k, rows[y], rows[y + 1], k, means, slopes_x, slopes_y);
          continue;
        }
        for (auto* tile : {&means, &slopes_x, &slopes_y})
          for (int q = k; q < colors.SIZE; q += 4) tile->quad[q] = all(T(0));
        for (int c = 0; c < CHANNELS; ++c) colors.quad[c][k] = 0;  // 0 * NaN is not 0
      }
      if (grad_image) {
        means.turn();
        for (int c = 0; c < CHANNELS; ++c) {
          T* out = grad_image + image_offset + c * plane + i;
          store<T>(add_image ? load(out, count) + means.quad[c] : means.quad[c], out, count);
        }
      }
      if (grad_flow) {
        write_product(colors, slopes_x, grad_flow + flow_offset + i, count, add_flow);
        write_product(colors, slopes_y, grad_flow + flow_offset + plane + i, count, add_flow);
      }
    });
  }

  // The same for one pixel: the `k`th of its tile, `i`th of its row.
  template <class Pixels>
  INLINE static void gather(const Landing<T, false>& landing, int i, const T* above, const T* below, int k,
                            Pixels& means, Pixels& slopes_x, Pixels& slopes_y) {
    constexpr int SIZE = Pixels::SIZE;
    const Quad<T> weights = load(landing.weights.data() + 4 * ptrdiff_t(i));
    const Quad<T> left = broadcast<0>(weights), right = broadcast<1>(weights);
    const Quad<T> upper = broadcast<2>(weights), lower = broadcast<3>(weights);
    above += ptrdiff_t(landing.x[i]) * SIZE;
    below += ptrdiff_t(landing.x[i]) * SIZE;
    for (int q = 0; q < SIZE; q += 4, above += 4, below += 4) {
      const Quad<T> a = load_cell(above), b = load_cell(above + SIZE);
      const Quad<T> c = load_cell(below), d = load_cell(below + SIZE);
      const Quad<T> mean_above = a * left + b * right, mean_below = c * left + d * right;
      means.quad[q + k] = mean_above * upper + mean_below * lower;
      slopes_x.quad[q + k] = (b - a) * upper + (d - c) * lower;
      slopes_y.quad[q + k] = mean_below - mean_above;
    }
  }

  template <int CHANNELS>
  INLINE static void write_product(const Tile<T, CHANNELS>& colors, Tile<T, CHANNELS>& slopes, T* out, int count,
                                   bool add) {
    slopes.turn();
    Quad<T> sum = slopes.quad[CHANNELS];
    for (int c = 0; c < CHANNELS; ++c) sum = sum + slopes.quad[c] * colors.quad[c];
    store<T>(add ? load(out, count) + sum : sum, out, count);
  }

  template <int CHANNELS>
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    constexpr int SIZE = Tile<T, CHANNELS>::SIZE;
    const int width = size.width, height = size.height, row_length = (width + 5) * SIZE;
    const Rows targets{-1, height + 1};  // the spare cells around the picture stay zero
    const int *first = reach.first.data() + n * height, *last = reach.last.data() + n * height;
    std::vector<int> next;
    Ring<T> ring(first, last, band, targets, row_length, next);
    Landing<T, false> landing(width);

    const ptrdiff_t plane = size.plane();
    int filled = targets.begin;
    for (int s = band.begin; s < band.end; ++s) {
      filled = std::max(filled, next[s - band.begin]);
      for (; last[s] != INT_MIN && filled <= last[s] + 1; ++filled) {
        T* cells = ring.rows()[filled];
        if (filled < 0 || filled >= height) std::fill(cells, cells + row_length, T(0));
        else fill_row<CHANNELS>(cells, n, channel, filled);
      }
      const T* dx = flow + 2 * n * plane + ptrdiff_t(s) * width;
      landing.compute(dx, dx + plane, s, height, width);
      gather_row<CHANNELS>(landing, ring.rows(), n, channel, s);
    }
  }
};

// Calls job.run for every pass over at most MOST_CHANNELS channels.
template <class Job>
void run_all_channels(const Job& job, int64_t n, Rows band, const Reach& reach) {
  int channel = 0;
  do {
    switch (std::min(job.size.channels - channel, MOST_CHANNELS)) {
      case 0: job.template run<0>(n, channel, band, reach); break;
      case 1: job.template run<1>(n, channel, band, reach); break;
      case 2: job.template run<2>(n, channel, band, reach); break;
      case 3: job.template run<3>(n, channel, band, reach); break;
      case 4: job.template run<4>(n, channel, band, reach); break;
      case 5: job.template run<5>(n, channel, band, reach); break;
      case 6: job.template run<6>(n, channel, band, reach); break;
      default: job.template run<7>(n, channel, band, reach); break;
    }
    channel += MOST_CHANNELS;
  } while (channel < job.size.channels);
}

// Divides the batch, and each picture in bands of rows, among threads. `in_turn` keeps a band's pictures on one thread,
// in order, because they add to the same gradient. Returns 0, or 1 when memory ran out.
template <class T, class Job>
int run_parallel(const Job& job, bool in_turn, int threads) try {
  const Size& size = job.size;
  const int64_t rows = size.batch * size.height;
  Reach reach(rows);
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t n = i / size.height, row = i % size.height;
    const T* dy = job.flow + (2 * n + 1) * size.plane() + row * size.width;
    measure_row(dy, int(row), size.height, size.width, reach.first[i], reach.last[i]);
  }

  const int bands = std::max(1, std::min(threads, size.height / LEAST_BAND_ROWS));
  const int64_t tasks = in_turn ? bands : size.batch * bands;
  std::atomic<bool> failed{false};
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t b = task % bands;
    const Rows band{int(b * size.height / bands), int((b + 1) * size.height / bands)};
    try {
      for (int64_t n = in_turn ? 0 : task / bands; n < (in_turn ? size.batch : task / bands + 1); ++n)
        run_all_channels(job, n, band, reach);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  }
  return failed;
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
