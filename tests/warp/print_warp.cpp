// Prints what the C++ makes of a picture and a flow drawn by an integer generator: the same on every processor.

#include <cstdint>
#include <cstdio>
#include <vector>

extern "C" int deform_forward_warp_f32(const float* image, const float* flow, float* warped, float* coverage, int64_t batch,
                                       int64_t image_batch, int channels, int height, int width, double eps, int threads);
extern "C" int deform_forward_warp_backward_f32(const float* grad_warped, const float* grad_coverage, const float* image,
                                                const float* flow, const float* warped, const float* coverage,
                                                float* grad_image, float* grad_flow, int64_t batch, int64_t image_batch,
                                                int channels, int height, int width, double eps, int threads);

static uint32_t state = 1;

static std::vector<float> draw(int count, float most) {
  std::vector<float> numbers(count);
  for (float& number : numbers) {
    state = state * 1664525u + 1013904223u;
    number = (float(state >> 8) / (1 << 23) - 1) * most;
  }
  return numbers;
}

int main() {
  const int n = 2, channels = 3, height = 61, width = 83, plane = height * width;
  const std::vector<float> image = draw(n * channels * plane, 1), flow = draw(n * 2 * plane, 5);
  const std::vector<float> grad_warped = draw(n * channels * plane, 1), grad_coverage = draw(n * plane, 1);
  std::vector<float> warped(image.size()), coverage(n * plane), grad_image(image.size()), grad_flow(flow.size());
  deform_forward_warp_f32(image.data(), flow.data(), warped.data(), coverage.data(), n, n, channels, height, width, 1e-6, 1);
  deform_forward_warp_backward_f32(grad_warped.data(), grad_coverage.data(), image.data(), flow.data(), warped.data(),
                                   coverage.data(), grad_image.data(), grad_flow.data(), n, n, channels, height, width,
                                   1e-6, 1);
  for (const auto* numbers : {&warped, &coverage, &grad_image, &grad_flow})
    for (float number : *numbers) std::printf("%a\n", number);
}
