#include "cc/postprocess/postprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr BoxScales kScales = {10, 10, 5, 5};

struct Picture {
  std::vector<float> logits, encodings;
  std::vector<Box> anchors;
  RawOutputs raw;
};

Picture RandomPicture(int seed, int64_t count, int64_t num_classes, int64_t boxes_per_row,
                      bool background) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::normal_distribution<float> normal(0, 1);
  Picture picture;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    picture.anchors.push_back(
        {y, x, y + 0.1f + 0.3f * uniform(random), x + 0.1f + 0.3f * uniform(random)});
  }
  for (int64_t i = 0; i < count * (num_classes + background); ++i) {
    picture.logits.push_back(std::round(8 * (3 * normal(random) - 2)) / 8);
  }
  for (int64_t i = 0; i < count * boxes_per_row * 4; ++i) {
    picture.encodings.push_back(normal(random));
  }
  picture.raw = {
      picture.logits.data(), picture.encodings.data(), picture.anchors.data(), count, num_classes,
      boxes_per_row};
  return picture;
}

// Scores [count, num_classes] of everything, in double precision.
std::vector<float> ReferenceScores(const RawOutputs& raw, const PostprocessOptions& options) {
  std::vector<float> scores;
  const int64_t columns = raw.num_classes + options.background_column;
  for (int64_t row = 0; row < raw.count; ++row) {
    std::vector<double> values(raw.class_logits + row * columns,
                               raw.class_logits + (row + 1) * columns);
    double sum = 0;
    for (double& value : values) {
      value /= options.logit_scale;
      if (options.score_function == ScoreFunction::kSigmoid) value = 1 / (1 + std::exp(-value));
      if (options.score_function == ScoreFunction::kSoftmax) sum += value = std::exp(value);
    }
    for (int64_t c = options.background_column; c < columns; ++c) {
      const double divisor = options.score_function == ScoreFunction::kSoftmax ? sum : 1;
      scores.push_back(static_cast<float>(values[c] / divisor));
    }
  }
  return scores;
}

// Decodes every box, suppresses with the function that has a reference of its own in nms_test,
// and clips, each for itself.
std::vector<Detection> Reference(const RawOutputs& raw, const Window& window,
                                 const PostprocessOptions& options) {
  const std::vector<float> scores = ReferenceScores(raw, options);
  std::vector<Box> boxes(raw.count * raw.boxes_per_row);
  for (int64_t i = 0; i < static_cast<int64_t>(boxes.size()); ++i) {
    DecodeFasterRcnn(raw.box_encodings + 4 * i, raw.anchors + i / raw.boxes_per_row, 1,
                     options.box_scales, &boxes[i]);
  }
  const bool shared = raw.boxes_per_row == 1;
  NmsOptions nms = options.nms;
  if (!options.class_agnostic) nms.max_total = raw.count * raw.num_classes;
  const auto kept =
      options.class_agnostic
          ? ClassAgnosticNms(boxes.data(), shared, scores.data(), raw.count, raw.num_classes, nms)
          : MulticlassNms(boxes.data(), shared, scores.data(), raw.count, raw.num_classes, 0, nms);
  std::vector<Detection> detections;
  for (const Selection& s : kept) {
    const Box box = boxes[shared ? s.index : s.index * raw.boxes_per_row + s.class_index];
    const auto y = [&](float v) { return std::clamp(v, 0.0f, window.height) / window.height; };
    const auto x = [&](float v) { return std::clamp(v, 0.0f, window.width) / window.width; };
    const Box clipped = {y(box.ymin), x(box.xmin), y(box.ymax), x(box.xmax)};
    if (clipped.ymax <= clipped.ymin || clipped.xmax <= clipped.xmin) continue;
    if (static_cast<int64_t>(detections.size()) == options.nms.max_total) break;
    detections.push_back({clipped, s.score, s.class_index, s.index});
  }
  return detections;
}

struct Case {
  const char* proves;
  int64_t num_classes;
  bool box_per_class, background;
  ScoreFunction score_function;
  float logit_scale;
  bool class_agnostic;
  NmsOptions nms;
  Window window;
};

constexpr ScoreFunction kIdentity = ScoreFunction::kIdentity;
constexpr ScoreFunction kSigmoid = ScoreFunction::kSigmoid;
constexpr ScoreFunction kSoftmax = ScoreFunction::kSoftmax;

const Case kCases[] = {
    {"SSD: shared boxes, sigmoid",
     3,
     false,
     false,
     kSigmoid,
     1,
     false,
     {0.1f, 0.5f, 0, 20, 30},
     {1, 1}},
    {"a very low threshold",
     3,
     false,
     false,
     kSigmoid,
     1,
     false,
     {1e-8f, 0.5f, 0, 100, 100},
     {1, 1}},
    {"one class", 1, false, false, kSigmoid, 1, false, {0.1f, 0.5f, 0, 100, 100}, {1, 1}},
    {"background column", 3, false, true, kSigmoid, 1, false, {0.1f, 0.5f, 0, 20, 30}, {1, 1}},
    {"softmax", 3, false, true, kSoftmax, 1, false, {0.1f, 0.5f, 0, 20, 30}, {1, 1}},
    {"softmax over many classes",
     40,
     false,
     true,
     kSoftmax,
     1,
     false,
     {0.1f, 0.5f, 0, 20, 30},
     {1, 1}},
    {"softmax without a background",
     3,
     false,
     false,
     kSoftmax,
     2,
     false,
     {0.1f, 0.5f, 0, 20, 30},
     {1, 1}},
    {"two stages: a box per class",
     5,
     true,
     true,
     kSoftmax,
     1,
     false,
     {0.05f, 0.6f, 0, 20, 30},
     {1, 1}},
    {"identity", 3, false, false, kIdentity, 1, false, {0.5f, 0.5f, 0, 20, 30}, {1, 1}},
    {"scaled logits", 3, false, false, kSigmoid, 3, false, {0.3f, 0.5f, 0, 20, 30}, {1, 1}},
    {"class-agnostic", 3, false, false, kSigmoid, 1, true, {0.1f, 0.5f, 0, 1, 30}, {1, 1}},
    {"class-agnostic, a box per class, background",
     3,
     true,
     true,
     kSoftmax,
     1,
     true,
     {0.1f, 0.5f, 0, 1, 30},
     {1, 1}},
    {"soft-NMS", 3, false, false, kSigmoid, 1, false, {0.1f, 0.5f, 0.5f, 20, 30}, {1, 1}},
    {"a picture in the upper left",
     3,
     false,
     false,
     kSigmoid,
     1,
     false,
     {0.1f, 0.5f, 0, 20, 30},
     {0.5f, 0.75f}},
    {"hardly any window: clipped boxes are dropped before the limit",
     3,
     false,
     false,
     kSigmoid,
     1,
     false,
     {0.01f, 0.9f, 0, 100, 10},
     {0.1f, 0.1f}},
};

TEST(PostprocessTest, EqualsDoingOneStepAfterTheOther) {
  for (const Case& c : kCases) {
    for (int seed = 0; seed < 3; ++seed) {
      const Picture picture = RandomPicture(seed, 300, c.num_classes,
                                            c.box_per_class ? c.num_classes : 1, c.background);
      const PostprocessOptions options = {kScales,      c.score_function, c.logit_scale,
                                          c.background, c.class_agnostic, c.nms};
      const auto found = Postprocess(picture.raw, c.window, options);
      const auto expected = Reference(picture.raw, c.window, options);
      ASSERT_FALSE(expected.empty()) << c.proves;
      ASSERT_EQ(found.size(), expected.size()) << c.proves;
      for (size_t i = 0; i < found.size(); ++i) {
        // Equal scores may differ in the last bit between the two ways, and so may their order.
        EXPECT_NEAR(found[i].score, expected[i].score, 1e-5) << c.proves << ' ' << i;
        const auto same = [&](const Detection& d) {
          return d.row == found[i].row && d.class_index == found[i].class_index &&
                 std::fabs(d.score - found[i].score) < 1e-5 &&
                 std::fabs(d.box.ymin - found[i].box.ymin) < 1e-5 &&
                 std::fabs(d.box.xmin - found[i].box.xmin) < 1e-5 &&
                 std::fabs(d.box.ymax - found[i].box.ymax) < 1e-5 &&
                 std::fabs(d.box.xmax - found[i].box.xmax) < 1e-5;
        };
        EXPECT_EQ(std::count_if(expected.begin(), expected.end(), same), 1)
            << c.proves << ", detection " << i;
      }
    }
  }
}

const PostprocessOptions kOptions = {kScales, kSigmoid, 1, false, false, {0.5f, 0.5f, 0, 10, 10}};

TEST(PostprocessTest, NothingIn) {
  const RawOutputs raw = {nullptr, nullptr, nullptr, 0, 2, 1};
  for (bool class_agnostic : {false, true}) {
    for (ScoreFunction function : {kIdentity, kSigmoid, kSoftmax}) {
      PostprocessOptions options = kOptions;
      options.class_agnostic = class_agnostic;
      options.score_function = function;
      EXPECT_TRUE(Postprocess(raw, {1, 1}, options).empty());
    }
  }
}

TEST(PostprocessTest, NanAndInfinityStayWhereTheyAre) {
  const float nan = std::nanf("");
  const std::vector<float> logits = {nan, 3, kInfinity, 2};
  const std::vector<float> encodings = {0, 0, 0, 0, nan, 0, 0, 0, 0, 0, kInfinity, 0, 0, 0, 0, 0};
  const std::vector<Box> anchors = {
      {0, 0, 1, 1}, {0, 0, 1, 1}, {0.2f, 0.2f, 0.4f, 0.4f}, {0.5f, 0.5f, 0.75f, 0.75f}};
  const RawOutputs raw = {logits.data(), encodings.data(), anchors.data(), 4, 1, 1};
  const auto found = Postprocess(raw, {1, 1}, kOptions);
  // A NaN score is no candidate, a NaN box no detection, an endless box is clipped.
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].row, 2);
  EXPECT_EQ(found[0].score, 1);
  EXPECT_EQ(found[0].box.ymin, 0);
  EXPECT_EQ(found[0].box.ymax, 1);
  EXPECT_EQ(found[1].row, 3);
}

TEST(PostprocessTest, SaturatedScoresGoToTheLowestClass) {
  const std::vector<float> logits = {20, 30, 25}, encodings(4);
  const std::vector<Box> anchors = {{0, 0, 1, 1}};
  const RawOutputs raw = {logits.data(), encodings.data(), anchors.data(), 1, 3, 1};
  PostprocessOptions options = kOptions;
  options.class_agnostic = true;
  const auto found = Postprocess(raw, {1, 1}, options);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].class_index, 0);
}

TEST(SelectMasksTest, TakesTheMaskOfTheRowAndTheClass) {
  // Two rows of three classes, masks of two pixels.
  const std::vector<float> logits = {0, 1, 2, 3, 4, 5, -kInfinity, -1, -2, kInfinity, -4, -5};
  const Box box = {0, 0, 1, 1};
  const std::vector<Detection> detections = {{box, 0.9f, 1, 1}, {box, 0.8f, 2, 0}};
  const auto near = [](const std::vector<float>& found, const std::vector<float>& of_logits) {
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], 1 / (1 + std::exp(-of_logits[i])), 1e-6) << i;
    }
  };
  std::vector<float> found(4);
  SelectMasks(logits.data(), 3, 2, detections, found.data());
  near(found, {-2, kInfinity, 4, 5});
  std::vector<float> shared(12);
  SelectMasks(logits.data(), 1, 6, detections, shared.data());
  near(shared, {-kInfinity, -1, -2, kInfinity, -4, -5, 0, 1, 2, 3, 4, 5});
}

TEST(PostprocessTest, SameBitsWithEveryInstructionSet) {
  for (const Case& c : kCases) {
    const Picture picture =
        RandomPicture(7, 2000, c.num_classes, c.box_per_class ? c.num_classes : 1, c.background);
    const PostprocessOptions options = {kScales,      c.score_function, c.logit_scale,
                                        c.background, c.class_agnostic, c.nms};
    const auto run = [&](InstructionSet set) {
      ScopedInstructionSet scoped(set);
      return Postprocess(picture.raw, c.window, options);
    };
    const auto expected = run(InstructionSet::kBaseline);
    for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (!IsSupported(set)) continue;
      const auto found = run(set);
      ASSERT_EQ(found.size(), expected.size()) << c.proves;
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].row, expected[i].row) << c.proves;
        EXPECT_EQ(std::memcmp(&found[i].box, &expected[i].box, sizeof(Box)), 0) << c.proves;
        EXPECT_EQ(std::memcmp(&found[i].score, &expected[i].score, sizeof(float)), 0) << c.proves;
      }
    }
  }
}

}  // namespace
}  // namespace roadmark
