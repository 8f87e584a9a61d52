// Memory that threads keep from call to call: pages come from the system slowly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "vectors.h"

namespace {

constexpr size_t HUGE_PAGE = 2 << 20;
constexpr size_t BLOCK = 8192, BLOCK_HEADER = 256;  // what is left holds a multiple of four records of 32 or 64 bytes
constexpr size_t KEPT_SLABS = 32;  // after a call; what huge pictures needed beyond them is given back

// Whole huge pages, not yet written to.
class Slab {
 public:
  explicit Slab(size_t bytes) : bytes_((bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE) {
    memory_ = std::malloc(bytes_ + HUGE_PAGE);
    if (!memory_) throw std::bad_alloc();
    data_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory_) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
#if defined(__linux__)
    madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
  }
  Slab(Slab&& other) noexcept : memory_(other.memory_), data_(other.data_), bytes_(other.bytes_) { other.memory_ = nullptr; }
  Slab(const Slab&) = delete;
  ~Slab() { std::free(memory_); }
  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* memory_;
  char* data_;
  size_t bytes_;
};

// Numbers that are zero when it grows: whoever leaves zeros behind finds zeros.
class Array {
 public:
  template <class T>
  T* get(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (slab_.empty() || slab_[0].bytes() < bytes) {
      slab_.clear();
      slab_.emplace_back(bytes);
      std::memset(slab_[0].data(), 0, slab_[0].bytes());
    }
    return reinterpret_cast<T*>(slab_[0].data());
  }

 private:
  std::vector<Slab> slab_;  // one or none
};

// Hands out blocks, aligned to their size.
class Blocks {
 public:
  char* take() {
    const size_t slab = used_ / EACH;
    if (slab == slabs_.size()) slabs_.emplace_back(HUGE_PAGE);
    return slabs_[slab].data() + used_++ % EACH * BLOCK;
  }
  void reset() {
    used_ = 0;
    while (slabs_.size() > KEPT_SLABS) slabs_.pop_back();
  }

 private:
  static constexpr size_t EACH = HUGE_PAGE / BLOCK;
  std::vector<Slab> slabs_;
  size_t used_ = 0;
};

// Lists of records, each a chain of blocks that start with the next one's address; records fill a block to its end.
class Bins {
 public:
  Bins(int count, Blocks& blocks) : first_(count), end_(count), blocks_(&blocks) {
    blocks.reset();
    for (int bin = 0; bin < count; ++bin) end_[bin] = (first_[bin] = blocks.take()) + BLOCK_HEADER;
  }
  // Where each list's next record goes; `advance` after it.
  char** ends() { return end_.data(); }
  INLINE char* advance(char* to, size_t record) {
    to += record;
    return reinterpret_cast<uintptr_t>(to) & (BLOCK - 1) ? to : next_block(to - BLOCK);
  }
  // Calls visit(begin, end) for the records of a list, block by block.
  template <class Visit>
  void for_each_block(int bin, Visit visit) const {
    char* block = first_[bin];
    for (; !holds(block, end_[bin]); std::memcpy(&block, block, sizeof(char*))) visit(block + BLOCK_HEADER, block + BLOCK);
    visit(block + BLOCK_HEADER, end_[bin]);
  }
  // Goes back to the first records, to take them out in order.
  void rewind() {
    for (size_t bin = 0; bin < first_.size(); ++bin) end_[bin] = first_[bin] + BLOCK_HEADER;
  }
  static INLINE char* following(char* at, size_t record) {
    at += record;
    if (reinterpret_cast<uintptr_t>(at) & (BLOCK - 1)) return at;
    std::memcpy(&at, at - BLOCK, sizeof at);
    return at + BLOCK_HEADER;
  }

 private:
  static bool holds(const char* block, const char* end) { return end >= block && end < block + BLOCK; }
  NOT_INLINE char* next_block(char* full) {
    char* next = blocks_->take();
    std::memcpy(full, &next, sizeof next);
    return next + BLOCK_HEADER;
  }
  std::vector<char*> first_, end_;
  Blocks* blocks_;
};

// What a thread keeps.
struct Workspace {
  Array sums, gradients, notes;
  Blocks blocks;
};

inline Workspace& workspace() {
  thread_local Workspace own;
  return own;
}

}  // namespace
