// The forward warp, its gradient, and the nearest known pixel on the GPU; `reference.py` is the arbiter of what they
// compute, `cuda.py` launches them. Compiled by NVRTC: no headers.
//
// Forward, a thread adds its source pixel to the sums of the four cells around its target; a second pass divides them.
// Backward is a pure gather without atomics. Each kernel has a thread for each pixel, and none waits for another.

using Index = long long;

struct Shape {
  Index batch, image_batch;
  int channels, height, width;
  __device__ Index plane() const { return Index(height) * width; }
  __device__ Index pixel(int row, int column) const { return Index(row) * width + column; }
  __device__ int quads() const { return channels / 4 + 1; }
  __device__ Index image_of(Index n) const { return image_batch == 1 ? 0 : n; }
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

// Where a source pixel lands: its upper left cell and the weights of the columns and rows around the target.
template <class T>
struct Landing {
  int x, y;
  T left, right, upper, lower;
  bool inside;

  // Floor and fraction are of the displacement, not of the position: the fraction keeps all its bits.
  __device__ Landing(const T* flow, Index n, int row, int column, const Shape& shape) {
    const T* displacement = flow + 2 * n * shape.plane() + shape.pixel(row, column);
    T dx = displacement[0], dy = displacement[shape.plane()];
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
  __device__ T weight(int corner) const { return (corner & 1 ? right : left) * (corner & 2 ? lower : upper); }
  // The corner's cell, or -1 out of bounds.
  __device__ Index cell(int corner, const Shape& shape) const {
    const int cx = x + (corner & 1), cy = y + (corner >> 1);
    const bool valid = inside && cx >= 0 && cx < shape.width && cy >= 0 && cy < shape.height;
    return valid ? shape.pixel(cy, cx) : -1;
  }
};

// Four channels of a cell. A cell's channels are followed by its coverage, and zeros to fill the last quad.
template <class T>
struct alignas(16) Quad {
  T lanes[4];
  __device__ Quad times(T weight) const {
    return {lanes[0] * weight, lanes[1] * weight, lanes[2] * weight, lanes[3] * weight};
  }
};

// Of the lanes, the first `used` are not zeros.
template <class T>
__device__ void add_to(Quad<T>* cell, const Quad<T>& sums, int used) {
  for (int i = 0; i < 4; ++i)
    if (i < used) atomicAdd(cell->lanes + i, sums.lanes[i]);
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ void add_to(Quad<float>* cell, const Quad<float>& sums, int) {
  const auto address = __cvta_generic_to_global(cell);
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(sums.lanes[0]), "f"(sums.lanes[1]),
               "f"(sums.lanes[2]), "f"(sums.lanes[3])
               : "memory");
}
#endif

// Into `cells`, zeros: a plane for each quad of each picture.
template <class T>
__device__ void splat(const T* image, const T* flow, Quad<T>* cells, Shape shape) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Landing<T> landing(flow, n, row, column, shape);
    const T* colors = image + shape.image_of(n) * shape.channels * plane + shape.pixel(row, column);
    for (int quad = 0; quad < shape.quads(); ++quad) {
      Quad<T> values;
      for (int i = 0; i < 4; ++i) {
        const int channel = 4 * quad + i;
        values.lanes[i] = channel < shape.channels ? colors[channel * plane] : T(channel == shape.channels);
      }
      Quad<T>* sums = cells + (n * shape.quads() + quad) * plane;
      for (int corner = 0; corner < 4; ++corner) {
        const T weight = landing.weight(corner);
        const Index cell = landing.cell(corner, shape);
        // A colour of NaN or Inf must not reach a cell it has no weight in.
        if (cell >= 0 && weight > 0) add_to(sums + cell, values.times(weight), shape.channels + 1 - 4 * quad);
      }
    }
  });
}

// The last quad comes first: it holds the coverage.
template <class T>
__device__ void normalise(const Quad<T>* cells, T* warped, T* coverage, Shape shape, T eps) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = shape.pixel(row, column);
    T weight = 0;
    for (int quad = shape.quads() - 1; quad >= 0; --quad) {
      const Quad<T> sums = cells[(n * shape.quads() + quad) * plane + at];
      for (int i = 3; i >= 0; --i) {
        const int channel = 4 * quad + i;
        if (channel == shape.channels) coverage[n * plane + at] = weight = sums.lanes[i];
        if (channel >= shape.channels) continue;
        warped[(n * shape.channels + channel) * plane + at] = sums.lanes[i] / (weight + eps);
      }
    }
  });
}

// The same with sums that do not depend on their order: integers, in units of 1 / scale. Each channel of each image has
// its own, the coverage the last. A colour of NaN or Inf, which no integer holds, is added to `warped` itself, where in
// any order it leaves what it must.
template <class T>
__device__ void splat_fixed(const T* image, const T* flow, unsigned long long* cells, T* warped, const double* scales,
                            Shape shape) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Landing<T> landing(flow, n, row, column, shape);
    const T* colors = image + shape.image_of(n) * shape.channels * plane + shape.pixel(row, column);
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
__device__ void normalise_fixed(const long long* cells, T* warped, T* coverage, const double* scales, Shape shape,
                                T eps) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = shape.pixel(row, column);
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

// What flows back through one cell: `inverse` is 1 / (coverage + eps), 0 in a hole; `pull` the gradient to a weight in
// it.
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
    const Index plane = shape.plane(), at = shape.pixel(row, column);
    const Landing<T> landing(flow, n, row, column, shape);
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
    const auto pull = [&](int to, int from) { return corners[to].pull - corners[from].pull; };
    T* out = grad_flow + 2 * n * plane + at;
    out[0] = pull(1, 0) * landing.upper + pull(3, 2) * landing.lower;
    out[plane] = pull(2, 0) * landing.left + pull(3, 1) * landing.right;
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
  extern "C" __global__ void splat_##SUFFIX(const T* image, const T* flow, Quad<T>* cells, Shape shape) {              \
    splat(image, flow, cells, shape);                                                                                  \
  }                                                                                                                    \
  extern "C" __global__ void normalise_##SUFFIX(const Quad<T>* cells, T* warped, T* coverage, Shape shape, T eps) {    \
    normalise(cells, warped, coverage, shape, eps);                                                                    \
  }                                                                                                                    \
  extern "C" __global__ void splat_fixed_##SUFFIX(const T* image, const T* flow, unsigned long long* cells, T* warped, \
                                                  const double* scales, Shape shape) {                                 \
    splat_fixed(image, flow, cells, warped, scales, shape);                                                            \
  }                                                                                                                    \
  extern "C" __global__ void normalise_fixed_##SUFFIX(const long long* cells, T* warped, T* coverage,                  \
                                                      const double* scales, Shape shape, T eps) {                      \
    normalise_fixed(cells, warped, coverage, scales, shape, eps);                                                      \
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
