// Where the pixels of a flow land, and which rows they reach.
#pragma once

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include "vectors.h"

namespace {

constexpr int COLORS = 3;  // channels in one pass; with the coverage they fill a quad
constexpr int CHUNK = 128;
constexpr int SPARE = 16;  // cells for pixels that land nowhere: several, so that additions to them need not wait

struct Size {
  int64_t batch, image_batch;
  int channels, height, width;
  ptrdiff_t plane() const { return ptrdiff_t(height) * width; }
};

struct Rows {
  int begin, end;
};

// Rows of cells in memory. Offsets are in units of 8 bytes, which reach 32 GiB with 32 bits.
struct Ground {
  int height, width;  // of the picture
  Rows upper;         // the target rows that may be the upper one of a pixel; others' pixels land nowhere
  int mask;           // a row's slot is (row - upper.begin) & mask
  unsigned stride;    // from row to row; the first cell of a row is a spare one, left of the picture
  unsigned spare;     // the cells of pixels that land nowhere, after all slots

  Ground(int height, int width, Rows upper, int slots, size_t row)
      : height(height), width(width), upper(upper), mask(slots - 1), stride(unsigned(row)), spare(unsigned(slots * row)) {
    if ((slots + 2) * row > UINT32_MAX) throw std::bad_alloc();
  }
};

template <class T>
INLINE T* at(T* cells, unsigned offset) {
  static_assert(8 % sizeof(T) == 0, "offsets count 8 bytes");
  return cells + size_t(offset) * (8 / sizeof(T));
}

// Of CHUNK pixels: the offsets of the upper left and lower left cell, and the fractions of a step to the right and down.
template <class T>
struct Landing {
  alignas(64) T right[CHUNK] = {};
  alignas(64) T down[CHUNK] = {};
  alignas(64) unsigned above[CHUNK], below[CHUNK];
  alignas(64) int row[CHUNK];  // the upper one, from the ground's first, or -1

  // Floor and fraction are of the displacement, not of the position: the fraction keeps all its bits. CELL is the units
  // from cell to cell.
  template <unsigned CELL>
  void compute(const T* dx, const T* dy, int first, int count, int source, const Ground& ground) {
    const T y = T(source), h = T(ground.height), w = T(ground.width);
    const int origin = source - ground.upper.begin, mask = ground.mask;
    const unsigned rows = ground.upper.end - ground.upper.begin;
    const unsigned stride = ground.stride, wrap = 0u - stride * unsigned(mask), spare = ground.spare;
    for (int i = 0; i < count; ++i) {
      T u = dx[i], v = dy[i];
      const T to_x = T(first + i) + u, to_y = y + v;
      const bool inside = (to_x > -1) & (to_x < w) & (to_y > -1) & (to_y < h);  // false for NaN
      u = inside ? u : T(0);
      v = inside ? v : T(0);
      const T floor_u = std::floor(u), floor_v = std::floor(v);
      right[i] = u - floor_u;
      down[i] = v - floor_v;
      const int to = origin + int(floor_v);
      const bool counts = inside & (unsigned(to) < rows);
      const int slot = to & mask;
      const unsigned offset = unsigned(slot) * stride + unsigned(first + i + int(floor_u) + 1) * CELL;
      const unsigned lost = spare + unsigned(i & 7) * CELL;
      above[i] = counts ? offset : lost;
      below[i] = counts ? offset + (slot == mask ? wrap : stride) : lost + 8 * CELL;
      row[i] = counts ? to : -1;
    }
    for (int i = count; i % 8; ++i) {
      above[i] = spare + unsigned(i & 7) * CELL;
      below[i] = above[i] + 8 * CELL;
      row[i] = -1;
    }
  }
};

// Per source row of a batch, the first and last target row that any of its pixels has as its upper one: INT_MAX and
// INT_MIN where none lands in the picture.
struct Reach {
  std::vector<int> first, last;
  explicit Reach(ptrdiff_t rows) : first(rows), last(rows) {}

  template <class T>
  void measure(const T* dy, int64_t n, int row, int height, int width) {
    const T r = T(row), h = T(height);
    unsigned low = UINT_MAX;  // of row + 1, so that INT_MIN is large
    int high = INT_MIN;
    int y[256];
    for (int begin = 0; begin < width; begin += 256) {  // in two loops, which compilers turn into vector code
      const int count = std::min(256, width - begin);
      for (int i = 0; i < count; ++i) {
        T v = dy[begin + i];
        const bool inside = (r + v > -1) & (r + v < h);
        v = inside ? v : T(0);
        y[i] = inside ? row + int(std::floor(v)) : INT_MIN;
      }
      for (int i = 0; i < count; ++i) {
        low = std::min(low, unsigned(y[i]) + 1u);
        high = std::max(high, y[i]);
      }
    }
    first[n * height + row] = high == INT_MIN ? INT_MAX : int(low) - 1;
    last[n * height + row] = high;
  }
};

// How many target rows are in flight while a range of source rows is walked.
struct Plan {
  std::vector<int> next;  // per source row, the first target row that it or a later one still reaches
  int slots = 2;          // a power of two

  Plan(const int* first, const int* last, Rows sources, Rows targets) : next(sources.end - sources.begin + 1) {
    next.back() = targets.end;
    for (int s = sources.end - 1; s >= sources.begin; --s)
      next[s - sources.begin] = std::min(next[s - sources.begin + 1], std::max(first[s], targets.begin));
    int most = 2, reached = targets.begin;
    for (int s = sources.begin; s < sources.end; ++s) {
      if (last[s] != INT_MIN) reached = std::max(reached, std::min(last[s] + 1, targets.end - 1));
      most = std::max(most, reached - next[s - sources.begin] + 1);
    }
    while (slots < most) slots *= 2;
  }
};

// Cells from row to row: the picture, a spare one on its left, at least 15 on its right. An odd number of half pages, so
// that a cell and the one below it do not look alike to the processor's store buffer.
inline size_t row_cells(int width) {
  return (size_t(width) + 16 + 63) / 128 * 128 + 64;
}

}  // namespace
