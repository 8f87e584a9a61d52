// Patches that look alike: an approximate nearest-neighbour field (PatchMatch, Barnes et al. 2009) and the votes of its patches.
// `search_reference` and `vote_reference` in `patchmatch.py` are the arbiters, bit for bit.
//
// Every pass reads the field that the last one left, so that neither the threads nor their number are seen in the result:
// first what the neighbours have found, one and some more steps away, then random places ever nearer to the best so far.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "export.h"

namespace {

constexpr int CHANNELS = 4;
constexpr int32_t NONE = -1;
constexpr int32_t FAR = std::numeric_limits<int32_t>::max();

struct Task {
  const uint8_t* image;  // (h, w, 4)
  const uint8_t* seen;   // (h, w, 4): 1 = what of a wanted patch is compared, else 0; null = all
  const uint8_t* count;  // (h, w): its pixels in each wanted patch
  const int32_t* price;  // (h, w): what is added to the distance of a patch from there; below 0 = none may come
  int height, width, radius, apart;
  uint64_t seed;
};

// A number that depends on its place alone: the finaliser of splitmix64 (Steele et al. 2014).
uint64_t scramble(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Squared distance of the patches around two pixels, or anything not below `limit` once it is not below it; over what is
// seen of the first, if SOME, else over all.
template <int RADIUS, bool SOME>
int32_t distance(const Task& task, int32_t a, int32_t b, int32_t limit) {
  const int radius = RADIUS ? RADIUS : task.radius, side = 2 * radius + 1;
  const int64_t corner = int64_t(radius) * (task.width + 1), stride = int64_t(task.width) * CHANNELS;
  const uint8_t *p = task.image + (a - corner) * CHANNELS, *q = task.image + (b - corner) * CHANNELS;
  const uint8_t* seen = SOME ? task.seen + (a - corner) * CHANNELS : nullptr;
  int32_t sum = 0;
  for (int row = 0; row < side && sum < limit; ++row, p += stride, q += stride) {
    int32_t here = 0;
    for (int i = 0; i < (RADIUS ? 2 * RADIUS + 1 : side) * CHANNELS; ++i) {
      const int16_t difference = int16_t((int16_t(p[i]) - int16_t(q[i])) * (SOME ? seen[row * stride + i] : 1));
      here += difference * difference;
    }
    sum += here;
  }
  return sum;
}

// What a patch costs where another is wanted, or anything not below `limit`: distance, as if what is not seen were like
// what is, and price.
int32_t cost_of(const Task& task, int32_t wanted, int32_t source, int32_t limit) {
  const int32_t price = task.price[source];
  if (price >= limit) return FAR;
  const bool usual = task.radius == 3;
  if (!task.seen) {
    return price + (usual ? distance<3, false>(task, wanted, source, limit - price)
                          : distance<0, false>(task, wanted, source, limit - price));
  }
  const int64_t side = 2 * task.radius + 1, count = task.count[wanted];
  if (!count) return FAR;
  const int64_t found = usual ? distance<3, true>(task, wanted, source, FAR) : distance<0, true>(task, wanted, source, FAR);
  return int32_t(std::min<int64_t>(price + found * side * side / count, FAR));
}

struct Best {
  int32_t source, cost;
};

void try_place(const Task& task, int32_t pixel, int y, int x, Best& best) {
  if (y < 0 || x < 0 || y >= task.height || x >= task.width) return;
  const int32_t place = y * task.width + x;
  if (place == best.source || task.price[place] < 0) return;
  if (task.apart && std::max(std::abs(y - pixel / task.width), std::abs(x - pixel % task.width)) < task.apart) return;
  const int32_t found = cost_of(task, pixel, place, best.cost);
  if (found < best.cost) best = {place, found};
}

Best improved(const Task& task, const int32_t* source, int32_t pixel, Best best, int pass) {
  const int h = task.height, w = task.width, y = pixel / w, x = pixel % w;
  for (const int step : {1, 2 << pass % 4}) {
    for (const auto& way : {std::pair(-1, 0), std::pair(1, 0), std::pair(0, -1), std::pair(0, 1)}) {
      const int dy = way.first * step, dx = way.second * step;
      if (y + dy < 0 || x + dx < 0 || y + dy >= h || x + dx >= w) continue;
      const int32_t other = source[(y + dy) * w + x + dx];
      if (other != NONE) try_place(task, pixel, other / w - dy, other % w - dx, best);
    }
  }
  uint64_t draw = scramble(scramble(task.seed + uint64_t(pass)) + uint64_t(pixel));
  for (int reach = std::max(h, w); reach; reach /= 2) {
    const int centre_y = best.source == NONE ? y : best.source / w, centre_x = best.source == NONE ? x : best.source % w;
    const int top = std::max(0, centre_y - reach), bottom = std::min(h - 1, centre_y + reach);
    const int left = std::max(0, centre_x - reach), right = std::min(w - 1, centre_x + reach);
    draw = scramble(draw);
    const int at_y = top + int((draw >> 32) % uint64_t(bottom - top + 1));
    const int at_x = left + int((draw & 0xffffffffu) % uint64_t(right - left + 1));
    try_place(task, pixel, at_y, at_x, best);
  }
  return best;
}

}  // namespace

// Improve `source` (h, w), for each pixel that is `wanted` (h, w) the pixel with the patch most like its own or NONE, in so
// many passes, and give the `cost` (h, w) of each: squared distance and price. Patches that are wanted, or have a price of 0
// or more, lie inside the picture. Returns 0, or 1 for want of memory.
EXPORT int deform_patch_search(const uint8_t* image, const uint8_t* seen, const uint8_t* count, const uint8_t* wanted,
                               const int32_t* price, int32_t* source, int32_t* cost, int h, int w, int radius, int apart, int passes,
                               uint64_t seed, int threads) try {
  const Task task{image, seen, count, price, h, w, radius, apart, seed};
  std::vector<int32_t> pixels;
  for (int32_t pixel = 0; pixel < h * w; ++pixel) {
    if (wanted[pixel]) pixels.push_back(pixel);
  }
  const int64_t wanting = int64_t(pixels.size());
  std::vector<int32_t> next(source, source + int64_t(h) * w);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < wanting; ++i) {
    const int32_t pixel = pixels[i];
    cost[pixel] = source[pixel] == NONE ? FAR : cost_of(task, pixel, source[pixel], FAR);
  }
  for (int pass = 0; pass < passes; ++pass) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
    for (int64_t i = 0; i < wanting; ++i) {
      const int32_t pixel = pixels[i];
      const Best best = improved(task, source, pixel, {source[pixel], cost[pixel]}, pass);
      next[pixel] = best.source;
      cost[pixel] = best.cost;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < wanting; ++i) source[pixels[i]] = next[pixels[i]];
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}

// Give each pixel of `image` (h, w, 4) that is not `known` (h, w) the weighted mean of what the patches around it, that
// have a `source` (h, w), have in its place; `picked` (h, w) is where the heaviest of them has it, or NONE.
EXPORT void deform_patch_vote(uint8_t* image, const uint8_t* known, const int32_t* source, const float* weight,
                              int32_t* picked, int h, int w, int radius, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const int32_t pixel = y * w + x;
      picked[pixel] = NONE;
      if (known[pixel]) continue;
      float sum[CHANNELS] = {}, total = 0, most = 0;
      for (int dy = -radius; dy <= radius; ++dy) {
        for (int dx = -radius; dx <= radius; ++dx) {
          if (y + dy < 0 || x + dx < 0 || y + dy >= h || x + dx >= w) continue;
          const int32_t step = dy * w + dx;
          if (source[pixel + step] == NONE) continue;
          const int32_t place = source[pixel + step] - step;
          const float share = weight[pixel + step];
          for (int channel = 0; channel < CHANNELS; ++channel) sum[channel] += share * image[int64_t(place) * CHANNELS + channel];
          total += share;
          if (share > most) {
            most = share;
            picked[pixel] = place;
          }
        }
      }
      for (int channel = 0; channel < CHANNELS && total > 0; ++channel) {
        image[int64_t(pixel) * CHANNELS + channel] = uint8_t(sum[channel] / total + 0.5f);
      }
    }
  }
}
