// The kernels of cc/nms (nms.cu, dense.cu, candidates.cu and suppression_cuda.h) on the host: the
// selections of cc/nms/nms.cc, and nothing written beyond them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/nms/dense_cuda.h"
#include "cc/nms/nms.h"
#include "cc/nms/nms_cuda.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::nanf("");
constexpr int32_t kPoison = -7;

NmsOptions Options(float score_threshold, float iou_threshold, int64_t max_per_class,
                   int64_t max_total, float soft_nms_sigma = 0) {
  return {score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total};
}

struct Case {
  const char* proves;
  int64_t count, classes;
  NmsOptions options;
};

const Case kCases[] = {
    {"no boxes", 0, 3, Options(0, 0.5f, 10, 10)},
    {"no results wanted", 20, 3, Options(0, 0.5f, 10, 0)},
    {"one box", 1, 1, Options(0, 0.5f, 10, 10)},
    {"one class", 90, 1, Options(0, 0.5f, 1000, 1000)},
    {"one class with a limit of its own", 70, 1, Options(0, 0.9f, 9, 1000)},
    {"several classes", 140, 3, Options(0, 0.3f, 1000, 1000)},
    {"limits for each class and in all", 90, 3, Options(0.3f, 0.8f, 5, 12)},
    {"nothing may overlap", 50, 2, Options(0.3f, 0, 1000, 1000)},
    {"everything may overlap", 30, 2, Options(0, 1, 1000, 1000)},
    {"more classes than a warp has lanes", 33, 34, Options(0.2f, 0.4f, 2, 30)},
    {"a threshold that nothing passes", 90, 3, Options(2, 0.5f, 10, 10)},
    {"soft suppression", 40, 2, Options(0.1f, 0.5f, 9, 15, 0.5f)},
    {"soft suppression of one class", 20, 1, Options(0, 0.5f, 100, 100, 0.1f)},
};

struct Scene {
  // Half as many different scores as there are of them. Some boxes are inverted, without area or
  // not finite; some scores are no numbers.
  Scene(int64_t boxes_count, int64_t scores_count, std::mt19937* random) {
    std::uniform_real_distribution<float> uniform(0, 1);
    const auto one_in = [&](unsigned n) { return (*random)() % n == 0; };
    for (int64_t i = 0; i < boxes_count; ++i) {
      const float y = uniform(*random), x = uniform(*random);
      Box box = {y, x, y + 0.5f * uniform(*random), x + 0.5f * uniform(*random)};
      if (one_in(40)) std::swap(box.ymin, box.ymax);
      if (one_in(50)) box.xmax = box.xmin;
      if (one_in(50)) box.ymax = kInfinity;
      if (one_in(50)) box.xmin = kNaN;
      boxes.push_back(box);
    }
    const auto levels = static_cast<unsigned>(scores_count / 2 + 1);
    for (int64_t i = 0; i < scores_count; ++i) {
      const float score = static_cast<float>((*random)() % levels) / static_cast<float>(levels);
      scores.push_back(one_in(60) ? kNaN : score);
    }
  }

  std::vector<Box> boxes;
  std::vector<float> scores;
};

// Garbage, aligned to 256 bytes as the functions expect.
class Workspace {
 public:
  explicit Workspace(int64_t bytes) : words_(bytes / 8 + 32, UINT64_C(0xabababababababab)) {}
  void* get() {
    return words_.data() + (256 - reinterpret_cast<uintptr_t>(words_.data()) % 256) % 256 / 8;
  }

 private:
  std::vector<uint64_t> words_;
};

struct Found {
  Found(int64_t images, int64_t max_total)
      : max_total(max_total),
        indices(images * max_total, kPoison),
        classes(images * max_total, kPoison),
        scores(images * max_total, kPoison),
        counts(images, kPoison) {}

  cuda::Selections Pointers() {
    return {indices.data(), classes.data(), scores.data(), counts.data()};
  }

  void Expect(int64_t image, const std::vector<Selection>& expected, const char* proves) const {
    ASSERT_EQ(counts[image], static_cast<int32_t>(expected.size())) << proves;
    for (int64_t i = 0; i < max_total; ++i) {
      const int64_t at = image * max_total + i;
      const bool is_result = i < counts[image];
      const Selection poison = {kPoison, kPoison, kPoison};
      const Selection& wanted = is_result ? expected[i] : poison;
      EXPECT_EQ(indices[at], wanted.index) << proves << ", selection " << i;
      EXPECT_EQ(classes[at], wanted.class_index) << proves << ", selection " << i;
      EXPECT_EQ(std::memcmp(&scores[at], &wanted.score, sizeof(float)), 0)
          << proves << ", selection " << i << ": " << scores[at] << ", not " << wanted.score;
    }
  }

  int64_t max_total;
  std::vector<int64_t> indices;
  std::vector<int32_t> classes;
  std::vector<float> scores;
  std::vector<int32_t> counts;
};

// Given classes; some are not among them, which the processor's function would not take.
void ExpectSameOfGivenClasses(const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  const Scene scene(c.count, c.count, &random);
  std::vector<int32_t> classes, valid_classes;
  std::vector<float> valid_scores = scene.scores;
  for (int64_t i = 0; i < c.count; ++i) {
    classes.push_back(static_cast<int32_t>(random() % c.classes));
    if (c.count > 30 && random() % 20 == 0) {
      classes.back() = random() % 2 ? -1 : static_cast<int32_t>(c.classes);
      valid_scores[i] = kNaN;
    }
    valid_classes.push_back(std::isnan(valid_scores[i]) ? 0 : classes.back());
  }
  Workspace workspace(cuda::NmsWorkspaceBytes(c.count, c.classes, c.options));
  Found found(1, c.options.max_total);
  ASSERT_EQ(cuda::Nms(scene.boxes.data(), scene.scores.data(), classes.data(), c.count, c.classes,
                      c.options, workspace.get(), found.Pointers(), nullptr),
            cudaSuccess);
  found.Expect(0,
               Nms(scene.boxes.data(), valid_scores.data(), valid_classes.data(), c.count,
                   c.classes, c.options),
               c.proves);
}

void ExpectSameOfMatrix(const Case& c, uint32_t seed, bool shared_boxes, bool class_agnostic,
                        int64_t max_candidates) {
  constexpr int64_t kImages = 2;
  std::mt19937 random(seed);
  const int64_t boxes_per_row = shared_boxes ? 1 : c.classes;
  const int64_t boxes = c.count * boxes_per_row, scores = c.count * c.classes;
  const Scene scene(kImages * boxes, kImages * scores, &random);
  const cuda::ScoredBoxes input = {
      scene.boxes.data(), shared_boxes, scene.scores.data(), kImages, c.count, c.classes};
  Workspace workspace(cuda::MulticlassNmsWorkspaceBytes(input, class_agnostic, c.options));
  Found found(kImages, c.options.max_total);
  ASSERT_EQ(class_agnostic ? cuda::ClassAgnosticNms(input, c.options, workspace.get(),
                                                    found.Pointers(), nullptr)
                           : cuda::MulticlassNms(input, max_candidates, c.options, workspace.get(),
                                                 found.Pointers(), nullptr),
            cudaSuccess);
  for (int64_t image = 0; image < kImages; ++image) {
    const Box* of_image = scene.boxes.data() + image * boxes;
    const float* its_scores = scene.scores.data() + image * scores;
    found.Expect(image,
                 class_agnostic ? ClassAgnosticNms(of_image, shared_boxes, its_scores, c.count,
                                                   c.classes, c.options)
                                : MulticlassNms(of_image, shared_boxes, its_scores, c.count,
                                                c.classes, max_candidates, c.options),
                 c.proves);
  }
}

// ThreadSanitizer loses count of stacks that take turns.
#ifdef __SANITIZE_THREAD__
#define ROADMARK_SKIP_UNDER_TSAN GTEST_SKIP() << "stacks that take turns confuse ThreadSanitizer"
#else
#define ROADMARK_SKIP_UNDER_TSAN
#endif

TEST(NmsEmulationTest, SameSelectionsOfGivenClasses) {
  ROADMARK_SKIP_UNDER_TSAN;
  for (const Case& c : kCases) {
    for (uint32_t seed = 0; seed < 2; ++seed) ExpectSameOfGivenClasses(c, seed);
  }
}

TEST(NmsEmulationTest, SameSelectionsOfMoreBoxesThanTheMatrixOfOverlapsTakes) {
  ROADMARK_SKIP_UNDER_TSAN;
  const int64_t count = cuda::kMostDenseBoxes + 1;
  ExpectSameOfGivenClasses({"many boxes", count, 2, Options(0.1f, 0.1f, 15, 20)}, 0);
}

TEST(NmsEmulationTest, SameSelectionsOfAScorePerClass) {
  ROADMARK_SKIP_UNDER_TSAN;
  bool shared_boxes = true;
  for (const Case& c : kCases) {
    ExpectSameOfMatrix(c, 1, shared_boxes, false, 0);
    shared_boxes = !shared_boxes;
  }
}

TEST(NmsEmulationTest, SameSelectionsOfTheBestClasses) {
  ROADMARK_SKIP_UNDER_TSAN;
  bool shared_boxes = false;
  for (const Case& c : kCases) {
    ExpectSameOfMatrix(c, 2, shared_boxes, true, 0);
    shared_boxes = !shared_boxes;
  }
}

TEST(NmsEmulationTest, SameSelectionsOfTheBestCandidates) {
  ROADMARK_SKIP_UNDER_TSAN;
  const Case several = {"several classes", 90, 3, Options(0.1f, 0.5f, 1000, 1000)};
  for (int64_t most : {1, 40, 1000000}) ExpectSameOfMatrix(several, 3, true, false, most);
  const Case tiers = {"more rows than the first tier has", 4200, 2, Options(0, 0.01f, 9, 9)};
  ExpectSameOfMatrix(tiers, 4, true, false, 3000);
}

}  // namespace
}  // namespace roadmark
