// The biharmonic fill of holes: the surface of least squared Laplacian, by conjugate gradients over the hole pixels alone.
// `smooth_fill_reference` in `fill.py` is the arbiter; here every picture and channel ends when it is done, not when all are.

#include <cstdint>
#include <new>
#include <vector>

#include "export.h"

namespace {

constexpr int LANES = 4;  // channels that go together

struct alignas(16) Lanes {
  float at[LANES] = {};
};

using Values = std::vector<Lanes>;

// A pixel's row of the Laplacian: neighbours minus the pixel, over the neighbours that exist.
struct Row {
  int32_t pixel;
  int32_t neighbour[4];  // numbers in the other set, the last of which stands for all that is not in it and counts as 0
  int32_t self;
  float degree;
};

struct Region {
  std::vector<Row> hole, near;  // the holes; and they with their neighbours, where the Laplacian depends on them
};

template <class Visit>
void each_neighbour(int y, int x, int height, int width, Visit visit) {
  const int32_t here = y * width + x;
  if (y > 0) visit(0, here - width);
  if (y < height - 1) visit(1, here + width);
  if (x > 0) visit(2, here - 1);
  if (x < width - 1) visit(3, here + 1);
}

std::vector<Row> rows(const std::vector<int32_t>& own, const std::vector<int32_t>& other, int others, int height, int width) {
  std::vector<Row> made;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int32_t here = y * width + x;
      if (own[here] < 0) continue;
      auto number = [&](int32_t pixel) { return other[pixel] < 0 ? others : other[pixel]; };
      Row row{here, {others, others, others, others}, number(here), 0};
      each_neighbour(y, x, height, width, [&](int side, int32_t pixel) {
        row.neighbour[side] = number(pixel);
        row.degree += 1;
      });
      made.push_back(row);
    }
  }
  return made;
}

Region region_of(const uint8_t* known, int height, int width) {
  const int32_t pixels = height * width;
  std::vector<int32_t> hole(pixels, -1), near(pixels, -1);
  int holes = 0, nears = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int32_t here = y * width + x;
      bool beside = !known[here];
      if (!known[here]) hole[here] = holes++;
      each_neighbour(y, x, height, width, [&](int, int32_t pixel) { beside = beside || !known[pixel]; });
      if (beside) near[here] = nears++;
    }
  }
  return {rows(hole, near, nears, height, width), rows(near, hole, holes, height, width)};
}

// `result` = the Laplacian of `values`, whose last entry is 0.
void laplacian(const std::vector<Row>& rows, const Values& values, Values& result) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    for (int lane = 0; lane < LANES; ++lane) {
      float sum = 0;
      for (int side = 0; side < 4; ++side) sum += values[row.neighbour[side]].at[lane];
      result[i].at[lane] = sum - row.degree * values[row.self].at[lane];
    }
  }
}

Lanes squares(const Values& values) {
  Lanes sum;
  for (const Lanes& value : values) {
    for (int lane = 0; lane < LANES; ++lane) sum.at[lane] += value.at[lane] * value.at[lane];
  }
  return sum;
}

// values += factor * others, lane by lane; or values = others + factor * values.
void add(Values& values, const Lanes& factor, const Values& others, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    for (int lane = 0; lane < LANES; ++lane) values[i].at[lane] += factor.at[lane] * others[i].at[lane];
  }
}

void turn(Values& values, const Lanes& factor, const Values& others, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    for (int lane = 0; lane < LANES; ++lane) values[i].at[lane] = others[i].at[lane] + factor.at[lane] * values[i].at[lane];
  }
}

// Lane by lane; 0 where nothing is left to do.
Lanes ratio(const Lanes& above, const Lanes& below) {
  Lanes result;
  for (int lane = 0; lane < LANES; ++lane) result.at[lane] = below.at[lane] > 0 ? above.at[lane] / below.at[lane] : 0;
  return result;
}

// Solve for up to LANES channels of a picture (channels, height, width), in place, from what its holes hold.
void solve(const Region& region, float* image, int channels, int64_t pixels, int width, int iterations, float tolerance) {
  const std::size_t holes = region.hole.size(), nears = region.near.size();
  Values solution(holes), residual(nears + 1), image_of_direction(nears + 1), gradient(holes), direction(holes + 1);
  for (std::size_t i = 0; i < nears; ++i) {
    const Row& row = region.near[i];
    const int64_t here = row.pixel, x = here % width;
    for (int lane = 0; lane < channels; ++lane) {
      const float* plane = image + lane * pixels;
      float sum = row.degree * plane[here];
      if (here >= width) sum -= plane[here - width];
      if (here + width < pixels) sum -= plane[here + width];
      if (x > 0) sum -= plane[here - 1];
      if (x < width - 1) sum -= plane[here + 1];
      residual[i].at[lane] = sum;
    }
  }
  laplacian(region.hole, residual, gradient);
  for (std::size_t i = 0; i < holes; ++i) direction[i] = gradient[i];
  Lanes energy = squares(gradient), target = energy;
  for (float& value : target.at) value *= tolerance * tolerance;

  for (int i = 0; i < iterations; ++i) {
    bool done = true;
    for (int lane = 0; lane < LANES; ++lane) done = done && energy.at[lane] <= target.at[lane];
    if (done) break;
    laplacian(region.near, direction, image_of_direction);
    Lanes step = ratio(energy, squares(image_of_direction));
    add(solution, step, direction, holes);
    for (float& value : step.at) value = -value;
    add(residual, step, image_of_direction, nears);
    laplacian(region.hole, residual, gradient);
    const Lanes previous = energy;
    energy = squares(gradient);
    turn(direction, ratio(energy, previous), gradient, holes);
  }
  for (std::size_t i = 0; i < holes; ++i) {
    for (int lane = 0; lane < channels; ++lane) image[lane * pixels + region.hole[i].pixel] += solution[i].at[lane];
  }
}

}  // namespace

// `image` (n, c, h, w), whose holes hold a first guess, is filled in place where `known` (n, h, w) bytes are 0.
// Returns 0, or 1 for want of memory.
EXPORT int deform_smooth_fill(float* image, const uint8_t* known, int64_t n, int c, int h, int w, int iterations,
                              float tolerance, int threads) {
  const int64_t pixels = int64_t(h) * w;
  int failed = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(| : failed)
  for (int64_t picture = 0; picture < n; ++picture) {
    try {
      const Region region = region_of(known + picture * pixels, h, w);
      for (int first = 0; first < c && !region.hole.empty(); first += LANES) {
        float* planes = image + (picture * c + first) * pixels;
        solve(region, planes, c - first < LANES ? c - first : LANES, pixels, w, iterations, tolerance);
      }
    } catch (const std::bad_alloc&) {
      failed = 1;
    }
  }
  return failed;
}
