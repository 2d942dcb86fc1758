#include "cc/matcher/matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

using Boxes = std::vector<Box>;

struct Image {
  Boxes boxes;
  std::vector<float> weights, labels;
};

struct Result {
  std::vector<float> class_targets, class_weights, box_targets, box_weights;
  std::vector<int32_t> matches;
};

constexpr int64_t kNumClasses = 3;
constexpr float kUnmatchedLabel[kNumClasses] = {1, 0, 0};

TargetOptions Options(float matched, float unmatched, bool negatives_lower = true,
                      bool force = true) {
  return {{matched, unmatched, negatives_lower, force},
          {10, 10, 5, 5},
          0.5f,
          kNumClasses,
          kUnmatchedLabel};
}

// Labels and weights that tell the boxes apart.
Image MakeImage(const Boxes& boxes, std::vector<float> weights = {}) {
  Image image = {boxes, weights, {}};
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (weights.empty()) image.weights.push_back(1.0f / static_cast<float>(i + 1));
    for (int64_t c = 0; c < kNumClasses; ++c) {
      image.labels.push_back(static_cast<float>(10 * (i + 1) + c));
    }
  }
  return image;
}

Result MakeResult(int64_t anchors) {
  // Every value has to be written.
  return {std::vector<float>(anchors * kNumClasses, -7), std::vector<float>(anchors, -7),
          std::vector<float>(anchors * 4, -7), std::vector<float>(anchors, -7),
          std::vector<int32_t>(anchors, -7)};
}

Targets PointersTo(Result& result) {
  return {result.class_targets.data(), result.class_weights.data(), result.box_targets.data(),
          result.box_weights.data(), result.matches.data()};
}

Groundtruth View(const Image& image) {
  return {image.boxes.data(), image.labels.data(), image.weights.data(),
          static_cast<int64_t>(image.boxes.size())};
}

Result RunOn(const Boxes& anchors, const Image& image, const TargetOptions& options) {
  const AnchorIndex index(anchors.data(), static_cast<int64_t>(anchors.size()));
  Result result = MakeResult(static_cast<int64_t>(anchors.size()));
  TargetAssigner(index, options).Assign(View(image), PointersTo(result));
  return result;
}

float Iou(const Box& a, const Box& b) {
  const float height = std::max(0.0f, std::min(a.ymax, b.ymax) - std::max(a.ymin, b.ymin));
  const float width = std::max(0.0f, std::min(a.xmax, b.xmax) - std::max(a.xmin, b.xmin));
  const float overlap = height * width;
  const float area_a = (a.ymax - a.ymin) * (a.xmax - a.xmin);
  const float area_b = (b.ymax - b.ymin) * (b.xmax - b.xmin);
  return overlap == 0.0f ? 0.0f : overlap / (area_a + area_b - overlap);
}

// The OD API's ArgMaxMatcher on the whole matrix.
std::vector<int32_t> ReferenceMatches(const Boxes& anchors, const Image& image,
                                      const MatchRules& rules) {
  std::vector<int32_t> matches(anchors.size(), kUnmatched);
  if (image.boxes.empty() || anchors.empty()) return matches;
  std::vector<std::vector<float>> ious;
  for (const Box& box : image.boxes) {
    ious.emplace_back();
    for (const Box& anchor : anchors) ious.back().push_back(Iou(box, anchor));
  }
  for (size_t i = 0; i < anchors.size(); ++i) {
    int32_t best = 0;
    for (size_t row = 1; row < ious.size(); ++row) {
      if (ious[row][i] > ious[best][i]) best = static_cast<int32_t>(row);
    }
    const float iou = ious[best][i];
    const bool below = iou < rules.unmatched_threshold;
    const bool between = !below && iou < rules.matched_threshold;
    const bool negatives_lower = rules.negatives_lower_than_unmatched;
    if (below) best = negatives_lower ? kUnmatched : kIgnored;
    if (between) best = negatives_lower ? kIgnored : kUnmatched;
    matches[i] = best;
  }
  if (!rules.force_match_for_each_row) return matches;
  for (size_t row = ious.size(); row-- > 0;) {
    if (!(image.weights[row] > 0)) continue;
    const auto best = std::max_element(ious[row].begin(), ious[row].end());
    matches[best - ious[row].begin()] = static_cast<int32_t>(row);
  }
  return matches;
}

Result Reference(const Boxes& anchors, const Image& image, const TargetOptions& options) {
  Result result = MakeResult(static_cast<int64_t>(anchors.size()));
  result.matches = ReferenceMatches(anchors, image, options.rules);
  for (size_t i = 0; i < anchors.size(); ++i) {
    const int32_t match = result.matches[i];
    const float* label = match < 0 ? kUnmatchedLabel : &image.labels[match * kNumClasses];
    std::copy_n(label, kNumClasses, &result.class_targets[i * kNumClasses]);
    result.box_weights[i] = match < 0 ? 0 : image.weights[match];
    result.class_weights[i] =
        match == kUnmatched ? options.negative_class_weight : result.box_weights[i];
    std::fill_n(&result.box_targets[4 * i], 4, 0.0f);
    if (match < 0) continue;
    EncodeFasterRcnn(&image.boxes[match], &anchors[i], 1, options.scales,
                     &result.box_targets[4 * i]);
  }
  return result;
}

void ExpectEqual(const Result& found, const Result& expected, const char* proves) {
  EXPECT_EQ(found.matches, expected.matches) << proves;
  EXPECT_EQ(found.class_targets, expected.class_targets) << proves;
  EXPECT_EQ(found.class_weights, expected.class_weights) << proves;
  EXPECT_EQ(found.box_targets, expected.box_targets) << proves;
  EXPECT_EQ(found.box_weights, expected.box_weights) << proves;
}

// Three levels of three scales and three shapes, in the OD API's order.
Boxes GridAnchors(int64_t size) {
  Boxes anchors;
  for (int64_t stride = size / 16; stride <= size / 4; stride *= 2) {
    for (int64_t y = 0; y < size; y += stride) {
      for (int64_t x = 0; x < size; x += stride) {
        for (const float scale : {1.0f, 1.26f, 1.587f}) {
          for (const float aspect : {0.5f, 1.0f, 2.0f}) {
            const float side = 4.0f * static_cast<float>(stride) * scale;
            const float height = side / std::sqrt(aspect) / static_cast<float>(size);
            const float width = side * std::sqrt(aspect) / static_cast<float>(size);
            const float cy = static_cast<float>(y) / static_cast<float>(size);
            const float cx = static_cast<float>(x) / static_cast<float>(size);
            anchors.push_back({cy - height / 2, cx - width / 2, cy + height / 2, cx + width / 2});
          }
        }
      }
    }
  }
  return anchors;
}

Boxes RandomBoxes(int seed, int64_t count, float largest) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  Boxes boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    boxes.push_back({y, x, y + largest * uniform(random), x + largest * uniform(random)});
  }
  return boxes;
}

// `box` moved so that the IoU with where it was is `iou`.
Box Shifted(const Box& box, float iou) {
  const float shift = (box.xmax - box.xmin) * (1 - iou) / (1 + iou);
  return {box.ymin, box.xmin + shift, box.ymax, box.xmax + shift};
}

const Box kUnit = {0, 0, 1, 1};
const Box kPadding = {0, 0, 0, 0};

struct Case {
  const char* proves;
  Boxes anchors;
  Image image;
  TargetOptions options;
  std::vector<int32_t> matches;
};

const Case kCases[] = {
    {"no boxes: all unmatched",
     {kUnit, kUnit},
     MakeImage({}),
     Options(0.5f, 0.5f, false),
     {kUnmatched, kUnmatched}},
    {"no anchors", {}, MakeImage({kUnit}), Options(0.5f, 0.5f), {}},
    {"one box, one anchor", {kUnit}, MakeImage({kUnit}), Options(0.5f, 0.5f), {0}},
    {"just above the threshold",
     {kUnit},
     MakeImage({Shifted(kUnit, 0.501f)}),
     Options(0.5f, 0.5f, true, false),
     {0}},
    {"just below the threshold",
     {kUnit},
     MakeImage({Shifted(kUnit, 0.499f)}),
     Options(0.5f, 0.5f, true, false),
     {kUnmatched}},
    {"equal to the threshold",
     {kUnit},
     MakeImage({{0, 0, 0.5f, 1}}),
     Options(0.5f, 0.5f, true, false),
     {0}},
    {"between the thresholds",
     {kUnit},
     MakeImage({{0, 0, 0.5f, 1}}),
     Options(0.7f, 0.3f, true, false),
     {kIgnored}},
    {"equal to the lower threshold",
     {kUnit},
     MakeImage({{0, 0, 0.5f, 1}}),
     Options(0.7f, 0.5f, true, false),
     {kIgnored}},
    {"negatives between the thresholds",
     {kUnit, {5, 5, 6, 6}},
     MakeImage({{0, 0, 0.5f, 1}}),
     Options(0.7f, 0.3f, false, false),
     {kUnmatched, kIgnored}},
    {"a forced match below the thresholds goes to the best anchor",
     {{5, 5, 6, 6}, kUnit, {0, 0, 2, 1}},
     MakeImage({{0, 0, 0.1f, 0.1f}}),
     Options(0.5f, 0.5f),
     {kUnmatched, 0, kUnmatched}},
    {"a forced match between equal anchors goes to the first",
     {{5, 5, 6, 6}, kUnit, kUnit},
     MakeImage({{0, 0, 0.1f, 0.1f}}),
     Options(0.5f, 0.5f),
     {kUnmatched, 0, kUnmatched}},
    {"two boxes claim one anchor: the first gets it, though the second overlaps more",
     {kUnit},
     MakeImage({{0, 0, 0.6f, 1}, kUnit}),
     Options(0.5f, 0.5f),
     {0}},
    {"without force the better of the two gets it",
     {kUnit},
     MakeImage({{0, 0, 0.6f, 1}, kUnit}),
     Options(0.5f, 0.5f, true, false),
     {1}},
    {"identical boxes: the first",
     {kUnit, kUnit},
     MakeImage({kUnit, kUnit, kUnit}),
     Options(0.5f, 0.5f),
     {0, 0}},
    {"a box far from all anchors forces anchor 0",
     {kUnit, {1, 1, 2, 2}},
     MakeImage({{7, 7, 8, 8}}),
     Options(0.5f, 0.5f),
     {0, kUnmatched}},
    {"padding: no area, no weight",
     {kUnit, {1, 1, 2, 2}},
     MakeImage({{1, 1, 2, 2}, kPadding, kPadding}, {1, 0, 0}),
     Options(0.5f, 0.5f),
     {kUnmatched, 0}},
    {"only padding, ignoring what is lower than unmatched",
     {kUnit},
     MakeImage({kPadding}, {0}),
     Options(0.5f, 0.4f, false),
     {kIgnored}},
    {"a box without weight is matched but not forced",
     {kUnit, {1, 1, 2, 2}},
     MakeImage({kUnit, {1, 1, 1.1f, 1.1f}}, {0, 0}),
     Options(0.5f, 0.5f),
     {0, kUnmatched}},
    {"a box without area but with weight forces anchor 0",
     {kUnit, {1, 1, 2, 2}},
     MakeImage({{1, 1, 1, 2}}, {1}),
     Options(0.5f, 0.5f),
     {0, kUnmatched}},
    {"an inverted box overlaps nothing",
     {kUnit},
     MakeImage({{1, 1, 0, 0}}),
     Options(0.5f, 0.5f, true, false),
     {kUnmatched}},
    {"inverted and empty anchors overlap nothing",
     {{1, 1, 0, 0}, {0, 0, 0, 1}, kUnit},
     MakeImage({kUnit}),
     Options(0.5f, 0.5f),
     {kUnmatched, kUnmatched, 0}},
    {"without thresholds every anchor is matched, the first box to what nothing overlaps",
     {kUnit, {5, 5, 6, 6}, {2, 2, 3, 3}},
     MakeImage({{7, 7, 8, 8}, {2, 2, 3, 3}}),
     Options(0, 0, true, false),
     {0, 0, 1}},
    {"huge and tiny boxes",
     {{-1e18f, -1e18f, 1e18f, 1e18f}, {0, 0, 1e-10f, 1e-10f}},
     MakeImage({{-1e18f, -1e18f, 1e18f, 1e18f}, {0, 0, 1e-10f, 1e-10f}}),
     Options(0.5f, 0.5f),
     {0, 1}},
};

TEST(MatcherTest, EdgeCases) {
  for (const Case& c : kCases) {
    const Result found = RunOn(c.anchors, c.image, c.options);
    EXPECT_EQ(found.matches, c.matches) << c.proves;
    ExpectEqual(found, Reference(c.anchors, c.image, c.options), c.proves);
  }
}

const TargetOptions kOptions[] = {
    Options(0.5f, 0.5f),        Options(0.5f, 0.5f, true, false),
    Options(0.7f, 0.3f),        Options(0.5f, 0.1f, false, true),
    Options(0.0f, 0.0f),        Options(0.3f, 0.0f, false, false),
    Options(1.0f, 0.9f, false),
};

TEST(MatcherTest, EqualsTheReferenceOnGridAnchors) {
  const Boxes anchors = GridAnchors(256);
  for (int seed = 0; seed < 12; ++seed) {
    for (const float largest : {0.02f, 0.2f, 1.0f}) {
      const Image image = MakeImage(RandomBoxes(seed, seed, largest));
      for (const TargetOptions& options : kOptions) {
        ExpectEqual(RunOn(anchors, image, options), Reference(anchors, image, options), "grid");
      }
    }
  }
}

TEST(MatcherTest, EqualsTheReferenceOnRandomAnchors) {
  for (int seed = 0; seed < 12; ++seed) {
    const Boxes anchors = RandomBoxes(seed, 700, 0.5f);
    // Copies of anchors: ties, and an IoU of exactly 1.
    Boxes boxes = RandomBoxes(100 + seed, 30, 0.5f);
    boxes.insert(boxes.end(), anchors.begin(), anchors.begin() + 20);
    boxes.insert(boxes.end(), anchors.begin(), anchors.begin() + 5);
    for (const TargetOptions& options : kOptions) {
      const Image image = MakeImage(boxes);
      ExpectEqual(RunOn(anchors, image, options), Reference(anchors, image, options), "random");
    }
  }
}

TEST(MatcherTest, PairsAtTheThreshold) {
  // Every anchor has a box that overlaps it by almost exactly the threshold.
  const Boxes anchors = GridAnchors(64);
  for (const float iou : {0.4999999f, 0.5f, 0.5000001f}) {
    for (size_t first = 0; first + 20 < anchors.size(); first += 397) {
      Boxes boxes;
      for (size_t i = first; i < first + 20; ++i) boxes.push_back(Shifted(anchors[i], iou));
      const Image image = MakeImage(boxes);
      for (const TargetOptions& options : kOptions) {
        ExpectEqual(RunOn(anchors, image, options), Reference(anchors, image, options), "shifted");
      }
    }
  }
}

TEST(MatcherTest, PaddingAnywhereChangesNothing) {
  const Boxes anchors = GridAnchors(128);
  const Boxes boxes = RandomBoxes(3, 12, 0.4f);
  const Result expected = RunOn(anchors, MakeImage(boxes, std::vector<float>(12, 1)), kOptions[0]);
  Boxes padded = boxes;
  padded.resize(100, kPadding);
  std::vector<float> weights(100, 0.0f);
  std::fill_n(weights.begin(), 12, 1.0f);
  ExpectEqual(RunOn(anchors, MakeImage(padded, weights), kOptions[0]), expected, "padding");
}

TEST(MatcherTest, AMillionAnchors) {
  // Properties instead of the reference: each box gets an anchor, and matches respect thresholds.
  const Boxes anchors = RandomBoxes(5, 1000000, 0.1f);
  const Image image = MakeImage(RandomBoxes(6, 10, 0.1f));
  const Result found = RunOn(anchors, image, Options(0.7f, 0.3f, true, false));
  for (size_t i = 0; i < anchors.size(); ++i) {
    float best = 0;
    for (const Box& box : image.boxes) best = std::max(best, Iou(box, anchors[i]));
    const int32_t match = found.matches[i];
    ASSERT_EQ(match >= 0, best >= 0.7f) << i;
    ASSERT_EQ(match == kUnmatched, best < 0.3f) << i;
    if (match >= 0) {
      ASSERT_EQ(Iou(image.boxes[match], anchors[i]), best) << i;
    }
  }
}

TEST(MatcherTest, BatchesOnAnyNumberOfThreadsEqualSingleImages) {
  const Boxes anchors = GridAnchors(128);
  const auto count = static_cast<int64_t>(anchors.size());
  const AnchorIndex index(anchors.data(), count);
  std::vector<Image> images;
  for (int i = 0; i < 7; ++i) images.push_back(MakeImage(RandomBoxes(i, 3 * i, 0.4f)));
  std::vector<Groundtruth> views;
  for (const Image& image : images) views.push_back(View(image));
  for (const int threads : {1, 2, 5, 16}) {
    Result batch = MakeResult(count * 7);
    AssignTargets(index, kOptions[0], views, threads, PointersTo(batch));
    for (int64_t i = 0; i < 7; ++i) {
      const Result one = RunOn(anchors, images[i], kOptions[0]);
      EXPECT_TRUE(
          std::equal(one.matches.begin(), one.matches.end(), batch.matches.begin() + i * count));
      EXPECT_TRUE(std::equal(one.box_targets.begin(), one.box_targets.end(),
                             batch.box_targets.begin() + i * count * 4));
      EXPECT_TRUE(std::equal(one.class_targets.begin(), one.class_targets.end(),
                             batch.class_targets.begin() + i * count * kNumClasses));
    }
  }
}

TEST(MatcherTest, SameBitsWithEveryInstructionSet) {
  const Boxes anchors = GridAnchors(256);
  const Image image = MakeImage(RandomBoxes(1, 60, 0.4f));
  const auto run = [&](InstructionSet set) {
    ScopedInstructionSet scoped(set);
    return RunOn(anchors, image, kOptions[2]);
  };
  const Result expected = run(InstructionSet::kBaseline);
  for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (!IsSupported(set)) continue;
    const Result found = run(set);
    ExpectEqual(found, expected, "instruction sets");
    EXPECT_EQ(std::memcmp(found.box_targets.data(), expected.box_targets.data(),
                          found.box_targets.size() * sizeof(float)),
              0);
  }
}

}  // namespace
}  // namespace roadmark
