// Four and eight numbers that the compiler keeps in vector registers, on any processor and with the same bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#define NOT_INLINE __attribute__((noinline))
#define ALIGNED(pointer) __builtin_assume_aligned(pointer, 16)
#define PREFETCH(pointer) __builtin_prefetch(pointer, 1)
#else
#define INLINE inline
#define INLINE_LAMBDA
#define NOT_INLINE
#define ALIGNED(pointer) (pointer)
#define PREFETCH(pointer) (void)(pointer)
#endif

#if defined(__GNUC__) && defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

#if defined(__GNUC__)
template <class T>
struct QuadType {
  typedef T type __attribute__((vector_size(4 * sizeof(T))));
};
template <class T>
using Quad = typename QuadType<T>::type;
#else
template <class T>
struct Quad {
  T lane[4];
  T operator[](int i) const { return lane[i]; }
  T& operator[](int i) { return lane[i]; }
  friend Quad operator+(Quad a, Quad b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]}; }
  friend Quad operator-(Quad a, Quad b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]}; }
  friend Quad operator*(Quad a, Quad b) { return {a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]}; }
};
#endif

template <class T>
INLINE Quad<T> all(T value) {
  return Quad<T>{value, value, value, value};
}

template <class T>
INLINE Quad<T> load(const T* from, int count = 4) {
  Quad<T> quad{};
  if (count == 4) std::memcpy(&quad, from, sizeof quad);
  else std::memcpy(&quad, from, count * sizeof(T));
  return quad;
}

template <class T>
INLINE void store(Quad<T> quad, T* to, int count = 4) {
  if (count == 4) std::memcpy(to, &quad, sizeof quad);
  else std::memcpy(to, &quad, count * sizeof(T));
}

template <class T>
INLINE Quad<T> inverse_or_zero(Quad<T> weight, T eps) {
#if defined(__GNUC__)
  return weight > 0 ? 1 / (weight + eps) : all(T(0));
#else
  Quad<T> result;
  for (int i = 0; i < 4; ++i) result[i] = weight[i] > 0 ? 1 / (weight[i] + eps) : T(0);
  return result;
#endif
}

// Lanes I and J of both, alternating. (Compilers see one instruction in the builtin, and often do not in subscripts.)
template <int I, int J, class Q>
INLINE Q interleave(Q a, Q b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, I, I + 4, J, J + 4);
#elif defined(__GNUC__)
  return __builtin_shuffle(a, b, decltype(a < b){I, I + 4, J, J + 4});
#else
  return {a[I], b[I], a[J], b[J]};
#endif
}

template <int I, class Q>
INLINE Q broadcast(Q a) {
#if defined(__clang__)
  return __builtin_shufflevector(a, a, I, I, I, I);
#elif defined(__GNUC__)
  return __builtin_shuffle(a, decltype(a < a){I, I, I, I});
#else
  return {a[I], a[I], a[I], a[I]};
#endif
}

// Rows become columns, in each half of eight numbers.
template <class V>
INLINE void transpose(V* v) {
  const V a = interleave<0, 1>(v[0], v[2]), b = interleave<2, 3>(v[0], v[2]);
  const V c = interleave<0, 1>(v[1], v[3]), d = interleave<2, 3>(v[1], v[3]);
  v[0] = interleave<0, 1>(a, c);
  v[1] = interleave<2, 3>(a, c);
  v[2] = interleave<0, 1>(b, d);
  v[3] = interleave<2, 3>(b, d);
}

// Eight numbers: what belongs to a left and a right cell, or to four pixels and the next four.
template <class T>
struct Octet {
  static constexpr bool WHOLE = false;  // whether it is one register's
  Quad<T> low, high;
  friend INLINE Octet operator+(Octet a, Octet b) { return {a.low + b.low, a.high + b.high}; }
  friend INLINE Octet operator-(Octet a, Octet b) { return {a.low - b.low, a.high - b.high}; }
  friend INLINE Octet operator*(Octet a, Octet b) { return {a.low * b.low, a.high * b.high}; }
};

template <class T>
INLINE Octet<T> pair(Quad<T> low, Quad<T> high) {
  return {low, high};
}
template <class T>
INLINE Quad<T> low(Octet<T> a) {
  return a.low;
}
template <class T>
INLINE Quad<T> high(Octet<T> a) {
  return a.high;
}
template <class T>
INLINE Octet<T> inverse_or_zero(Octet<T> weight, T eps) {
  return {inverse_or_zero<T>(weight.low, eps), inverse_or_zero<T>(weight.high, eps)};
}
template <int I, int J, class T>
INLINE Octet<T> interleave(Octet<T> a, Octet<T> b) {
  return {interleave<I, J>(a.low, b.low), interleave<I, J>(a.high, b.high)};
}
// The quad at `from`, which is aligned to 16 bytes, twice.
template <class T>
INLINE Octet<T> load_twice(const T* from) {
  Quad<T> quad;
  std::memcpy(&quad, ALIGNED(from), sizeof quad);
  return {quad, quad};
}
// Lane I of the low half four times, lane I + 1 of the high half four times.
template <int I, class T>
INLINE Octet<T> columns(Octet<T> a) {
  return {broadcast<I>(a.low), broadcast<I + 1>(a.high)};
}

#if defined(__GNUC__) && defined(__AVX2__)
template <>
struct Octet<float> {
  static constexpr bool WHOLE = true;
  __m256 all;
  friend INLINE Octet operator+(Octet a, Octet b) { return {_mm256_add_ps(a.all, b.all)}; }
  friend INLINE Octet operator-(Octet a, Octet b) { return {_mm256_sub_ps(a.all, b.all)}; }
  friend INLINE Octet operator*(Octet a, Octet b) { return {_mm256_mul_ps(a.all, b.all)}; }
};

template <>
INLINE Octet<float> pair<float>(Quad<float> low, Quad<float> high) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256((__m128)low), (__m128)high, 1)};
}
template <>
INLINE Quad<float> low<float>(Octet<float> a) {
  return (Quad<float>)_mm256_castps256_ps128(a.all);
}
template <>
INLINE Quad<float> high<float>(Octet<float> a) {
  return (Quad<float>)_mm256_extractf128_ps(a.all, 1);
}
template <>
INLINE Octet<float> inverse_or_zero<float>(Octet<float> weight, float eps) {
  const __m256 inverse = _mm256_div_ps(_mm256_set1_ps(1), _mm256_add_ps(weight.all, _mm256_set1_ps(eps)));
  return {_mm256_and_ps(inverse, _mm256_cmp_ps(weight.all, _mm256_setzero_ps(), _CMP_GT_OQ))};
}
template <int I, int J>
INLINE Octet<float> interleave(Octet<float> a, Octet<float> b) {
  static_assert((I == 0 && J == 1) || (I == 2 && J == 3), "the first or the last two");
  return {I == 0 ? _mm256_unpacklo_ps(a.all, b.all) : _mm256_unpackhi_ps(a.all, b.all)};
}
template <>
INLINE Octet<float> load_twice<float>(const float* from) {
  return {_mm256_broadcast_ps(reinterpret_cast<const __m128*>(from))};
}
template <int I>
INLINE Octet<float> columns(Octet<float> a) {
  return {_mm256_permutevar_ps(a.all, _mm256_setr_epi32(I, I, I, I, I + 1, I + 1, I + 1, I + 1))};
}
#endif

template <class T>
INLINE Octet<T> twice(Quad<T> a) {
  return pair<T>(a, a);
}

template <class T>
INLINE Octet<T> load8(const T* from, int count = 8) {
  if (count == 8) return pair<T>(load(from), load(from + 4));
  return pair<T>(load(from, std::min(count, 4)), count > 4 ? load(from + 4, count - 4) : all(T(0)));
}

template <class T>
INLINE void store8(Octet<T> octet, T* to, int count = 8) {
  store<T>(low<T>(octet), to, std::min(count, 4));
  if (count > 4) store<T>(high<T>(octet), to + 4, count - 4);
}

#if defined(__GNUC__) && defined(__AVX2__)
template <>
INLINE Octet<float> load8<float>(const float* from, int count) {
  if (count == 8) return {_mm256_loadu_ps(from)};
  Octet<float> octet{};
  std::memcpy(&octet, from, count * sizeof(float));
  return octet;
}
template <>
INLINE void store8<float>(Octet<float> octet, float* to, int count) {
  if (count == 8) _mm256_storeu_ps(to, octet.all);
  else std::memcpy(to, &octet, count * sizeof(float));
}
#endif

// Of memory that is aligned to 16 bytes: one and two quads.
template <class T>
INLINE void load_aligned(const T* from, Quad<T>& to) {
  std::memcpy(&to, ALIGNED(from), sizeof to);
}
template <class T>
INLINE void load_aligned(const T* from, Octet<T>& to) {
  Quad<T> low, high;
  load_aligned<T>(from, low);
  load_aligned<T>(from + 4, high);
  to = pair<T>(low, high);
}
template <class T>
INLINE void store_aligned(Octet<T> octet, T* to) {
  const Quad<T> quads[2] = {low<T>(octet), high<T>(octet)};
  std::memcpy(ALIGNED(to), &quads[0], sizeof quads[0]);
  std::memcpy(ALIGNED(to + 4), &quads[1], sizeof quads[1]);
}
#if defined(__GNUC__) && defined(__AVX2__)
template <>
INLINE void load_aligned<float>(const float* from, Octet<float>& to) {
  to.all = _mm256_loadu_ps(from);
}
template <>
INLINE void store_aligned<float>(Octet<float> octet, float* to) {
  _mm256_storeu_ps(to, octet.all);
}
#endif

// False when one of the numbers is NaN or infinite, and perhaps when some are near the largest one.
template <class T>
INLINE bool finite(Quad<T> sum) {
  sum = sum - sum;
  return (sum[0] + sum[1]) + (sum[2] + sum[3]) == 0;
}

#if defined(__GNUC__) && defined(__SSE2__)
template <>
INLINE bool finite<float>(Quad<float> sum) {
  const __m128 nothing = (__m128)(sum - sum);
  return !_mm_movemask_ps(_mm_cmpunord_ps(nothing, nothing));
}
#endif

// Calls visit(first, count) for every STEP of a row's pixels, and for what is left; compilers see the STEP.
template <int STEP, class Visit>
INLINE void for_each(int width, Visit visit) {
  int i = 0;
  for (; i + STEP <= width; i += STEP) visit(i, STEP);
  if (i < width) visit(i, width - i);
}

}  // namespace
