// The gradient of the forward warp: a gather from rows of cells that hold the gradient with respect to the sums.
#pragma once

#include "gather.h"
#include "landing.h"
#include "memory.h"

namespace {

constexpr size_t GATHER_BYTES = 8 << 20;  // more cells in flight than this, and pixels are sorted into bins first
constexpr size_t GATHER_BIN_BYTES = 1 << 19;

template <class T>
struct Backward {
  static constexpr size_t CELL = 4 * sizeof(T);  // bytes

  Size size;
  const T *grad_warped, *grad_coverage, *image, *flow, *warped, *coverage;
  T *grad_image, *grad_flow;  // null where it is not needed
  T eps;

  // One pass over at most COLORS channels of a band of source rows.
  void run(int64_t n, int channel, Rows band, const Reach& reach) const {
    const int *first = reach.first.data() + n * size.height, *last = reach.last.data() + n * size.height;
    const Plan plan(first, last, band, {-1, size.height + 1});
    const Pass pass{*this, n, channel, std::min(COLORS, size.channels - channel), band};
    const size_t row_bytes = row_cells(size.width) * CELL;
    if (plan.slots * row_bytes <= GATHER_BYTES) pass.run_ring(plan, last);
    else pass.run_bins(row_bytes);
  }

  struct Pass {
    const Backward& job;
    int64_t n;
    int channel, channels;
    Rows band;

    int width() const { return job.size.width; }
    int height() const { return job.size.height; }
    const T* dx(int source) const { return job.flow + 2 * n * job.size.plane() + ptrdiff_t(source) * width(); }
    bool shared() const { return job.size.image_batch == 1; }
    ptrdiff_t image_offset(int source) const {
      return ((shared() ? 0 : n) * job.size.channels + channel) * job.size.plane() + ptrdiff_t(source) * width();
    }
    Ground ground(int slots) const {
      return {height(), width(), {-1, height()}, slots, row_cells(width()) * (CELL / 8)};
    }

    // The gradient with respect to a row's sums and, as coverage, to its weights; zero in holes and around the picture.
    void fill_row(T* cells, int target) const {
      if (target < 0 || target >= height()) return void(std::fill_n(cells, (ptrdiff_t(width()) + 2) * 4, T(0)));
      const ptrdiff_t plane = job.size.plane(), offset = ptrdiff_t(target) * width();
      const ptrdiff_t colors = (n * job.size.channels + channel) * plane + offset;
      const T *weight = job.coverage + n * plane + offset, *grad_weight = job.grad_coverage + n * plane + offset;
      const Octet<T> share = twice<T>(all(T(channel == 0)));  // the coverage's own gradient counts once, in the first pass
      const T *grad = job.grad_warped + colors, *value = job.warped + colors;
      const T eps = job.eps;
      const int channels = this->channels;
      for_each<8>(width(), [&](int i, int count) INLINE_LAMBDA {
        const Octet<T> inverse = inverse_or_zero<T>(load8(weight + i, count), eps);
        Octet<T> octet[4];
        octet[3] = load8(grad_weight + i, count) * share;
        for (int c = 0; c < COLORS; ++c) {
          octet[c] = Octet<T>{};
          if (c >= channels) continue;
          octet[c] = load8(grad + c * plane + i, count) * inverse;
          octet[3] = octet[3] - octet[c] * load8(value + c * plane + i, count);
        }
        transpose(octet);
        T* cell = cells + (ptrdiff_t(i) + 1) * 4;
        for (int k = 0; k < 4; ++k) {
          store<T>(low<T>(octet[k]), cell + 4 * k);
          store<T>(high<T>(octet[k]), cell + 4 * k + 16);
        }
      });
      std::fill_n(cells, 4, T(0));
      std::fill_n(cells + (ptrdiff_t(width()) + 1) * 4, 4, T(0));
    }

    Colors<T> colors(int source) const {
      return {job.image + image_offset(source), job.size.plane(), channels};
    }
    Output<T> output(int source) const {
      T* image = job.grad_image ? job.grad_image + image_offset(source) : nullptr;
      T* flow = job.grad_flow ? job.grad_flow + (dx(source) - job.flow) : nullptr;
      return {image, flow, job.size.plane(), channels, shared() && n > 0, channel > 0};
    }

    // Gathers for a source row.
    void gather_row(int source, const Ground& ground, const T* cells, Landing<T>& landing) const {
      const Colors<T> colors = this->colors(source);
      const Output<T> output = this->output(source);
      const T* u = dx(source);
      for (int begin = 0; begin < width(); begin += CHUNK) {
        const int chunk = std::min(CHUNK, width() - begin);
        landing.template compute<CELL / 8>(u + begin, u + begin + colors.plane, begin, chunk, source, ground);
        for_each<4>(chunk, [&](int i, int count) INLINE_LAMBDA {
          Quad<T> color[COLORS];
          colors.get(begin + i, count, landing.row + i, color);
          const T *above[4], *below[4];
          for (int k = 0; k < 4; ++k) above[k] = at(cells, landing.above[i + k]), below[k] = at(cells, landing.below[i + k]);
          output.put({above, below, load(landing.right + i), load(landing.down + i), color}, begin + i, count);
        });
      }
    }

    // Source rows in order, on a ring of target rows that are filled when the first source row needs them.
    void run_ring(const Plan& plan, const int* last) const {
      const Ground ground = this->ground(plan.slots);
      const size_t row = row_cells(width()) * 4;
      T* ring = workspace().gradients.template get<T>(plan.slots * row + (SPARE + 1) * 4);
      std::fill_n(at(ring, ground.spare), (SPARE + 1) * 4, T(0));
      Landing<T> landing;
      int filled = -1;
      for (int s = band.begin; s < band.end; ++s) {
        filled = std::max(filled, plan.next[s - band.begin]);
        for (; last[s] != INT_MIN && filled <= last[s] + 1; ++filled)
          fill_row(ring + size_t((filled + 1) & ground.mask) * row, filled);
        if (last[s] == INT_MIN) output(s).put_nothing(width());
        else gather_row(s, ground, ring, landing);
      }
    }

    // Sorts the pixels of a source row into bins by their upper row, and notes each one's bin. A record is eight numbers:
    // fractions right and down, the offset of the upper left cell, nothing, the colours, nothing.
    void sort_row(int source, const Ground& ground, int shift, Bins& bins, uint16_t* notes, Landing<T>& landing) const {
      const Colors<T> colors = this->colors(source);
      const T* u = dx(source);
      const int nowhere = (height() + 1 + ground.mask) >> shift;  // the first bin after the picture's
      char** const ends = bins.ends();
      for (int begin = 0; begin < width(); begin += CHUNK) {
        const int chunk = std::min(CHUNK, width() - begin);
        landing.template compute<CELL / 8>(u + begin, u + begin + colors.plane, begin, chunk, source, ground);
        for_each<4>(chunk, [&](int i, int count) INLINE_LAMBDA {
          Quad<T> place[4] = {load(landing.right + i), load(landing.down + i), all(T(0)), all(T(0))}, color[4];
          colors.get(begin + i, count, landing.row + i, color);
          color[COLORS] = all(T(0));
          transpose(place);
          transpose(color);
          // No branch, which none could foresee: what lands nowhere is written over the one before.
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) {
            if (k >= count) break;
            const int row = landing.row[i + k], bin = row < 0 ? nowhere + k : row >> shift;
            notes[begin + i + k] = uint16_t(bin);
            char* to = ends[bin];
            PREFETCH(to + 8 * RECORD);
            store<T>(place[k], reinterpret_cast<T*>(to));
            store<T>(color[k], reinterpret_cast<T*>(to) + 4);
            std::memcpy(to + 2 * sizeof(T), &landing.above[i + k], sizeof(unsigned));
            ends[bin] = bins.advance(to, row < 0 ? 0 : RECORD);
          }
        });
      }
    }

    // Replaces the four records at `four` by their gradients: image, x; y.
    static INLINE void gather_records(T* four, const T* cells, unsigned stride) {
      Quad<T> place[4], colors[4];
      const T *above[4], *below[4];
      for (int k = 0; k < 4; ++k) {
        unsigned offset;
        std::memcpy(&offset, four + 8 * k + 2, sizeof offset);
        above[k] = at(cells, offset), below[k] = at(cells, offset + stride);
        place[k] = load(four + 8 * k), colors[k] = load(four + 8 * k + 4);
      }
      transpose(place);
      transpose(colors);
      const Gradients<T> gradients(above, below, place[0], place[1], colors);
      Quad<T> out[4] = {gradients.image[0], gradients.image[1], gradients.image[2], gradients.x};
      transpose(out);
      for (int k = 0; k < 4; ++k) {
        store<T>(out[k], four + 8 * k);
        four[8 * k + 4] = gradients.y[k];
      }
    }

    // A source row's gradients, from the bins that its pixels were sorted into.
    void take_row(int source, const uint16_t* notes, int nowhere, Bins& bins) const {
      char** const ends = bins.ends();
      const Output<T> output = this->output(source);
      for_each<4>(width(), [&](int i, int count) INLINE_LAMBDA {
        Gradients<T> gradients;
        Quad<T> taken[4] = {}, y = all(T(0));
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          if (k >= count) break;
          const int bin = notes[i + k];
          const T* record = reinterpret_cast<const T*>(ends[bin]);
          taken[k] = load(record);
          y[k] = record[4];
          ends[bin] = Bins::following(ends[bin], bin < nowhere ? RECORD : 0);
        }
        transpose(taken);
        for (int c = 0; c < COLORS; ++c) gradients.image[c] = taken[c];
        gradients.x = taken[COLORS], gradients.y = y;
        output.put(gradients, i, count);
      });
    }

    // Where pixels land all over the picture: sorted by target rows first, gathered bin by bin in cache, taken back.
    void run_bins(size_t row_bytes) const {
      int shift = 2;
      while (row_bytes * ((2 << shift) + 1) <= GATHER_BIN_BYTES || (height() >> shift) >= UINT16_MAX) ++shift;
      const int deep = 1 << shift, count = (height() + deep) >> shift;
      const size_t row = row_bytes / sizeof(T);
      T* cells = workspace().gradients.template get<T>(row * (deep + 1));
      const Ground ground = this->ground(deep);
      Landing<T> landing;
      Bins bins(count + 4, workspace().blocks);  // four for what lands nowhere
      uint16_t* notes = workspace().notes.template get<uint16_t>(size_t(band.end - band.begin) * width());
      const auto notes_of = [&](int s) { return notes + size_t(s - band.begin) * width(); };
      for (int s = band.begin; s < band.end; ++s) sort_row(s, ground, shift, bins, notes_of(s), landing);
      for (int bin = 0; bin < count; ++bin) {
        for (int r = 0; r <= deep; ++r) fill_row(cells + r * row, bin * deep + r - 1);
        bins.for_each_block(bin, [&](char* from, char* to) {
          std::memset(to, 0, size_t(from - to) % (4 * RECORD));  // whole fours; a block has room for them
          for (; from < to; from += 4 * RECORD) gather_records(reinterpret_cast<T*>(from), cells, ground.stride);
        });
      }
      bins.rewind();
      for (int k = 0; k < 4; ++k) std::memset(bins.ends()[count + k], 0, RECORD);
      for (int s = band.begin; s < band.end; ++s) take_row(s, notes_of(s), count, bins);
    }

    static constexpr size_t RECORD = 8 * sizeof(T);
  };
};

}  // namespace
