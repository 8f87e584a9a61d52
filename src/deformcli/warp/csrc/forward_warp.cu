// The forward warp, its gradient, and the nearest known pixel on the GPU; `reference.py` is the arbiter of what they
// compute, `cuda.py` launches them. Compiled by NVRTC: no headers.
//
// Forward, a picture is cut into bands of eight rows and these into strips, which warps take one by one: they add the
// strip's pixels to the sums of their target cells, and divide the sums of a strip that no pixel left can reach. So only
// the bands in between have sums, in a ring that fits into the cache: memory sees what comes in and goes out, and the
// flow once more, to learn how far pixels move up and down. The channels of a cell and its coverage lie side by side, in
// quads of four. Backward is a pure gather without atomics.

using Index = long long;

struct Shape {
  Index batch, image_batch;
  int channels, height, width;
  __device__ Index plane() const { return Index(height) * width; }
  __device__ int quads() const { return channels / 4 + 1; }
  __device__ Index image_of(Index n) const { return image_batch == 1 ? 0 : n; }
};

// Where a source pixel lands: its upper left cell and the weights of the columns and rows around the target.
template <class T>
struct Landing {
  int x, y;
  T left, right, upper, lower;
  bool inside;

  // Floor and fraction are of the displacement, not of the position: the fraction keeps all its bits.
  __device__ Landing(T dx, T dy, int column, int row, const Shape& shape) {
    const T to_x = T(column) + dx, to_y = T(row) + dy;
    inside = to_x > -1 && to_x < T(shape.width) && to_y > -1 && to_y < T(shape.height);  // false for NaN
    dx = inside ? dx : T(0);
    dy = inside ? dy : T(0);
    x = column + int(floor(dx));
    y = row + int(floor(dy));
    right = dx - floor(dx);
    lower = dy - floor(dy);
    left = 1 - right;
    upper = 1 - lower;
  }
  __device__ int corner_x(int corner) const { return x + (corner & 1); }
  __device__ int corner_y(int corner) const { return y + (corner >> 1); }
  __device__ T weight_x(int corner) const { return corner & 1 ? right : left; }
  __device__ T weight_y(int corner) const { return corner & 2 ? lower : upper; }
  __device__ T weight(int corner) const { return weight_x(corner) * weight_y(corner); }
  // The corner's cell, or -1 out of bounds.
  __device__ Index cell(int corner, const Shape& shape) const {
    const int cx = corner_x(corner), cy = corner_y(corner);
    const bool valid = inside && cx >= 0 && cx < shape.width && cy >= 0 && cy < shape.height;
    return valid ? Index(cy) * shape.width + cx : -1;
  }
};

// Calls visit(batch, row, column) for this thread's pixels; rows and pictures beyond the grid are walked in strides.
template <class Visit>
__device__ void for_each_pixel(Index batch, const Shape& shape, Visit visit) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= shape.width) return;
  for (Index n = blockIdx.z; n < batch; n += gridDim.z)
    for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < shape.height; row += gridDim.y * blockDim.y)
      visit(n, row, column);
}

// Four channels of a cell. The last quad ends with the coverage and zeros.
template <class T>
struct alignas(16) Quad {
  T lanes[4];
  __device__ Quad& operator+=(const Quad& other) {
    for (int i = 0; i < 4; ++i) lanes[i] += other.lanes[i];
    return *this;
  }
  // A colour of NaN or Inf must not reach a cell it has no weight in.
  __device__ Quad times(T weight) const {
    Quad weighted;
    for (int i = 0; i < 4; ++i) weighted.lanes[i] = weight > 0 ? lanes[i] * weight : T(0);
    return weighted;
  }
  __device__ bool any() const { return lanes[0] != 0 || lanes[1] != 0 || lanes[2] != 0 || lanes[3] != 0; }
};

template <class T>
__device__ void add_to(Quad<T>* cell, const Quad<T>& sums, int used) {
  for (int i = 0; i < 4; ++i)
    if (i < used) atomicAdd(cell->lanes + i, sums.lanes[i]);
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ void add_to(Quad<float>* cell, const Quad<float>& sums, int) {
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(cell), "f"(sums.lanes[0]), "f"(sums.lanes[1]),
               "f"(sums.lanes[2]), "f"(sums.lanes[3])
               : "memory");
}
#endif

#ifdef __CUDACC_RTC__
__device__ int load_acquire(const int* address) {
  int value;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}
__device__ int load_relaxed(const int* address) {
  int value;
  asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  return value;
}
__device__ void increment_release(int* address) {
  asm volatile("red.release.gpu.global.add.s32 [%0], 1;" ::"l"(address) : "memory");
}
#endif

constexpr unsigned EVERY_LANE = 0xffffffff;
constexpr int LANES = 32, BAND = 8, NOWHERE = -9;
constexpr int LINE = 32;    // ints of a line of the cache
constexpr int AT_ONCE = 2;  // rows

// What the lane before has; the first one has its own.
template <class T>
__device__ T lane_before(T value) {
  return __shfl_up_sync(EVERY_LANE, value, 1);
}
template <class T>
__device__ Quad<T> lane_before(const Quad<T>& quad) {
  Quad<T> before;
  for (int i = 0; i < 4; ++i) before.lanes[i] = lane_before(quad.lanes[i]);
  return before;
}

// How far up and down pixels move, in rows, at most: into `reach`.
template <class T>
__device__ void find_reach(const T* flow, int* reach, const Shape& shape) {
  int most = 0;
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const T dy = flow[(2 * n + 1) * shape.plane() + Index(row) * shape.width + column], to_y = T(row) + dy;
    if (!(to_y > -1 && to_y < T(shape.height))) return;
    const int down = int(floor(dy));
    most = max(most, max(-down, down + 1));
  });
  for (int other = LANES / 2; other > 0; other /= 2) most = max(most, __shfl_down_sync(EVERY_LANE, most, other));
  if (threadIdx.x == 0 && most > load_relaxed(reach)) atomicMax(reach, most);
}

// Where sums are kept: `kept` bands at a time, of all pictures' `count`, each of `strips`. A pixel lands at most `reach`
// bands up or down. A band's sums are divided `lag` bands after its pixels are added, and their place is taken again half
// of the busy bands after that, when what each needs is mostly done.
struct Ring {
  int strips, bands_of_picture, reach, lag, kept;
  Index count;

  __device__ Ring(const Shape& shape, int reach_in_rows) {
    strips = (shape.width + LANES - 1) / LANES;
    bands_of_picture = (shape.height + BAND - 1) / BAND;
    count = shape.batch * bands_of_picture;
    reach = (reach_in_rows + BAND - 1) / BAND;
    const int busy = gridDim.x * blockDim.y / strips;  // bands that all warps work on
    lag = int(min(count, Index(reach) + 1 + busy / 2));
    kept = int(min(count, Index(reach) + 1 + lag + busy + busy / 2));
  }
};

// `progress`: the next job; a line on, the reach in rows; another on, per band how many strips are added, and how many
// have cleared sums. They begin as zeros. A job waits for earlier ones alone, so it does not matter how many warps run
// at once.
template <class T>
struct Forward {
  const T *image, *flow;
  Quad<T>* cells;
  T *warped, *coverage;
  int* progress;
  Shape shape;
  T eps;

  __device__ void run() const {
    const Ring ring(shape, progress[LINE]);
    const Index jobs = (ring.kept + ring.count + ring.lag) * ring.strips;
    for (Index job = next_job(); job < jobs; job = next_job()) {
      const Index step = job / ring.strips - ring.kept, done = step - ring.lag;
      const int column = int(job % ring.strips) * LANES + threadIdx.x;
      if (step < 0) clear(ring, step + ring.kept, column);
      if (step >= 0 && step < ring.count) splat(ring, step, column);
      if (done >= 0) divide(ring, done, column);
    }
  }

  __device__ int next_job() const {
    const int job = threadIdx.x == 0 ? atomicAdd(progress, 1) : 0;
    return __shfl_sync(EVERY_LANE, job, 0);
  }
  __device__ int* added(Index band) const { return progress + 2 * LINE + band; }
  __device__ int* cleared(const Ring& ring, Index band) const { return added(ring.count + band); }

  // Until all strips within reach of a band are counted.
  __device__ void wait(const Ring& ring, const int* counts, Index band) const {
    const Index first = max(band - ring.reach, Index(0)), last = min(band + ring.reach, ring.count - 1);
    for (Index other = first + threadIdx.x; other <= last; other += LANES)
      while (load_acquire(counts + other) < ring.strips)
        while (load_relaxed(counts + other) < ring.strips) __nanosleep(50);
    __syncwarp();
  }
  __device__ void count_strip(int* count) const {
    __syncwarp();
    if (threadIdx.x == 0) increment_release(count);
  }

  // A band's cells lie by quad, row and column.
  __device__ Quad<T>* cell(int slot, int quad, int row, int column) const {
    return cells + ((Index(slot) * shape.quads() + quad) * BAND + row % BAND) * shape.width + column;
  }

  __device__ void clear(const Ring& ring, Index band, int column) const {
    for (int quad = 0; quad < shape.quads(); ++quad)
      for (int row = 0; row < BAND; ++row)
        if (column < shape.width) *cell(int(band), quad, row, column) = {};
    count_strip(cleared(ring, band));
  }

  // A row is loaded before the one above it is written.
  __device__ void divide(const Ring& ring, Index band, int column) const {
    wait(ring, added(0), band);
    const Index n = band / ring.bands_of_picture, plane = shape.plane();
    const int top = int(band % ring.bands_of_picture) * BAND, slot = int(band % ring.kept);
    for (int first = top; first < top + BAND; first += AT_ONCE) {
      T weights[AT_ONCE];
      for (int quad = shape.quads() - 1; quad >= 0; --quad) {
        Quad<T> sums[AT_ONCE];
        for (int i = 0; i < AT_ONCE; ++i)
          if (first + i < shape.height && column < shape.width) sums[i] = *cell(slot, quad, first + i, column);
        for (int i = 0; i < AT_ONCE; ++i) {
          if (first + i >= shape.height || column >= shape.width) continue;
          *cell(slot, quad, first + i, column) = {};
          const Index at = Index(first + i) * shape.width + column;
          for (int lane = 3; lane >= 0; --lane) {
            const int channel = 4 * quad + lane;
            if (channel == shape.channels) __stcs(coverage + n * plane + at, weights[i] = sums[i].lanes[lane]);
            if (channel < shape.channels)
              __stcs(warped + (n * shape.channels + channel) * plane + at, sums[i].lanes[lane] / (weights[i] + eps));
          }
        }
      }
    }
    if (band + ring.kept < ring.count) count_strip(cleared(ring, band + ring.kept));
  }

  // What a pixel, or several, add to a cell.
  struct Sum {
    int x, y;
    Quad<T> values;

    __device__ bool take(const Sum& other) {
      const bool same = x == other.x && y == other.y;
      if (same) values += other.values;
      return same;
    }
  };

  struct Source {
    T dx, dy;
    Quad<T> colors;
  };
  __device__ Source load(Index n, int quad, int row, int column) const {
    if (row >= shape.height || column >= shape.width) return {T(shape.width), T(shape.height), {}};  // lands outside
    const Index plane = shape.plane(), at = Index(row) * shape.width + column;
    const T* displacement = flow + 2 * n * plane + at;
    const T* colors = image + shape.image_of(n) * shape.channels * plane + at;
    Source source = {__ldcs(displacement), __ldcs(displacement + plane), {}};
    for (int i = 0; i < 4; ++i) {
      const int channel = 4 * quad + i;
      source.colors.lanes[i] = channel < shape.channels ? colors[channel * plane] : T(channel == shape.channels);
    }
    return source;
  }

  // Neighbours mostly land side by side, so a cell gets one sum of several: the row below may take what falls into the
  // lower left cell, the lane after what falls into the right ones. The row below is loaded before this one is added.
  __device__ void splat(const Ring& ring, Index band, int column) const {
    wait(ring, cleared(ring, 0), band);
    const Index n = band / ring.bands_of_picture;
    const int top = int(band % ring.bands_of_picture) * BAND, slot = int(band % ring.kept);
    for (int quad = 0; quad < shape.quads(); ++quad) {
      const auto add = [&](const Sum& sum) {
        const int x = sum.x, y = sum.y;
        if (x < 0 || x >= shape.width || y < 0 || y >= shape.height || !sum.values.any()) return;
        const int there = slot + y / BAND - top / BAND;
        const int wrapped = there < 0 ? there + ring.kept : there >= ring.kept ? there - ring.kept : there;
        add_to(cell(wrapped, quad, y, x), sum.values, shape.channels + 1 - 4 * quad);
      };
      Sum below = {NOWHERE, NOWHERE, {}};
      Source next = load(n, quad, top, column);
#pragma unroll 1  // more would spill
      for (int row = top; row < top + BAND; ++row) {
        const Source source = next;
        next = load(n, quad, min(row + 1, top + BAND - 1), column);
        const Landing<T> landing(source.dx, source.dy, column, row, shape);
        const int x = landing.inside ? landing.x : NOWHERE, y = landing.inside ? landing.y : NOWHERE;
        Sum upper = {x, y, source.colors.times(landing.weight(0))};
        Sum lower = {x, y + 1, source.colors.times(landing.weight(2))};
        Sum upper_right = {x + 1, y, source.colors.times(landing.weight(1))};
        Sum lower_right = {x + 1, y + 1, source.colors.times(landing.weight(3))};

        if (!(upper.take(below) || lower.take(below) || upper_right.take(below) || lower_right.take(below))) add(below);
        const int x_before = lane_before(x) + 1, y_before = lane_before(y);
        const Sum upper_before = {x_before, y_before, lane_before(upper_right.values)};
        const Sum lower_before = {x_before, y_before + 1, lane_before(lower_right.values)};
        const bool upper_taken = upper.take(upper_before) || lower.take(upper_before);
        const bool lower_taken = upper.take(lower_before) || lower.take(lower_before);
        const int taken = __shfl_down_sync(EVERY_LANE, upper_taken + 2 * lower_taken, 1), last = threadIdx.x == LANES - 1;
        if (last || !(taken & 1)) add(upper_right);
        if (last || !(taken & 2)) add(lower_right);
        add(upper);
        below = lower;
      }
      add(below);
    }
    count_strip(added(band));
  }
};

// The same, plainly, with sums that do not depend on their order: integers, in units of 1 / scale. Each
// channel of each image has its own, the coverage the last. A colour of NaN or Inf, which no integer holds, is added to
// `warped` itself, where in any order it leaves what it must.
template <class T>
__device__ void splat_fixed(const T* image, const T* flow, unsigned long long* cells, T* warped, const double* scales,
                            Shape shape) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const T* displacement = flow + 2 * n * plane + at;
    const Landing<T> landing(displacement[0], displacement[plane], column, row, shape);
    const T* colors = image + shape.image_of(n) * shape.channels * plane + at;
    const double* scale = scales + shape.image_of(n) * (shape.channels + 1);
    for (int corner = 0; corner < 4; ++corner) {
      const T weight = landing.weight(corner);
      const Index cell = landing.cell(corner, shape);
      if (cell < 0 || !(weight > 0)) continue;
      for (int channel = 0; channel <= shape.channels; ++channel) {
        const T value = channel < shape.channels ? colors[channel * plane] : T(1);
        const long long units = __double2ll_rn(double(value) * double(weight) * scale[channel]);
        if (value - value == 0)
          atomicAdd(cells + (n * (shape.channels + 1) + channel) * plane + cell, (unsigned long long)units);
        else
          atomicAdd(warped + (n * shape.channels + channel) * plane + cell, value);
      }
    }
  });
}

template <class T>
__device__ void normalise_fixed(const long long* cells, T* warped, T* coverage, const double* scales, Shape shape, T eps) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const long long* cell = cells + n * (shape.channels + 1) * plane + at;
    const double* scale = scales + shape.image_of(n) * (shape.channels + 1);
    const double weight = double(cell[shape.channels * plane]) / scale[shape.channels];
    coverage[n * plane + at] = T(weight);
    for (int channel = 0; channel < shape.channels; ++channel) {
      T& out = warped[(n * shape.channels + channel) * plane + at];
      out = out + T(double(cell[channel * plane]) / scale[channel] / (weight + double(eps)));
    }
  });
}

// What flows back through one cell: `inverse` is 1 / (coverage + eps), 0 in a hole; `pull` the gradient to a weight in it.
template <class T>
struct Corner {
  Index cell;
  T weight, inverse, pull;
};

// `grad_image` or `grad_flow` is null where nobody needs it.
template <class T>
struct Gradient {
  const T *grad_warped, *grad_coverage, *image, *flow, *warped, *coverage;
  T *grad_image, *grad_flow;
  Shape shape;
  T eps;

  __device__ void gather(Index n, int row, int column, bool add_image) const {
    const Index plane = shape.plane(), at = Index(row) * shape.width + column;
    const T* displacement = flow + 2 * n * plane + at;
    const Landing<T> landing(displacement[0], displacement[plane], column, row, shape);
    Corner<T> corners[4];
    for (int k = 0; k < 4; ++k) {
      const Index cell = landing.cell(k, shape);
      const T sum = cell < 0 ? T(0) : coverage[n * plane + cell];
      corners[k] = {cell, landing.weight(k), sum > 0 ? 1 / (sum + eps) : T(0),
                    cell < 0 ? T(0) : grad_coverage[n * plane + cell]};
    }
    for (int channel = 0; channel < shape.channels; ++channel) {
      const Index image_at = (shape.image_of(n) * shape.channels + channel) * plane + at;
      const Index first = (n * shape.channels + channel) * plane;
      const T color = image[image_at];
      T mean = add_image && grad_image ? grad_image[image_at] : T(0);
      for (Corner<T>& corner : corners) {
        if (corner.cell < 0) continue;
        const T grad_sum = grad_warped[first + corner.cell] * corner.inverse;
        mean += grad_sum * corner.weight;
        corner.pull += grad_sum * (color - warped[first + corner.cell]);
      }
      if (grad_image) grad_image[image_at] = mean;
    }
    if (!grad_flow) return;
    T* out = grad_flow + 2 * n * plane + at;
    out[0] = (corners[1].pull - corners[0].pull) * landing.upper + (corners[3].pull - corners[2].pull) * landing.lower;
    out[plane] = (corners[2].pull - corners[0].pull) * landing.left + (corners[3].pull - corners[1].pull) * landing.right;
  }

  // One image's gradient is summed over its flows by one thread, in order.
  __device__ void run() const {
    const bool shared = shape.image_batch == 1 && grad_image;
    for_each_pixel(shared ? 1 : shape.batch, shape, [&](Index n, int row, int column) {
      if (!shared) return gather(n, row, column, false);
      for (Index flow_of_image = 0; flow_of_image < shape.batch; ++flow_of_image)
        gather(flow_of_image, row, column, flow_of_image > 0);
    });
  }
};

#define DEFINE_ENTRY_POINTS(T, SUFFIX)                                                                                 \
  extern "C" __global__ void reach_##SUFFIX(const T* flow, int* reach, Shape shape) {                                  \
    find_reach<T>(flow, reach, shape);                                                                                 \
  }                                                                                                                    \
  extern "C" __global__ __launch_bounds__(256, sizeof(T) == 4 ? 3 : 2) void forward_##SUFFIX(Forward<T> forward) {     \
    forward.run();                                                                                                     \
  }                                                                                                                    \
  extern "C" __global__ void splat_fixed_##SUFFIX(const T* image, const T* flow, unsigned long long* cells, T* warped, \
                                                  const double* scales, Shape shape) {                                 \
    splat_fixed<T>(image, flow, cells, warped, scales, shape);                                                         \
  }                                                                                                                    \
  extern "C" __global__ void normalise_fixed_##SUFFIX(const long long* cells, T* warped, T* coverage,                  \
                                                      const double* scales, Shape shape, T eps) {                      \
    normalise_fixed<T>(cells, warped, coverage, scales, shape, eps);                                                   \
  }                                                                                                                    \
  extern "C" __global__ void gather_##SUFFIX(Gradient<T> gradient) { gradient.run(); }

DEFINE_ENTRY_POINTS(float, f32)
DEFINE_ENTRY_POINTS(double, f64)

// The nearest known pixel, in whole numbers, so that ties are seen: they go to the upper row, then to the left column.

constexpr int NONE = -1;

// Per pixel the nearest known row of its column, or NONE. A thread sweeps a column, down and up.
extern "C" __global__ void nearest_rows_u8(const unsigned char* known, int* rows, Shape shape) {
  const Index plane = shape.plane();
  const int height = shape.height, width = shape.width;
  shape.height = 1;
  for_each_pixel(shape.batch, shape, [&](Index n, int, int column) {
    const unsigned char* source = known + n * plane + column;
    int *row = rows + n * plane + column, nearest = NONE;
    for (int y = 0; y < height; ++y) row[Index(y) * width] = nearest = source[Index(y) * width] ? y : nearest;
    for (int y = height - 1; y >= 0; --y) {
      const int above = row[Index(y) * width];
      if (above == y) nearest = y;
      else if (nearest != NONE && (above == NONE || nearest - y < y - above)) row[Index(y) * width] = nearest;
    }
  });
}

// Looks left and right until no column can be nearer.
extern "C" __global__ void nearest_columns_u8(const int* rows, Index* index, Shape shape) {
  for_each_pixel(shape.batch, shape, [&](Index n, int y, int x) {
    const Index first = (n * shape.height + y) * shape.width;
    const auto distance = [&](int column) {
      const Index rise = rows[first + column] - y, run = column - x;
      return rows[first + column] == NONE ? ~0ull : (unsigned long long)(rise * rise + run * run);
    };
    int nearest = x;
    auto best = distance(x);
    for (int reach = 1; reach < shape.width && (unsigned long long)reach * reach <= best; ++reach) {
      for (int column : {x - reach, x + reach}) {
        if (column < 0 || column >= shape.width) continue;
        const auto other = distance(column);
        if (other < best || (other == best && column < nearest)) best = other, nearest = column;
      }
    }
    const int row = rows[first + nearest];
    index[first + x] = best == ~0ull ? Index(y) * shape.width + x : Index(row) * shape.width + nearest;
  });
}
