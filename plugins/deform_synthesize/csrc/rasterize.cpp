// A z-buffer rasteriser that keeps the nearest few surfaces of every pixel, for hair that one sees through.
// Plain C ABI, called through ctypes by rasterize.py, where the contract is documented.

#include <algorithm>
#include <cmath>
#include <cstdint>

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

struct Layers {  // of one picture, nearest first; a place without a surface has triangle -1
    int64_t pixels;
    int count;
    int32_t* triangle;
    float* distance;
    float* weights;  // of the triangle's first two corners

    bool nearer(float far, int64_t than) const { return triangle[than] < 0 || far < distance[than]; }

    void insert(int64_t pixel, int32_t which, float far, float first, float second) {
        int place = count;
        while (place > 0 && nearer(far, (place - 1) * pixels + pixel)) --place;
        for (int layer = count - 1; layer >= place; --layer) {
            const int64_t to = layer * pixels + pixel, from = to - pixels;
            const bool fresh = layer == place;
            triangle[to] = fresh ? which : triangle[from];
            distance[to] = fresh ? far : distance[from];
            weights[2 * to] = fresh ? first : weights[2 * from];
            weights[2 * to + 1] = fresh ? second : weights[2 * from + 1];
        }
    }
};

}  // namespace

EXPORT void deform_rasterize(const float* vertices, const int32_t* triangles, const uint8_t* two_sided, int64_t count,
                             int height, int width, int layers, int32_t* triangle, float* distance, float* weights) {
    Layers out{int64_t(height) * width, layers, triangle, distance, weights};
    std::fill_n(triangle, out.pixels * layers, -1);

    for (int64_t t = 0; t < count; ++t) {
        const float* a = vertices + 3 * triangles[3 * t];
        const float* b = vertices + 3 * triangles[3 * t + 1];
        const float* c = vertices + 3 * triangles[3 * t + 2];
        const float area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if (!(two_sided[t] ? area != 0 : area < 0) || std::min({a[2], b[2], c[2]}) <= 0) continue;

        const int left = std::max(0.f, std::ceil(std::min({a[0], b[0], c[0]}) - 0.5f));
        const int right = std::min(width - 1.f, std::floor(std::max({a[0], b[0], c[0]}) - 0.5f));
        const int top = std::max(0.f, std::ceil(std::min({a[1], b[1], c[1]}) - 0.5f));
        const int bottom = std::min(height - 1.f, std::floor(std::max({a[1], b[1], c[1]}) - 0.5f));
        const float grow_first = (b[1] - c[1]) / area, grow_second = (c[1] - a[1]) / area;  // from column to column
        const float near_a = 1 / a[2], near_b = 1 / b[2], near_c = 1 / c[2];
        for (int row = top; row <= bottom; ++row) {
            const float y = row + 0.5f;
            const float start_first = (b[0] * (c[1] - y) - (b[1] - y) * c[0]) / area;  // at x = 0
            const float start_second = (c[0] * (a[1] - y) - (c[1] - y) * a[0]) / area;
            for (int column = left; column <= right; ++column) {
                const float x = column + 0.5f;
                const float first = start_first + x * grow_first, second = start_second + x * grow_second;
                const float third = 1 - first - second;
                if (first < 0 || second < 0 || third < 0) continue;
                const float near = first * near_a + second * near_b + third * near_c;  // linear on screen, unlike distance
                const float far = 1 / near;
                out.insert(int64_t(row) * width + column, int32_t(t), far, first * near_a * far, second * near_b * far);
            }
        }
    }
}
