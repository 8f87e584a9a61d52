// The forward warp, its gradient, and the nearest known pixel on the GPU; `reference.py` is the arbiter of what they
// compute, `cuda.py` launches them. Compiled by NVRTC: no headers.
//
// Forward, channels and coverage of a target pixel lie side by side, in quads of four: (batch, quads, height * width, 4).
// One thread per source pixel adds to the four cells around its target, then one per target pixel divides. Backward is
// a pure gather without atomics. Blocks are 32 x 8 pixels, so a warp is a piece of a row.

using Index = long long;

struct Shape {
  Index batch, image_batch;
  int channels, height, width;
  __device__ Index plane() const { return Index(height) * width; }
  __device__ int quads() const { return channels / 4 + 1; }
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

template <class T>
__device__ void add_quad(T* cell, const T* values, int lanes) {
  for (int i = 0; i < lanes; ++i) atomicAdd(cell + i, values[i]);
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ void add_quad(float* cell, const float* values, int) {
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(cell), "f"(values[0]), "f"(values[1]),
               "f"(values[2]), "f"(values[3])
               : "memory");
}
#endif

// Up to four of a source pixel's channels, then its coverage, then zeros.
template <class T>
__device__ void load_quad(T* values, const T* colors, int quad, const Shape& shape) {
  for (int i = 0; i < 4; ++i) {
    const int channel = 4 * quad + i;
    values[i] = channel < shape.channels ? colors[channel * shape.plane()] : T(channel == shape.channels);
  }
}

template <class T>
__device__ void splat(const T* image, const T* flow, T* cells, Shape shape) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const T* displacement = flow + 2 * n * plane + at;
    const Landing<T> landing(displacement[0], displacement[plane], column, row, shape);
    if (!landing.inside) return;
    const T* colors = image + (shape.image_batch == 1 ? 0 : n) * shape.channels * plane + at;
    for (int quad = 0; quad < shape.quads(); ++quad) {
      T values[4];
      load_quad(values, colors, quad, shape);
      for (int corner = 0; corner < 4; ++corner) {
        const T weight = landing.weight(corner);
        const Index cell = landing.cell(corner, shape);
        if (cell < 0 || !(weight > 0)) continue;  // 0 * NaN must not reach a cell
        const T weighted[4] = {values[0] * weight, values[1] * weight, values[2] * weight, values[3] * weight};
        const int lanes = min(4, shape.channels + 1 - 4 * quad);
        add_quad(cells + ((n * shape.quads() + quad) * plane + cell) * 4, weighted, lanes);
      }
    }
  });
}

template <class T>
__device__ void normalise(const T* cells, T* warped, T* coverage, Shape shape, T eps) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const T* cell = cells + (n * shape.quads() * plane + at) * 4;
    const T weight = cell[(shape.channels / 4) * plane * 4 + shape.channels % 4];
    coverage[n * plane + at] = weight;
    for (int channel = 0; channel < shape.channels; ++channel)
      warped[(n * shape.channels + channel) * plane + at] =
          cell[(channel / 4) * plane * 4 + channel % 4] / (weight + eps);
  });
}

// The same with sums that do not depend on their order: integers, in units of 1 / *scale. A colour of NaN or Inf, which
// no integer holds, is added to `warped` itself, where in any order it leaves what it must.
template <class T>
__device__ void splat_fixed(const T* image, const T* flow, unsigned long long* cells, T* warped, const double* scale,
                            Shape shape) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const T* displacement = flow + 2 * n * plane + at;
    const Landing<T> landing(displacement[0], displacement[plane], column, row, shape);
    const T* colors = image + (shape.image_batch == 1 ? 0 : n) * shape.channels * plane + at;
    for (int corner = 0; corner < 4; ++corner) {
      const T weight = landing.weight(corner);
      const Index cell = landing.cell(corner, shape);
      if (cell < 0 || !(weight > 0)) continue;
      for (int channel = 0; channel <= shape.channels; ++channel) {
        const T value = channel < shape.channels ? colors[channel * plane] : T(1);
        const long long units = __double2ll_rn(double(value) * double(weight) * *scale);
        if (value - value == 0)
          atomicAdd(cells + (n * (shape.channels + 1) + channel) * plane + cell, (unsigned long long)units);
        else
          atomicAdd(warped + (n * shape.channels + channel) * plane + cell, value);
      }
    }
  });
}

template <class T>
__device__ void normalise_fixed(const long long* cells, T* warped, T* coverage, const double* scale, Shape shape, T eps) {
  const Index plane = shape.plane();
  for_each_pixel(shape.batch, shape, [&](Index n, int row, int column) {
    const Index at = Index(row) * shape.width + column;
    const long long* cell = cells + n * (shape.channels + 1) * plane + at;
    const double weight = double(cell[shape.channels * plane]) / *scale;
    coverage[n * plane + at] = T(weight);
    for (int channel = 0; channel < shape.channels; ++channel) {
      T& out = warped[(n * shape.channels + channel) * plane + at];
      out = out + T(double(cell[channel * plane]) / *scale / (weight + double(eps)));
    }
  });
}

// What flows back through one cell: `inverse` is 1 / (coverage + eps), 0 in a hole; `pull` the gradient to a weight in it.
template <class T>
struct Corner {
  Index cell;
  T weight, inverse, pull;
};

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
      const Index image_at = ((shape.image_batch == 1 ? 0 : n) * shape.channels + channel) * plane + at;
      const Index first = (n * shape.channels + channel) * plane;
      const T color = image[image_at];
      T mean = add_image ? grad_image[image_at] : T(0);
      for (Corner<T>& corner : corners) {
        if (corner.cell < 0) continue;
        const T grad_sum = grad_warped[first + corner.cell] * corner.inverse;
        mean += grad_sum * corner.weight;
        corner.pull += grad_sum * (color - warped[first + corner.cell]);
      }
      grad_image[image_at] = mean;
    }
    T* out = grad_flow + 2 * n * plane + at;
    out[0] = (corners[1].pull - corners[0].pull) * landing.upper + (corners[3].pull - corners[2].pull) * landing.lower;
    out[plane] = (corners[2].pull - corners[0].pull) * landing.left + (corners[3].pull - corners[1].pull) * landing.right;
  }

  // One image's gradient is summed over its flows by one thread, in order.
  __device__ void run() const {
    const bool shared = shape.image_batch == 1;
    for_each_pixel(shared ? 1 : shape.batch, shape, [&](Index n, int row, int column) {
      if (!shared) return gather(n, row, column, false);
      for (Index flow_of_image = 0; flow_of_image < shape.batch; ++flow_of_image)
        gather(flow_of_image, row, column, flow_of_image > 0);
    });
  }
};

#define DEFINE_ENTRY_POINTS(T, SUFFIX)                                                                                 \
  extern "C" __global__ void splat_##SUFFIX(const T* image, const T* flow, T* cells, Shape shape) {                    \
    splat<T>(image, flow, cells, shape);                                                                               \
  }                                                                                                                    \
  extern "C" __global__ void normalise_##SUFFIX(const T* cells, T* warped, T* coverage, Shape shape, T eps) {          \
    normalise<T>(cells, warped, coverage, shape, eps);                                                                 \
  }                                                                                                                    \
  extern "C" __global__ void splat_fixed_##SUFFIX(const T* image, const T* flow, unsigned long long* cells, T* warped, \
                                                  const double* scale, Shape shape) {                                  \
    splat_fixed<T>(image, flow, cells, warped, scale, shape);                                                          \
  }                                                                                                                    \
  extern "C" __global__ void normalise_fixed_##SUFFIX(const long long* cells, T* warped, T* coverage,                  \
                                                      const double* scale, Shape shape, T eps) {                       \
    normalise_fixed<T>(cells, warped, coverage, scale, shape, eps);                                                    \
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
