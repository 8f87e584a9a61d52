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
#include <vector>

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

constexpr int CHANNELS = 4;
constexpr int32_t NONE = -1;
constexpr int32_t FAR = std::numeric_limits<int32_t>::max();

struct Task {
  const uint8_t* image;    // (h, w, 4)
  const uint8_t* seen;     // (h, w): the pixels of a wanted patch that are compared; null = all
  const uint8_t* allowed;  // (h, w): where patches may come from
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

// Squared distance of the patches around two pixels, or anything not below `limit` once it is not below it.
template <int RADIUS>
int32_t distance_of_all(const Task& task, int32_t a, int32_t b, int32_t limit) {
  const int radius = RADIUS ? RADIUS : task.radius, side = 2 * radius + 1;
  const int64_t corner = int64_t(radius) * (task.width + 1), stride = int64_t(task.width) * CHANNELS;
  const uint8_t *p = task.image + (a - corner) * CHANNELS, *q = task.image + (b - corner) * CHANNELS;
  int32_t sum = 0;
  for (int row = 0; row < side && sum < limit; ++row, p += stride, q += stride) {
    int32_t here = 0;
    for (int i = 0; i < (RADIUS ? 2 * RADIUS + 1 : side) * CHANNELS; ++i) {
      const int16_t difference = int16_t(p[i]) - int16_t(q[i]);
      here += difference * difference;
    }
    sum += here;
  }
  return sum;
}

// The same over the pixels that are seen, as if the others were like them.
int32_t distance_of_seen(const Task& task, int32_t a, int32_t b) {
  int64_t sum = 0, count = 0;
  for (int dy = -task.radius; dy <= task.radius; ++dy) {
    for (int dx = -task.radius; dx <= task.radius; ++dx) {
      const int64_t step = int64_t(dy) * task.width + dx;
      if (!task.seen[a + step]) continue;
      ++count;
      for (int channel = 0; channel < CHANNELS; ++channel) {
        const int difference = task.image[(a + step) * CHANNELS + channel] - task.image[(b + step) * CHANNELS + channel];
        sum += difference * difference;
      }
    }
  }
  const int64_t side = 2 * task.radius + 1;
  return count ? int32_t(sum * side * side / count) : FAR;
}

int32_t distance(const Task& task, int32_t a, int32_t b, int32_t limit) {
  if (task.seen) return distance_of_seen(task, a, b);
  return task.radius == 3 ? distance_of_all<3>(task, a, b, limit) : distance_of_all<0>(task, a, b, limit);
}

struct Best {
  int32_t source, distance;
};

void try_place(const Task& task, int32_t pixel, int y, int x, Best& best) {
  if (y < 0 || x < 0 || y >= task.height || x >= task.width) return;
  const int32_t place = y * task.width + x;
  if (place == best.source || !task.allowed[place]) return;
  if (task.apart && std::max(std::abs(y - pixel / task.width), std::abs(x - pixel % task.width)) < task.apart) return;
  const int32_t found = distance(task, pixel, place, best.distance);
  if (found < best.distance) best = {place, found};
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

// Improve `source` (h, w), for each pixel that is `wanted` (h, w) the allowed pixel with the patch most like its own or
// NONE, in so many passes, and give the squared `distance` (h, w) of each. Wanted and allowed patches lie inside the
// picture. Returns 0, or 1 for want of memory.
EXPORT int deform_patch_search(const uint8_t* image, const uint8_t* seen, const uint8_t* wanted, const uint8_t* allowed,
                               int32_t* source, int32_t* distances, int h, int w, int radius, int apart, int passes,
                               uint64_t seed, int threads) try {
  const Task task{image, seen, allowed, h, w, radius, apart, seed};
  std::vector<int32_t> pixels;
  for (int32_t pixel = 0; pixel < h * w; ++pixel) {
    if (wanted[pixel]) pixels.push_back(pixel);
  }
  const int64_t count = int64_t(pixels.size());
  std::vector<int32_t> next(source, source + int64_t(h) * w);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < count; ++i) {
    const int32_t pixel = pixels[i];
    distances[pixel] = source[pixel] == NONE ? FAR : distance(task, pixel, source[pixel], FAR);
  }
  for (int pass = 0; pass < passes; ++pass) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 256)
    for (int64_t i = 0; i < count; ++i) {
      const int32_t pixel = pixels[i];
      const Best best = improved(task, source, pixel, {source[pixel], distances[pixel]}, pass);
      next[pixel] = best.source;
      distances[pixel] = best.distance;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; ++i) source[pixels[i]] = next[pixels[i]];
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
