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
#include <limits>
#include <new>
#include <type_traits>
#include <vector>

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

constexpr int NOWHERE = INT_MIN;   // the row in which a pixel lands whose flow is not finite or leads outside
constexpr int MOST_CHANNELS = 7;   // in one pass; more channels take several
constexpr int LEAST_BAND_ROWS = 16;

constexpr int cell_size(int channels) { return channels <= 1 ? 2 : channels <= 3 ? 4 : 8; }

// The channels of one pixel; the compiler turns each loop into one or two vector instructions.
template <class T, int SIZE>
struct Cell {
  T lane[SIZE];

  static Cell load(const T* from) {
    Cell cell;
    for (int i = 0; i < SIZE; ++i) cell.lane[i] = from[i];
    return cell;
  }
  void store(T* to) const {
    for (int i = 0; i < SIZE; ++i) to[i] = lane[i];
  }
  friend Cell operator-(const Cell& a, const Cell& b) {
    Cell result;
    for (int i = 0; i < SIZE; ++i) result.lane[i] = a.lane[i] - b.lane[i];
    return result;
  }
  friend Cell operator*(const Cell& a, const Cell& b) {
    Cell result;
    for (int i = 0; i < SIZE; ++i) result.lane[i] = a.lane[i] * b.lane[i];
    return result;
  }
  friend Cell operator+(const Cell& a, const Cell& b) {
    Cell result;
    for (int i = 0; i < SIZE; ++i) result.lane[i] = a.lane[i] + b.lane[i];
    return result;
  }
  friend Cell operator*(const Cell& a, T factor) {
    Cell result;
    for (int i = 0; i < SIZE; ++i) result.lane[i] = a.lane[i] * factor;
    return result;
  }
};

struct Size {
  int64_t batch, image_batch;
  int channels, height, width;
  ptrdiff_t plane() const { return ptrdiff_t(height) * width; }
};

struct Rows {
  int begin, end;
};

// Where the pixels of one source row land: the upper left cell, counted from the spare column, and the weights of the
// columns and rows around the target, four a pixel: left, right, upper, lower.
template <class T>
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
      const T right = u - floor_u, lower = v - floor_v;
      to_column[i] = i + int(floor_u) + 1;
      to_row[i] = inside ? row + int(floor_v) : NOWHERE;
      out[4 * i] = 1 - right;
      out[4 * i + 1] = right;
      out[4 * i + 2] = 1 - lower;
      out[4 * i + 3] = lower;
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
  int low = INT_MAX, high = INT_MIN;
  const T r = T(row), h = T(height);
  for (int i = 0; i < width; ++i) {
    T v = dy[i];
    const bool inside = (r + v > -1) & (r + v < h);
    v = inside ? v : T(0);
    const int y = row + int(std::floor(v));
    low = std::min(low, inside ? y : INT_MAX);
    high = std::max(high, inside ? y : INT_MIN);
  }
  first = low;
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

 private:
  int origin_;
  std::vector<T*> rows_;
  std::vector<T> cells_;
};

// Planes -> cells with a 1 as coverage. Returns whether every colour is finite.
template <class T, int CHANNELS>
bool pack_colors(const T* planes, ptrdiff_t plane, int width, T* cells) {
  constexpr int SIZE = cell_size(CHANNELS);
  int strange = 0;
  for (int i = 0; i < width; ++i) {
    for (int c = 0; c < SIZE; ++c) {
      const T value = c < CHANNELS ? planes[c * plane + i] : T(c == CHANNELS);
      strange |= !(std::fabs(value) <= std::numeric_limits<T>::max());
      cells[i * SIZE + c] = value;
    }
  }
  return !strange;
}

// Adds one source row to the ring. Mostly a pixel lands one cell right of the pixel before it: the two cells they share
// are kept in registers.
template <class T, int SIZE>
void splat_row(const Landing<T>& landing, const T* colors, int width, Rows targets, T* const* rows) {
  using Pixel = Cell<T, SIZE>;
  const int *to_column = landing.x.data(), *to_row = landing.y.data();
  const T* weights = landing.weights.data();
  T nothing[4 * SIZE] = {};
  T *upper = nothing, *lower = nothing + 2 * SIZE;  // the right cells of the last pixel, whose sums are these
  Pixel upper_sum{}, lower_sum{};
  for (int i = 0; i < width; ++i, colors += SIZE, weights += 4) {
    const int y = to_row[i];
    if (y < targets.begin || y + 1 >= targets.end) continue;
    T* const left_upper = rows[y] + ptrdiff_t(to_column[i]) * SIZE;
    T* const left_lower = rows[y + 1] + ptrdiff_t(to_column[i]) * SIZE;
    const Pixel color = Pixel::load(colors), left = color * weights[0], right = color * weights[1];
    if (left_upper != upper) {
      upper_sum.store(upper);
      lower_sum.store(lower);
      upper_sum = Pixel::load(left_upper);
      lower_sum = Pixel::load(left_lower);
    }
    (upper_sum + left * weights[2]).store(left_upper);
    (lower_sum + left * weights[3]).store(left_lower);
    upper = left_upper + SIZE;
    lower = left_lower + SIZE;
    upper_sum = Pixel::load(upper) + right * weights[2];
    lower_sum = Pixel::load(lower) + right * weights[3];
  }
  upper_sum.store(upper);
  lower_sum.store(lower);
}

// The same for a row with NaN or Inf among its colours: cells of weight 0 are left alone, which 0 * NaN would reach.
template <class T, int SIZE>
void splat_strange_row(const Landing<T>& landing, const T* colors, int width, Rows targets, T* const* rows) {
  for (int i = 0; i < width; ++i, colors += SIZE) {
    const int y = landing.y[i];
    if (y < targets.begin || y + 1 >= targets.end) continue;
    const T* weights = landing.weights.data() + 4 * ptrdiff_t(i);
    for (int corner = 0; corner < 4; ++corner) {
      const int right = corner % 2, lower = corner / 2;
      const T weight = weights[right] * weights[2 + lower];
      T* cell = rows[y + lower] + ptrdiff_t(landing.x[i] + right) * SIZE;
      if (weight > 0) (Cell<T, SIZE>::load(cell) + Cell<T, SIZE>::load(colors) * weight).store(cell);
    }
  }
}

template <class T>
struct Forward {
  Size size;
  const T *image, *flow;
  T *warped, *coverage;
  T eps;

  // Divides a finished row by its coverage, writes it out and leaves its cells empty for the next one.
  template <int CHANNELS>
  void finish_row(T* cells, int64_t n, int channel, int target) const {
    constexpr int SIZE = cell_size(CHANNELS);
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(target) * size.width;
    T* __restrict out = warped + (n * size.channels + channel) * plane + offset;
    T* __restrict out_coverage = coverage + n * plane + offset;
    const T* __restrict in = cells + SIZE;
    for (int i = 0; i < size.width; ++i) {
      const T weight = in[i * SIZE + CHANNELS], inverse = weight > 0 ? 1 / (weight + eps) : T(0);
      for (int c = 0; c < CHANNELS; ++c) out[c * plane + i] = in[i * SIZE + c] * inverse;
      out_coverage[i] = weight;
    }
  }

  template <int CHANNELS>
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    constexpr int SIZE = cell_size(CHANNELS);
    const int width = size.width, row_length = (width + 2) * SIZE;  // a spare column on either side takes what falls off
    const Rows targets{band.begin - 1, band.end + 1};               // and so does a spare row
    const int *first = reach.first.data() + n * size.height, *last = reach.last.data() + n * size.height;
    std::vector<int> next;
    Ring<T> ring(first, last, {0, size.height}, targets, row_length, next);
    Landing<T> landing(width);
    std::vector<T> colors(size_t(width) * SIZE);

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
      if (pack_colors<T, CHANNELS>(planes + ptrdiff_t(s) * width, plane, width, colors.data()))
        splat_row<T, SIZE>(landing, colors.data(), width, targets, ring.rows());
      else
        splat_strange_row<T, SIZE>(landing, colors.data(), width, targets, ring.rows());
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
    constexpr int SIZE = cell_size(CHANNELS);
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(target) * size.width;
    const T* __restrict grad = grad_warped + (n * size.channels + channel) * plane + offset;
    const T* __restrict value = warped + (n * size.channels + channel) * plane + offset;
    const T* __restrict weight = coverage + n * plane + offset;
    const T* __restrict grad_weight = grad_coverage + n * plane + offset;
    const T share = T(channel == 0);  // the coverage's own gradient counts once, in the first pass
    T* __restrict out = cells + SIZE;
    for (int i = 0; i < size.width; ++i) {
      const T inverse = weight[i] > 0 ? 1 / (weight[i] + eps) : T(0);
      T pull = grad_weight[i] * share;
      for (int c = 0; c < CHANNELS; ++c) {
        const T grad_sum = grad[c * plane + i] * inverse;
        out[i * SIZE + c] = grad_sum;
        pull -= grad_sum * value[c * plane + i];
      }
      out[i * SIZE + CHANNELS] = pull;
    }
  }

  // Per pixel the bilinear mean of its four cells, and the means' slopes times the colour.
  template <int SIZE>
  void gather_row(const Landing<T>& landing, const T* colors, T* const* rows, T* means, T* pulls_x, T* pulls_y) const {
    using Pixel = Cell<T, SIZE>;
    for (int i = 0; i < size.width; ++i) {
      const ptrdiff_t at = ptrdiff_t(i) * SIZE;
      const int y = landing.y[i];
      if (y == NOWHERE) {
        for (T* out : {means, pulls_x, pulls_y}) Pixel{}.store(out + at);
        continue;
      }
      const T* weights = landing.weights.data() + 4 * ptrdiff_t(i);
      const T left = weights[0], right = weights[1], upper = weights[2], lower = weights[3];
      const T* corner = rows[y] + ptrdiff_t(landing.x[i]) * SIZE;
      const Pixel a = Pixel::load(corner), b = Pixel::load(corner + SIZE);
      corner = rows[y + 1] + ptrdiff_t(landing.x[i]) * SIZE;
      const Pixel c = Pixel::load(corner), d = Pixel::load(corner + SIZE);
      const Pixel color = Pixel::load(colors + at);
      ((a * left + b * right) * upper + (c * left + d * right) * lower).store(means + at);
      (((b - a) * upper + (d - c) * lower) * color).store(pulls_x + at);
      (((c - a) * left + (d - b) * right) * color).store(pulls_y + at);
    }
  }

  template <int CHANNELS>
  void write_row(const T* means, const T* pulls_x, const T* pulls_y, int64_t n, int channel, int source) const {
    constexpr int SIZE = cell_size(CHANNELS);
    const ptrdiff_t plane = size.plane(), offset = ptrdiff_t(source) * size.width;
    const bool shared = size.image_batch == 1;
    T* __restrict image_out = grad_image + ((shared ? 0 : n) * size.channels + channel) * plane + offset;
    T* __restrict x_out = grad_flow + 2 * n * plane + offset;
    T* __restrict y_out = x_out + plane;
    const bool add_image = shared && n > 0, add_flow = channel > 0;
    for (int i = 0; i < size.width; ++i) {
      T x = add_flow ? x_out[i] : T(0), y = add_flow ? y_out[i] : T(0);
      for (int c = 0; c <= CHANNELS; ++c) {
        x += pulls_x[i * SIZE + c];
        y += pulls_y[i * SIZE + c];
      }
      x_out[i] = x;
      y_out[i] = y;
      for (int c = 0; c < CHANNELS; ++c)
        image_out[c * plane + i] = means[i * SIZE + c] + (add_image ? image_out[c * plane + i] : T(0));
    }
  }

  template <int CHANNELS>
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    constexpr int SIZE = cell_size(CHANNELS);
    const int width = size.width, height = size.height, row_length = (width + 2) * SIZE;
    const Rows targets{-1, height + 1};  // the spare cells around the picture stay zero
    const int *first = reach.first.data() + n * height, *last = reach.last.data() + n * height;
    std::vector<int> next;
    Ring<T> ring(first, last, band, targets, row_length, next);
    Landing<T> landing(width);
    std::vector<T> colors(size_t(width) * SIZE), means(colors), pulls_x(colors), pulls_y(colors);

    const ptrdiff_t plane = size.plane();
    const T* planes = image + ((size.image_batch == 1 ? 0 : n) * size.channels + channel) * plane;
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
      pack_colors<T, CHANNELS>(planes + ptrdiff_t(s) * width, plane, width, colors.data());
      gather_row<SIZE>(landing, colors.data(), ring.rows(), means.data(), pulls_x.data(), pulls_y.data());
      write_row<CHANNELS>(means.data(), pulls_x.data(), pulls_y.data(), n, channel, s);
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
