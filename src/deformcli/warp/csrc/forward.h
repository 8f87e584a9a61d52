// The forward warp: sums in rows of cells, then their division by the coverage.
//
// A cell of sums is split: a quad of colours and coverage for pixels whose left corner it is, and one for those whose
// right corner. So a pixel's two upper corners lie side by side, and neighbouring pixels never add to the same bytes:
// they need not wait for one another's stores. Finishing a row adds the right half of a cell to the next one's left half.
#pragma once

#include "landing.h"
#include "memory.h"

namespace {

constexpr size_t RING_BYTES = 4 << 20;  // more cells in flight than this, and pixels are sorted into bins first
constexpr size_t BIN_BYTES = 1 << 20;   // of the cells of a bin

// Adds one pixel, a quad and a quad of weights, both twice, to the four cells around its target.
template <class T>
INLINE void add(Octet<T> color, Octet<T> weight, T* above, T* below) {
  Octet<T> upper, lower;
  load_aligned(above, upper);
  store_aligned<T>(upper + color * columns<0>(weight), above);
  load_aligned(below, lower);
  store_aligned<T>(lower + color * columns<2>(weight), below);
}

// The same for a pixel of NaN or Inf: a cell of weight 0 is left alone, which 0 * NaN would reach.
template <class T>
void add_strange(Octet<T> color, Octet<T> weight, T* above, T* below) {
  for (int corner = 0; corner < 4; ++corner) {
    const T share = low<T>(weight)[corner];
    if (!(share > 0)) continue;
    T* cell = (corner / 2 ? below : above) + corner % 2 * 4;
    store<T>(load(cell) + low<T>(color) * all(share), cell);
  }
}

// Eight pixels of a source row: a quad of colours and one of the corners' weights each, in the order 0 4 1 5 2 6 3 7.
template <class T>
struct Pixels {
  alignas(64) T colors[32], weights[32];
  bool strange;  // a colour is NaN or infinite

  INLINE void load_colors(const T* planes, ptrdiff_t plane, int channels, int count) {
    Octet<T> octet[4], sum{};
    for (int c = 0; c < COLORS; ++c) {
      octet[c] = c < channels ? load8(planes + c * plane, count) : Octet<T>{};
      sum = sum + octet[c];
    }
    strange = !finite<T>(low<T>(sum - sum) + high<T>(sum - sum));
    octet[3] = twice<T>(all(T(1)));
    transpose(octet);
    for (int k = 0; k < 4; ++k) store8<T>(octet[k], colors + 8 * k);
  }
  INLINE void load_weights(const Landing<T>& landing, int i) {
    const Octet<T> one = twice<T>(all(T(1))), right = load8(landing.right + i), down = load8(landing.down + i);
    const Octet<T> left = one - right, up = one - down;
    Octet<T> octet[4] = {left * up, right * up, left * down, right * down};
    transpose(octet);
    for (int k = 0; k < 4; ++k) store8<T>(octet[k], weights + 8 * k);
  }
  static constexpr int place(int i) { return i % 4 * 8 + i / 4 * 4; }
};

template <class T>
struct Forward {
  static constexpr size_t CELL = 8 * sizeof(T);  // bytes

  Size size;
  const T *image, *flow;
  T *warped, *coverage;
  T eps;

  // One pass over at most COLORS channels of a band of target rows.
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    const int *first = reach.first.data() + n * size.height, *last = reach.last.data() + n * size.height;
    const Plan plan(first, last, {0, size.height}, {band.begin - 1, band.end + 1});
    const Pass pass{*this, n, channel, std::min(COLORS, size.channels - channel), band};
    const size_t row_bytes = row_cells(size.width) * CELL;
    if (plan.slots * row_bytes <= RING_BYTES) pass.run_ring(plan, first, last);
    else pass.run_bins(row_bytes, first, last);
  }

  struct Pass {
    const Forward& job;
    int64_t n;
    int channel, channels;
    Rows band;

    int width() const { return job.size.width; }
    int height() const { return job.size.height; }
    const T* dx(int source) const { return job.flow + 2 * n * job.size.plane() + ptrdiff_t(source) * width(); }
    const T* colors(int source) const {
      const int64_t m = job.size.image_batch == 1 ? 0 : n;
      return job.image + (m * job.size.channels + channel) * job.size.plane() + ptrdiff_t(source) * width();
    }
    // A pixel's upper row may be the one above the band; only its lower corners count then.
    bool meets(const int* first, const int* last, int source) const {
      return last[source] >= band.begin - 1 && first[source] < band.end;
    }
    Ground ground(int slots) const {
      return {height(), width(), {band.begin - 1, band.end}, slots, row_cells(width()) * (CELL / 8)};
    }

    // Divides a finished row by its coverage, writes it out, and leaves zeros.
    void finish_row(T* cells, int target) const {
      const ptrdiff_t plane = job.size.plane(), offset = ptrdiff_t(target) * width();
      T* out = job.warped + (n * job.size.channels + channel) * plane + offset;
      T* out_coverage = job.coverage + n * plane + offset;
      const T eps = job.eps;
      const int channels = this->channels;
      for_each<8>(width(), [&](int i, int count) INLINE_LAMBDA {
        T* cell = cells + ptrdiff_t(i) * 8;  // the right half of the one before the first pixel's
        Octet<T> octet[4];
        for (int k = 0; k < 4; ++k) {
          const T *a = cell + 8 * k + 4, *b = a + 32;
          octet[k] = pair<T>(load(a), load(b)) + pair<T>(load(a + 4), load(b + 4));
        }
        for (int k = 0; k < 8; ++k) store8<T>(Octet<T>{}, cell + 8 * k);
        transpose(octet);
        const Octet<T> inverse = inverse_or_zero<T>(octet[3], eps);
        for (int c = 0; c < COLORS; ++c)
          if (c < channels) store8<T>(octet[c] * inverse, out + c * plane + i, count);
        store8<T>(octet[3], out_coverage + i, count);
      });
      const ptrdiff_t rest = width() / 8 * 8;
      std::fill(cells + rest * 8, cells + (ptrdiff_t(width()) + 2) * 8, T(0));
    }

    // The same for a row on which nothing landed.
    void finish_empty_row(int target) const {
      const ptrdiff_t plane = job.size.plane(), offset = ptrdiff_t(target) * width();
      T* out = job.warped + (n * job.size.channels + channel) * plane + offset;
      for (int c = 0; c < channels; ++c) std::fill_n(out + c * plane, width(), T(0));
      std::fill_n(job.coverage + n * plane + offset, width(), T(0));
    }

    void finish_or_clear(T* cells, int target) const {
      if (target >= band.begin && target < band.end) finish_row(cells, target);
      else std::fill(cells, cells + (ptrdiff_t(width()) + 2) * 8, T(0));
    }

    // Adds one source row to the rows of cells.
    void splat_row(int source, const Ground& ground, T* cells, Landing<T>& landing) const {
      const ptrdiff_t plane = job.size.plane();
      const T *u = dx(source), *planes = colors(source);
      const int channels = this->channels;
      Pixels<T> pixels;
      for (int begin = 0; begin < width(); begin += CHUNK) {
        const int chunk = std::min(CHUNK, width() - begin);
        landing.template compute<CELL / 8>(u + begin, u + plane + begin, begin, chunk, source, ground);
        for_each<8>(chunk, [&](int i, int count) INLINE_LAMBDA {
          pixels.load_colors(planes + begin + i, plane, channels, count);
          pixels.load_weights(landing, i);
          const auto visit = [&](int k, auto add_one) INLINE_LAMBDA {
            const int place = pixels.place(k);
            add_one(load_twice(pixels.colors + place), load_twice(pixels.weights + place),
                    at(cells, landing.above[i + k]), at(cells, landing.below[i + k]));
          };
          if (pixels.strange) {
            for (int k = 0; k < 8; ++k) visit(k, add_strange<T>);
            return;
          }
#pragma GCC unroll 8
          for (int k = 0; k < 8; ++k) visit(k, add<T>);
        });
      }
    }

    // Source rows in order, on a ring of target rows that are finished when no later source row reaches them.
    void run_ring(const Plan& plan, const int* first, const int* last) const {
      const Ground ground = this->ground(plan.slots);
      const size_t row = row_cells(width()) * 8;
      T* ring = workspace().sums.template get<T>(plan.slots * row + SPARE * 8);
      Landing<T> landing;
      int done = band.begin - 1, reached = done - 1;  // reached: the last row on which something has landed
      const auto finish_until = [&](int end) {
        for (; done < end; ++done) {
          if (done <= reached) finish_or_clear(ring + size_t((done - band.begin + 1) & ground.mask) * row, done);
          else if (done >= band.begin && done < band.end) finish_empty_row(done);
        }
      };
      for (int s = 0; s < height(); ++s) {
        finish_until(std::min(plan.next[s], band.end));
        if (!meets(first, last, s)) continue;
        splat_row(s, ground, ring, landing);
        reached = std::max(reached, last[s] + 1);
      }
      finish_until(band.end + 1);
      std::fill_n(at(ring, ground.spare), SPARE * 8, T(0));
    }

    // Sorts the pixels of a source row into bins by their upper row. A record is a pixel's colours and weights; in the
    // place of its coverage, which is 1, stands the offset of its upper left cell, and in that one's lowest bit whether
    // the pixel is strange.
    void sort_row(int source, const Ground& ground, int shift, Bins& bins, Landing<T>& landing) const {
      constexpr size_t RECORD = 8 * sizeof(T);
      const ptrdiff_t plane = job.size.plane();
      const T *u = dx(source), *planes = colors(source);
      const int channels = this->channels;
      const unsigned extra_row = ground.stride << shift;
      char** const ends = bins.ends();
      Pixels<T> pixels;
      for (int begin = 0; begin < width(); begin += CHUNK) {
        const int chunk = std::min(CHUNK, width() - begin);
        landing.template compute<CELL / 8>(u + begin, u + plane + begin, begin, chunk, source, ground);
        for_each<8>(chunk, [&](int i, int count) INLINE_LAMBDA {
          pixels.load_colors(planes + begin + i, plane, channels, count);
          pixels.load_weights(landing, i);
          const auto put = [&](int k, int bin, unsigned code) INLINE_LAMBDA {
            char* to = ends[bin];
            PREFETCH(to + 8 * RECORD);
            T* record = reinterpret_cast<T*>(to);
            store<T>(load(pixels.colors + pixels.place(k)), record);
            store<T>(load(pixels.weights + pixels.place(k)), record + 4);
            std::memcpy(to + 3 * sizeof(T), &code, sizeof code);
            ends[bin] = bins.advance(to, RECORD);
          };
#pragma GCC unroll 8
          for (int k = 0; k < 8; ++k) {
            const int row = landing.row[i + k];
            const unsigned code = landing.above[i + k] | unsigned(pixels.strange);
            if (row < 0) continue;
            put(k, row >> shift, code);
            // The lower row of the bin before is the first one of this: again for that bin, as the row below its last.
            if ((row & ground.mask) == 0 && row > 0) put(k, (row >> shift) - 1, code + extra_row);
          }
        });
      }
    }

    static void add_records(const char* from, const char* to, T* cells, unsigned stride) {
      for (; from < to; from += 8 * sizeof(T)) {
        const T* record = reinterpret_cast<const T*>(from);
        unsigned code;
        std::memcpy(&code, record + 3, sizeof code);
        Quad<T> color = load(record);
        color[3] = 1;
        T *above = at(cells, code & ~1u), *below = at(cells, (code & ~1u) + stride);
        if (code & 1) add_strange<T>(twice<T>(color), load_twice(record + 4), above, below);
        else add<T>(twice<T>(color), load_twice(record + 4), above, below);
      }
    }

    // Where pixels land all over the picture: sorted by target rows first, then bin by bin in cache.
    void run_bins(size_t row_bytes, const int* first, const int* last) const {
      int shift = 2;
      while (row_bytes * ((2 << shift) + 2) <= BIN_BYTES) ++shift;
      const int deep = 1 << shift, origin = band.begin - 1, count = (band.end - origin + deep - 1) >> shift;
      const size_t row = row_bytes / sizeof(T);
      T* cells = workspace().sums.template get<T>(row * (deep + 2));
      const Ground ground = this->ground(deep);
      Landing<T> landing;
      Bins bins(count, workspace().blocks);
      for (int s = 0; s < height(); ++s)
        if (meets(first, last, s)) sort_row(s, ground, shift, bins, landing);
      for (int bin = 0; bin < count; ++bin) {
        bins.for_each_block(bin, [&](const char* from, const char* to) { add_records(from, to, cells, ground.stride); });
        // Complete are all rows but the first, which the bin before has finished, and the one below the last.
        for (int r = 0; r < deep + 2; ++r) {
          const int target = origin + bin * deep + r;
          finish_or_clear(cells + r * row, r == 0 || r > deep ? -1 : target);
        }
      }
    }
  };
};

}  // namespace
