// What one row of source pixels gathers from rows of cells, four pixels at a time.
#pragma once

#include <algorithm>

#include "landing.h"

namespace {

// Of four source pixels, on the left or the right of their targets, or on both: the means of the upper and the lower cell,
// and each one's sum of the products with the pixel's colours.
template <class V>
struct Side {
  V mean[COLORS], top, bottom;

  template <class T>
  INLINE Side(const T* const* above, const T* const* below, int offset, V upper, V lower, const V* colors) {
    V a[4], b[4];
    for (int k = 0; k < 4; ++k) load_aligned(above[k] + offset, a[k]), load_aligned(below[k] + offset, b[k]);
    transpose(a);
    transpose(b);
    for (int c = 0; c < COLORS; ++c) mean[c] = a[c] * upper + b[c] * lower;
    top = a[COLORS], bottom = b[COLORS];
    for (int c = 0; c < COLORS; ++c) top = top + a[c] * colors[c], bottom = bottom + b[c] * colors[c];
  }
};

// Of four source pixels: the bilinear means of their cells' colours, and the colours times the means' slopes.
template <class T>
struct Gradients {
  Quad<T> image[COLORS], x, y;

  Gradients() = default;
  // `above` and `below` point to the left one of two neighbouring cells.
  INLINE Gradients(const T* const* above, const T* const* below, Quad<T> right, Quad<T> down, const Quad<T>* colors) {
    const Quad<T> left = all(T(1)) - right, up = all(T(1)) - down;
    if constexpr (Octet<T>::WHOLE) {
      const Octet<T> upper = twice<T>(up), lower = twice<T>(down), sides = pair<T>(left, right);
      const Octet<T> color[COLORS] = {twice<T>(colors[0]), twice<T>(colors[1]), twice<T>(colors[2])};
      const Side<Octet<T>> both(above, below, 0, upper, lower, color);
      for (int c = 0; c < COLORS; ++c) {
        const Octet<T> mean = both.mean[c] * sides;
        image[c] = low<T>(mean) + high<T>(mean);
      }
      const Octet<T> columns = both.top * upper + both.bottom * lower, rows = (both.bottom - both.top) * sides;
      x = high<T>(columns) - low<T>(columns);
      y = low<T>(rows) + high<T>(rows);
    } else {  // in turn, or registers would not suffice
      const Side<Quad<T>> a(above, below, 0, up, down, colors);
      for (int c = 0; c < COLORS; ++c) image[c] = a.mean[c] * left;
      x = a.top * up + a.bottom * down;
      y = (a.bottom - a.top) * left;
      const Side<Quad<T>> b(above, below, 4, up, down, colors);
      for (int c = 0; c < COLORS; ++c) image[c] = image[c] + b.mean[c] * right;
      x = (b.top * up + b.bottom * down) - x;
      y = y + (b.bottom - b.top) * right;
    }
  }
};

// The colours of a row of source pixels.
template <class T>
struct Colors {
  const T* planes;
  ptrdiff_t plane;
  int channels;

  // Of four pixels; 0 where one lands nowhere, in row -1: its cells are 0, and 0 * NaN is not.
  INLINE void get(int i, int count, const int* row, Quad<T>* colors) const {
    Quad<T> sum = all(T(0));
    for (int c = 0; c < COLORS; ++c) {
      colors[c] = c < channels ? load(planes + c * plane + i, count) : all(T(0));
      sum = sum + colors[c];
    }
    if (finite<T>(sum)) return;
    for (int c = 0; c < COLORS; ++c)
      for (int k = 0; k < 4; ++k)
        if (row[k] < 0) colors[c][k] = 0;
  }
};

// Where the gradients of a row of source pixels go; null where they are not needed.
template <class T>
struct Output {
  T *image, *flow;
  ptrdiff_t plane;
  int channels;
  bool add_image, add_flow;

  INLINE void put(const Gradients<T>& gradients, int i, int count) const {
    if (image)
      for (int c = 0; c < COLORS; ++c)
        if (c < channels) put(gradients.image[c], image + c * plane + i, count, add_image);
    if (flow) {
      put(gradients.x, flow + i, count, add_flow);
      put(gradients.y, flow + plane + i, count, add_flow);
    }
  }
  void put_nothing(int width) const {
    for (int c = 0; c < channels && image && !add_image; ++c) std::fill_n(image + c * plane, width, T(0));
    for (int c = 0; c < 2 && flow && !add_flow; ++c) std::fill_n(flow + c * plane, width, T(0));
  }
  static INLINE void put(Quad<T> value, T* to, int count, bool add) {
    store<T>(add ? load(to, count) + value : value, to, count);
  }
};

}  // namespace
