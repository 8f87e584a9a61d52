// The nearest known pixel of every pixel, exactly, in time linear in the pixels; `nearest_known` in `reference.py` is the arbiter.
//
// First the nearest known row in each column, by a sweep down and one up. Then, row by row, the lower envelope of the
// parabolas (x - column)^2 + vertical^2 (Meijster et al. 2000, Felzenszwalb and Huttenlocher 2012), in whole numbers, so that
// ties are seen: they go to the upper row, then to the left column.

#include <cstdint>
#include <new>
#include <vector>

#include "export.h"

namespace {

constexpr int NONE = -1;
constexpr int STRIP = 64;  // columns that one thread sweeps at a time

struct Parabola {
  int column;
  int64_t vertical;  // squared distance to the column's nearest known row
  int64_t first;     // x from which it is nearer than all to the left of it
};

int64_t floor_divide(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

void sweep_columns(const uint8_t* known, int32_t* row, int first, int last, int height, int width) {
  for (int y = 0; y < height; ++y) {
    for (int x = first; x < last; ++x) {
      const int64_t here = int64_t(y) * width + x;
      row[here] = known[here] ? y : y ? row[here - width] : NONE;
    }
  }
  for (int y = height - 2; y >= 0; --y) {
    for (int x = first; x < last; ++x) {
      const int64_t here = int64_t(y) * width + x;
      const int32_t above = row[here], below = row[here + width];
      const bool lower = below > y && (above == NONE || below - y < y - above);
      row[here] = lower ? below : above;
    }
  }
}

void scan_row(const int32_t* row, int64_t* index, Parabola* envelope, int y, int width) {
  int count = 0;
  for (int x = 0; x < width; ++x) {
    if (row[x] == NONE) continue;
    const int64_t rise = row[x] - y;
    Parabola next{x, rise * rise, 0};
    for (; count; --count) {
      const Parabola& top = envelope[count - 1];
      const int64_t left = int64_t(top.column) * top.column + top.vertical;
      next.first = floor_divide(int64_t(x) * x + next.vertical - left, 2 * int64_t(x - top.column)) + 1;
      if (next.first > top.first) break;
    }
    if (!count) next.first = 0;
    if (next.first < width) envelope[count++] = next;
  }
  for (int x = width - 1; x >= 0 && count; --x) {
    while (envelope[count - 1].first > x) --count;
    const int column = envelope[count - 1].column;
    index[x] = int64_t(row[column]) * width + column;
  }
}

}  // namespace

// `known` (n, h, w) bytes, 0 = hole -> `index` (n, h, w) into h * w; a picture without a known pixel keeps its own.
// Returns 0, or 1 for want of memory.
EXPORT int deform_nearest_known(const uint8_t* known, int64_t* index, int64_t n, int h, int w, int threads) try {
  std::vector<int32_t> rows(std::size_t(h) * w);
  std::vector<Parabola> envelopes(std::size_t(threads) * w);
  for (int64_t picture = 0; picture < n; ++picture, known += int64_t(h) * w, index += int64_t(h) * w) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int x = 0; x < w; x += STRIP) sweep_columns(known, rows.data(), x, x + STRIP < w ? x + STRIP : w, h, w);
    bool any = false;
    for (int x = 0; x < w; ++x) any = any || rows[x] != NONE;
    for (int64_t i = 0; !any && i < int64_t(h) * w; ++i) index[i] = i;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < (any ? threads : 0); ++part) {
      const int end = int(int64_t(h) * (part + 1) / threads);
      for (int y = int(int64_t(h) * part / threads); y < end; ++y) {
        scan_row(&rows[std::size_t(y) * w], index + int64_t(y) * w, &envelopes[std::size_t(part) * w], y, w);
      }
    }
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
