#include "cc/nms/nms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "cc/math.h"
#include "cc/multiversion.h"
#include "cc/nms/overlap.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::nanf("");

using Boxes = std::vector<Box>;
using Scores = std::vector<float>;

float ReferenceIou(const Box& a, const Box& b) {
  for (const Box& box : {a, b}) {
    for (float corner : {box.ymin, box.xmin, box.ymax, box.xmax}) {
      if (!std::isfinite(corner)) return 0;
    }
  }
  const auto low = [](float p, float q) { return std::min(p, q); };
  const auto high = [](float p, float q) { return std::max(p, q); };
  const Box p = {low(a.ymin, a.ymax), low(a.xmin, a.xmax), high(a.ymin, a.ymax),
                 high(a.xmin, a.xmax)};
  const Box q = {low(b.ymin, b.ymax), low(b.xmin, b.xmax), high(b.ymin, b.ymax),
                 high(b.xmin, b.xmax)};
  const float area = (p.ymax - p.ymin) * (p.xmax - p.xmin);
  const float other_area = (q.ymax - q.ymin) * (q.xmax - q.xmin);
  if (area <= 0 || other_area <= 0) return 0;
  const float height = std::max(low(p.ymax, q.ymax) - high(p.ymin, q.ymin), 0.0f);
  const float width = std::max(low(p.xmax, q.xmax) - high(p.xmin, q.xmin), 0.0f);
  return height * width / (area + other_area - height * width);
}

struct Entry {
  Box box;
  float score;
  int64_t class_index, index;
};

bool Before(const Entry& a, const Entry& b) {
  return std::make_tuple(-a.score, a.class_index, a.index) <
         std::make_tuple(-b.score, b.class_index, b.index);
}

// One choice at a time; everything left is scored anew after each. `entries` are those above the
// threshold.
std::vector<Selection> ReferenceNms(std::vector<Entry> entries, const NmsOptions& options) {
  std::vector<Selection> selected;
  std::vector<int64_t> per_class(1000);
  while (!entries.empty() && static_cast<int64_t>(selected.size()) < options.max_total) {
    const auto best = std::min_element(entries.begin(), entries.end(), Before);
    const Entry chosen = *best;
    entries.erase(best);
    if (per_class[chosen.class_index]++ >= options.max_per_class) continue;
    selected.push_back({chosen.index, chosen.class_index, chosen.score});
    std::vector<Entry> left;
    for (Entry entry : entries) {
      if (entry.class_index == chosen.class_index) {
        const float iou = ReferenceIou(entry.box, chosen.box);
        if (options.soft_nms_sigma > 0) {
          entry.score *= std::exp(-iou * iou / (2 * options.soft_nms_sigma));
        } else if (iou > options.iou_threshold) {
          continue;
        }
      }
      if (entry.score > options.score_threshold) left.push_back(entry);
    }
    entries = left;
  }
  return selected;
}

struct Scene {
  Boxes boxes;    // [count] or [count, num_classes].
  Scores scores;  // [count, num_classes].
  int64_t count, num_classes;
};

// Boxes of all sizes; a third as many different scores as there are boxes.
Scene RandomScene(int seed, int64_t count, int64_t num_classes, bool shared_boxes) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::uniform_int_distribution<int> tied(1, static_cast<int>(count / 3 + 1));
  Scene scene = {{}, {}, count, num_classes};
  for (int64_t i = 0; i < count * (shared_boxes ? 1 : num_classes); ++i) {
    const float y = uniform(random), x = uniform(random);
    scene.boxes.push_back({y, x, y + 0.5f * uniform(random), x + 0.5f * uniform(random)});
  }
  for (int64_t i = 0; i < count * num_classes; ++i) {
    scene.scores.push_back(static_cast<float>(tied(random)) / (count / 3 + 2));
  }
  return scene;
}

std::vector<Entry> Entries(const Scene& scene, bool shared_boxes, float score_threshold) {
  std::vector<Entry> entries;
  for (int64_t i = 0; i < scene.count; ++i) {
    for (int64_t c = 0; c < scene.num_classes; ++c) {
      const float score = scene.scores[i * scene.num_classes + c];
      const Box box = scene.boxes[shared_boxes ? i : i * scene.num_classes + c];
      if (score > score_threshold) entries.push_back({box, score, c, i});
    }
  }
  return entries;
}

void ExpectSame(const std::vector<Selection>& found, const std::vector<Selection>& expected,
                const char* where) {
  ASSERT_EQ(found.size(), expected.size()) << where;
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].index, expected[i].index) << where << ", selection " << i;
    EXPECT_EQ(found[i].class_index, expected[i].class_index) << where << ", selection " << i;
    EXPECT_NEAR(found[i].score, expected[i].score, 1e-5) << where << ", selection " << i;
  }
}

NmsOptions Options(float score_threshold, float iou_threshold, int64_t max_per_class,
                   int64_t max_total, float soft_nms_sigma = 0) {
  return {score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total};
}

const NmsOptions kOptions[] = {
    Options(0.0f, 0.5f, 1000, 1000),
    Options(0.3f, 0.2f, 1000, 1000),
    Options(0.3f, 0.8f, 5, 12),
    Options(0.0f, 0.0f, 1000, 7),
    Options(0.0f, 1.0f, 1000, 1000),
    Options(0.1f, 0.5f, 20, 40, 0.5f),
    Options(0.4f, 0.5f, 1000, 1000, 0.1f),
};

TEST(NmsTest, EqualsTheNaiveReferenceWithManyTies) {
  for (int seed = 0; seed < 5; ++seed) {
    for (const NmsOptions& options : kOptions) {
      const Scene scene = RandomScene(seed, 150, 1, true);
      const std::vector<Selection> found =
          Nms(scene.boxes.data(), scene.scores.data(), nullptr, scene.count, 1, options);
      ExpectSame(found, ReferenceNms(Entries(scene, true, options.score_threshold), options),
                 "one class");
    }
  }
}

TEST(NmsTest, BoxesOfDifferentClassesDoNotSuppressEachOther) {
  const Boxes boxes(4, {0, 0, 1, 1});
  const Scores scores = {0.5f, 0.9f, 0.6f, 0.5f};
  const std::vector<int32_t> classes = {2, 0, 2, 0};
  const auto found =
      Nms(boxes.data(), scores.data(), classes.data(), 4, 3, Options(0, 0.5f, 10, 10));
  ExpectSame(found, {{1, 0, 0.9f}, {2, 2, 0.6f}}, "given classes");
}

TEST(MulticlassNmsTest, EqualsTheNaiveReference) {
  for (int seed = 0; seed < 5; ++seed) {
    for (bool shared : {true, false}) {
      for (const NmsOptions& options : kOptions) {
        const Scene scene = RandomScene(seed, 60, 4, shared);
        const auto found = MulticlassNms(scene.boxes.data(), shared, scene.scores.data(),
                                         scene.count, scene.num_classes, 0, options);
        ExpectSame(found, ReferenceNms(Entries(scene, shared, options.score_threshold), options),
                   shared ? "shared boxes" : "a box per class");
      }
    }
  }
}

TEST(MulticlassNmsTest, OnlyTheBestCandidatesWhenLimited) {
  for (int seed = 0; seed < 5; ++seed) {
    for (const NmsOptions& options : kOptions) {
      const Scene scene = RandomScene(seed, 60, 4, true);
      std::vector<Entry> entries = Entries(scene, true, options.score_threshold);
      std::sort(entries.begin(), entries.end(), Before);
      entries.resize(std::min<size_t>(entries.size(), 50));
      const auto found = MulticlassNms(scene.boxes.data(), true, scene.scores.data(), scene.count,
                                       scene.num_classes, 50, options);
      ExpectSame(found, ReferenceNms(entries, options), "50 candidates");
    }
  }
}

TEST(ClassAgnosticNmsTest, EqualsTheNaiveReference) {
  for (int seed = 0; seed < 5; ++seed) {
    for (bool shared : {true, false}) {
      for (NmsOptions options : kOptions) {
        const Scene scene = RandomScene(seed, 60, 4, shared);
        const auto found = ClassAgnosticNms(scene.boxes.data(), shared, scene.scores.data(),
                                            scene.count, scene.num_classes, options);
        std::vector<Entry> best;
        std::vector<int64_t> classes;
        for (int64_t i = 0; i < scene.count; ++i) {
          const float* of_box = scene.scores.data() + i * scene.num_classes;
          const int64_t c = std::max_element(of_box, of_box + scene.num_classes) - of_box;
          classes.push_back(c);
          const Box box = scene.boxes[shared ? i : i * scene.num_classes + c];
          if (of_box[c] > options.score_threshold) best.push_back({box, of_box[c], 0, i});
        }
        options.max_per_class = options.max_total;
        auto expected = ReferenceNms(best, options);
        for (Selection& selection : expected) selection.class_index = classes[selection.index];
        ExpectSame(found, expected, "class-agnostic");
      }
    }
  }
}

// Two boxes 100 wide, the second moved so that their IoU is `iou`.
Boxes ShiftedPair(float iou) {
  const float shift = 100 * (1 - iou) / (1 + iou);
  return {{0, 0, 100, 100}, {0, shift, 100, 100 + shift}};
}

struct Case {
  const char* proves;
  Boxes boxes;
  Scores scores;
  std::vector<int64_t> kept;
};

const Case kCases[] = {
    {"nothing in, nothing out", {}, {}, {}},
    {"one box", {{0, 0, 1, 1}}, {0.9f}, {0}},
    {"IoU just below the threshold stays", ShiftedPair(0.499f), {0.9f, 0.8f}, {0, 1}},
    {"IoU just above the threshold goes", ShiftedPair(0.501f), {0.9f, 0.8f}, {0}},
    {"IoU equal to the threshold stays", {{0, 0, 1, 1}, {0, 0, 1, 0.5f}}, {0.9f, 0.8f}, {0, 1}},
    {"a score equal to the threshold goes", {{0, 0, 1, 1}}, {0.25f}, {}},
    {"ties: the lower index wins", {{0, 0, 1, 1}, {0, 0, 1, 1}}, {0.5f, 0.5f}, {0}},
    {"ties: in order of index", {{5, 5, 6, 6}, {0, 0, 1, 1}}, {0.5f, 0.5f}, {0, 1}},
    {"all identical", Boxes(100, {0, 0, 1, 1}), Scores(100, 0.5f), {0}},
    {"no area: no overlap", {{0, 0, 0, 1}, {0, 0, 0, 1}}, {0.9f, 0.8f}, {0, 1}},
    {"corners in either order", {{1, 1, 0, 0}, {0, 0, 1, 1}}, {0.9f, 0.8f}, {0}},
    {"a NaN corner overlaps nothing",
     {{0, kNaN, 1, 1}, {0, 0, 1, 1}, {0, kNaN, 1, 1}},
     {0.9f, 0.8f, 0.7f},
     {0, 1, 2}},
    {"an infinite box overlaps nothing",
     {{-kInfinity, -kInfinity, kInfinity, kInfinity}, {0, 0, 1, 1}},
     {0.9f, 0.8f},
     {0, 1}},
    {"a NaN score goes", {{0, 0, 1, 1}, {0, 0, 1, 1}}, {kNaN, 0.8f}, {1}},
    {"an infinite score is the best", {{0, 0, 1, 1}, {0, 0, 1, 1}}, {0.9f, kInfinity}, {1}},
    {"huge boxes whose areas overflow",
     {{0, 0, 1e30f, 1e30f}, {0, 0, 1e30f, 1e30f}},
     {0.9f, 0.8f},
     {0, 1}},
    {"negative coordinates", {{-10, -10, 0, 0}, {-10, -9, 0, 1}}, {0.9f, 0.8f}, {0}},
    {"a suppressed box suppresses nothing",
     {{0, 0, 10, 10}, {0, 0, 10, 9}, {0, 0, 10, 4.8f}},
     {0.9f, 0.8f, 0.7f},
     {0, 2}},
};

TEST(NmsTest, EdgeCases) {
  for (const Case& c : kCases) {
    const auto found = Nms(c.boxes.data(), c.scores.data(), nullptr,
                           static_cast<int64_t>(c.boxes.size()), 1, Options(0.25f, 0.5f, 200, 200));
    std::vector<int64_t> kept;
    for (const Selection& selection : found) kept.push_back(selection.index);
    EXPECT_EQ(kept, c.kept) << c.proves;
  }
}

TEST(NmsTest, TheThresholdIsExactToTheLastBit) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  int pairs = 0;
  for (int i = 0; i < 20000; ++i) {
    // From areas of denormal numbers to those just below infinity.
    const float side = std::ldexp(1.0f, static_cast<int>(random() % 130) - 68);
    const Boxes boxes = {{0, 0, side, side}, {0, side * uniform(random), side, side * 2}};
    const float iou = Iou(WithArea(boxes[0]), WithArea(boxes[1]));
    if (!(iou > 0)) continue;
    ++pairs;
    const Scores scores = {0.9f, 0.8f};
    const auto kept = [&](float threshold) {
      return Nms(boxes.data(), scores.data(), nullptr, 2, 1, {0, threshold, 0, 2, 2}).size();
    };
    ASSERT_EQ(kept(iou), 2u) << iou << " with sides of " << side;
    ASSERT_EQ(kept(std::nextafter(iou, 0.0f)), 1u) << iou << " with sides of " << side;
  }
  EXPECT_GT(pairs, 15000);
}

TEST(NmsTest, LimitsOfZeroKeepNothing) {
  const Boxes boxes = {{0, 0, 1, 1}};
  const Scores scores = {0.9f};
  for (float sigma : {0.0f, 0.5f}) {
    EXPECT_TRUE(
        Nms(boxes.data(), scores.data(), nullptr, 1, 1, Options(0, 0.5f, 0, 9, sigma)).empty());
    EXPECT_TRUE(
        Nms(boxes.data(), scores.data(), nullptr, 1, 1, Options(0, 0.5f, 9, 0, sigma)).empty());
  }
}

// Not against the reference, which would take hours: what must hold of any result.
TEST(NmsTest, AMillionBoxes) {
  const int64_t kCount = 1000000;
  const Scene scene = RandomScene(0, kCount, 1, true);
  const auto found = Nms(scene.boxes.data(), scene.scores.data(), nullptr, kCount, 1,
                         Options(0.5f, 0.3f, kCount, kCount));
  ASSERT_GT(found.size(), 100u);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].score, scene.scores[found[i].index]);
    EXPECT_GT(found[i].score, 0.5f);
    if (i > 0) {
      EXPECT_LE(found[i].score, found[i - 1].score);
    }
  }
  // Every 5000th box is kept, below the threshold, or overlaps a kept one that came before it.
  for (int64_t index = 0; index < kCount; index += 5000) {
    if (!(scene.scores[index] > 0.5f)) continue;
    const bool explained = std::any_of(found.begin(), found.end(), [&](const Selection& s) {
      return s.index == index || (s.score >= scene.scores[index] &&
                                  ReferenceIou(scene.boxes[s.index], scene.boxes[index]) > 0.3f);
    });
    EXPECT_TRUE(explained) << index;
  }
  for (size_t i = 0; i < found.size(); i += 7) {
    for (size_t j = 0; j < i; j += 11) {
      EXPECT_LE(ReferenceIou(scene.boxes[found[i].index], scene.boxes[found[j].index]), 0.3f);
    }
  }
}

TEST(NmsTest, SameBitsWithEveryInstructionSet) {
  for (const NmsOptions& options : kOptions) {
    const Scene scene = RandomScene(1, 3000, 3, true);
    const auto run = [&](InstructionSet set) {
      ScopedInstructionSet scoped(set);
      return MulticlassNms(scene.boxes.data(), true, scene.scores.data(), scene.count, 3, 0,
                           options);
    };
    const auto expected = run(InstructionSet::kBaseline);
    for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (!IsSupported(set)) continue;
      const auto found = run(set);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].index, expected[i].index);
        EXPECT_EQ(BitsFromFloat(found[i].score), BitsFromFloat(expected[i].score));
      }
    }
  }
}

}  // namespace
}  // namespace roadmark
