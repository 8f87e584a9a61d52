// Which of a few offsets moves a known pixel into each pixel of a hole, so that seams are seen least: alpha expansion
// (Boykov, Veksler and Zabih 2001) by the maximum flow of Boykov and Kolmogorov (2004), on the grid of the hole's pixels.
//
// `labelling_cost` in `shift_map.py` says what is minimised.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <limits>
#include <new>
#include <vector>

#include "export.h"

namespace {

constexpr int CHANNELS = 4, WAYS = 4, NONE = -1;
constexpr int UNKNOWN = 255 * CHANNELS;  // the difference of two pixels one of which cannot be seen
constexpr std::array<std::array<int, 2>, WAYS> WAY{{{-1, 0}, {1, 0}, {0, -1}, {0, 1}}};
constexpr int back(int way) { return way ^ 1; }

// Nodes with up to four neighbours, an edge to each in both directions, and an edge from the source or to the sink.
class Cut {
 public:
  explicit Cut(const std::vector<std::array<int32_t, WAYS>>& neighbours) : near(neighbours), nodes(near.size()) {}

  void cost_of_switching(int node, int64_t cost) { nodes[node].terminal += cost; }  // above 0: from the source
  void cost_of_parting(int from, int way, int64_t cost) { nodes[from].edge[way] += cost; }  // `from` kept, the other switched

  void run() {
    for (int node = 0; node < int(nodes.size()); ++node) {
      if (!nodes[node].terminal) continue;
      nodes[node].tree = nodes[node].terminal > 0 ? SOURCE : SINK;
      nodes[node].parent = TERMINAL;
      nodes[node].far = 1;
      activate(node);
    }
    while (!active.empty()) {
      const int node = active.front();
      if (nodes[node].tree == FREE || !grow(node)) {
        active.pop_front();
        nodes[node].active = false;
      }
    }
  }

  bool switched(int node) const { return nodes[node].tree == SINK; }

 private:
  enum Tree : int8_t { FREE, SOURCE, SINK };
  static constexpr int8_t TERMINAL = WAYS, ORPHAN = WAYS + 1;

  struct Node {
    int64_t terminal = 0, edge[WAYS] = {};
    int32_t seen = 0, far = 0;  // when the distance to the terminal was last known, and what it was
    Tree tree = FREE;
    int8_t parent = ORPHAN;
    bool active = false;
  };

  const std::vector<std::array<int32_t, WAYS>>& near;
  std::vector<Node> nodes;
  std::deque<int> active, orphans;
  int32_t time = 0;

  void activate(int node) {
    if (!nodes[node].active) active.push_back(node);
    nodes[node].active = true;
  }

  // What may still flow along the edge in the direction of its node's tree: away from the source, towards the sink.
  int64_t& room(int node, int way, Tree tree) {
    return tree == SOURCE ? nodes[node].edge[way] : nodes[near[node][way]].edge[back(way)];
  }

  bool grow(int node) {
    const Tree tree = nodes[node].tree;
    for (int way = 0; way < WAYS; ++way) {
      const int other = near[node][way];
      if (other == NONE || !room(node, way, tree)) continue;
      if (nodes[other].tree == FREE) {
        nodes[other].tree = tree;
        nodes[other].parent = int8_t(back(way));
        nodes[other].seen = nodes[node].seen;
        nodes[other].far = nodes[node].far + 1;
        activate(other);
      } else if (nodes[other].tree != tree) {
        tree == SOURCE ? augment(node, way) : augment(other, back(way));
        return true;
      }
    }
    return false;
  }

  // Push what fits along the path that the edge from the source's tree to the sink's closes.
  void augment(int from, int way) {
    const int to = near[from][way];
    ++time;
    const int64_t flow = std::min({nodes[from].edge[way], narrowest(from), narrowest(to)});
    nodes[from].edge[way] -= flow;
    nodes[to].edge[back(way)] += flow;
    push(from, flow);
    push(to, flow);
    while (!orphans.empty()) {
      const int node = orphans.front();
      orphans.pop_front();
      adopt(node);
    }
  }

  // The edge to a node from its parent, in the direction of flow.
  int64_t& inflow(int node) {
    const int way = nodes[node].parent;
    return nodes[node].tree == SOURCE ? nodes[near[node][way]].edge[back(way)] : nodes[node].edge[way];
  }

  int64_t narrowest(int node) {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (; nodes[node].parent != TERMINAL; node = near[node][nodes[node].parent]) least = std::min(least, inflow(node));
    return std::min(least, std::abs(nodes[node].terminal));
  }

  void push(int node, int64_t flow) {
    while (nodes[node].parent != TERMINAL) {
      const int way = nodes[node].parent, up = near[node][way];
      int64_t& forth = inflow(node);
      forth -= flow;
      (nodes[node].tree == SOURCE ? nodes[node].edge[way] : nodes[up].edge[back(way)]) += flow;
      if (!forth) orphan(node);
      node = up;
    }
    nodes[node].terminal -= nodes[node].tree == SOURCE ? flow : -flow;
    if (!nodes[node].terminal) orphan(node);
  }

  void orphan(int node) {
    nodes[node].parent = ORPHAN;
    orphans.push_front(node);
  }

  // The steps from a node to its terminal, or none if its tree is cut off above it.
  int rooted(int node) {
    int steps = 0;
    for (int at = node;; at = near[at][nodes[at].parent]) {
      if (nodes[at].seen == time) {
        steps += nodes[at].far;
        break;
      }
      if (nodes[at].parent == ORPHAN) return NONE;
      ++steps;
      if (nodes[at].parent == TERMINAL) {
        nodes[at].seen = time;
        nodes[at].far = 1;
        break;
      }
    }
    for (int at = node, left = steps; nodes[at].seen != time; at = near[at][nodes[at].parent], --left) {
      nodes[at].seen = time;
      nodes[at].far = left;
    }
    return steps;
  }

  void adopt(int node) {
    const Tree tree = nodes[node].tree;
    int best = NONE, least = std::numeric_limits<int>::max();
    for (int way = 0; way < WAYS; ++way) {
      const int other = near[node][way];
      if (other == NONE || nodes[other].tree != tree || !room_from(other, node, way, tree)) continue;
      const int steps = rooted(other);
      if (steps != NONE && steps < least) {
        least = steps;
        best = way;
      }
    }
    if (best != NONE) {
      nodes[node].parent = int8_t(best);
      nodes[node].seen = time;
      nodes[node].far = least + 1;
      return;
    }
    for (int way = 0; way < WAYS; ++way) {
      const int other = near[node][way];
      if (other == NONE || nodes[other].tree != tree) continue;
      if (room_from(other, node, way, tree)) activate(other);
      if (nodes[other].parent == back(way)) orphan(other);
    }
    nodes[node].tree = FREE;
  }

  int64_t room_from(int other, int node, int way, Tree tree) {
    return tree == SOURCE ? nodes[other].edge[back(way)] : nodes[node].edge[way];
  }
};

struct Scene {
  const uint8_t *image, *known;
  const int32_t* offsets;
  int height, width;

  // The pixel that an offset moves to (y, x), or NONE.
  int32_t moved(int y, int x, int label) const {
    y += offsets[2 * label];
    x += offsets[2 * label + 1];
    if (y < 0 || x < 0 || y >= height || x >= width || !known[y * width + x]) return NONE;
    return y * width + x;
  }

  int difference(int32_t a, int32_t b) const {
    if (a == NONE || b == NONE) return UNKNOWN;
    int sum = 0;
    for (int channel = 0; channel < CHANNELS; ++channel) {
      sum += std::abs(image[int64_t(a) * CHANNELS + channel] - image[int64_t(b) * CHANNELS + channel]);
    }
    return sum;
  }

  // How much the seam between two neighbours with these labels is seen.
  int seam(int y, int x, int way, int one, int other) const {
    if (one == other) return 0;
    const int to_y = y + WAY[way][0], to_x = x + WAY[way][1];
    return difference(moved(y, x, one), moved(y, x, other)) + difference(moved(to_y, to_x, one), moved(to_y, to_x, other));
  }

  // The seams to known neighbours.
  int rim(int y, int x, int label) const {
    int sum = 0;
    for (const auto& way : WAY) {
      const int to_y = y + way[0], to_x = x + way[1];
      if (to_y < 0 || to_x < 0 || to_y >= height || to_x >= width || !known[to_y * width + to_x]) continue;
      sum += 2 * difference(to_y * width + to_x, moved(to_y, to_x, label));
    }
    return sum;
  }
};

// Let every free pixel that is better off with the label have it.
void expand(const Scene& scene, const uint8_t* free, int32_t* label, int candidate, std::vector<int32_t>& number) {
  std::vector<int32_t> pixels;
  for (int32_t pixel = 0; pixel < scene.height * scene.width; ++pixel) {
    number[pixel] = NONE;
    if (!free[pixel] || label[pixel] == NONE || label[pixel] == candidate) continue;
    if (scene.moved(pixel / scene.width, pixel % scene.width, candidate) == NONE) continue;
    number[pixel] = int32_t(pixels.size());
    pixels.push_back(pixel);
  }
  std::vector<std::array<int32_t, WAYS>> near(pixels.size());
  auto beside = [&](int y, int x, int way) {
    const int to_y = y + WAY[way][0], to_x = x + WAY[way][1];
    return to_y < 0 || to_x < 0 || to_y >= scene.height || to_x >= scene.width ? NONE : to_y * scene.width + to_x;
  };
  for (std::size_t node = 0; node < pixels.size(); ++node) {
    for (int way = 0; way < WAYS; ++way) {
      const int other = beside(pixels[node] / scene.width, pixels[node] % scene.width, way);
      near[node][way] = other == NONE ? NONE : number[other];
    }
  }
  Cut cut(near);
  for (std::size_t node = 0; node < pixels.size(); ++node) {
    const int y = pixels[node] / scene.width, x = pixels[node] % scene.width, own = label[pixels[node]];
    cut.cost_of_switching(int(node), scene.rim(y, x, candidate) - scene.rim(y, x, own));
    for (int way = 0; way < WAYS; ++way) {
      const int other = beside(y, x, way);
      if (other == NONE || label[other] == NONE) continue;
      const int64_t kept = scene.seam(y, x, way, own, label[other]);
      const int64_t this_switched = scene.seam(y, x, way, candidate, label[other]);
      if (near[node][way] == NONE) {
        cut.cost_of_switching(int(node), this_switched - kept);
      } else if (way % 2) {  // every pair once
        const int64_t that_switched = std::max(int64_t(scene.seam(y, x, way, own, candidate)), kept - this_switched);
        cut.cost_of_switching(int(node), this_switched - kept);
        cut.cost_of_switching(near[node][way], -this_switched);
        cut.cost_of_parting(int(node), way, that_switched + this_switched - kept);
      }
    }
  }
  cut.run();
  for (std::size_t node = 0; node < pixels.size(); ++node) {
    if (cut.switched(int(node))) label[pixels[node]] = candidate;
  }
}

}  // namespace

// Improve `label` (h, w), of each pixel to be filled which of the `offsets` (count, 2), y and x, moves a known one there,
// NONE elsewhere, where `free` (h, w), in so many sweeps over the offsets. Returns 0, or 1 for want of memory.
EXPORT int deform_labelling(const uint8_t* image, const uint8_t* known, const uint8_t* free, const int32_t* offsets,
                            int32_t* label, int h, int w, int count, int sweeps) try {
  const Scene scene{image, known, offsets, h, w};
  std::vector<int32_t> number(std::size_t(h) * w);
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (int candidate = 0; candidate < count; ++candidate) expand(scene, free, label, candidate, number);
  }
  return 0;
} catch (const std::bad_alloc&) {
  return 1;
}
